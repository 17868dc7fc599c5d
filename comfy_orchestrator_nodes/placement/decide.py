"""The decision: which queued jobs go to which backends now.

While there is much more work than backends, each free backend takes what it is best for at the plan's prices
(``market.py``), counting what a model switch costs over the time it would stay, and what trying may teach. Towards the
end, and whenever there is little work, each job goes where it is expected to be done earliest, which may mean to wait
for a backend that is still busy.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Iterable, Mapping, Sequence
from itertools import islice

from .backlog import Backlog, Group
from .estimates import Estimates
from .market import improve
from .qualify import HIDE_S, candidate, penalty_s, queue_s, refusals, transfer_s, transfer_wait_s, usable
from .views import Assignment, BackendView, Decision, JobView, Refusal

OVERTAKE_S = 300.0
"""A job may be overtaken, for the sake of throughput, by jobs that rank at most this much behind it."""
TAIL_RATIO = 1.5
"""With fewer jobs than this for each backend, every job is planned by itself."""
TIE_RATIO = 0.03
STAY_RATIO = 0.65
"""The part of the horizon for which a backend is expected to stay with what it switches to."""
SURE_SIGMA = 0.12
"""A run time known this well (sigma of its logarithm) has nothing more to teach."""
LEARNABLE_SIGMA = 0.18
"""How far run times of pairs differ from what speed and level tell: what trying may find."""
TRIAL_RATIO = 1 / 3
"""After a switch a backend stays for a run with warm models, unless that takes more than this part of the horizon."""
HEADS = 8
"""Of how many jobs at the head of a group the one with the least transfer is taken."""
AGAIN_S = 1.0


def decide(
    jobs: Backlog | Iterable[JobView], backends: Sequence[BackendView], estimates: Estimates, now: float
) -> Decision:
    """Return which jobs to send where at this moment; a job left out waits for a better backend or a free one.

    Keep one ``Backlog`` and give it to every decision: it holds the plan. The jobs returned stay in it until the
    caller discards them. Any other iterable of jobs is indexed and planned for from scratch.
    """
    backlog = jobs if isinstance(jobs, Backlog) else Backlog(jobs)
    return _Round(backlog, backends, estimates, now).decide()


class _Round:
    """One decision under way."""

    def __init__(self, backlog: Backlog, backends: Sequence[BackendView], estimates: Estimates, now: float) -> None:
        self.backlog = backlog
        self.backends = backends
        self.usable = [b for b in backends if usable(b)]
        self.estimates = estimates
        self.now = now
        self.assignments: list[Assignment] = []
        self.again_s: float | None = None
        self.taken: set[str] = set()
        self.refused: dict[Group, Mapping[str, Refusal]] = {}
        """By group, where it needs more than a look-up."""
        self.passed: dict[Group, int] = {}
        """How many jobs at the head of a group are taken without a gap."""
        self.count: dict[Group, int] = {}
        """How many jobs of a group are taken in all."""

    def decide(self) -> Decision:
        if not len(self.backlog):
            return Decision()
        open_ = [b for b in self.usable if b.slots_free > 0]
        free = [b for b in open_ if not b.in_flight]
        fillable = [b for b in open_ if b.in_flight]
        if not free and not fillable:
            return Decision()
        if len(self.backlog.lanes) > len(self.backends):
            self.backlog.forget_backends({b.id for b in self.backends})
        for backend in self.backends:
            if backend.gpu:
                self.estimates.introduce(backend.id, backend.gpu)
        improve(self.backlog, self.usable, self.estimates, self.can_run)
        if len(self.backlog) <= TAIL_RATIO * len(self.usable):
            self.hand_out_earliest(free)
        else:
            for backend in free:
                self.hand_out_best(backend)
        for backend in fillable:
            self.hide_transfer(backend)
        return Decision(tuple(self.assignments), self.again_s)

    # --- jobs

    def can_run(self, group: Group, backend: BackendView) -> bool:
        """Whether a usable backend can run a group's jobs; the usual case costs two look-ups."""
        job = group.sample
        if backend.id in job.refused:
            return False
        if (
            job.needs_vram_bytes is None
            and not backend.last_resort
            and not self.estimates.memory.ran_out(job.definition_key)
        ):
            return True
        if group not in self.refused:
            self.refused[group] = refusals(job, self.backends, self.estimates, self.now)
        return backend.id not in self.refused[group]

    def left(self, group: Group) -> int:
        return len(group.jobs) - self.count.get(group, 0)

    def heads(self, group: Group) -> Iterable[tuple[float, str]]:
        """Yield the (rank, id) of the jobs of a group that are not taken yet, in order of service."""
        start = self.passed.get(group, 0)
        return (job for job in islice(group.jobs, start, None) if job[1] not in self.taken)

    def head_rank(self, group: Group) -> float:
        return next(iter(self.heads(group)))[0]

    def head(self, group: Group) -> JobView:
        return self.backlog.jobs[next(iter(self.heads(group)))[1]]

    def open_groups(self, backend: BackendView) -> list[Group]:
        """Return the groups a backend may take from: those whose head must not wait for an older job."""
        groups = [g for g in self.backlog.groups.values() if self.left(g) and self.can_run(g, backend)]
        if len(groups) < 2:
            return groups
        ranks = [self.head_rank(g) for g in groups]
        limit = min(ranks) + OVERTAKE_S
        return [g for g, rank in zip(groups, ranks, strict=True) if rank <= limit]

    def pick(self, group: Group, backend: BackendView) -> JobView:
        """Return the job of a group to send to a backend: the oldest, or one near it that needs less transfer."""
        heads = list(islice(self.heads(group), HEADS))
        jobs = [self.backlog.jobs[job_id] for rank, job_id in heads if rank <= heads[0][0] + OVERTAKE_S]
        return min(jobs, key=lambda job: transfer_s(job, backend))

    def assign(self, job: JobView, group: Group, backend: BackendView) -> float:
        """Give a job to a backend; return the seconds until it is expected to be done."""
        option = candidate(job, backend, self.estimates)
        self.assignments.append(Assignment(job.id, backend.id, option.completion_s))
        self.taken.add(job.id)
        self.count[group] = self.count.get(group, 0) + 1
        start = self.passed.get(group, 0)
        while start < len(group.jobs) and group.jobs[start][1] in self.taken:
            start += 1
        self.passed[group] = start
        lane = self.backlog.lane(backend.id)
        if lane.current is not None:
            lane.current.actual -= lane.rate
        lane.current, lane.rate = group, 1.0 / option.run_s
        group.actual += lane.rate
        return option.completion_s

    # --- much work

    def hand_out_best(self, backend: BackendView) -> None:
        group = self.best_group(backend)
        if group is None:
            return
        self.assign(self.pick(group, backend), group, backend)

    def best_group(self, backend: BackendView) -> Group | None:
        groups = self.open_groups(backend)
        if not groups:
            return None
        current = self.backlog.lane(backend.id).current
        if current in groups and current is not None and self.on_trial(current, backend):
            return current
        values = self.values(groups, backend)
        if not values:
            self.look_again(AGAIN_S)
            return None
        least = max(values.values()) * (1 - TIE_RATIO)
        close = [g for g in groups if values.get(g, 0.0) >= least]
        if current in close and current is not None and current.models <= backend.warm:
            return current
        return max(close, key=lambda g: self.left(g) / (g.actual + 1e-9))

    def on_trial(self, group: Group, backend: BackendView) -> bool:
        """Whether the backend just loaded the group's models and never ran it without loading them."""
        if not group.models or not group.models <= backend.warm:
            return False
        expected = self.estimates.run(group.definition_key, backend.id)
        return not expected.runs and expected.run_s <= TRIAL_RATIO * self.horizon_s

    @property
    def horizon_s(self) -> float:
        return max(self.backlog.horizon_s or 0.0, 1e-3)

    def values(self, groups: Sequence[Group], backend: BackendView) -> dict[Group, float]:
        """Return what a second of the backend is worth on each group, the way there and what may be learned included.

        An uncertain group may turn out better than what is known, and if it does not, the backend can go back: the
        expected maximum of both, as in a search with recall (McCall, Weitzman).
        """
        horizon, queue = self.horizon_s, queue_s(backend, self.estimates)
        known, unsure = {}, []
        for group in groups:
            job = self.head(group)
            expected = self.estimates.run(group.definition_key, backend.id)
            delay = transfer_wait_s(job, backend, queue) + penalty_s(job, backend)
            if not group.models <= backend.warm:
                delay += self.estimates.switch_s(backend.id)
            stay = min(STAY_RATIO * horizon, self.left(group) * expected.run_s)
            part = stay / (stay + delay)
            if delay + self.estimates.late_s(expected) > horizon + group.shortest_s:
                # Faster backends would have done all the rest by then.
                continue
            worth = math.exp(group.log_price + self.estimates.level(group.definition_key)) / expected.run_s
            if expected.sigma < SURE_SIGMA:
                known[group] = worth * part
            else:
                unsure.append((group, worth, part, min(expected.sigma, LEARNABLE_SIGMA)))
        if not unsure:
            return known
        switch = self.estimates.switch_s(backend.id)
        fallback = max(known.values()) if known else 0.7 * max(worth * part for _, worth, part, _ in unsure)
        fallback *= horizon / (horizon + switch)
        for group, worth, part, sigma in unsure:
            known[group] = part * expected_maximum(math.log(worth), sigma, fallback)
        return known

    # --- little work

    def hand_out_earliest(self, free: Sequence[BackendView]) -> None:
        """Plan every job for where it is done earliest; hand out what that gives to free backends.

        Planned first is what needs no switch: backends go on with what they have loaded, as far as that is done within
        the time that all the work takes. Then the rest, long ones first: to begin with those would take backends away
        from short ones, which then need a switch elsewhere.
        """
        plan = _Plan(self, free)
        order = self.in_order()
        loaded: dict[frozenset[str], list[BackendView]] = {}
        for backend in self.usable:
            loaded.setdefault(backend.warm, []).append(backend)
        span = self.span_s
        oldest = min(group.head_rank for group in order)
        for group in order:
            if not plan.idle:
                return
            if group.models and group.head_rank <= oldest + OVERTAKE_S:
                plan.extend(group, [b for warm, those in loaded.items() if group.models <= warm for b in those], span)
        for group in order:
            if not plan.idle:
                return
            plan.extend(group, self.usable)
        if plan.idle:
            self.look_again(AGAIN_S)

    @property
    def span_s(self) -> float:
        """Seconds until all the work is done: as planned, or if backends go on with what they do now, if longer."""
        worth = [
            (g, math.exp(g.log_price + self.estimates.level(g.definition_key))) for g in self.backlog.groups.values()
        ]
        pace = sum(g.actual * value for g, value in worth)
        work = sum(self.left(g) * value for g, value in worth)
        return max(self.horizon_s, work / pace if pace > 0 else 0.0)

    def in_order(self) -> list[Group]:
        """Return the groups in the order to plan them: old jobs before those they may not wait for, then long ones."""
        groups = list(self.backlog.groups.values())
        limit = min(g.head_rank for g in groups) + OVERTAKE_S
        level = self.estimates.level
        return sorted(
            groups,
            key=lambda g: (g.head_rank if g.head_rank > limit else -math.inf, -level(g.definition_key), g.head_rank),
        )

    # --- a second job where that hides its transfer

    def hide_transfer(self, backend: BackendView) -> None:
        if backend.in_flight > 1:
            return
        group = self.best_group(backend)
        if group is None:
            return
        job = max(
            (self.backlog.jobs[job_id] for _, job_id in islice(self.heads(group), HEADS)),
            key=lambda job: transfer_s(job, backend),
        )
        hidden = transfer_s(job, backend)
        if hidden < HIDE_S:
            return
        early = backend.busy_s - 2 * hidden - AGAIN_S
        if early > 0:
            self.look_again(early)
            return
        self.assign(job, group, backend)

    def look_again(self, in_s: float) -> None:
        self.again_s = in_s if self.again_s is None else min(self.again_s, in_s)


class _Plan:
    """Where each of few jobs would be done earliest, job by job."""

    def __init__(self, round_: _Round, free: Sequence[BackendView]) -> None:
        self.round = round_
        self.idle = {b.id for b in free}
        """Free backends that were given nothing yet."""
        self.ready = {b.id: queue_s(b, round_.estimates) for b in round_.usable}
        """Backend id to the seconds after which it has done what is planned for it."""
        self.moved: dict[str, frozenset[str]] = {}
        """Backend id to the models that the last job planned for it loads."""
        self.planned: dict[Group, int] = {}
        """How many jobs of a group are planned, but not given away."""

    def extend(self, group: Group, backends: Iterable[BackendView], until_s: float = math.inf) -> None:
        """Plan the jobs of a group that are not planned yet, as far as they are done before ``until_s``.

        The first job that is planned for an idle backend is given to it. Ends early when no backend is idle any more.
        """
        round_ = self.round
        jobs = round_.left(group) - self.planned.get(group, 0)
        if jobs <= 0:
            return
        able = {b.id: b for b in backends if round_.can_run(group, b)}
        job, estimates = round_.head(group), round_.estimates
        runs = {b: estimates.run(group.definition_key, b).run_s for b in able}
        extra = {b.id: penalty_s(job, b) for b in able.values()}
        heap: list[tuple[float, str]] = []
        for b in able.values():
            delay = transfer_s(job, b) + extra[b.id]
            if not group.models <= self.moved.get(b.id, b.warm):
                delay += estimates.switch_s(b.id)
            heap.append((self.ready[b.id] + delay + runs[b.id], b.id))
        heapq.heapify(heap)
        for _ in range(jobs if heap else 0):
            done, backend_id = heap[0]
            if done > until_s or not self.idle:
                return
            if backend_id in self.idle:
                self.idle.discard(backend_id)
                round_.assign(round_.pick(group, able[backend_id]), group, able[backend_id])
            else:
                self.planned[group] = self.planned.get(group, 0) + 1
            self.ready[backend_id] = done - extra[backend_id]
            if group.models:
                self.moved[backend_id] = group.models
            heapq.heapreplace(heap, (done + runs[backend_id], backend_id))


def expected_maximum(log_mean: float, sigma: float, other: float) -> float:
    """Return E[max(exp(Z), other)] for Z normal with this mean and sigma, ``other`` > 0 (as in Black and Scholes)."""
    upper = (log_mean - math.log(other)) / sigma + sigma
    lower = upper - sigma
    return other * _normal(-lower) + math.exp(log_mean + sigma * sigma / 2) * _normal(upper)


def _normal(x: float) -> float:
    return 0.5 * (1.0 + math.erf(x / math.sqrt(2.0)))
