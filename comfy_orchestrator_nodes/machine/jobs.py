"""The life of a job as one table: ``(status, event) -> new state, what to store, what to do``. Pure.

The scheduler feeds events in and carries the instructions out; nothing else changes a job's status. Each status is told
in prose in ``docs/states.md``. The table at the end of this module is complete: a pair that is not in it is illegal and
raises with the job's story, except that events about an attempt that is over are ignored (``Step.ignored``), because
answers from a network may always come late.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

from ..domain import Attempt, AttemptStatus, Cause, Decision, Failure, Job, JobStatus, Json
from ..errors import IllegalTransition
from .events import (
    Accepted,
    Ask,
    CancelConfirmed,
    CancelRequested,
    Decided,
    Disown,
    Event,
    Execute,
    Faulted,
    Found,
    FreeMemory,
    Instruction,
    Locate,
    Place,
    Placed,
    Reorder,
    Reordered,
    Reused,
    Settle,
    Started,
    Succeeded,
    Unanswered,
    Unplaceable,
    Vanished,
    Withdraw,
)
from .policy import DISOWNED, used_up

STORY_LIMIT = 100
"""How many lines of its story a state keeps in memory; the store keeps all."""

# --- state -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class JobState:
    """A job with its attempts in order, as the machine sees it."""

    job: Job
    attempts: tuple[Attempt, ...] = ()
    story: tuple[str, ...] = ()

    @property
    def current(self) -> Attempt | None:
        """The attempt under way, if any: at most one, and always the last."""
        if self.attempts and not self.attempts[-1].status.final:
            return self.attempts[-1]
        return None

    def attempt(self, attempt_id: str) -> Attempt | None:
        """Return the attempt of that id, or None."""
        return next((a for a in self.attempts if a.id == attempt_id), None)


@dataclass(frozen=True)
class Step:
    """The outcome of one event: the new state, the attempts that changed, and what to do now, in order."""

    state: JobState
    before: JobStatus
    changed: tuple[Attempt, ...] = ()
    instructions: tuple[Instruction, ...] = ()
    kind: str = ""
    attempt_id: str | None = None
    details: Mapping[str, Json] = field(default_factory=dict)
    ignored: bool = False
    """The event was about an attempt that is over: nothing changed and nothing is to be stored."""


# --- the machine -----------------------------------------------------------------------------------------------------


def restore(job: Job, attempts: tuple[Attempt, ...]) -> tuple[JobState, tuple[Instruction, ...]]:
    """Return the state of a stored, unfinished job and what to do first after a restart of the master.

    Nothing is run again before the backend was asked: an attempt under way is located, not repeated.
    """
    state = JobState(job, attempts)
    current = state.current
    if job.status.final:
        return state, ()
    if job.status is JobStatus.WAITING and job.failure is not None:
        return state, (Ask(job.failure),)
    if current is None:
        return state, (Place(),)
    if job.status is JobStatus.CANCELLING:
        return state, (Withdraw(current),)
    return state, (Locate(current),)


def advance(state: JobState, event: Event, now: float) -> Step:
    """Apply one event.

    Args:
        state: the job before the event.
        event: what happened.
        now: seconds since the epoch.

    Returns:
        The new state with what must be stored and done.

    Raises:
        IllegalTransition: the table has no row for this status and event.
    """
    attempt_id = getattr(event, "attempt_id", None)
    if not isinstance(event, Placed) and attempt_id is not None:
        current = state.current
        if current is None or current.id != attempt_id:
            return Step(state, state.job.status, ignored=True)
    handler = _TABLE.get((state.job.status, type(event)))
    if handler is None:
        raise IllegalTransition(f"job {state.job.id}", state.job.status.value, type(event).__name__, state.story)
    step = handler(state, event, now)
    line = f"{now:.3f} {state.job.status.value} -> {step.state.job.status.value}: {_describe(event)}"
    story = (*state.story, line)[-STORY_LIMIT:]
    return replace(step, state=replace(step.state, story=story), kind=step.kind or _kind(event), attempt_id=attempt_id)


def _kind(event: Event) -> str:
    name = type(event).__name__
    return "".join("_" + c.lower() if c.isupper() and i else c.lower() for i, c in enumerate(name))


def _describe(event: Event) -> str:
    if isinstance(event, Faulted | Unplaceable):
        return f"{_kind(event)} ({event.failure.cause.value}: {event.failure.message})"
    if isinstance(event, Placed):
        return f"placed on {event.backend_id} as {event.prompt_id}"
    return _kind(event)


def _update(state: JobState, status: JobStatus, now: float, attempt: Attempt | None = None) -> JobState:
    """Return the state with a new job status and, if given, its attempt of the same id replaced."""
    job = replace(state.job, status=status, ended_at=now if status.final else None)
    if attempt is None:
        return replace(state, job=job)
    return replace(state, job=job, attempts=tuple(attempt if a.id == attempt.id else a for a in state.attempts))


def _now_current(state: JobState) -> Attempt:
    current = state.current
    if current is None:  # the table admits these events only where an attempt is under way
        raise IllegalTransition(f"job {state.job.id}", state.job.status.value, "an event of an attempt", state.story)
    return current


def _placed(state: JobState, event: Placed, now: float) -> Step:
    attempt = Attempt(
        id=event.attempt_id,
        job_id=state.job.id,
        number=len(state.attempts) + 1,
        backend_id=event.backend_id,
        prompt_id=event.prompt_id,
        status=AttemptStatus.SUBMITTING,
        created_at=now,
    )
    after = _update(state, JobStatus.DISPATCHED, now)
    after = replace(after, attempts=(*state.attempts, attempt))
    details = {"backend": event.backend_id, "prompt_id": event.prompt_id, **event.reason}
    return Step(after, state.job.status, (attempt,), (Execute(attempt),), details=details)


def _unplaceable(state: JobState, event: Unplaceable, now: float) -> Step:
    # What went wrong on a backend tells the user more than that no other backend is left.
    earlier = next((a.failure for a in reversed(state.attempts) if a.failure is not None), None)
    failure = event.failure
    if earlier is not None:
        failure = replace(earlier, message=f"{earlier.message} (then: {event.failure.message})")
    step = _give_up(state, failure, now)
    return replace(step, details={**step.details, **event.reason})


def _give_up(state: JobState, failure: Failure, now: float, changed: tuple[Attempt, ...] = ()) -> Step:
    if state.job.spec.on_failure != "ask" or failure.cause is Cause.INTERNAL:
        return _end(state, failure, now, changed)
    after = _update(state, JobStatus.WAITING, now)
    after = replace(after, job=replace(after.job, failure=failure))
    return Step(after, state.job.status, changed, (Ask(failure),), details=_failure_details(failure))


def _decided(state: JobState, event: Decided, now: float) -> Step:
    details: dict[str, Json] = {"decision": event.decision.value, "by": event.by}
    failure = state.job.failure or Failure(Cause.INTERNAL, "The job waited for a decision without a failure.")
    if event.decision not in (Decision.RETRY, Decision.RETRY_ELSEWHERE):
        step = _end(state, replace(failure, dropped=event.decision is Decision.DROP), now)
        return replace(step, details=details)
    pardoned = tuple(replace(a, charged=False) for a in state.attempts)
    after = replace(_update(state, JobStatus.QUEUED, now), attempts=pardoned)
    # An earlier answer may have excluded backends that had it: only the latest answer counts.
    had_it = {a.backend_id for a in state.attempts}
    excluded = tuple(id_ for id_ in state.job.spec.excluded_backends if id_ not in had_it) + event.excluded
    spec = replace(after.job.spec, excluded_backends=excluded)
    after = replace(after, job=replace(after.job, failure=None, spec=spec))
    if event.excluded:
        details["excluded"] = list(event.excluded)
    return Step(after, state.job.status, pardoned, (Place(),), details=details)


def _end(state: JobState, failure: Failure, now: float, changed: tuple[Attempt, ...] = ()) -> Step:
    after = _update(state, JobStatus.FAILED, now)
    after = replace(after, job=replace(after.job, failure=failure))
    return Step(after, state.job.status, changed, (Settle(),), details=_failure_details(failure))


def _failure_details(failure: Failure) -> dict[str, Json]:
    return {"cause": failure.cause.value, "message": failure.message}


def _reordered(state: JobState, event: Reordered, now: float) -> Step:
    job = replace(state.job, spec=replace(state.job.spec, priority=event.priority), queued_at=event.queued_at)
    details = {"priority": event.priority, "queued_at": event.queued_at, "by": event.by}
    # One that is on a backend takes its new place only if it ever comes back into the queue.
    instructions = (Reorder(),) if job.status is JobStatus.QUEUED else ()
    return Step(replace(state, job=job), state.job.status, (), instructions, details=details)


def _reused(state: JobState, event: Reused, now: float) -> Step:
    after = _update(state, JobStatus.SUCCEEDED, now)
    after = replace(after, job=replace(after.job, outputs=event.outputs))
    return Step(after, state.job.status, (), (Settle(),))


def _accepted(state: JobState, event: Accepted, now: float) -> Step:
    attempt = _now_current(state)
    if attempt.status is not AttemptStatus.SUBMITTING:
        # The socket may report the start before the answer to the submit is read.
        return Step(state, state.job.status, ignored=True)
    attempt = replace(attempt, status=AttemptStatus.ACCEPTED)
    return Step(_update(state, state.job.status, now, attempt), state.job.status, (attempt,))


def _unanswered(state: JobState, event: Unanswered, now: float) -> Step:
    attempt = _now_current(state)
    return Step(_update(state, state.job.status, now, attempt), state.job.status, (), (Locate(attempt),))


def _started(state: JobState, event: Started, now: float) -> Step:
    attempt = replace(_now_current(state), status=AttemptStatus.RUNNING, started_at=now)
    return Step(_update(state, JobStatus.RUNNING, now, attempt), state.job.status, (attempt,))


def _started_again(state: JobState, event: Started, now: float) -> Step:
    return Step(state, state.job.status, ignored=True)


def _vanished(state: JobState, event: Vanished, now: float) -> Step:
    attempt = replace(_now_current(state), status=AttemptStatus.LOST)
    after = _update(state, JobStatus.LOST, now, attempt)
    return Step(after, state.job.status, (attempt,), (Locate(attempt),))


def _found(state: JobState, event: Found, now: float) -> Step:
    before = _now_current(state)
    status = AttemptStatus.RUNNING if event.running else AttemptStatus.ACCEPTED
    started = (before.started_at or now) if event.running else None
    attempt = replace(before, status=status, started_at=started)
    job_status = JobStatus.RUNNING if event.running else JobStatus.DISPATCHED
    return Step(_update(state, job_status, now, attempt), state.job.status, (attempt,))


def _succeeded(state: JobState, event: Succeeded, now: float) -> Step:
    attempt = replace(
        _now_current(state),
        status=AttemptStatus.SUCCEEDED,
        ended_at=now,
        uploaded_bytes=event.uploaded_bytes,
        downloaded_bytes=event.downloaded_bytes,
    )
    after = _update(state, JobStatus.SUCCEEDED, now, attempt)
    after = replace(after, job=replace(after.job, outputs=event.outputs))
    details: dict[str, Json] = {"loading_s": event.loading_s, "fetching_s": event.fetching_s}
    return Step(after, state.job.status, (attempt,), (Settle(),), details=details)


def _faulted(state: JobState, event: Faulted, now: float) -> Step:
    attempt = replace(
        _now_current(state),
        status=AttemptStatus.FAILED,
        charged=event.sent,
        failure=event.failure,
        ended_at=now,
        uploaded_bytes=event.uploaded_bytes,
        downloaded_bytes=event.downloaded_bytes,
    )
    after = _update(state, JobStatus.QUEUED, now, attempt)
    aftermath: tuple[Instruction, ...] = ()
    if event.failure.cause is Cause.OUT_OF_MEMORY:
        aftermath = (FreeMemory(attempt.backend_id),)
    if event.failure.cause in DISOWNED:
        aftermath = (Disown(attempt),)
    if event.failure.cause is Cause.INTERNAL or used_up(after.job.spec, after.attempts):
        step = _give_up(after, event.failure, now, (attempt,))
        details = {**step.details, "loading_s": event.loading_s}
        instructions = (*aftermath, *step.instructions)
        return replace(step, before=state.job.status, instructions=instructions, details=details)
    details = {**_failure_details(event.failure), "loading_s": event.loading_s}
    return Step(after, state.job.status, (attempt,), (*aftermath, Place()), details=details)


def _cancel_idle(state: JobState, event: CancelRequested, now: float) -> Step:
    after = _update(state, JobStatus.CANCELLED, now)
    after = replace(after, job=replace(after.job, failure=Failure(Cause.CANCELLED, f"Cancelled by {event.by}.")))
    return Step(after, state.job.status, (), (Settle(),), details={"by": event.by})


def _cancel_busy(state: JobState, event: CancelRequested, now: float) -> Step:
    after = _update(state, JobStatus.CANCELLING, now)
    after = replace(after, job=replace(after.job, failure=Failure(Cause.CANCELLED, f"Cancelled by {event.by}.")))
    return Step(after, state.job.status, (), (Withdraw(_now_current(state)),), details={"by": event.by})


def _cancel_again(state: JobState, event: CancelRequested, now: float) -> Step:
    return Step(state, state.job.status, ignored=True)


def _cancelled(state: JobState, event: CancelConfirmed | Succeeded | Faulted, now: float) -> Step:
    # Whatever the attempt came to, the user asked for the job to be gone.
    before = _now_current(state)
    attempt = replace(before, status=AttemptStatus.CANCELLED, ended_at=now)
    # A submit that was cut short may still arrive, and a backend that did not answer may still hold the prompt.
    doubtful = isinstance(event, CancelConfirmed) and (not event.certain or before.status is AttemptStatus.SUBMITTING)
    aftermath: tuple[Instruction, ...] = (Disown(attempt),) if doubtful else ()
    after = _update(state, JobStatus.CANCELLED, now, attempt)
    return Step(after, state.job.status, (attempt,), (*aftermath, Settle()))


def _still_cancelling(state: JobState, event: Event, now: float) -> Step:
    return Step(state, state.job.status, ignored=True)


_Q, _D, _R = JobStatus.QUEUED, JobStatus.DISPATCHED, JobStatus.RUNNING
_L, _W, _C = JobStatus.LOST, JobStatus.WAITING, JobStatus.CANCELLING

_ROWS: tuple[tuple[tuple[JobStatus, ...], type, Callable[..., Step]], ...] = (
    ((_Q,), Placed, _placed),
    ((_Q,), Unplaceable, _unplaceable),
    ((_Q,), Reused, _reused),
    ((_Q, _D, _R, _L, _W), Reordered, _reordered),
    ((_D, _R), Accepted, _accepted),
    ((_D, _R), Unanswered, _unanswered),
    ((_D,), Started, _started),
    ((_R,), Started, _started_again),
    ((_D, _R), Vanished, _vanished),
    ((_D, _R, _L), Found, _found),
    ((_D, _R, _L), Succeeded, _succeeded),
    ((_D, _R, _L), Faulted, _faulted),
    ((_W,), Decided, _decided),
    ((_Q, _W), CancelRequested, _cancel_idle),
    ((_D, _R, _L), CancelRequested, _cancel_busy),
    ((_C, JobStatus.SUCCEEDED, JobStatus.FAILED, JobStatus.CANCELLED), CancelRequested, _cancel_again),
    ((_C,), CancelConfirmed, _cancelled),
    ((_C,), Succeeded, _cancelled),
    ((_C,), Faulted, _cancelled),
    ((_C,), Accepted, _still_cancelling),
    ((_C,), Unanswered, _still_cancelling),
    ((_C,), Started, _still_cancelling),
    ((_C,), Vanished, _still_cancelling),
    ((_C,), Found, _still_cancelling),
)

_TABLE: dict[tuple[JobStatus, type], Callable[..., Step]] = {
    (status, event): handler for statuses, event, handler in _ROWS for status in statuses
}
