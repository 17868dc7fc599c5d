"""The live jobs: every event goes through the table, is stored, and only then acted upon."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field, replace
from typing import Protocol

from ..domain import Attempt, Cause, Decision, Failure, Job, JobStatus, Run
from ..errors import NotFound, StoreError
from ..machine.events import (
    Ask,
    CancelRequested,
    Decided,
    Disown,
    Event,
    Execute,
    Faulted,
    FreeMemory,
    Instruction,
    Locate,
    Place,
    Reorder,
    Settle,
    Withdraw,
)
from ..machine.jobs import JobState, Step, advance, restore
from ..store.jobs import JobChange
from .updates import JobChanged, Publish

log = logging.getLogger(__name__)

DECISION_LIMIT_S = 60.0
"""How long a job asks a person before it fails: the master's queue waits meanwhile."""

Feed = Callable[[str, Event], Coroutine[None, None, None]]
"""``await feed(job_id, event)``: apply an event to a job."""


class JobStore(Protocol):
    """What the scheduler needs of the store."""

    async def create(self, job: Job, *, run: Run | None = None) -> None:
        """Store a new job with its first event row, and its run if that is not there yet."""

    async def apply(self, change: JobChange) -> None:
        """Store one guarded change of a job, its attempts and its story in one transaction."""


class Executor(Protocol):
    """Carries attempts out on their backends and feeds what happens back."""

    async def execute(self, state: JobState, attempt: Attempt, feed: Feed) -> None:
        """Lower, upload, submit, follow and collect."""

    async def locate(self, state: JobState, attempt: Attempt, feed: Feed) -> None:
        """Find out what became of an attempt in doubt, and follow it from there."""

    async def withdraw(self, state: JobState, attempt: Attempt, feed: Feed) -> None:
        """Remove the attempt's prompt from its backend and confirm."""

    async def disown(self, attempt: Attempt) -> None:
        """Keep looking for a prompt that was given up, and remove it if it appears."""

    async def free_memory(self, backend_id: str) -> None:
        """Ask a backend to unload its models."""


class Queue(Protocol):
    """Where placement takes jobs from."""

    def put(self, state: JobState) -> None:
        """Add a job, or replace what is known of it."""

    def reorder(self, state: JobState) -> None:
        """Let a job take another place, if it still waits."""

    def occupy(self, state: JobState) -> None:
        """Note that a job's attempt is under way on its backend."""

    def leave(self, state: JobState) -> None:
        """Note that a job is final or waits for a person."""


@dataclass
class _Live:
    """A job under way. ``lock`` makes its events happen one after the other, in the order they were fed."""

    state: JobState
    done: asyncio.Future[Job]
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    work: asyncio.Task[None] | None = None
    """The task that follows the current attempt."""
    deadline: asyncio.TimerHandle | None = None


class Scheduler:
    """Owns every job that is not final. All of it lives on the server loop."""

    def __init__(
        self,
        store: JobStore,
        executor: Executor,
        queue: Queue,
        *,
        clock: Callable[[], float],
        publish: Publish,
        decision_limit_s: Callable[[], float] = lambda: DECISION_LIMIT_S,
    ) -> None:
        self._store = store
        self._executor = executor
        self._queue = queue
        self._clock = clock
        self._publish = publish
        self._decision_limit_s = decision_limit_s
        self._live: dict[str, _Live] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._closed = False

    async def admit(self, job: Job, *, run: Run) -> asyncio.Future[Job]:
        """Store a new job and put it into the backlog.

        Returns:
            A future of the job as it is when final. It never fails: what went wrong is in ``job.failure``.
        """
        await self._store.create(job, run=run)
        live = self._enter(JobState(job))
        self._publish(JobChanged(job, "created"))
        self._queue.put(live.state)
        return live.done

    async def admit_finished(self, job: Job, event: Event, *, run: Run) -> asyncio.Future[Job]:
        """Store a new job and end it by ``event`` (a cached result) without placing it; its future is done."""
        await self._store.create(job, run=run)
        live = self._enter(JobState(job))
        self._publish(JobChanged(job, "created"))
        await self.feed(job.id, event)
        return live.done

    def resume(self, job: Job, attempts: tuple[Attempt, ...]) -> asyncio.Future[Job]:
        """Take over a job that was unfinished when the master stopped."""
        state, instructions = restore(job, attempts)
        live = self._enter(state)
        for instruction in instructions:
            self._carry_out(live, instruction)
        return live.done

    def future(self, job_id: str) -> asyncio.Future[Job] | None:
        """Return the future of a live job, or None when it is not under way."""
        live = self._live.get(job_id)
        return live.done if live is not None else None

    def state(self, job_id: str) -> JobState | None:
        """Return the state of a live job, or None."""
        live = self._live.get(job_id)
        return live.state if live is not None else None

    def states(self) -> list[JobState]:
        """Return the states of all live jobs, oldest first."""
        return [live.state for live in self._live.values()]

    def questions(self) -> list[tuple[JobState, float]]:
        """Return the jobs that wait for a person, oldest first, each with the seconds until it is decided for them."""
        now = asyncio.get_running_loop().time()
        return [
            (live.state, max(0.0, live.deadline.when() - now))
            for live in self._live.values()
            if live.deadline is not None and live.state.job.status is JobStatus.WAITING
        ]

    async def cancel(self, job_id: str, by: str) -> None:
        """Ask for a job to be gone; a no-op for one that is final. Does not wait for the backend."""
        if job_id in self._live:
            await self.feed(job_id, CancelRequested(by))

    async def decide(self, job_id: str, decision: Decision, by: str, excluded: tuple[str, ...] = ()) -> None:
        """Answer the question of a waiting job; see ``Decided`` for what is excluded.

        Raises:
            NotFound: the job is not live.
            IllegalTransition: it does not wait for an answer.
        """
        if job_id not in self._live:
            raise NotFound("waiting job", job_id)
        await self.feed(job_id, Decided(decision, by, excluded))

    async def feed(self, job_id: str, event: Event) -> None:
        """Apply one event: through the table, into the store, then its instructions.

        Raises:
            IllegalTransition: the table has no row for it.
            StoreError: it could not be stored; nothing changed then.
        """
        live = self._live.get(job_id)
        if live is None:  # final already: a late answer about a job that is over
            return
        async with live.lock:
            if self._live.get(job_id) is not live:  # it ended while this waited for its turn
                return
            step = advance(live.state, event, self._clock())
            if step.ignored:
                return
            await self._store.apply(_change(live.state.job, step, self._clock()))
            live.state = step.state
            attempt = step.state.attempt(step.attempt_id) if step.attempt_id else None
            self._publish(JobChanged(step.state.job, step.kind, attempt, step.details))
            for instruction in step.instructions:
                self._carry_out(live, instruction)

    async def feed_or_abandon(self, job_id: str, event: Event) -> None:
        """Apply one event for somebody who cannot tell the user that it could not be stored.

        Raises:
            IllegalTransition: the table has no row for it.
        """
        try:
            await self.feed(job_id, event)
        except StoreError as error:
            live = self._live.get(job_id)
            if live is not None:
                self._abandon(live, error)

    def disown(self, attempt: Attempt) -> None:
        """Look for a prompt that was given up before the master was stopped, and remove it if it appears."""
        self._spawn(self._executor.disown(attempt), f"disown {attempt.prompt_id}")

    async def close(self) -> None:
        """Stop following. Jobs stay as they are stored; the next start takes them over."""
        self._closed = True
        for live in self._live.values():
            if live.deadline is not None:
                live.deadline.cancel()
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for live in self._live.values():
            live.done.cancel()
        self._live.clear()

    def _enter(self, state: JobState) -> _Live:
        live = _Live(state, asyncio.get_running_loop().create_future())
        self._live[state.job.id] = live
        return live

    def _carry_out(self, live: _Live, instruction: Instruction) -> None:
        state = live.state
        match instruction:
            case Place():
                self._queue.put(state)
            case Reorder():
                self._queue.reorder(state)
            case Execute(attempt):
                self._queue.occupy(state)
                self._follow(live, self._executor.execute(state, attempt, self.feed))
            case Locate(attempt):
                self._queue.occupy(state)
                self._follow(live, self._executor.locate(state, attempt, self.feed))
            case Withdraw(attempt):
                self._follow(live, self._executor.withdraw(state, attempt, self.feed))
            case Disown(attempt):
                self._spawn(self._executor.disown(attempt), f"disown {attempt.prompt_id}")
            case FreeMemory(backend_id):
                self._spawn(self._executor.free_memory(backend_id), f"free {backend_id}")
            case Ask():
                self._queue.leave(state)
                self._ask(live)
            case Settle():
                self._settle(live)

    def _follow(self, live: _Live, work: Coroutine[None, None, None]) -> None:
        """Let ``work`` follow the current attempt in the place of whatever followed it before."""
        before = live.work
        live.work = self._spawn(self._watched(live, work), f"follow {live.state.job.id}")
        # The task that feeds the event is often the one being replaced: it ends by itself after feeding.
        if before is not None and before is not asyncio.current_task():
            before.cancel()

    async def _watched(self, live: _Live, work: Coroutine[None, None, None]) -> None:
        """Run ``work``; whatever goes wrong in it ends the job, because a job that nobody follows would hang."""
        attempt = live.state.current
        try:
            await work
        except StoreError as error:
            self._abandon(live, error)
        except Exception as error:
            log.exception("Following job %s failed unexpectedly", live.state.job.id)
            message = f"The orchestrator itself failed: {error}. The log of the master holds the details."
            if attempt is not None:
                await self.feed_or_abandon(live.state.job.id, Faulted(attempt.id, Failure(Cause.INTERNAL, message)))

    def _abandon(self, live: _Live, error: StoreError) -> None:
        """Tell whoever waits that the job cannot be stored; its rows stay as they are, for the next start."""
        log.error("Job %s cannot be stored: %s", live.state.job.id, error)
        failure = Failure(Cause.INTERNAL, f"The job's progress cannot be stored: {error}")
        live.state = replace(live.state, job=replace(live.state.job, status=JobStatus.FAILED, failure=failure))
        self._settle(live)

    def _ask(self, live: _Live) -> None:
        job_id = live.state.job.id

        limit_s = self._decision_limit_s()

        def time_is_up() -> None:
            self._spawn(self._decide_for_them(job_id, limit_s), f"decide {job_id}")

        live.deadline = asyncio.get_running_loop().call_later(limit_s, time_is_up)

    async def _decide_for_them(self, job_id: str, limit_s: float) -> None:
        state = self.state(job_id)
        if state is not None and state.job.status is JobStatus.WAITING:
            await self.feed(job_id, Decided(Decision.FAIL, f"the time limit of {limit_s:g} s"))

    def _settle(self, live: _Live) -> None:
        if live.deadline is not None:
            live.deadline.cancel()
        self._live.pop(live.state.job.id, None)
        self._queue.leave(live.state)
        if live.work is not None and live.work is not asyncio.current_task():
            live.work.cancel()
        if not live.done.done():
            live.done.set_result(live.state.job)

    def _spawn(self, work: Coroutine[None, None, None], name: str) -> asyncio.Task[None]:
        task = asyncio.create_task(self._guard(work, name), name=name)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def _guard(self, work: Coroutine[None, None, None], name: str) -> None:
        try:
            await work
        except Exception:
            # A task boundary: nobody awaits this task, so a fault of our own must be told here.
            log.exception("Task %r failed unexpectedly", name)


def _change(before: Job, step: Step, now: float) -> JobChange:
    job = step.state.job
    return JobChange(
        job_id=job.id,
        expected=step.before,
        status=job.status,
        now=now,
        attempts=step.changed,
        events=((step.kind, step.attempt_id, dict(step.details)),),
        outputs=job.outputs if job.status is JobStatus.SUCCEEDED else None,
        failure=job.failure,
        spec=job.spec if job.spec is not before.spec else None,
        queued_at=job.queued_at if job.queued_at != before.queued_at else None,
    )
