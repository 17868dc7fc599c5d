"""The jobs of one node execution, on the server loop: submitted together, awaited together, given back together."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field

from ..domain import Attempt, AttemptStatus, Job, JobStatus
from ..orchestrator.jobs import Request, Ticket
from ..scheduler.updates import JobUpdate
from ..service import Service


@dataclass(frozen=True)
class Outcome:
    """How one item ended."""

    job: Job
    attempts: tuple[Attempt, ...]
    backend: str
    """The name of the backend that made the result, or of the last one that failed to; empty if there was none."""
    cached: bool

    @property
    def elapsed_s(self) -> float:
        """Seconds from the submit to the end."""
        return max(0.0, (self.job.ended_at or self.job.created_at) - self.job.created_at)


@dataclass
class Updates:
    """Updates on their way from the server loop to the node's: appended there, taken here, both without a lock."""

    pending: deque[JobUpdate] = field(default_factory=lambda: deque(maxlen=10_000))

    def take(self) -> list[JobUpdate]:
        """Return what came since the last call."""
        taken: list[JobUpdate] = []
        while self.pending:
            taken.append(self.pending.popleft())
        return taken


async def run_batch(service: Service, requests: Sequence[Request], updates: Updates) -> list[Outcome]:
    """Run every request and return the outcomes in order, failures included.

    The first job that fails under ``on_failure: fail`` or ``ask`` (and is not dropped) ends the wait for the others:
    their tickets are given back. So are all when this is cancelled.

    Raises:
        NotFound, BindingFailed, StoreError: a request could not be submitted.
    """
    orchestrator = service.orchestrator
    tickets: list[Ticket] = []
    mine: set[str] = set()

    def note(update: JobUpdate) -> None:
        job_id = update.job.id if hasattr(update, "job") else update.job_id
        if job_id in mine:
            updates.pending.append(update)

    unsubscribe = orchestrator.subscribe(note)
    by = "the end of its prompt"
    try:
        for request in requests:
            ticket = await orchestrator.submit(request)
            mine.add(ticket.job_id)
            tickets.append(ticket)
        await _until_settled(tickets, requests)
        return [await _outcome(service, ticket) for ticket in tickets if ticket.done.done()]
    except asyncio.CancelledError:
        by = "an interrupt of the prompt"
        raise
    finally:
        unsubscribe()
        for ticket in tickets:
            if not ticket.done.done():
                await orchestrator.give_back(ticket, by)


def fails_node(job: Job) -> bool:
    """Whether a final job without a result makes its node fail, instead of dropping the item."""
    if job.status is JobStatus.SUCCEEDED:
        return False
    dropped = job.failure is not None and job.failure.dropped
    return not dropped and job.spec.on_failure != "drop"


async def _until_settled(tickets: Sequence[Ticket], requests: Sequence[Request]) -> None:
    open_ = {ticket.done for ticket in tickets}
    while open_:
        done, open_ = await asyncio.wait(open_, return_when=asyncio.FIRST_COMPLETED)
        if any(future.cancelled() or fails_node(future.result()) for future in done):
            return


async def _outcome(service: Service, ticket: Ticket) -> Outcome:
    job = ticket.done.result()
    attempts = await service.attempts.for_job(job.id)
    last = next((a for a in reversed(attempts) if a.status is AttemptStatus.SUCCEEDED), None)
    last = last or (attempts[-1] if attempts else None)
    backend = service.farm.name(last.backend_id) if last is not None else ""
    return Outcome(job, attempts, backend, ticket.cached)
