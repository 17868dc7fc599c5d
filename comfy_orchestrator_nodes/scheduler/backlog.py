"""The jobs that wait for a backend, and the loop that pairs them.

The backlog stays with the master: a backend gets one job of ours at a time, and a second only where that hides its
transfer. Everything placement needs is gathered here; what it decides is fed to the jobs as ``Placed``.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field, replace
from typing import TypeAlias

from .. import placement
from ..backend.peer import Farm
from ..domain import Cause, Failure, FileRef, JobSpec, Json
from ..errors import NoBackendQualifies, NotFound, OrchestratorError
from ..machine.events import Placed, Unplaceable
from ..machine.jobs import JobState
from ..machine.policy import exclusions, let_down
from ..placement import BackendView, Explanation, JobView, Reason, Refusal, decide, explain
from ..waiting import nudged
from .attempt import files_of
from .core import Feed
from .eligibility import Eligibility
from .occupancy import MissingBytes, Occupancy
from .qualify import Needs, Qualifier, Signature
from .transfer import Transfer

log = logging.getLogger(__name__)

PLACEMENT_WAIT_S = 60.0
"""How long a job waits when every backend that could run it is away."""

KEPT_CANDIDATES = 10
KEPT_REFUSALS = 20
"""How much of an explanation is stored with each attempt."""

STUCK_LOOK_S = 1.0
"""How often jobs that no backend can take are looked at again."""

ORCHESTRATING_WAIT_S = 10.0
"""The same where each is held by a meta-graph of its own and the job may go anywhere, this server included: the node
that asked for it then runs it here, because those meta-graphs may wait for this server's queue."""

_PASSING = frozenset(
    {Reason.OFFLINE, Reason.UNKNOWN, Reason.SUSPENDED, Reason.BUSY_ORCHESTRATING, Reason.LAST_RESORT, Reason.DRAINING}
)
"""Reasons that may be gone in a moment; any other stands until somebody does something."""


@dataclass(frozen=True)
class _Waiting:
    state: JobState
    files: tuple[FileRef, ...]
    since: float


@dataclass
class _Kind:
    """Waiting jobs that every backend is able or unable to run alike: what speaks against each is found out once."""

    needs: Needs
    spec: JobSpec
    """Of one of the jobs: the others differ in nothing that matters here."""
    failed: Mapping[str, str]
    """Backends where they failed, with the reason in words."""
    unlucky: frozenset[str]
    """Backends that lost them."""
    jobs: dict[str, _Waiting] = field(default_factory=dict)
    refused: dict[str, Refusal] = field(default_factory=dict)
    models: frozenset[str] = frozenset()
    stuck_since: float | None = None
    """Since when no backend at all could take them."""


_KindKey: TypeAlias = tuple[Signature, tuple[str, tuple[str, ...], bool], frozenset[str], frozenset[str]]


class Backlog:
    """Waiting jobs and who runs what. Lives on the server loop."""

    def __init__(
        self,
        farm: Farm,
        qualifier: Qualifier,
        transfer: Transfer,
        occupancy: Occupancy,
        eligibility: Eligibility,
        *,
        clock: Callable[[], float],
        new_id: Callable[[], str],
        placement_wait_s: Callable[[], float] = lambda: PLACEMENT_WAIT_S,
    ) -> None:
        self._farm = farm
        self._qualifier = qualifier
        self._transfer = transfer
        self._occupancy = occupancy
        self._eligibility = eligibility
        self._clock = clock
        self._new_id = new_id
        self._placement_wait_s = placement_wait_s
        self._index = placement.Backlog()
        self._kinds: dict[_KindKey, _Kind] = {}
        self._kind_of: dict[str, _KindKey] = {}
        """Waiting job to its kind."""
        self._carrying: set[str] = set()
        """Waiting jobs that have files to send."""
        self._entering: dict[str, asyncio.Task[None]] = {}
        self._wake = asyncio.Event()
        self._feed: Feed | None = None
        self._loop: asyncio.Task[None] | None = None

    def start(self, feed: Feed) -> None:
        """Begin to place jobs; what is decided is fed to ``feed``."""
        self._feed = feed
        self._loop = asyncio.create_task(self._run(), name="placement")

    async def close(self) -> None:
        """Stop to place jobs."""
        tasks = [*self._entering.values(), *([self._loop] if self._loop else [])]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def wake(self) -> None:
        """Decide again soon: something that matters to placement changed."""
        self._wake.set()

    # --- what the scheduler reports

    def put(self, state: JobState) -> None:
        """Add a job, or replace what is known of it."""
        job_id = state.job.id
        self._occupancy.leave(state)
        self._entering[job_id] = task = asyncio.create_task(self._enter(state), name=f"enter {job_id}")
        task.add_done_callback(lambda done: self._entered(job_id, done))

    def reorder(self, state: JobState) -> None:
        """Let a job take another place; one that placement has just taken out keeps its backend."""
        key = self._kind_of.get(state.job.id)
        if key is not None:
            kind = self._kinds[key]
            waiting = kind.jobs[state.job.id] = replace(kind.jobs[state.job.id], state=state)
            self._index.put(self._job_view(kind, waiting))
            self.wake()
        elif state.job.id in self._entering:
            self._entering[state.job.id].cancel()
            self.put(state)

    def waiting(self) -> list[tuple[float, str]]:
        """Return (rank, id) of the jobs that wait, in the order they are served; see ``JobView.rank``."""
        return sorted((view.rank, view.id) for view in self._index.jobs.values())

    def occupy(self, state: JobState) -> None:
        """Note that a job has an attempt under way that was not placed here: one found after a restart."""
        self._occupancy.adopt(state)

    def release(self, job_id: str) -> None:
        """Note that a job's backend is done with it, though its outputs are still being fetched."""
        self._occupancy.release(job_id)
        self.wake()

    def leave(self, state: JobState) -> None:
        """Note that a job is final or waits for a person, and learn from how it went."""
        self._take_out(state.job.id)
        entering = self._entering.get(state.job.id)
        if entering is not None:
            entering.cancel()
        self._occupancy.leave(state)
        self.wake()

    async def explain(self, state: JobState) -> Explanation:
        """Return where a job could go and why not elsewhere, as things stand now.

        Raises:
            NotFound: its definition is gone.
        """
        needs = await self._qualifier.needs(state.job.spec)
        kind = self._new_kind(needs, state)
        waiting = _Waiting(state, tuple(files_of(state.job)), self._clock())
        return explain(self._job_view(kind, waiting), self._occupancy.views(), self._occupancy.estimates, self._clock())

    # --- the loop

    async def _enter(self, state: JobState) -> None:
        if self._feed is None:
            raise RuntimeError("the backlog was not started")
        try:
            needs = await self._qualifier.needs(state.job.spec)
        except NotFound as error:
            await self._feed(state.job.id, Unplaceable(Failure(Cause.INTERNAL, str(error))))
            return
        self._add(needs, state)
        self.wake()

    def _add(self, needs: Needs, state: JobState) -> None:
        spec, failed, unlucky = state.job.spec, exclusions(state.attempts), let_down(state.attempts)
        choices = (spec.selector, spec.excluded_backends, spec.from_queue)
        key = (needs.signature, choices, frozenset(failed), unlucky)
        kind = self._kinds.get(key)
        if kind is None:
            kind = self._kinds[key] = self._new_kind(needs, state)
        waiting = _Waiting(state, tuple(files_of(state.job)), self._clock())
        kind.jobs[state.job.id] = waiting
        self._kind_of[state.job.id] = key
        if waiting.files:
            self._carrying.add(state.job.id)
        self._index.put(self._job_view(kind, waiting))

    def _new_kind(self, needs: Needs, state: JobState) -> _Kind:
        failed, unlucky = exclusions(state.attempts), let_down(state.attempts)
        kind = _Kind(needs, state.job.spec, failed, unlucky, models=needs.models)
        kind.refused = self._refused(kind)
        return kind

    def _take_out(self, job_id: str) -> _Waiting | None:
        self._index.discard(job_id)
        self._carrying.discard(job_id)
        key = self._kind_of.pop(job_id, None)
        if key is None:
            return None
        kind = self._kinds[key]
        waiting = kind.jobs.pop(job_id)
        if not kind.jobs:
            del self._kinds[key]
        return waiting

    def _look_again(self) -> None:
        """Find out anew what speaks against each backend, and tell the index where that has changed."""
        for kind in self._kinds.values():
            refused = self._refused(kind)
            if refused == kind.refused and kind.models == kind.needs.models:
                continue
            kind.refused, kind.models = refused, kind.needs.models
            for waiting in kind.jobs.values():
                self._index.put(self._job_view(kind, waiting))

    def _entered(self, job_id: str, task: asyncio.Task[None]) -> None:
        if self._entering.get(job_id) is task:
            del self._entering[job_id]

    async def _run(self) -> None:
        pause_s: float | None = None
        while True:
            await nudged(self._wake, pause_s)
            self._wake.clear()
            try:
                pause_s = await self._decide_once()
            except OrchestratorError:
                # Storing a decision failed; its job was told. The others must still be placed.
                log.exception("A placement could not be carried out")
                pause_s = 1.0
            except Exception:
                log.exception("Placement failed unexpectedly; it goes on with what changes next")
                pause_s = 5.0

    async def _decide_once(self) -> float | None:
        """Place what can be placed; return when to look again by itself, in seconds."""
        if not self._kind_of:
            return None
        now = self._clock()
        self._look_again()
        backends = self._occupancy.views(transfers=bool(self._carrying))
        decision = decide(self._index, backends, self._occupancy.estimates, now)
        for assignment in decision.assignments:
            await self._place(assignment.job_id, assignment.backend_id, backends)
        pause_s = decision.again_in_s
        stuck = await self._refuse_hopeless(backends, now)
        return min(STUCK_LOOK_S, pause_s or STUCK_LOOK_S) if stuck else pause_s

    async def _place(self, job_id: str, backend_id: str, backends: list[BackendView]) -> None:
        view = self._index.jobs.get(job_id)
        if view is None or self._take_out(job_id) is None or self._feed is None:
            return
        self._occupancy.place(view, backend_id)
        why = kept(explain(view, backends, self._occupancy.estimates, self._clock()), backend_id)
        await self._feed(job_id, Placed(self._new_id(), self._new_id(), backend_id, {"explanation": why}))

    async def _refuse_hopeless(self, backends: list[BackendView], now: float) -> bool:
        """End jobs that no backend will run; return whether others are stuck that may still be helped by waiting."""
        stuck = False
        for kind in list(self._kinds.values()):
            if not kind.jobs:  # cancelled while others were told
                continue
            sample = self._index.jobs[next(iter(kind.jobs))]
            explanation = explain(sample, backends, self._occupancy.estimates, now)
            if explanation.candidates:
                kind.stuck_since = None
                continue
            since = kind.stuck_since = kind.stuck_since or now
            reasons = {refusal.reason for refusal in explanation.refusals.values()} & _PASSING
            patience_s = self._patience_s(kind.spec, reasons) if reasons else 0.0
            failure = Failure(Cause.NO_BACKEND, str(NoBackendQualifies(explanation.by_name())))
            why = kept(explanation)
            for job_id, waiting in list(kind.jobs.items()):
                if now - max(since, waiting.since) < patience_s:
                    stuck = True
                    continue
                self._take_out(job_id)
                if self._feed is not None:
                    await self._feed(job_id, Unplaceable(failure, {"explanation": why}))
        return stuck

    def _patience_s(self, spec: JobSpec, reasons: Collection[Reason]) -> float:
        """Return how long a job waits where nothing but these passing reasons is in its way."""
        may_run_here = spec.selector == "auto" and spec.from_queue
        if may_run_here and reasons == {Reason.BUSY_ORCHESTRATING}:
            return min(ORCHESTRATING_WAIT_S, self._placement_wait_s())
        return self._placement_wait_s()

    # --- views

    def _job_view(self, kind: _Kind, waiting: _Waiting) -> JobView:
        job = waiting.state.job
        return JobView(
            id=job.id,
            definition_key=job.spec.definition_hash,
            models=kind.models,
            priority=job.spec.priority,
            queued_at=job.created_at if job.queued_at is None else job.queued_at,
            refused=kind.refused,
            prefer=self._eligibility.preferred(job.spec, kind.unlucky),
            transfer_bytes=MissingBytes(self._transfer, self._farm, waiting.files) if waiting.files else {},
        )

    def _refused(self, kind: _Kind) -> dict[str, Refusal]:
        return self._eligibility.refused(kind.needs, kind.spec, kind.failed, kind.unlucky)


def kept(explanation: Explanation, chosen: str | None = None) -> Json:
    """Return an explanation as it is kept with the job: of a large farm only the best candidates and some refusals.

    Args:
        explanation: why the job went where it went, or nowhere.
        chosen: the backend that got it, which is never left out.
    """
    told: dict[str, Json] = explanation.to_json()
    candidates, refusals = told["candidates"], told["refusals"]
    best = candidates[:KEPT_CANDIDATES]
    best += [one for one in candidates[KEPT_CANDIDATES:] if one["backend_id"] == chosen]
    some = refusals[:KEPT_REFUSALS]
    omitted = len(candidates) - len(best) + len(refusals) - len(some)
    return {"candidates": best, "refusals": some, "omitted": omitted}
