"""Which backends can run a job, why the others cannot, and when each would be done."""

from __future__ import annotations

import math
from collections.abc import Sequence
from enum import IntEnum

from ..domain import BackendStatus
from .estimates import LEVEL_VAR, Estimates, Expected
from .views import BackendView, Candidate, Explanation, JobView, Reason, Refusal

DEGRADED_PENALTY_S = 30.0
PREFER_PENALTY_S = 30.0
DEFAULT_BANDWIDTH = 50e6
"""Bytes a second until a transfer was measured: a busy 1 Gbit/s network."""
NEVER_RAN_SIGMA = math.sqrt(LEVEL_VAR)
"""So uncertain is the run time of a definition that ran nowhere: any run anywhere tells more."""
HIDE_S = 0.25
"""A second job is sent to a busy backend only where it hides at least this much transfer."""

_BY_STATUS = {
    BackendStatus.OFFLINE: Refusal(Reason.OFFLINE, "it is offline"),
    BackendStatus.UNKNOWN: Refusal(Reason.UNKNOWN, "it was not reached yet"),
    BackendStatus.SUSPENDED: Refusal(Reason.SUSPENDED, "it failed too often and is suspended for a while"),
}
_ORCHESTRATING = Refusal(Reason.BUSY_ORCHESTRATING, "its queue is held by a prompt that itself waits for remote jobs")
_LAST_RESORT = Refusal(Reason.LAST_RESORT, "it is only used when no other backend can run the job")


def usable(backend: BackendView) -> bool:
    """Whether the backend can be given any job at all now."""
    return backend.status not in _BY_STATUS and not backend.busy_orchestrating


class Memory(IntEnum):
    """How far what was learned about memory is trusted."""

    UNASKED = 0
    SEEN = 1
    """A backend is refused for what ran out of memory there."""
    INFERRED = 2
    """And for what ran out of memory on one with as much VRAM or more."""


def refusal(
    job: JobView, backend: BackendView, estimates: Estimates, now: float, memory: Memory = Memory.INFERRED
) -> Refusal | None:
    """Return why the backend cannot run the job, or None."""
    static = job.refused.get(backend.id)
    if static is not None:
        return static
    by_status = _BY_STATUS.get(backend.status)
    if by_status is not None:
        return by_status
    if backend.busy_orchestrating:
        return _ORCHESTRATING
    needed, has = job.needs_vram_bytes, backend.vram_bytes
    if needed is not None and has is not None and has < needed:
        return Refusal(Reason.VRAM, f"it has {gib(has)} of VRAM and the job needs at least {gib(needed)}")
    if not estimates.memory.ran_out(job.definition_key):
        return None
    if memory >= Memory.SEEN and estimates.memory.ran_out_here(job.definition_key, backend.id, now):
        return Refusal(Reason.VRAM, "it ran out of memory on this workflow")
    if memory < Memory.INFERRED or has is None:
        return None
    worst = estimates.memory.too_small_for(job.definition_key, backend.id, has, now)
    if worst is None:
        return None
    return Refusal(
        Reason.VRAM, f"its {gib(has)} of VRAM are not enough: this workflow ran out of memory with {gib(worst)}"
    )


def refusals(job: JobView, backends: Sequence[BackendView], estimates: Estimates, now: float) -> dict[str, Refusal]:
    """Return backend id to refusal.

    A last resort is refused where another backend can run the job. What was learned about memory never leaves a job
    without any backend: memory may be free again, or inputs smaller, so that is tried before the job is given up.
    """
    found: dict[str, Refusal] = {}
    for memory in (Memory.INFERRED, Memory.SEEN, Memory.UNASKED):
        found = {b.id: r for b in backends if (r := refusal(job, b, estimates, now, memory)) is not None}
        if len(found) < len(backends) or not estimates.memory.ran_out(job.definition_key):
            break
    if any(not b.last_resort and b.id not in found for b in backends):
        for backend in backends:
            if backend.last_resort:
                found.setdefault(backend.id, _LAST_RESORT)
    return found


def queue_s(backend: BackendView, estimates: Estimates) -> float:
    """Return the seconds until a job sent now would start: our own work there, then what others queued."""
    if not backend.foreign_queue:
        return backend.busy_s
    return backend.busy_s + backend.foreign_queue * estimates.typical_s(backend.id)


def transfer_s(job: JobView, backend: BackendView) -> float:
    """Return the seconds to send what the backend lacks of the job's files."""
    if not job.transfer_bytes:
        return 0.0
    return job.transfer_bytes.get(backend.id, 0) / (backend.bandwidth_bytes_per_s or DEFAULT_BANDWIDTH)


def transfer_wait_s(job: JobView, backend: BackendView, queue: float) -> float:
    """Return the seconds that the transfer holds the job up: on a busy backend, what is left when its turn comes."""
    transfer = transfer_s(job, backend)
    return max(0.0, transfer - queue) if backend.in_flight else transfer


def penalty_s(job: JobView, backend: BackendView) -> float:
    """Return the handicap of a backend that is degraded, or not among those the job prefers."""
    penalty = DEGRADED_PENALTY_S if backend.status is BackendStatus.DEGRADED else 0.0
    if job.prefer is not None and backend.id not in job.prefer:
        penalty += PREFER_PENALTY_S
    return penalty


def candidate(job: JobView, backend: BackendView, estimates: Estimates) -> Candidate:
    """Return when the backend would be done with the job, and what that is made of."""
    transfer = transfer_s(job, backend)
    queue = queue_s(backend, estimates)
    expected = estimates.run(job.definition_key, backend.id)
    return Candidate(
        backend_id=backend.id,
        name=backend.name,
        queue_s=queue,
        transfer_s=transfer_wait_s(job, backend, queue),
        switch_s=0.0 if job.models <= backend.warm else estimates.switch_s(backend.id),
        run_s=expected.run_s,
        penalty_s=penalty_s(job, backend),
        runs_seen=expected.runs,
        run_range_s=_range_s(expected),
        free=backend.slots_free > 0 and (not backend.in_flight or transfer >= HIDE_S),
    )


def _range_s(expected: Expected) -> tuple[float, float] | None:
    if expected.sigma >= NEVER_RAN_SIGMA:
        return None
    factor = math.exp(expected.sigma)
    return expected.run_s / factor, expected.run_s * factor


def explain(job: JobView, backends: Sequence[BackendView], estimates: Estimates, now: float) -> Explanation:
    """Return the candidates for one job, earliest expected completion first, and each refusal's reason."""
    for backend in backends:
        estimates.introduce(backend.id, backend.gpu)
    refused = refusals(job, backends, estimates, now)
    candidates = [candidate(job, b, estimates) for b in backends if b.id not in refused]
    candidates.sort(key=lambda c: (c.completion_s + c.penalty_s, c.backend_id))
    return Explanation(job.id, tuple(candidates), refused, {b.id: b.name for b in backends})


def gib(size: int) -> str:
    """Return a size in GiB as people write it."""
    return f"{size / 2**30:.1f} GiB".replace(".0 GiB", " GiB")
