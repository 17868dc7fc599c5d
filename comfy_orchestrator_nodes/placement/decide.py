"""The decision: which queued job goes to which backend now, and why not elsewhere."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from ..domain import BackendStatus
from .estimates import Estimates, gib
from .views import Assignment, BackendView, Candidate, Decision, Explanation, JobView, Reason, Refusal

DEGRADED_PENALTY_S = 30.0
PREFER_PENALTY_S = 30.0
DEFAULT_BANDWIDTH = 50e6
"""Bytes a second until a transfer was measured: a busy 1 Gbit/s network."""
HIDE_S = 0.25
"""A second job is sent to a busy backend only where it hides at least this much transfer."""
LOOK_AHEAD = 4
"""How many times as many jobs as backends are considered."""

_STATUS_REFUSALS = {
    BackendStatus.OFFLINE: Refusal(Reason.OFFLINE, "it is offline"),
    BackendStatus.UNKNOWN: Refusal(Reason.UNKNOWN, "it was not reached yet"),
    BackendStatus.SUSPENDED: Refusal(Reason.SUSPENDED, "it failed too often and is suspended for a while"),
}
_ORCHESTRATING = Refusal(Reason.BUSY_ORCHESTRATING, "its queue is held by a prompt that itself waits for remote jobs")
_LAST_RESORT = Refusal(Reason.LAST_RESORT, "it is only used when no other backend can run the job")


def refusal(job: JobView, backend: BackendView, estimates: Estimates, now: float) -> Refusal | None:
    """Return why the backend cannot run the job, or None."""
    static = job.refused.get(backend.id)
    if static is not None:
        return static
    by_status = _STATUS_REFUSALS.get(backend.status)
    if by_status is not None:
        return by_status
    if backend.busy_orchestrating:
        return _ORCHESTRATING
    needed, has = job.needs_vram_bytes, backend.vram_bytes
    if needed is not None and has is not None and has < needed:
        return Refusal(Reason.VRAM, f"it has {gib(has)} of VRAM and the job needs at least {gib(needed)}")
    learned = estimates.vram_refusal(job.definition_key, backend.id, has, now)
    return Refusal(Reason.VRAM, learned) if learned is not None else None


def refusals(job: JobView, backends: Sequence[BackendView], estimates: Estimates, now: float) -> dict[str, Refusal]:
    """Return backend id to refusal, those kept for last included where another one can run the job."""
    found: dict[str, Refusal] = {}
    able = 0
    for backend in backends:
        reason = refusal(job, backend, estimates, now)
        if reason is not None:
            found[backend.id] = reason
        elif not backend.last_resort:
            able += 1
    if able:
        for backend in backends:
            if backend.last_resort:
                found.setdefault(backend.id, _LAST_RESORT)
    return found


def candidate(job: JobView, backend: BackendView, estimates: Estimates) -> Candidate:
    """Return when the backend would be done with the job, and what that is made of."""
    missing = job.transfer_bytes.get(backend.id, 0)
    transfer_s = missing / (backend.bandwidth_bytes_per_s or DEFAULT_BANDWIDTH)
    queue_s = backend.busy_s + backend.foreign_queue * estimates.typical_s(backend.id)
    if backend.in_flight:
        queue_s = max(0.0, queue_s - transfer_s)
    expected = estimates.run(job.definition_key, backend.id)
    penalty = DEGRADED_PENALTY_S if backend.status is BackendStatus.DEGRADED else 0.0
    if job.prefer is not None and backend.id not in job.prefer:
        penalty += PREFER_PENALTY_S
    return Candidate(
        backend_id=backend.id,
        name=backend.name,
        queue_s=queue_s,
        transfer_s=transfer_s,
        switch_s=0.0 if job.models <= backend.warm else estimates.switch_s(backend.id),
        run_s=expected.run_s,
        penalty_s=penalty,
        runs_seen=expected.runs,
        free=_has_room(backend, transfer_s),
    )


def explain(job: JobView, backends: Sequence[BackendView], estimates: Estimates, now: float) -> Explanation:
    """Return the candidates for one job, best first, and each refusal's reason."""
    refused = refusals(job, backends, estimates, now)
    candidates = [candidate(job, b, estimates) for b in backends if b.id not in refused]
    candidates.sort(key=lambda c: (c.completion_s + c.penalty_s, c.backend_id))
    return Explanation(job.id, tuple(candidates), refused, {b.id: b.name for b in backends})


def decide(jobs: Iterable[JobView], backends: Sequence[BackendView], estimates: Estimates, now: float) -> Decision:
    """Return which jobs to send where at this moment; a job left out waits for a better backend or a free one."""
    queue = sorted(jobs, key=lambda job: (job.rank, job.id))
    plan = {b.id: _Lane(b) for b in backends}
    assignments: list[Assignment] = []
    free = sum(1 for b in backends if b.slots_free)
    for job in queue[: LOOK_AHEAD * len(backends)]:
        if not free:
            break
        refused = refusals(job, backends, estimates, now)
        best: tuple[float, str, Candidate] | None = None
        for backend in backends:
            if backend.id in refused:
                continue
            lane = plan[backend.id]
            option = candidate(job, lane.view, estimates)
            key = (option.completion_s + option.penalty_s, backend.id, option)
            if best is None or key[:2] < best[:2]:
                best = key
        if best is None:
            continue
        _, backend_id, option = best
        lane = plan[backend_id]
        if option.free and lane.slots:
            assignments.append(Assignment(job.id, backend_id, option.completion_s))
            lane.slots -= 1
            free -= not lane.slots
        lane.take(job, option)
    return Decision(tuple(assignments))


class _Lane:
    """A backend with what is planned for it in this decision."""

    def __init__(self, view: BackendView) -> None:
        self.view = view
        self.slots = view.slots_free

    def take(self, job: JobView, option: Candidate) -> None:
        self.view = replace(
            self.view,
            busy_s=option.completion_s,
            foreign_queue=0,
            in_flight=self.view.in_flight + 1,
            warm=job.models or self.view.warm,
        )


def _has_room(backend: BackendView, transfer_s: float) -> bool:
    if not backend.slots_free:
        return False
    return not backend.in_flight or transfer_s >= HIDE_S
