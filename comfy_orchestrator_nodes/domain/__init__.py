"""The nouns: frozen models and statuses that every layer shares. No I/O, no clock, no behaviour beyond hashing.

Times are seconds since the epoch (``float``), sizes are bytes, ids are strings. JSON-like values are never mutated
once they are inside a model.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from .backends import LOCAL_BACKEND_ID as LOCAL_BACKEND_ID
from .backends import Agent as Agent
from .backends import Backend as Backend
from .backends import BackendEvent as BackendEvent
from .backends import BackendEventKind as BackendEventKind
from .backends import BackendStatus as BackendStatus
from .backends import Capabilities as Capabilities
from .backends import Credentials as Credentials
from .backends import Gpu as Gpu
from .backends import TlsOptions as TlsOptions
from .statuses import AttemptStatus as AttemptStatus
from .statuses import Cause as Cause
from .statuses import Decision as Decision
from .statuses import JobStatus as JobStatus
from .statuses import RunStatus as RunStatus

Json: TypeAlias = Any
"""A JSON value. ``Any`` because a recursive alias buys nothing at the edges where it is used."""

Prompt: TypeAlias = Mapping[str, Mapping[str, Any]]
"""API format: ``{node_id: {"class_type": str, "inputs": {name: constant | [node_id, output_index]}}}``."""

FILE_TYPES = frozenset({"IMAGE", "MASK", "LATENT", "AUDIO", "VIDEO"})
"""ComfyUI types that travel as files."""

TENSOR_TYPES = frozenset({"CONDITIONING", "SIGMAS"})
"""ComfyUI types built of tensors and JSON that no file format of ComfyUI holds: only blobs carry them."""

OBJECT_TYPES = frozenset(
    {"SVG", "MESH", "VOXEL", "FILE_3D"}
    | {f"FILE_3D_{name}" for name in ("GLB", "GLTF", "FBX", "OBJ", "STL", "USDZ", "PLY", "SPLAT", "SPZ", "KSPLAT")}
)
"""ComfyUI types that are objects of its own classes, many of them files: as TENSOR_TYPES, only blobs carry them."""

STORED_TYPES = FILE_TYPES | TENSOR_TYPES | OBJECT_TYPES
"""ComfyUI types whose values are stored as files of one kind or the other."""

BLOB_MEDIA_TYPE = "application/x-comfyui-value"
"""The media type of a blob: one native value, bit for bit, as ``agent/wire.py`` encodes it."""

SCALAR_TYPES = frozenset({"STRING", "INT", "FLOAT", "BOOLEAN", "COMBO"})
"""ComfyUI types that travel as JSON constants inside the prompt."""


def canonical_json(value: Json) -> str:
    """Return the one JSON text that equal values share: sorted keys, no spaces, no NaN.

    Raises:
        ValueError: the value holds NaN or an infinity.
        TypeError: the value is not JSON.
    """
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def _whole_numbers(value: Json) -> Json:
    """Return the value with 1.0 as 1: a browser writes them alike, and no node tells them apart."""
    if isinstance(value, float):
        return int(value) if value.is_integer() else value
    if isinstance(value, Mapping):
        return {key: _whole_numbers(inner) for key, inner in value.items()}
    return [_whole_numbers(inner) for inner in value] if isinstance(value, (list, tuple)) else value


def content_hash(value: Json) -> str:
    """Return the SHA-256 of ``canonical_json(value)`` in lower-case hex."""
    return hashlib.sha256(canonical_json(value).encode()).hexdigest()


# --- definitions -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Parameter:
    """One exposed input of a definition.

    ``node_id`` and ``input_name`` say where the value goes in the definition's prompt. For a type in ``FILE_TYPES``
    that place is the file-name input of a loader node (``LoadImage.image``), or the value input of a Workflow Input
    node.
    """

    name: str
    type: str
    node_id: str
    input_name: str
    default: Json = None
    required: bool = False
    minimum: float | None = None
    maximum: float | None = None
    step: float | None = None
    choices: tuple[Json, ...] | None = None
    multiline: bool = False
    tooltip: str = ""
    role: str = ""
    """What the value means, for presentation and seed control: ``text``, ``seed``, ``image``, ``model``, … or empty."""


@dataclass(frozen=True)
class Output:
    """One output of a definition: the link ``[node_id, index]`` inside its prompt, its name and its ComfyUI type."""

    name: str
    type: str
    node_id: str
    index: int


@dataclass(frozen=True)
class Knobs:
    """How the jobs of a definition are run where whoever asks for one does not say; None leaves it to the settings."""

    on_failure: str | None = None
    attempts: int | None = None
    time_limit_s: float | None = None
    cache: bool | None = None
    prefer: tuple[str, ...] | None = None
    """See ``JobSpec.prefer``."""


@dataclass(frozen=True)
class Definition:
    """One version of a library entry. ``id`` is a readable slug that never changes; ``name`` may."""

    id: str
    version: int
    name: str
    prompt: Prompt
    parameters: tuple[Parameter, ...]
    outputs: tuple[Output, ...]
    description: str = ""
    tags: tuple[str, ...] = ()
    workflow: Mapping[str, Json] | None = None
    created_at: float = 0.0
    knobs: Knobs = Knobs()
    """Of all versions alike."""

    @property
    def content_hash(self) -> str:
        """The hash of all that decides a result: the prompt and what is exposed, not the name or the tags."""
        cached = self.__dict__.get("_content_hash")
        if cached is None:
            cached = content_hash(
                {
                    "prompt": _whole_numbers(self.prompt),
                    "parameters": [
                        [p.name, p.type, p.node_id, p.input_name, _whole_numbers(p.default)] for p in self.parameters
                    ],
                    "outputs": [[o.name, o.type, o.node_id, o.index] for o in self.outputs],
                }
            )
            object.__setattr__(self, "_content_hash", cached)
        return str(cached)

    def parameter(self, name: str) -> Parameter | None:
        """Return the parameter of that name, or None."""
        return next((p for p in self.parameters if p.name == name), None)


# --- values ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class FileRef:
    """One stored file, named by the SHA-256 (lower-case hex) of its bytes."""

    sha256: str
    size_bytes: int
    media_type: str


@dataclass(frozen=True)
class Value:
    """What travels on a link, outside of any process: a JSON constant, or files in order.

    ``type`` is the ComfyUI type. For ``SCALAR_TYPES`` the value is ``data``; for ``STORED_TYPES`` it is ``files``. An
    IMAGE is one still image a file in batch order, or one file that holds several frames; or, like any other stored
    type, blobs, which hold native values as they were.
    """

    type: str
    data: Json = None
    files: tuple[FileRef, ...] = ()
    loss: str = ""
    """What may have been lost of it on its way here, in words; empty if it is exact."""

    @property
    def is_blob(self) -> bool:
        """Whether it is stored as native values, bit for bit."""
        return bool(self.files) and all(ref.media_type == BLOB_MEDIA_TYPE for ref in self.files)

    def identity(self) -> Json:
        """Return what distinguishes this value from others, for job keys."""
        return [self.type, self.data, [f.sha256 for f in self.files]]


# --- jobs ------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Failure:
    """The cause of a failed attempt with what the user needs to see of it."""

    cause: Cause
    message: str
    node_id: str | None = None
    class_type: str | None = None
    traceback: tuple[str, ...] = ()
    dropped: bool = False
    """Somebody decided to go on without this item."""


@dataclass(frozen=True)
class JobSpec:
    """What is to be executed once: a definition version with values, and which outputs are wanted."""

    definition_id: str
    definition_version: int
    definition_hash: str
    values: Mapping[str, Value]
    """Parameter name to value; parameters left out keep the constant of the definition's prompt."""
    outputs: tuple[str, ...]
    files: Mapping[str, FileRef] = field(default_factory=dict)
    """Files named by loader nodes that are not exposed (``"example.png"`` -> its stored copy)."""
    fidelity: str = "any"
    """``any``, or ``exact``: refuse a backend whose carriers would lose something of these types."""
    selector: str = "auto"
    """Where it must run: ``auto``, a backend's id or name, or ``tag:NAME``."""
    prefer: tuple[str, ...] = ()
    """Where it is to run if that is not much later than elsewhere: ids, names or ``tag:NAME``, each as good."""
    excluded_backends: tuple[str, ...] = ()
    """Ids of backends that must not get it."""
    from_queue: bool = False
    """Whether a node in the master's own queue waits for it: the master, whose queue stands still, must not get it."""
    on_failure: str = "fail"
    """What the node does when the attempts are used up: ``fail``, ``drop`` the item, or ``ask`` a person first."""
    max_attempts: int = 3
    priority: int = 0
    use_cache: bool = True
    time_limit_s: float | None = None
    native: bool = False
    """Whether outputs come as blobs where the backend makes some; otherwise as files that programs can open."""
    may_stay: tuple[str, ...] = ()
    """Outputs that may stay on the backend that makes them until somebody needs them."""

    def key(self) -> str:
        """Return the hash of all that decides the result: equal keys mean the same work.

        Where the job may run, how often it is tried and how urgent it is do not count.
        """
        return content_hash(
            {
                "definition": self.definition_hash,
                "values": {name: value.identity() for name, value in self.values.items()},
                "files": {name: ref.sha256 for name, ref in self.files.items()},
                "outputs": sorted(self.outputs),
                "fidelity": self.fidelity,
                # Only where it is so: keys from before there were blobs stay what they were.
                **({"native": True} if self.native else {}),
            }
        )


@dataclass(frozen=True)
class Attempt:
    """One dispatch of a job to one backend, under one prompt_id (a lower-case UUID chosen before sending)."""

    id: str
    job_id: str
    number: int
    backend_id: str
    prompt_id: str
    status: AttemptStatus
    charged: bool = True
    """Whether it counts against ``max_attempts``; one that never reached the backend does not."""
    failure: Failure | None = None
    created_at: float = 0.0
    started_at: float | None = None
    ended_at: float | None = None
    uploaded_bytes: int = 0
    downloaded_bytes: int = 0
    peak_vram_bytes: int | None = None
    """The most VRAM in use on its backend's fullest GPU while it ran, and None until that was measured."""
    energy_j: float | None = None
    """What its backend's GPUs drew meanwhile."""


@dataclass(frozen=True)
class Job:
    """A job as stored: its specification, where its life stands, and its result or failure once it has one."""

    id: str
    run_id: str
    key: str
    spec: JobSpec
    status: JobStatus
    created_at: float
    node_id: str | None = None
    """The meta-graph node that asked for it."""
    item_index: int = 0
    """Which item of that node's list it is."""
    owner: str | None = None
    """The user who asked for it, where ComfyUI knows several."""
    queued_at: float | None = None
    """What its place in the queue counts from, if somebody moved it; None: from ``created_at``."""
    outputs: Mapping[str, Value] = field(default_factory=dict)
    failure: Failure | None = None
    ended_at: float | None = None


@dataclass(frozen=True)
class Run:
    """One execution of a meta-graph. A run in the queue carries the master's prompt_id as ``id``."""

    id: str
    status: RunStatus
    created_at: float
    title: str = ""
    client_id: str | None = None
    owner: str | None = None
    """The user who started it, where ComfyUI knows several."""
    ended_at: float | None = None


@dataclass(frozen=True)
class JobEvent:
    """One row of a job's story, written in the same transaction as the change it tells of."""

    job_id: str
    sequence: int
    at: float
    kind: str
    attempt_id: str | None = None
    details: Mapping[str, Json] = field(default_factory=dict)
