"""Who waits for which job, and which jobs others may join because they want the same work done."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from ..domain import Cause, Failure, Job, JobStatus


@dataclass(frozen=True)
class Ticket:
    """A claim on a job's result. Several tickets may share a job; it is cancelled when the last is given back."""

    id: str
    job_id: str
    done: asyncio.Future[Job]
    """The job as it is when final; or, for whom alone it is cancelled while others wait for it, as cancelled."""
    cached: bool = False
    """Whether the result was there already."""

    @property
    def owner(self) -> str:
        """Who leases the result until whoever has the ticket has taken and released it; for a while at most."""
        return lease_owner(self.id)


@dataclass
class _Shared:
    """A live job with those who wait for it."""

    job: Job
    done: asyncio.Future[Job]
    claims: dict[str, tuple[str, asyncio.Future[Job]]] = field(default_factory=dict)
    """Ticket id to run id and the ticket's future."""


class Claims:
    """The live jobs and their tickets. Lives on the server loop."""

    def __init__(self, new_id: Callable[[], str]) -> None:
        self._new_id = new_id
        self._shared: dict[str, _Shared] = {}
        self._by_key: dict[str, str] = {}

    def add(self, job: Job, done: asyncio.Future[Job]) -> None:
        """Take note of a live job; others with the same key join it if it uses the cache."""
        self._shared[job.id] = _Shared(job, done)
        if job.spec.use_cache:
            self._by_key.setdefault(job.key, job.id)

    def claim(self, job_id: str, run_id: str) -> Ticket:
        """Return a new ticket for a live job, in the name of a run."""
        shared = self._shared[job_id]
        ticket = Ticket(self._new_id(), job_id, asyncio.get_running_loop().create_future())
        shared.claims[ticket.id] = (run_id, ticket.done)
        shared.done.add_done_callback(lambda done: _pass_on(done, ticket.done))
        return ticket

    def owners(self, job_id: str) -> list[str]:
        """Return in whose name the result of a job is to be kept: of every ticket that was not given back."""
        shared = self._shared.get(job_id)
        return [lease_owner(ticket_id) for ticket_id in shared.claims] if shared is not None else []

    def join(self, key: str, run_id: str) -> Ticket | None:
        """Return a ticket for the job that does this very work, or None if there is none to join.

        One that has succeeded can be joined until it is removed, which is when its result is in the cache.
        """
        job_id = self._by_key.get(key)
        if job_id is None:
            return None
        done = self._shared[job_id].done
        if not done.done():
            return self.claim(job_id, run_id)
        if done.cancelled() or done.result().status is not JobStatus.SUCCEEDED:
            return None
        return Ticket(self._new_id(), job_id, done, cached=True)

    def give_back(self, ticket: Ticket) -> bool:
        """Give up a ticket; return whether nobody waits for its job any more, which nobody can join from then on."""
        shared = self._shared.get(ticket.job_id)
        if shared is None or shared.claims.pop(ticket.id, None) is None or shared.claims:
            return False
        self.close(ticket.job_id)
        return True

    def end_run(self, run_id: str, by: str) -> tuple[int, list[str]]:
        """Give up all that a run waits for.

        Returns:
            How many jobs the run waited for or had started, and those that nobody else waits for: to be cancelled.
            Where others do wait, only the run's own tickets end, as cancelled.
        """
        live = [shared for shared in self._shared.values() if not shared.done.done()]
        affected = [shared for shared in live if shared.job.run_id == run_id or run_id in _runs(shared)]
        orphans = []
        for shared in affected:
            if _runs(shared) <= {run_id}:
                self.close(shared.job.id)
                orphans.append(shared.job.id)
                continue
            for ticket_id in [t for t, (run, _) in shared.claims.items() if run == run_id]:
                _, done = shared.claims.pop(ticket_id)
                if not done.done():
                    done.set_result(_cancelled(shared.job, by))
        return len(affected), orphans

    def close(self, job_id: str) -> None:
        """Let nobody join a job any more: it is about to be cancelled."""
        shared = self._shared.get(job_id)
        if shared is not None and self._by_key.get(shared.job.key) == job_id:
            del self._by_key[shared.job.key]

    def remove(self, job_id: str) -> None:
        """Forget a job that is final."""
        self.close(job_id)
        self._shared.pop(job_id, None)


def lease_owner(ticket_id: str) -> str:
    """Return the owner of what is leased for a ticket."""
    return f"ticket {ticket_id}"


def _runs(shared: _Shared) -> set[str]:
    return {run_id for run_id, _ in shared.claims.values()}


def _cancelled(job: Job, by: str) -> Job:
    return replace(job, status=JobStatus.CANCELLED, failure=Failure(Cause.CANCELLED, f"Cancelled by {by}."))


def _pass_on(done: asyncio.Future[Job], to: asyncio.Future[Job]) -> None:
    if to.done():
        return
    if done.cancelled():
        to.cancel()
    else:
        to.set_result(done.result())
