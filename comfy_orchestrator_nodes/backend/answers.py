"""The answers of a backend's HTTP routes as types, and how their JSON is read.

Parsers take JSON that was already decoded and raise ``fields.Malformed``, which the client turns into
``ProtocolViolation``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import TypeAlias

from ..domain import Capabilities, Gpu, Json
from ..workflow.graph import REMOTE_WORKFLOW
from .fields import Malformed, array, clipped, node_id, number, obj, optional_text, text
from .results import NodeError, NodeOutput, RemoteFile, parse_error, parse_outputs

Version: TypeAlias = tuple[int, ...]


@dataclass(frozen=True)
class Submitted:
    """A prompt that the backend has put into its queue. ``node_errors`` tells of outputs that it dropped."""

    prompt_id: str
    number: float
    node_errors: Mapping[str, Sequence[Mapping[str, str]]] = field(default_factory=dict)


@dataclass(frozen=True)
class QueuedPrompt:
    """A prompt in a backend's queue. ``class_types`` are those of its nodes."""

    prompt_id: str
    number: float
    client_id: str | None
    class_types: frozenset[str]

    @property
    def orchestrates(self) -> bool:
        """Whether it is a meta-graph, so that it may wait for other backends while it runs."""
        return REMOTE_WORKFLOW in self.class_types


@dataclass(frozen=True)
class QueueSnapshot:
    """A backend's queue at one moment; ``pending`` in the order in which it will run."""

    running: tuple[QueuedPrompt, ...]
    pending: tuple[QueuedPrompt, ...]

    @property
    def busy_orchestrating(self) -> bool:
        """Whether what runs now is a meta-graph: a job behind it may wait for a job of ours."""
        return any(prompt.orchestrates for prompt in self.running)


class HistoryStatus(str, Enum):
    """How a prompt ended on its backend."""

    SUCCESS = "success"
    ERROR = "error"
    INTERRUPTED = "interrupted"
    UNKNOWN = "unknown"
    """The entry does not say: written by a custom node or a fork."""


@dataclass(frozen=True)
class HistoryEntry:
    """A finished prompt. Times are seconds since the epoch by the backend's own clock."""

    prompt_id: str
    status: HistoryStatus
    outputs: Mapping[str, NodeOutput]
    error: NodeError | None = None
    interrupted_node_id: str | None = None
    cached_node_ids: tuple[str, ...] = ()
    started_at: float | None = None
    ended_at: float | None = None


class Place(str, Enum):
    """Where a backend has a prompt."""

    PENDING = "pending"
    RUNNING = "running"
    FINISHED = "finished"
    ABSENT = "absent"
    """In neither queue nor history: it never arrived, was removed, or the backend was restarted."""


@dataclass(frozen=True)
class Where:
    """The answer to "where is this prompt"; ``entry`` is there exactly when it is finished."""

    place: Place
    entry: HistoryEntry | None = None
    client_id: str | None = None
    """Of one that runs: to which socket its messages go."""


class CancelOutcome(str, Enum):
    """What a cancel did. Only ``Where`` tells when a stopped prompt is over."""

    DEQUEUED = "dequeued"
    """It was pending and is removed; it never ran."""
    STOPPING = "stopping"
    """The backend took the request: it was removed, or it is interrupted at the next node."""
    NOT_QUEUED = "not_queued"
    """Nothing to cancel: it is finished or unknown."""
    UNSUPPORTED = "unsupported"
    """It runs, and this backend knows only the interrupt that hits whatever runs; nothing was done."""


@dataclass(frozen=True)
class SystemStats:
    """``/system_stats``. ``version`` is None where ``comfyui_version`` is not a number of parts."""

    comfyui_version: str
    version: Version | None
    python_version: str
    pytorch_version: str
    os: str
    ram_total_bytes: int
    ram_free_bytes: int
    gpus: tuple[Gpu, ...]


@dataclass(frozen=True)
class Features:
    """``/features``. ``max_upload_bytes`` is None where the backend does not publish it."""

    max_upload_bytes: int | None = None
    raw: Mapping[str, Json] = field(default_factory=dict)


def parse_version(value: str) -> Version | None:
    """Return ``(0, 3, 75)`` for ``"0.3.75"``, ``"v0.3.75-12-gabcdef"`` and the like, or None."""
    match = re.match(r"v?(\d{1,6}(?:\.\d{1,6}){1,3})", value.strip())
    return tuple(int(part) for part in match.group(1).split(".")) if match else None


def parse_submitted(value: Json) -> Submitted:
    """Read the answer to ``POST /prompt`` with status 200."""
    data = obj(value, "the answer")
    return Submitted(
        text(data.get("prompt_id"), "prompt_id"),
        number(data.get("number"), "number"),
        parse_node_errors(data.get("node_errors")),
    )


@dataclass(frozen=True)
class Rejection:
    """Why a backend refused a prompt (status 400). ``kind`` is ComfyUI's error type."""

    kind: str
    message: str
    node_errors: Mapping[str, Sequence[Mapping[str, str]]]


def parse_rejection(value: Json) -> Rejection:
    """Read the answer to ``POST /prompt`` with status 400: ``{"error": {…}, "node_errors": {…}}``.

    A missing node class is told in three ways by different versions, none of them in ``node_errors``; here it always
    has the kind ``missing_node_type`` and an entry in ``node_errors`` for its node.
    """
    data = obj(value, "the answer")
    node_errors = parse_node_errors(data.get("node_errors"))
    error = data.get("error")
    if isinstance(error, str):
        return Rejection("rejected", clipped(error, 2_000), node_errors)
    details = obj(error, "error")
    kind = optional_text(details.get("type")) or "rejected"
    one = _one_error(details)
    missing = _missing_node(kind, details)
    if missing is not None:
        kind = "missing_node_type"
        node, class_type = missing
        node_errors = {**node_errors, node: ({**one, "type": kind, "class_type": class_type},)}
        return Rejection(kind, f"{one['message'].rstrip('.')} (node {node})", node_errors)
    return Rejection(kind, _sentence(one, node_errors), node_errors)


def parse_node_errors(value: Json) -> dict[str, tuple[dict[str, str], ...]]:
    """Read ``node_errors``: node id to its errors, each with type, message, details, input_name and class_type."""
    if not isinstance(value, dict):
        # ComfyUI sends an empty list instead of an object when it stopped before the nodes were looked at.
        return {}
    parsed: dict[str, tuple[dict[str, str], ...]] = {}
    for node, entry in value.items():
        if not isinstance(entry, dict):
            continue
        listed = entry.get("errors")
        class_type = clipped(entry.get("class_type"), 500)
        errors = [_one_error(e) for e in listed if isinstance(e, dict)] if isinstance(listed, list) else []
        parsed[node] = tuple({**error, "class_type": class_type} for error in errors)
    return parsed


def parse_queue(value: Json) -> QueueSnapshot:
    """Read ``GET /queue``: tuples of number, prompt id, prompt, extra data, outputs, and more in newer versions."""
    data = obj(value, "the queue")
    pending = sorted(_queued(data.get("queue_pending"), "queue_pending"), key=lambda prompt: prompt.number)
    return QueueSnapshot(tuple(_queued(data.get("queue_running"), "queue_running")), tuple(pending))


def parse_history(value: Json, prompt_id: str) -> HistoryEntry | None:
    """Read ``GET /history/{prompt_id}``: an object that is empty or holds that one entry."""
    entry = obj(value, "the history").get(prompt_id)
    if entry is None:
        return None
    data = obj(entry, "the history entry")
    status = data.get("status")
    events = _events(status)
    error, interrupted = events.get("execution_error"), events.get("execution_interrupted")
    return HistoryEntry(
        prompt_id=prompt_id,
        status=_history_status(status, error is not None, interrupted is not None),
        outputs=parse_outputs(data.get("outputs", {})),
        error=parse_error(error) if error is not None else None,
        interrupted_node_id=node_id(interrupted.get("node_id")) if interrupted is not None else None,
        cached_node_ids=_texts(events.get("execution_cached", {}).get("nodes")),
        started_at=_seconds(events.get("execution_start", {}).get("timestamp")),
        ended_at=_seconds((events.get("execution_success") or error or interrupted or {}).get("timestamp")),
    )


def parse_system_stats(value: Json) -> SystemStats:
    """Read ``GET /system_stats``."""
    data = obj(value, "the answer")
    system = obj(data.get("system"), "system")
    version = text(system.get("comfyui_version"), "comfyui_version")
    return SystemStats(
        comfyui_version=clipped(version, 100),
        version=parse_version(version),
        python_version=clipped(system.get("python_version"), 200),
        pytorch_version=clipped(system.get("pytorch_version"), 200),
        os=clipped(system.get("os"), 100),
        ram_total_bytes=_bytes(system.get("ram_total")),
        ram_free_bytes=_bytes(system.get("ram_free")),
        gpus=tuple(_gpu(device) for device in array(data.get("devices"), "devices")),
    )


def parse_features(value: Json) -> Features:
    """Read ``GET /features``."""
    data = obj(value, "the answer")
    return Features(_bytes(data.get("max_upload_size")) or None, data)


def parse_uploaded(value: Json) -> RemoteFile:
    """Read the answer to ``POST /upload/image``: the name under which the file was stored."""
    data = obj(value, "the answer")
    name = text(data.get("name"), "name")
    if not name:
        raise Malformed("name is empty")
    return RemoteFile(name, text(data.get("subfolder", ""), "subfolder"), text(data.get("type"), "type"))


def parse_names(value: Json) -> frozenset[str]:
    """Read a list of names, as ``/models`` and ``/models/{folder}`` give it."""
    return frozenset(text(name, "a name") for name in array(value, "the answer"))


def parse_cancelled(value: Json) -> bool:
    """Read the answer to ``POST /api/jobs/{id}/cancel``: whether there was anything to cancel."""
    cancelled = obj(value, "the answer").get("cancelled")
    if not isinstance(cancelled, bool):
        raise Malformed("cancelled is no boolean")
    return cancelled


def to_capabilities(
    stats: SystemStats,
    features: Features,
    node_classes: frozenset[str],
    models: Mapping[str, frozenset[str]],
    now: float,
) -> Capabilities:
    """Put together what a backend is from its separate answers."""
    return Capabilities(
        comfyui_version=stats.comfyui_version,
        python_version=stats.python_version,
        os=stats.os,
        gpus=stats.gpus,
        max_upload_bytes=features.max_upload_bytes,
        node_classes=node_classes,
        models=models,
        taken_at=now,
    )


def _queued(value: Json, what: str) -> list[QueuedPrompt]:
    return [_queued_prompt(array(item, f"an item of {what}")) for item in array(value, what)]


def _queued_prompt(item: Sequence[Json]) -> QueuedPrompt:
    if len(item) < 4:
        raise Malformed(f"a queued prompt has {len(item)} parts")
    nodes = obj(item[2], "a queued prompt")
    classes = (node.get("class_type") for node in nodes.values() if isinstance(node, dict))
    extra = item[3] if isinstance(item[3], dict) else {}
    return QueuedPrompt(
        text(item[1], "a prompt_id"),
        number(item[0], "a number"),
        optional_text(extra.get("client_id")),
        frozenset(class_type for class_type in classes if isinstance(class_type, str)),
    )


def _events(status: Json) -> dict[str, Mapping[str, Json]]:
    """The last event of each kind in an entry's status messages. With a blocked branch an error may precede success."""
    messages = status.get("messages") if isinstance(status, dict) else None
    events: dict[str, Mapping[str, Json]] = {}
    for message in messages if isinstance(messages, list) else []:
        if isinstance(message, list) and len(message) == 2 and isinstance(message[0], str):
            events[message[0]] = message[1] if isinstance(message[1], dict) else {}
    if "execution_success" in events:
        events.pop("execution_error", None)
    return events


def _history_status(status: Json, failed: bool, interrupted: bool) -> HistoryStatus:
    if interrupted:
        return HistoryStatus.INTERRUPTED
    said = status.get("status_str") if isinstance(status, dict) else None
    if failed or said == "error":
        return HistoryStatus.ERROR
    return HistoryStatus.SUCCESS if said == "success" else HistoryStatus.UNKNOWN


def _one_error(error: Mapping[str, Json]) -> dict[str, str]:
    extra = error.get("extra_info")
    named = extra.get("input_name") if isinstance(extra, dict) else None
    return {
        "type": clipped(error.get("type"), 200),
        "message": clipped(error.get("message"), 2_000),
        "details": clipped(error.get("details"), 4_000),
        "input_name": clipped(named, 500),
    }


def _missing_node(kind: str, error: Mapping[str, Json]) -> tuple[str, str] | None:
    """The node id and class type of a missing class: in extra_info (newer) or within the texts (older versions)."""
    if kind not in ("invalid_prompt", "missing_node_type"):
        return None
    extra = error.get("extra_info")
    if isinstance(extra, dict) and (named := node_id(extra.get("node_id"))) is not None:
        return named, clipped(extra.get("class_type"), 500)
    node = re.fullmatch(r"Node ID '#(.{1,500})'", clipped(error.get("details"), 600))
    class_type = re.search(r" node (.{1,500}) does not exist", clipped(error.get("message"), 1_000))
    return (node.group(1), class_type.group(1)) if node is not None and class_type is not None else None


def _sentence(error: Mapping[str, str], node_errors: Mapping[str, Sequence[Mapping[str, str]]]) -> str:
    """What went wrong, with the first node's error: ComfyUI's own message only says that there are some."""
    said = error["message"].strip().rstrip(".") or "it gave no reason"
    for node, errors in node_errors.items():
        for first in errors:
            what = ": ".join(part for part in (first["details"], first["message"]) if part)
            return f"{said} ({first['class_type'] or 'node'} {node}: {what})"
    return f"{said}: {error['details'].strip()}" if error["details"].strip() else said


def _texts(value: Json) -> tuple[str, ...]:
    ids = (node_id(item) for item in value) if isinstance(value, list) else ()
    return tuple(item for item in ids if item is not None)


def _seconds(milliseconds: Json) -> float | None:
    known = isinstance(milliseconds, (int, float)) and not isinstance(milliseconds, bool)
    return number(milliseconds, "timestamp") / 1000 if known else None


def _bytes(value: Json) -> int:
    if not isinstance(value, (int, float)) or isinstance(value, bool) or not 0 <= value < 2**63:
        return 0
    return int(value)


def _gpu(value: Json) -> Gpu:
    device = obj(value, "a device")
    return Gpu(
        name=clipped(device.get("name"), 300),
        type=clipped(device.get("type"), 50),
        vram_total_bytes=_bytes(device.get("vram_total")),
        vram_free_bytes=_bytes(device.get("vram_free")),
    )
