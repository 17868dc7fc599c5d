"""The jobs of one node execution, on the server loop: submitted together, awaited together, given back together."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ..domain import Attempt, AttemptStatus, Job, JobStatus, Json
from ..orchestrator.jobs import Request, Ticket
from ..scheduler.updates import JobUpdate
from ..service import Service

Decode = Callable[[Job], Mapping[str, Any]]
"""Returns the native values of a job that succeeded, by output. Called in a thread."""

DECODED_AT_ONCE = 2
"""More would gain little and make the threads of this server's own work wait for Python's lock."""


@dataclass(frozen=True)
class Outcome:
    """How one item ended."""

    job: Job
    natives: Mapping[str, Any]
    """The values by output, as ComfyUI's nodes take them; empty unless the job succeeded."""
    attempts: tuple[Attempt, ...]
    backend: str
    """The name of the backend that made the result, or of the last one that failed to; empty if there was none."""
    cached: bool

    @property
    def elapsed_s(self) -> float:
        """Seconds from the submit to the end."""
        return max(0.0, (self.job.ended_at or self.job.created_at) - self.job.created_at)

    @property
    def failed(self) -> bool:
        """Whether it has no result."""
        return self.job.failure is not None

    @property
    def cause(self) -> str:
        """What is said of why it failed."""
        return self.job.failure.message if self.job.failure is not None else ""

    def info(self) -> dict[str, Json]:
        """Return what the node's output ``info`` tells of the item."""
        loss = "; ".join(f"{name}: {value.loss}" for name, value in self.job.outputs.items() if value.loss)
        return {
            "backend": self.backend,
            "elapsed_s": round(self.elapsed_s, 3),
            "attempts": len(self.attempts),
            "cached": self.cached,
            "failed": self.failed,
            "cause": self.cause,
            "lossless": not loss,
            "loss": loss,
        }


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


async def run_batch(
    service: Service,
    requests: Sequence[Request],
    updates: Updates,
    decode: Decode,
    submitted: Callable[[], None] = lambda: None,
) -> list[Outcome]:
    """Run every request and return the outcomes in order, failures included.

    ``submitted`` is called once every job keeps its inputs itself.

    Results are decoded as they come, while other jobs still run. The first job that fails under ``on_failure: fail`` or
    ``ask`` (and is not dropped) ends the wait for the others: their tickets are given back. So are all when this is
    cancelled.

    Raises:
        NotFound, BindingFailed, StoreError: a request could not be submitted.
        ValueLost, UnsupportedValue: a result could not be decoded, or was lost and could not be made again.
    """
    orchestrator = service.orchestrator
    tickets: list[Ticket] = []
    mine: set[str] = set()
    taking = _Taking(service, decode, frozenset(name for request in requests for name in request.may_stay))

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
            taking.watch(ticket)
        submitted()
        await _until_settled(tickets)
        return [await taking.outcome(ticket) for ticket in tickets if ticket.done.done()]
    except asyncio.CancelledError:
        by = "an interrupt of the prompt"
        raise
    finally:
        unsubscribe()
        taking.stop()
        for ticket in tickets:
            if not ticket.done.done():
                await orchestrator.give_back(ticket, by)


def fails_node(job: Job) -> bool:
    """Whether a final job without a result makes its node fail, instead of dropping the item."""
    if job.status is JobStatus.SUCCEEDED:
        return False
    dropped = job.failure is not None and job.failure.dropped
    return not dropped and job.spec.on_failure != "drop"


async def _until_settled(tickets: Sequence[Ticket]) -> None:
    """Wait until every job has ended, or one that fails the node has."""
    open_ = {ticket.done for ticket in tickets}
    while open_:
        done, open_ = await asyncio.wait(open_, return_when=asyncio.FIRST_COMPLETED)
        if any(future.cancelled() or fails_node(future.result()) for future in done):
            return


class _Taking:
    """Turns ended jobs into outcomes, a few at a time."""

    def __init__(self, service: Service, decode: Decode, may_stay: frozenset[str]) -> None:
        self._service = service
        self._may_stay = may_stay
        self._decode = decode
        self._gate = asyncio.Semaphore(DECODED_AT_ONCE)
        self._tasks: dict[str, asyncio.Task[Outcome]] = {}
        self._stopped = False

    def watch(self, ticket: Ticket) -> None:
        """Take a job's outcome as soon as it ends well."""
        ticket.done.add_done_callback(lambda done: self._ended(ticket, done))

    async def outcome(self, ticket: Ticket) -> Outcome:
        """Return the outcome of a job that has ended."""
        return await self._begin(ticket)

    def stop(self) -> None:
        """Take nothing any more."""
        self._stopped = True
        for task in self._tasks.values():
            if not task.cancel() and not task.cancelled():
                # Of several that failed only one is told; asyncio would complain of the others.
                task.exception()

    def _ended(self, ticket: Ticket, done: asyncio.Future[Job]) -> None:
        if not self._stopped and not done.cancelled() and not fails_node(done.result()):
            self._begin(ticket)

    def _begin(self, ticket: Ticket) -> asyncio.Task[Outcome]:
        task = self._tasks.get(ticket.id)
        if task is None:
            task = self._tasks[ticket.id] = asyncio.create_task(self._take(ticket), name=f"take {ticket.job_id}")
        return task

    async def _take(self, ticket: Ticket) -> Outcome:
        job = ticket.done.result()
        natives: Mapping[str, Any] = {}
        async with self._gate:
            attempts = await self._service.attempts.for_job(job.id)
            if job.status is JobStatus.SUCCEEDED:
                needed = job.outputs.keys() - self._may_stay
                job = await self._service.orchestrator.obtain(job, needed, owner=ticket.owner)
                natives = await asyncio.to_thread(self._decode, job)
                self._release(ticket, job)
        last = next((a for a in reversed(attempts) if a.status is AttemptStatus.SUCCEEDED), None)
        last = last or (attempts[-1] if attempts else None)
        backend = self._service.farm.name(last.backend_id) if last is not None else ""
        return Outcome(job, natives, attempts, backend, ticket.cached)

    def _release(self, ticket: Ticket, job: Job) -> None:
        """Let the store have a result's room: now, for those of thousands of jobs would fill it before the last ends.

        Handles of files go on to other nodes, which lease them when they take them.
        """
        if self._may_stay.isdisjoint(job.outputs):
            self._service.artifacts.release(ticket.owner)
