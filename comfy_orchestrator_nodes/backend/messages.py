"""The messages of a backend's WebSocket as types, and how their JSON and binary forms are read.

The order on success is ``execution_start``, ``execution_cached``, then for each node ``executing``, any number of
``progress`` and ``progress_state``, and ``executed`` where it shows something; then ``execution_success``, after that
the entry in the history is written, and only then ``executing`` without a node is sent (``main.prompt_worker``). So
``Success`` says that it worked and ``Executing(node_id=None)`` says that the history can be read. Messages of a prompt
go only to the socket whose client id it was submitted with; ``Status`` goes to all.

The socket is a hint, the history and the queue are the truth: messages are lost while it is reconnecting.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

from ..domain import Json
from ..errors import BackendError
from .fields import Malformed, array, loads, node_id, number, obj, optional_text, text, whole
from .results import NodeError, NodeOutput, parse_error, parse_output


@dataclass(frozen=True)
class Connected:
    """The socket stands and the backend has registered it under this client id. Comes first, and after each gap."""

    client_id: str


@dataclass(frozen=True)
class Disconnected:
    """The socket broke or could not be opened. Sent once per gap; reconnecting goes on by itself."""

    error: BackendError

    @property
    def reason(self) -> str:
        """What happened, in a sentence."""
        return str(self.error)


@dataclass(frozen=True)
class Status:
    """How many prompts the backend has, running and pending. Sent to every socket on each change."""

    queue_remaining: int


@dataclass(frozen=True)
class FeatureFlags:
    """The backend's answer to our own feature flags."""

    flags: Mapping[str, Json]


@dataclass(frozen=True)
class Started:
    """``execution_start``: the backend took the prompt from its queue."""

    prompt_id: str


@dataclass(frozen=True)
class Cached:
    """``execution_cached``: these nodes need not run."""

    prompt_id: str
    node_ids: tuple[str, ...]


@dataclass(frozen=True)
class Executing:
    """A node starts. Without a node the prompt is over and its history entry is written.

    ``prompt_id`` is None only in the message that a reconnecting client gets about the node that runs already.
    """

    prompt_id: str | None
    node_id: str | None


@dataclass(frozen=True)
class Progress:
    """A step of one node: ``value`` of ``maximum``."""

    prompt_id: str | None
    node_id: str | None
    value: float
    maximum: float


@dataclass(frozen=True)
class NodeProgress:
    """One node within ``ProgressState``. ``state`` is ``running``, ``finished`` or ``error``."""

    value: float
    maximum: float
    state: str


@dataclass(frozen=True)
class ProgressState:
    """All nodes of the running prompt that have started, by node id."""

    prompt_id: str
    nodes: Mapping[str, NodeProgress]


@dataclass(frozen=True)
class Executed:
    """A node showed its output (also when that came from the backend's cache)."""

    prompt_id: str
    node_id: str
    output: NodeOutput


@dataclass(frozen=True)
class Success:
    """``execution_success``: every node ended well. The history entry is written after this."""

    prompt_id: str


@dataclass(frozen=True)
class ExecutionError:
    """``execution_error``: a node raised; the prompt is over unless only a blocked branch reported it."""

    prompt_id: str
    error: NodeError


@dataclass(frozen=True)
class Interrupted:
    """``execution_interrupted``: somebody stopped the prompt while this node ran."""

    prompt_id: str
    node_id: str | None


@dataclass(frozen=True)
class Preview:
    """An encoded preview image. The ids are known only where the backend sends them with it."""

    image: bytes = field(repr=False)
    media_type: str
    prompt_id: str | None = None
    node_id: str | None = None


@dataclass(frozen=True)
class ProgressText:
    """A text that a node shows while it runs."""

    node_id: str
    text: str


Message: TypeAlias = (
    Connected
    | Disconnected
    | Status
    | FeatureFlags
    | Started
    | Cached
    | Executing
    | Progress
    | ProgressState
    | Executed
    | Success
    | ExecutionError
    | Interrupted
    | Preview
    | ProgressText
)


class UnknownMessage(Exception):
    """A message of a kind that this client has no use for; ``kind`` names it."""

    def __init__(self, kind: str) -> None:
        super().__init__(kind)
        self.kind = kind


def parse_text(frame: str | bytes) -> Message:
    """Read a text frame: ``{"type": …, "data": {…}}``.

    Raises:
        UnknownMessage: no parser for that type; custom nodes send many of their own.
        Malformed: the frame or its data is not what ComfyUI sends.
    """
    envelope = obj(loads(frame), "a message")
    kind = text(envelope.get("type"), "a message's type")
    parser = _TEXT_PARSERS.get(kind)
    if parser is None:
        raise UnknownMessage(kind[:100])
    try:
        return parser(obj(envelope.get("data"), "its data"))
    except Malformed as error:
        raise Malformed(f"{kind}: {error}") from None


def parse_binary(frame: bytes) -> Message:
    """Read a binary frame: four bytes with the big-endian event number (``protocol.BinaryEventTypes``), then its data.

    Raises:
        UnknownMessage: no parser for that number.
        Malformed: the frame is too short or its parts do not fit.
    """
    event, rest = _split_number(frame, "a binary message")
    parser = _BINARY_PARSERS.get(event)
    if parser is None:
        raise UnknownMessage(f"binary {event}")
    try:
        return parser(rest)
    except Malformed as error:
        raise Malformed(f"binary {event}: {error}") from None


def _status(data: Mapping[str, Json]) -> Message:
    return Status(queue_remaining(data.get("status")))


def queue_remaining(value: Json) -> int:
    """Read ``{"exec_info": {"queue_remaining": n}}``, which both ``status`` and ``GET /prompt`` hold."""
    info = obj(obj(value, "the status").get("exec_info"), "exec_info")
    return whole(info.get("queue_remaining"), "queue_remaining")


def _prompt_id(data: Mapping[str, Json]) -> str:
    return text(data.get("prompt_id"), "prompt_id")


def _cached(data: Mapping[str, Json]) -> Message:
    ids = (node_id(node) for node in array(data.get("nodes"), "nodes"))
    return Cached(_prompt_id(data), tuple(node for node in ids if node is not None))


def _executing(data: Mapping[str, Json]) -> Message:
    if "node" not in data:
        raise Malformed("it names no node")
    return Executing(optional_text(data.get("prompt_id")), node_id(data["node"]))


def _progress(data: Mapping[str, Json]) -> Message:
    return Progress(
        optional_text(data.get("prompt_id")),
        node_id(data.get("node")),
        number(data.get("value"), "value"),
        number(data.get("max"), "max"),
    )


def _progress_state(data: Mapping[str, Json]) -> Message:
    nodes = obj(data.get("nodes"), "nodes")
    return ProgressState(_prompt_id(data), {key: _node_progress(node) for key, node in nodes.items()})


def _node_progress(value: Json) -> NodeProgress:
    data = obj(value, "a node's progress")
    return NodeProgress(
        number(data.get("value"), "value"), number(data.get("max"), "max"), text(data.get("state"), "state")
    )


def _executed(data: Mapping[str, Json]) -> Message:
    node = node_id(data.get("node"))
    if node is None:
        raise Malformed("it names no node")
    output = data.get("output")
    return Executed(_prompt_id(data), node, NodeOutput() if output is None else parse_output(output))


def _interrupted(data: Mapping[str, Json]) -> Message:
    return Interrupted(_prompt_id(data), node_id(data.get("node_id")))


def _plain_preview(data: bytes) -> Message:
    image_format, image = _split_number(data, "a preview")
    return Preview(image, "image/png" if image_format == 2 else "image/jpeg")


def _text_of_node(data: bytes) -> Message:
    node, shown = _split_block(data, "a node's text")
    return ProgressText(_decoded(node), _decoded(shown))


def _preview_with_metadata(data: bytes) -> Message:
    header, image = _split_block(data, "a preview's metadata")
    metadata = obj(loads(header), "a preview's metadata")
    return Preview(
        image,
        optional_text(metadata.get("image_type")) or "image/jpeg",
        optional_text(metadata.get("prompt_id")),
        node_id(metadata.get("display_node_id")) or node_id(metadata.get("node_id")),
    )


def _split_number(data: bytes, what: str) -> tuple[int, bytes]:
    if len(data) < 4:
        raise Malformed(f"{what} is only {len(data)} bytes long")
    return struct.unpack_from(">I", data)[0], data[4:]


def _split_block(data: bytes, what: str) -> tuple[bytes, bytes]:
    length, rest = _split_number(data, what)
    if length > len(rest):
        raise Malformed(f"{what} is cut off")
    return rest[:length], rest[length:]


def _decoded(data: bytes) -> str:
    return data.decode("utf-8", errors="replace")


_TEXT_PARSERS: Mapping[str, Callable[[Mapping[str, Json]], Message]] = {
    "status": _status,
    "feature_flags": FeatureFlags,
    "execution_start": lambda data: Started(_prompt_id(data)),
    "execution_cached": _cached,
    "executing": _executing,
    "progress": _progress,
    "progress_state": _progress_state,
    "executed": _executed,
    "execution_success": lambda data: Success(_prompt_id(data)),
    "execution_error": lambda data: ExecutionError(_prompt_id(data), parse_error(data)),
    "execution_interrupted": _interrupted,
}

_BINARY_PARSERS: Mapping[int, Callable[[bytes], Message]] = {
    1: _plain_preview,
    3: _text_of_node,
    4: _preview_with_metadata,
}
