"""The backends as nouns: what is registered of one, and what one said it is. No I/O, no behaviour."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum


class BackendStatus(str, Enum):
    """How the master sees a backend. The table of changes is in ``machine.py``."""

    UNKNOWN = "unknown"
    """Registered, never probed since the start of the master."""
    ONLINE = "online"
    """Answers its probes."""
    DEGRADED = "degraded"
    """Missed a probe or answers slowly; still used, but last."""
    SUSPENDED = "suspended"
    """Failed too often; gets no job until a back-off ends and a probe succeeds."""
    OFFLINE = "offline"
    """Does not answer."""


LOCAL_BACKEND_ID = "local"
"""The id of the master itself, which is always registered."""


@dataclass(frozen=True)
class TlsOptions:
    """How an https backend's certificate is checked. ``verify=False`` must be asked for explicitly."""

    verify: bool = True
    ca_file: str | None = None


@dataclass(frozen=True)
class Credentials:
    """What a backend wants in order to answer. Secret: stored, sent to that backend, and never shown or logged."""

    bearer_token: str | None = field(default=None, repr=False)
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    agent_token: str | None = field(default=None, repr=False)
    """What its agent, this pack on the other side, wants before it moves values."""


@dataclass(frozen=True)
class Backend:
    """A registered peer ComfyUI. ``base_url`` has no trailing slash and may hold a path prefix."""

    id: str
    name: str
    base_url: str
    enabled: bool = True
    tags: tuple[str, ...] = ()
    notes: str = ""
    tls: TlsOptions = TlsOptions()
    credentials: Credentials = field(default_factory=Credentials, repr=False)
    created_at: float = 0.0
    draining: bool = False
    """Whether it gets no new jobs, while those that it has go on."""


@dataclass(frozen=True)
class Gpu:
    """One device as ``/system_stats`` reports it."""

    name: str
    type: str
    vram_total_bytes: int
    vram_free_bytes: int


@dataclass(frozen=True)
class Agent:
    """This pack on a backend, as it introduced itself."""

    version: str
    protocol: str
    """``major.minor`` of ``docs/agent-protocol.md``."""
    instance_id: str
    """Another one after each start of the backend."""
    capabilities: frozenset[str] = frozenset()
    trusted: bool = False
    """Whether it moves values for us; otherwise the backend is used as if it had no agent."""
    problem: str = ""
    """Why it does not, in words."""


@dataclass(frozen=True)
class Capabilities:
    """What a backend said it is, taken on connect and again when its version changes."""

    comfyui_version: str
    python_version: str
    os: str
    gpus: tuple[Gpu, ...]
    max_upload_bytes: int | None
    node_classes: frozenset[str]
    models: Mapping[str, frozenset[str]]
    """Model folder (``checkpoints``, ``loras``, …) to the file names in it, spelled as the backend spells them."""
    taken_at: float
    agent: Agent | None = None
    """None where the backend does not have this pack, or one that is no agent."""


class BackendEventKind(str, Enum):
    """What can happen to a backend."""

    ONLINE = "online"
    DEGRADED = "degraded"
    SUSPENDED = "suspended"
    OFFLINE = "offline"
    DRAINING = "draining"
    """Somebody wants it to get nothing new."""
    RESUMED = "resumed"
    DISABLED = "disabled"
    ENABLED = "enabled"
    AGENT_FOUND = "agent_found"
    """Its agent moves values for us."""
    AGENT_REFUSED = "agent_refused"
    """It has an agent that does not."""
    AGENT_GONE = "agent_gone"
    RESTARTED = "restarted"
    """It is another process than before, as far as that can be told."""


@dataclass(frozen=True)
class BackendEvent:
    """One thing that happened to a backend. ``until`` is the end of a suspension."""

    backend_id: str
    at: float
    kind: BackendEventKind
    reason: str = ""
    until: float | None = None
