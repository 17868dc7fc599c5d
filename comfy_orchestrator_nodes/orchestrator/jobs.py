"""Submitting, joining, cancelling and watching jobs."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Collection, Coroutine, Mapping
from dataclasses import replace
from typing import Any, TypeVar
from weakref import WeakValueDictionary

from ..domain import Decision, Job, JobStatus, Run, RunStatus, Value
from ..errors import Conflict, NotFound, StaleWrite, StoreError, ValueLost
from ..machine.events import Reused
from ..machine.jobs import JobState
from ..placement import Explanation
from ..scheduler.attempt import files_of
from ..scheduler.backlog import Backlog
from ..scheduler.core import Scheduler
from ..scheduler.eligibility import Eligibility
from ..scheduler.removal import DISOWN_S, may_still_run
from ..scheduler.updates import JobUpdate
from ..scheduler.whereabouts import Whereabouts
from ..store.artifacts import ArtifactStore
from ..store.attempts import AttemptRepository
from ..store.jobs import JobRepository
from ..store.results import ResultCache
from ..store.results import files_of as results_files
from ..store.runs import RunRepository
from .claims import Claims, lease_owner
from .claims import Ticket as Ticket
from .making import JobMaker
from .requests import Request as Request
from .requests import raise_failure as raise_failure
from .values import Values

log = logging.getLogger(__name__)

T = TypeVar("T")

LEASE_S = 24 * 3600.0
"""How long the files of a job under way are kept at least; renewed on every start."""
RESULT_LEASE_S = 600.0
"""How long a result is kept at most for whoever waited for the job to take it; then it is evicted like any other."""

MANY = 10_000


class Orchestrator:
    """The jobs' verbs. Lives on the server loop."""

    def __init__(
        self,
        *,
        scheduler: Scheduler,
        backlog: Backlog,
        eligibility: Eligibility,
        jobs: JobRepository,
        attempts: AttemptRepository,
        runs: RunRepository,
        results: ResultCache,
        artifacts: ArtifactStore,
        maker: JobMaker,
        whereabouts: Whereabouts,
        clock: Callable[[], float],
        new_id: Callable[[], str],
    ) -> None:
        self._scheduler = scheduler
        self._backlog = backlog
        self._eligibility = eligibility
        self._jobs = jobs
        self._attempts = attempts
        self._runs = runs
        self._results = results
        self._artifacts = artifacts
        self._maker = maker
        self._clock = clock
        self._new_id = new_id
        self._claims = Claims(new_id)
        self._entrances: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        """By key: of several who submit the same work at once, one starts it and the others join."""
        self._open_runs: set[str] = set()
        self._subscribers: list[Callable[[JobUpdate], None]] = []
        self._tasks: set[asyncio.Task[Any]] = set()
        self._values = Values(whereabouts, artifacts, jobs, self._run_again)

    async def start(self) -> None:
        """Take over what was unfinished when the master stopped.

        Jobs outlive their run: the prompt that a run in the queue was is gone with the master's queue, but what it
        started goes on, and queueing the same prompt again joins it.
        """
        unfinished = await self._jobs.unfinished()
        for job in unfinished:
            try:
                self._values.lease(job.id, files_of(job), seconds=LEASE_S)
            except ValueLost as error:
                # The job's next attempt says so where the user sees it.
                log.warning("Job %s lost an input while the master was down: %s", job.id, error)
            self._track(job, self._scheduler.resume(job, await self._attempts.for_job(job.id)))
        for attempt in await self._attempts.ended_since(self._clock() - DISOWN_S):
            if may_still_run(attempt):
                self._scheduler.disown(attempt)
        alone = {job.run_id for job in unfinished if job.run_id == job.id}
        for run in await self._runs.list(statuses=(RunStatus.RUNNING,), limit=MANY):
            if run.id not in alone:
                await self.end_run(run.id, RunStatus.CANCELLED)

    async def close(self) -> None:
        """Stop what runs beside the jobs."""
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    @property
    def open_runs(self) -> frozenset[str]:
        """The runs of several jobs that somebody has still to end with ``end_run``."""
        return frozenset(self._open_runs)

    @property
    def live(self) -> int:
        """How many jobs are not final."""
        return len(self._scheduler.states())

    def live_states(self) -> list[JobState]:
        """Return the jobs that are not final with their attempts and stories, oldest first."""
        return self._scheduler.states()

    @property
    def idle(self) -> bool:
        """Whether nothing is left to be stored of jobs that have ended."""
        return not self._tasks

    async def submit(self, request: Request) -> Ticket:
        """Run a sub-workflow once, or share the job or result that is the same work already.

        Raises:
            NotFound: there is no such definition, version or output.
            BindingFailed: a value does not fit its parameter.
            StoreError: it could not be stored.
        """
        entering = self._spawn(self._enter(request), f"submit {request.definition_id}")
        try:
            return await asyncio.shield(entering)
        except asyncio.CancelledError:
            # Whoever asked is gone, but what the store was asked for is done all the same.
            entering.add_done_callback(self._unwanted)
            raise

    def _unwanted(self, entering: asyncio.Task[Ticket]) -> None:
        if not entering.cancelled() and entering.exception() is None:
            give_back = self.give_back(entering.result(), "the end of what asked for it")
            self._spawn(give_back, f"give back {entering.result().job_id}")

    async def _enter(self, request: Request) -> Ticket:
        job = await self._maker.job(request, self._values.sure)
        if request.run is not None:
            self._open_runs.add(request.run.id)
        if not job.spec.use_cache:
            return await self._begin(job, request.run)
        async with self._entrances.setdefault(job.key, asyncio.Lock()):
            joined = self._claims.join(job.key, job.run_id)
            if joined is not None:
                if joined.cached:
                    self._lease_result(joined.owner, joined.done.result())
                return joined
            ticket_id = self._new_id()
            outputs = await self._results.get(job.key, owner=lease_owner(ticket_id))
            if outputs is not None:
                return await self._reuse(job, outputs, request.run, ticket_id)
            self._artifacts.release(lease_owner(ticket_id))
            return await self._begin(job, request.run)

    async def give_back(self, ticket: Ticket, by: str) -> None:
        """Give up a claim; the job is cancelled when nobody else waits for it. Does not wait for the backend."""
        if self._claims.give_back(ticket):
            await self._scheduler.cancel(ticket.job_id, by)

    async def cancel(self, job_id: str, by: str) -> None:
        """Cancel a job whoever waits for it; a no-op for one that is final.

        Raises:
            NotFound: there is no such job.
        """
        if self._scheduler.state(job_id) is None:
            await self._jobs.get(job_id)
            return
        self._claims.close(job_id)
        await self._scheduler.cancel(job_id, by)

    async def cancel_run(self, run_id: str, by: str) -> int:
        """Cancel every live job of a run; return how many there were. One that others wait for, too, goes on for them.

        Raises:
            NotFound: there is no such run.
        """
        await self._runs.get(run_id)
        count, orphans = self._claims.end_run(run_id, by)
        for job_id in orphans:
            await self._scheduler.cancel(job_id, by)
        return count

    async def cancel_where(self, wanted: Callable[[JobState], bool], by: str) -> list[str]:
        """Cancel every job under way that is wanted, whoever waits for it; return their ids."""
        job_ids = [state.job.id for state in self._scheduler.states() if wanted(state)]
        for job_id in job_ids:
            await self.cancel(job_id, by)
        return job_ids

    async def retry(self, job_id: str, *, elsewhere: bool = False) -> Ticket:
        """Run a final job's work again, in a run of its own and without the result cache.

        Args:
            job_id: which one.
            elsewhere: on none of the backends that had it.

        Raises:
            NotFound: there is no such job.
            Conflict: it is not final yet.
        """
        job = await self._jobs.get(job_id)
        if not job.status.final:
            raise Conflict(f"Job {job_id} is {job.status.value}: only a job that has ended can be run again.")
        excluded = job.spec.excluded_backends
        if elsewhere:
            had_it = (attempt.backend_id for attempt in await self._attempts.for_job(job_id))
            excluded = tuple(dict.fromkeys((*excluded, *had_it)))
        again = replace(
            job,
            id=self._new_id(),
            # Whoever waited in the queue for the first one waits no more.
            spec=replace(job.spec, use_cache=False, excluded_backends=excluded, from_queue=False),
            status=JobStatus.QUEUED,
            created_at=self._clock(),
            queued_at=None,
            outputs={},
            failure=None,
            ended_at=None,
        )
        return await self._begin(replace(again, run_id=again.id), None)

    async def decide(self, job_id: str, decision: Decision, by: str) -> None:
        """Answer the question of a waiting job.

        Raises:
            NotFound: no such job is under way.
            IllegalTransition: it does not wait for an answer.
        """
        state = self._scheduler.state(job_id)
        excluded: tuple[str, ...] = ()
        if state is not None and decision is Decision.RETRY_ELSEWHERE:
            excluded = self._eligibility.avoided(state.job.spec, [a.backend_id for a in state.attempts])
        await self._scheduler.decide(job_id, decision, by, excluded)

    def questions(self) -> list[tuple[JobState, float]]:
        """Return the jobs that wait for a person, oldest first, each with the seconds until they fail."""
        return self._scheduler.questions()

    async def explain(self, job_id: str) -> Explanation | None:
        """Say where a job could go now, and why not elsewhere; None for one that is not under way."""
        state = self._scheduler.state(job_id)
        return await self._backlog.explain(state) if state is not None else None

    async def could_run(self, request: Request) -> bool:
        """Whether some backend could run the request now, or may turn out to once it is reached.

        Its values do not matter here, apart from choices such as model names.

        Raises:
            NotFound: there is no such definition, version or output.
        """
        return await self._eligibility.could_run(await self._maker.outline(request))

    async def obtain(self, job: Job, names: Collection[str], *, owner: str) -> Job:
        """Return a job that succeeded with these of its outputs in the artifact store, made once more if one is lost.

        They stay there until ``owner``, such as that of a ticket, releases them, for a while at most.

        Raises:
            ValueLost: one is lost and cannot be made again.
            JobError: making it again failed.
            StoreError: there is no room for it.
        """
        return replace(job, outputs=await self._values.obtain(job.outputs, names, owner=owner, seconds=RESULT_LEASE_S))

    async def at_hand(self, value: Value, *, owner: str) -> Value:
        """Return a value that is in the artifact store, as ``obtain`` does with those of a job."""
        return (await self._values.obtain({"": value}, [""], owner=owner, seconds=RESULT_LEASE_S))[""]

    async def fetch(self, sha256: str) -> bool:
        """Bring a result here that stayed on a backend, for a while at least; return whether one of that hash did.

        Raises:
            ValueLost: it was lost in this moment.
            StoreError: there is no room for it.
        """
        return await self._values.fetch(sha256, f"value {sha256}", seconds=RESULT_LEASE_S)

    async def remade(self, value: Value) -> Value:
        """Return a lost value from the job that made it, which is run once more. See ``obtain`` for what is raised."""
        return await self._values.remade(value)

    async def _run_again(self, request: Request) -> Job:
        ticket = await self.submit(request)
        try:
            return await ticket.done
        except asyncio.CancelledError:
            await self.give_back(ticket, "the end of what needed its result")
            raise

    async def end_run(self, run_id: str, status: RunStatus) -> None:
        """Note how a run ended; a no-op if that is known already, or no job of it was ever stored."""
        self._open_runs.discard(run_id)
        try:
            await self._runs.finish(run_id, status, now=self._clock())
        except (StaleWrite, NotFound) as error:
            log.debug("Run %s needs no end: %s", run_id, error)

    def subscribe(self, subscriber: Callable[[JobUpdate], None]) -> Callable[[], None]:
        """Call ``subscriber`` on the server loop with every update, until the returned function is called."""
        self._subscribers.append(subscriber)
        return lambda: self._subscribers.remove(subscriber)

    def publish(self, update: JobUpdate) -> None:
        """Pass an update on to all who subscribed; a fault of one does not keep it from the others."""
        for subscriber in list(self._subscribers):
            try:
                subscriber(update)
            except Exception:  # noqa: PERF203 - one by one is the point
                log.exception("A subscriber failed on %s", type(update).__name__)

    # --- beginning a job

    async def _begin(self, job: Job, run: Run | None) -> Ticket:
        self._values.lease(job.id, files_of(job), seconds=LEASE_S)
        try:
            done = await self._scheduler.admit(job, run=await self._run_of(job, run))
        except BaseException:
            self._artifacts.release(job.id)
            raise
        self._track(job, done)
        return self._claims.claim(job.id, job.run_id)

    async def _reuse(self, job: Job, outputs: Mapping[str, Value], run: Run | None, ticket_id: str) -> Ticket:
        done = await self._scheduler.admit_finished(job, Reused(outputs), run=await self._run_of(job, run))
        return Ticket(ticket_id, job.id, done, cached=True)

    async def _run_of(self, job: Job, run: Run | None) -> Run:
        if run is not None:
            return run
        title = await self._maker.name(job.spec.definition_id)
        return Run(job.run_id, RunStatus.RUNNING, job.created_at, title, owner=job.owner)

    # --- following a job

    def _track(self, job: Job, done: asyncio.Future[Job]) -> None:
        self._claims.add(job, done)
        done.add_done_callback(lambda future: self._ended(job, future))

    def _ended(self, job: Job, done: asyncio.Future[Job]) -> None:
        if done.cancelled() or done.result().status is not JobStatus.SUCCEEDED:
            self._claims.remove(job.id)
        if done.cancelled():
            return
        self._spawn(self._keep(done.result()), f"keep result of {job.id}")

    def _spawn(self, work: Coroutine[Any, Any, T], name: str) -> asyncio.Task[T]:
        task = asyncio.create_task(work, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def _keep(self, job: Job) -> None:
        """Let go of a final job's inputs, keep its result for others, and end a run that was only this job."""
        try:
            if job.status is JobStatus.SUCCEEDED:
                # Nobody has a ticket where the master was started again meanwhile: whoever waited may come back.
                for owner in self._claims.owners(job.id) or [f"result of {job.id}"]:
                    self._lease_result(owner, job)
                if job.spec.use_cache:
                    await self._results.put(job.key, job.id, job.outputs)
            if job.run_id == job.id:
                await self.end_run(job.run_id, _RUN_ENDS[job.status])
        except (StoreError, ValueLost) as error:
            log.warning("The result of job %s could not be kept for reuse: %s", job.id, error)
        finally:
            # Both last: the result could be evicted before others lease it, and who asks for the same work in between
            # would neither join it nor find it in the cache.
            self._artifacts.release(job.id)
            self._claims.remove(job.id)

    def _lease_result(self, owner: str, job: Job) -> None:
        self._values.lease(owner, results_files(job.outputs), seconds=RESULT_LEASE_S)


_RUN_ENDS = {
    JobStatus.SUCCEEDED: RunStatus.SUCCEEDED,
    JobStatus.FAILED: RunStatus.FAILED,
    JobStatus.CANCELLED: RunStatus.CANCELLED,
}
