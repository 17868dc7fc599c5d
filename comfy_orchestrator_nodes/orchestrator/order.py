"""In which order jobs are served: their priority, and their place among those that wait."""

from __future__ import annotations

from ..domain import JobStatus
from ..errors import Conflict, NotFound
from ..machine.events import Reordered
from ..machine.jobs import JobState
from ..placement import AGING_S
from ..placement.decide import OVERTAKE_S
from ..scheduler.backlog import Backlog
from ..scheduler.core import Scheduler

APART_S = 1e-4
"""How far apart two ranks must be for another to fit between them: a time of day has a resolution of 2e-7 s."""


class Order:
    """Changes the order. Lives on the server loop.

    Jobs are served by rank: when they were queued, less an hour for each level of priority (ADR 42). A job gets another
    place by being given another time of queueing.
    """

    def __init__(self, scheduler: Scheduler, backlog: Backlog) -> None:
        self._scheduler = scheduler
        self._backlog = backlog

    async def prioritise(self, job_id: str, priority: int, by: str) -> None:
        """Give a job another priority. One that a backend has already keeps it for when it comes back into the queue.

        Raises:
            NotFound: no such job is under way.
            IllegalTransition: it is being cancelled.
        """
        state = self._state(job_id)
        await self._scheduler.feed(job_id, Reordered(priority, state.job.queued_at, by))

    async def move(self, job_id: str, before: str | None, by: str) -> None:
        """Let a waiting job be served before another one, or before all of them.

        Raises:
            NotFound: no such job is under way.
            Conflict: one of the two does not wait.
        """
        self._waiting(job_id)
        others = [(rank, id_) for rank, id_ in self._backlog.waiting() if id_ != job_id]
        if before is None:
            if others:
                # Far enough ahead that none of them may overtake it for the sake of throughput.
                await self._rank(job_id, others[0][0] - OVERTAKE_S - 1.0, by)
            return
        place = next((place for place, (_, id_) in enumerate(others) if id_ == before), None)
        if place is None:
            self._waiting(before)
            raise Conflict(f"Job {before} is just entering the queue, or is {job_id} itself. Try again.")
        rank = others[place][0]
        ahead = others[place - 1][0] if place else rank - 2.0
        if rank - ahead < APART_S:
            for old, id_ in others[:place]:
                await self._rank(id_, old - 1.0, by)
            ahead -= 1.0
        await self._rank(job_id, (ahead + rank) / 2, by)

    async def _rank(self, job_id: str, rank: float, by: str) -> None:
        state = self._scheduler.state(job_id)
        if state is not None:
            priority = state.job.spec.priority
            await self._scheduler.feed(job_id, Reordered(priority, rank + priority * AGING_S, by))

    def _state(self, job_id: str) -> JobState:
        state = self._scheduler.state(job_id)
        if state is None:
            raise NotFound("job under way", job_id)
        return state

    def _waiting(self, job_id: str) -> None:
        status = self._state(job_id).job.status
        if status is not JobStatus.QUEUED:
            raise Conflict(f"Job {job_id} is {status.value}: only one that waits for a backend has a place to change.")
