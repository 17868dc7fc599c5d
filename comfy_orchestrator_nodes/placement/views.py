"""What placement is told about jobs and backends, and what it answers. Frozen, without behaviour beyond totals.

Seconds are ``float``, sizes are bytes, ids are strings. Times of day are seconds since the epoch.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum

from ..domain import BackendStatus, Json

AGING_S = 3600.0
"""How long a job must wait to weigh as much as one level of priority."""


class Reason(str, Enum):
    """Why a backend cannot be given a job. The first group the caller finds out, the second placement itself."""

    DISABLED = "disabled"
    DRAINING = "draining"
    MISSING_CLASS = "missing_class"
    MISSING_MODEL = "missing_model"
    REJECTED = "rejected"
    """The backend's own validation refused this job before."""
    TAG = "tag"
    PINNED = "pinned"
    EXCLUDED = "excluded"
    """It failed there before."""
    FIDELITY = "fidelity"
    TOO_LARGE = "too_large"
    LOCAL = "local"

    OFFLINE = "offline"
    UNKNOWN = "unknown"
    SUSPENDED = "suspended"
    BUSY_ORCHESTRATING = "busy_orchestrating"
    VRAM = "vram"
    LAST_RESORT = "last_resort"
    """Kept for jobs that no other backend can run."""


@dataclass(frozen=True)
class Refusal:
    """One reason why one backend cannot run one job; ``message`` is a sentence without the backend's name."""

    reason: Reason
    message: str


@dataclass(frozen=True)
class JobView:
    """A queued job as placement sees it."""

    id: str
    definition_key: str
    """The definition version's content hash: what run times are learned by."""
    models: frozenset[str] = frozenset()
    """The model files it loads."""
    priority: int = 0
    queued_at: float = 0.0
    refused: Mapping[str, Refusal] = field(default_factory=dict)
    """Backend id to what speaks against it whatever happens: share one mapping between jobs where it is the same."""
    prefer: frozenset[str] | None = None
    """Backend ids that are taken first while they are not much later than the rest."""
    transfer_bytes: Mapping[str, int] = field(default_factory=dict)
    """Backend id to the bytes that must still be sent there; a backend left out lacks nothing."""
    needs_vram_bytes: int | None = None
    """The least VRAM that is worth trying: more than where this very job ran out of memory."""

    @property
    def rank(self) -> float:
        """The order jobs are served in, smallest first. It does not change while a job waits, so nothing starves."""
        return self.queued_at - self.priority * AGING_S


@dataclass(frozen=True)
class BackendView:
    """A backend as placement sees it at one moment."""

    id: str
    name: str
    status: BackendStatus = BackendStatus.ONLINE
    slots_free: int = 1
    """How many jobs it may be sent now."""
    in_flight: int = 0
    """Jobs of ours it has, running or waiting there."""
    busy_s: float = 0.0
    """Seconds until those are expected to be done."""
    foreign_queue: int = 0
    """Prompts of others in its queue, the running one included."""
    warm: frozenset[str] = frozenset()
    """The model files loaded by what it ran last or runs now; empty after a prompt of somebody else's."""
    vram_bytes: int | None = None
    bandwidth_bytes_per_s: float | None = None
    gpu: str = ""
    """The device's name as it reports it: what an unknown backend's speed is guessed from."""
    busy_orchestrating: bool = False
    """Its queue is held by a prompt that waits for remote jobs, maybe for ours."""
    last_resort: bool = False
    """Take it only for jobs that every other backend is refused for."""


@dataclass(frozen=True)
class Assignment:
    """A job that goes to a backend now, with what is expected of it."""

    job_id: str
    backend_id: str
    expected_s: float
    """Seconds until it is done there: queue, transfer, model switch and run."""


@dataclass(frozen=True)
class Decision:
    """What to dispatch now."""

    assignments: tuple[Assignment, ...] = ()
    again_in_s: float | None = None
    """Seconds after which another decision could differ though nothing was reported; None: only reports matter."""


@dataclass(frozen=True)
class Candidate:
    """One backend that could run the job, with where its expected completion comes from (seconds)."""

    backend_id: str
    name: str
    queue_s: float
    transfer_s: float
    switch_s: float
    run_s: float
    penalty_s: float
    """Handicap of a degraded backend, or of one the job does not prefer; not part of the expected completion."""
    runs_seen: int
    """How many runs of this definition there the expectation rests on; 0: it comes from other pairs."""
    run_range_s: tuple[float, float] | None
    """Between what the run time lies in two of three cases; None where the definition has run nowhere yet."""
    free: bool

    @property
    def completion_s(self) -> float:
        """Seconds from now until the job is expected to be done."""
        return self.queue_s + self.transfer_s + self.switch_s + self.run_s


@dataclass(frozen=True)
class Explanation:
    """Why a job goes where it goes, or nowhere: candidates in order of preference, refusals by backend id."""

    job_id: str
    candidates: tuple[Candidate, ...]
    refusals: Mapping[str, Refusal]
    names: Mapping[str, str]

    def by_name(self) -> dict[str, str]:
        """Return backend name to the refusal's sentence, as ``NoBackendQualifies`` takes it."""
        return {self.names[backend_id]: refusal.message for backend_id, refusal in self.refusals.items()}

    def to_json(self) -> Json:
        """Return it for a route or an event row."""
        return {
            "job_id": self.job_id,
            "candidates": [
                {
                    "backend_id": c.backend_id,
                    "backend": c.name,
                    "completion_s": round(c.completion_s, 3),
                    "queue_s": round(c.queue_s, 3),
                    "transfer_s": round(c.transfer_s, 3),
                    "switch_s": round(c.switch_s, 3),
                    "run_s": round(c.run_s, 3),
                    "penalty_s": round(c.penalty_s, 3),
                    "runs_seen": c.runs_seen,
                    "run_range_s": [round(s, 3) for s in c.run_range_s] if c.run_range_s is not None else None,
                    "free": c.free,
                }
                for c in self.candidates
            ],
            "refusals": [
                {
                    "backend_id": backend_id,
                    "backend": self.names[backend_id],
                    "reason": refusal.reason.value,
                    "message": refusal.message,
                }
                for backend_id, refusal in self.refusals.items()
            ],
        }
