"""The queued jobs, grouped by what placement cannot tell apart: the index that makes a decision cheap.

A decision looks at groups, not at jobs: jobs of one definition with the same models, refusals, preference and need of
VRAM are one group, served in order of rank. The index is kept up to date job by job (``put``, ``discard``) and holds
what one decision teaches the next: a price for each group (see ``market.py``). It is a plain data structure: the same
calls in the same order give the same decisions.
"""

from __future__ import annotations

import math
from bisect import bisect_left, insort
from collections.abc import Iterable

from .views import JobView

PRICES_REMEMBERED = 500

_Key = tuple[str, frozenset[str], frozenset[str], frozenset[str] | None, int | None]


class Group:
    """Queued jobs that differ only in rank, transfer and the wording of refusals."""

    __slots__ = (
        "_shortest_before",
        "_shortest_now",
        "actual",
        "definition_key",
        "jobs",
        "key",
        "log_price",
        "models",
        "sample",
        "supply",
    )

    def __init__(self, key: _Key, sample: JobView, log_price: float) -> None:
        self.key = key
        self.definition_key = sample.definition_key
        self.models = sample.models
        self.sample = sample
        """Any of its jobs: stands for all where refusals and preference are asked for."""
        self.jobs: list[tuple[float, str]] = []
        """(rank, id), in order of service."""
        self.log_price = log_price
        """Logarithm of what finishing one of these jobs is worth, relative to its run time at usual speed."""
        self.supply = 0.0
        """Jobs a second that the plan would finish."""
        self.actual = 0.0
        """Jobs a second at which backends that were last given one finish them."""
        self._shortest_before = math.inf
        self._shortest_now = math.inf

    @property
    def shortest_s(self) -> float:
        """Seconds of a run on the fastest backend that can run it, of those the plan looked at last."""
        return min(self._shortest_before, self._shortest_now)

    def saw_run(self, run_s: float) -> None:
        """Take note of the run time on a backend that can run it."""
        self._shortest_now = min(self._shortest_now, run_s)

    def saw_all(self) -> None:
        """Begin anew: every backend was looked at, and what was seen before that is out of date."""
        self._shortest_before, self._shortest_now = self._shortest_now, math.inf

    @property
    def head_rank(self) -> float:
        """The rank of the job that has waited longest for its priority."""
        return self.jobs[0][0]


class Lane:
    """What placement remembers of one backend between decisions."""

    __slots__ = ("current", "rate", "shares")

    def __init__(self) -> None:
        self.shares: list[tuple[Group, float]] = []
        """The groups the plan gives it, with jobs a second."""
        self.current: Group | None = None
        """The group it was given last, with jobs a second there."""
        self.rate = 0.0


class Backlog:
    """All queued jobs by group. Give the same one to every decision."""

    def __init__(self, jobs: Iterable[JobView] = ()) -> None:
        self.groups: dict[_Key, Group] = {}
        self.lanes: dict[str, Lane] = {}
        self.turn = 0
        """Where the next decision goes on with improving the plan."""
        self.rounds = 0.0
        """How often every backend's plan was looked at."""
        self.horizon_s: float | None = None
        """Seconds the backlog would take if every backend did what it is best for; None before the first plan."""
        self.jobs: dict[str, JobView] = {}
        self._groups: dict[str, Group] = {}
        """Job id to its group."""
        self._prices: dict[str, float] = {}
        for job in jobs:
            self.put(job)

    def __len__(self) -> int:
        return len(self.jobs)

    def __contains__(self, job_id: str) -> bool:
        return job_id in self.jobs

    def put(self, job: JobView) -> None:
        """Add a job, or replace what is known of it. Costs microseconds."""
        key = (job.definition_key, job.models, frozenset(job.refused), job.prefer, job.needs_vram_bytes)
        known = self.jobs.get(job.id)
        if known is not None:
            if known.rank == job.rank and self._groups[job.id].key == key:
                self.jobs[job.id] = job
                return
            self.discard(job.id)
        group = self.groups.get(key)
        if group is None:
            group = self.groups[key] = Group(key, job, self._prices.get(job.definition_key, 0.0))
        insort(group.jobs, (job.rank, job.id))
        self.jobs[job.id] = job
        self._groups[job.id] = group

    def discard(self, job_id: str) -> None:
        """Take a job out, because it was dispatched, cancelled or is gone; unknown ids are fine."""
        job = self.jobs.pop(job_id, None)
        if job is None:
            return
        group = self._groups.pop(job_id)
        del group.jobs[bisect_left(group.jobs, (job.rank, job.id))]
        if not group.jobs:
            self._close(group)

    def sync(self, jobs: Iterable[JobView]) -> None:
        """Make the index hold exactly these jobs. To ``put`` and ``discard`` only what changes is cheaper."""
        wanted = {job.id: job for job in jobs}
        for job_id in [job_id for job_id in self.jobs if job_id not in wanted]:
            self.discard(job_id)
        for job in wanted.values():
            self.put(job)

    def lane(self, backend_id: str) -> Lane:
        """Return what is remembered of a backend."""
        lane = self.lanes.get(backend_id)
        if lane is None:
            lane = self.lanes[backend_id] = Lane()
        return lane

    def forget_backends(self, there: set[str]) -> None:
        """Drop what is remembered of backends that are not among these any more."""
        for backend_id in [b for b in self.lanes if b not in there]:
            lane = self.lanes.pop(backend_id)
            for group, rate in lane.shares:
                group.supply -= rate
            if lane.current is not None:
                lane.current.actual -= lane.rate

    def _close(self, group: Group) -> None:
        del self.groups[group.key]
        self._prices.pop(group.definition_key, None)
        self._prices[group.definition_key] = group.log_price
        if len(self._prices) > PRICES_REMEMBERED:
            del self._prices[next(iter(self._prices))]
