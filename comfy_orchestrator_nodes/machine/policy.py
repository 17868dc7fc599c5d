"""What a failure means for the next attempt. Pure."""

from __future__ import annotations

from ..domain import Attempt, Cause, JobSpec

_NEVER_AGAIN_THERE = {
    Cause.REFUSED: "refused our credentials",
    Cause.REJECTED: "rejected the prompt",
    Cause.TOO_LARGE: "does not accept uploads this large",
    Cause.OUT_OF_MEMORY: "ran out of memory",
    Cause.EXECUTION_ERROR: "failed with an error",
    Cause.OUTPUT_INVALID: "returned an unusable output",
}

DISOWNED = frozenset({Cause.SUBMIT_UNANSWERED, Cause.VANISHED, Cause.STALLED})
"""Causes for which an attempt is given up while its backend may still have the prompt, or may yet get it."""

_REMOTE_ERRORS_ALLOWED = 2
"""An execution error is tried once elsewhere; failing the same way twice, the fault is the workflow's."""


def exclusions(attempts: tuple[Attempt, ...]) -> dict[str, str]:
    """Return the backends that must not get the job again, each with the reason in words.

    An attempt that is not charged does not count: it never reached the backend, or a person allowed another round.
    """
    return {
        a.backend_id: _NEVER_AGAIN_THERE[a.failure.cause]
        for a in attempts
        if a.charged and a.failure is not None and a.failure.cause in _NEVER_AGAIN_THERE
    }


def let_down(attempts: tuple[Attempt, ...]) -> frozenset[str]:
    """Return the backends that lost the job; they may get it again, but better none of them does."""
    return frozenset(a.backend_id for a in attempts if a.failure is not None and a.failure.cause in DISOWNED)


def used_up(spec: JobSpec, attempts: tuple[Attempt, ...]) -> bool:
    """Whether the job may not be tried again."""
    charged = [a for a in attempts if a.charged]
    errors = sum(1 for a in charged if a.failure is not None and a.failure.cause is Cause.EXECUTION_ERROR)
    return len(charged) >= spec.max_attempts or errors >= _REMOTE_ERRORS_ALLOWED
