"""What can happen to a job, and what can be done about it: the machine's alphabet. Pure data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

from ..domain import Attempt, Decision, Failure, Json, Value

# --- events: what happened -------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Placed:
    """Placement chose a backend; the ids are new, the prompt_id a lower-case UUID."""

    attempt_id: str
    prompt_id: str
    backend_id: str
    reason: Mapping[str, Json] = field(default_factory=dict)


@dataclass(frozen=True)
class Unplaceable:
    """No backend will ever run the job as things stand, or the wait for one is over."""

    failure: Failure
    reason: Mapping[str, Json] = field(default_factory=dict)


@dataclass(frozen=True)
class Reused:
    """The result cache holds a result for the job's key."""

    outputs: Mapping[str, Value]


@dataclass(frozen=True)
class Accepted:
    """The backend answered the submit: the prompt is in its queue."""

    attempt_id: str


@dataclass(frozen=True)
class Unanswered:
    """The submit's answer never came: the backend may or may not have the prompt."""

    attempt_id: str


@dataclass(frozen=True)
class Started:
    """The backend executes the prompt."""

    attempt_id: str


@dataclass(frozen=True)
class Vanished:
    """The backend stopped answering while it had the prompt."""

    attempt_id: str


@dataclass(frozen=True)
class Found:
    """A look-up found the prompt on its backend after doubt; ``running`` tells queue from execution."""

    attempt_id: str
    running: bool


@dataclass(frozen=True)
class Succeeded:
    """The outputs arrived here, whole and checked."""

    attempt_id: str
    outputs: Mapping[str, Value]
    uploaded_bytes: int = 0
    downloaded_bytes: int = 0
    loading_s: float | None = None
    """How long it was in nodes that load models; None: not known."""
    fetching_s: float | None = None
    """How long the outputs were on their way here; None: not known."""


@dataclass(frozen=True)
class Faulted:
    """The attempt ended without a result. ``sent`` is False when nothing reached the backend."""

    attempt_id: str
    failure: Failure
    sent: bool = True
    uploaded_bytes: int = 0
    downloaded_bytes: int = 0
    loading_s: float | None = None
    """How long it was in nodes that load models; None: not known, or it never ran."""


@dataclass(frozen=True)
class CancelRequested:
    """A user, an interrupt of the master's prompt or the end of its run wants the job gone."""

    by: str


@dataclass(frozen=True)
class CancelConfirmed:
    """The backend no longer has the prompt, or never will; ``certain`` is False when it could not be asked."""

    attempt_id: str
    certain: bool = True


@dataclass(frozen=True)
class Reordered:
    """Somebody gave the job another priority, or another place among those that wait."""

    priority: int
    queued_at: float | None
    by: str


@dataclass(frozen=True)
class Decided:
    """Somebody, or the time limit, answered the question that a waiting job asked."""

    decision: Decision
    by: str
    excluded: tuple[str, ...] = ()
    """Ids of backends that had the job and must not get it again, for the answer to retry elsewhere."""


Event: TypeAlias = (
    Placed
    | Unplaceable
    | Reused
    | Accepted
    | Unanswered
    | Started
    | Vanished
    | Found
    | Succeeded
    | Faulted
    | CancelRequested
    | CancelConfirmed
    | Decided
    | Reordered
)

# --- instructions: what to do about it -------------------------------------------------------------------------------


@dataclass(frozen=True)
class Place:
    """Put the job into the backlog, from which placement takes it."""


@dataclass(frozen=True)
class Reorder:
    """Let the waiting job take its new place in the backlog, unless it was taken from there meanwhile."""


@dataclass(frozen=True)
class Execute:
    """Lower, upload, submit and follow this attempt."""

    attempt: Attempt


@dataclass(frozen=True)
class Locate:
    """Look the attempt's prompt up in its backend's queue and history until the answer is known."""

    attempt: Attempt


@dataclass(frozen=True)
class Withdraw:
    """Remove this prompt, and only this one, from its backend, and confirm."""

    attempt: Attempt


@dataclass(frozen=True)
class Disown:
    """The attempt was given up while its backend may still run it: keep looking, and withdraw it if it appears."""

    attempt: Attempt


@dataclass(frozen=True)
class FreeMemory:
    """Ask the backend to unload its models: it ran out of memory."""

    backend_id: str


@dataclass(frozen=True)
class Ask:
    """Ask a person what to do about the failure, and decide for them when the time limit is over."""

    failure: Failure


@dataclass(frozen=True)
class Settle:
    """The job is final: wake whoever waits for it."""


Instruction: TypeAlias = Place | Reorder | Execute | Locate | Withdraw | Disown | FreeMemory | Ask | Settle
