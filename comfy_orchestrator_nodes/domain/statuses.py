"""What a job, an attempt or a run can be, and what can be said about its end. Told in prose in ``docs/states.md``."""

from __future__ import annotations

from enum import Enum


class JobStatus(str, Enum):
    """The life of a job; what each means is told in ``docs/states.md``, the allowed changes in ``machine.py``."""

    QUEUED = "queued"
    DISPATCHED = "dispatched"
    RUNNING = "running"
    LOST = "lost"
    WAITING = "waiting"
    CANCELLING = "cancelling"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def final(self) -> bool:
        """Whether nothing can happen to the job any more."""
        return self in (JobStatus.SUCCEEDED, JobStatus.FAILED, JobStatus.CANCELLED)


class AttemptStatus(str, Enum):
    """The life of one dispatch of a job to one backend."""

    SUBMITTING = "submitting"
    """Its prompt_id is chosen and stored; the backend may or may not have it."""
    ACCEPTED = "accepted"
    """The backend has it in its queue."""
    RUNNING = "running"
    LOST = "lost"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def final(self) -> bool:
        """Whether the attempt is over."""
        return self in (AttemptStatus.SUCCEEDED, AttemptStatus.FAILED, AttemptStatus.CANCELLED)


class Decision(str, Enum):
    """What a person can answer when a job waits for one."""

    RETRY = "retry"
    """Try again, with a fresh allowance of attempts and every backend allowed."""
    RETRY_ELSEWHERE = "retry_elsewhere"
    """Try again with a fresh allowance, on none of the backends that had it; like ``RETRY`` where there is no other."""
    DROP = "drop"
    """Go on without this item."""
    FAIL = "fail"
    """Let the job, and the node that asked for it, fail."""


class Cause(str, Enum):
    """Why an attempt ended without an accepted result."""

    UNREACHABLE = "unreachable"
    SUBMIT_UNANSWERED = "submit_unanswered"
    REFUSED = "refused"
    REJECTED = "rejected"
    TOO_LARGE = "too_large"
    VANISHED = "vanished"
    OUT_OF_MEMORY = "out_of_memory"
    EXECUTION_ERROR = "execution_error"
    INTERRUPTED = "interrupted"
    STALLED = "stalled"
    BUSY = "busy"
    """Its queue turned out to be held by a meta-graph, which may wait for us; the prompt was taken back unrun."""
    OUTPUT_INVALID = "output_invalid"
    CANCELLED = "cancelled"
    NO_BACKEND = "no_backend"
    INTERNAL = "internal"


class RunStatus(str, Enum):
    """The life of one execution of a meta-graph."""

    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"
