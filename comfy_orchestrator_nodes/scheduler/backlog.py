"""The jobs that wait for a backend, and the loop that pairs them.

The backlog stays with the master: a backend gets one job of ours at a time, and a second only where that hides its
transfer. Everything placement needs is gathered here; what it decides is fed to the jobs as ``Placed``.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass

from ..backend.peer import Farm, Peer
from ..domain import LOCAL_BACKEND_ID, BackendStatus, Cause, Failure, FileRef, JobSpec, JobStatus
from ..errors import NoBackendQualifies, NotFound, OrchestratorError
from ..machine.backends import BackendHealth
from ..machine.events import Placed, Unplaceable
from ..machine.jobs import JobState, exclusions
from ..placement import BackendView, Estimates, Explanation, JobView, Outcome, Reason, Refusal, decide, explain
from .attempt import files_of
from .core import Feed
from .qualify import Needs, Qualifier
from .transfer import Transfer

log = logging.getLogger(__name__)

PLACEMENT_WAIT_S = 60.0
"""How long a job waits when every backend that could run it is away."""

_PASSING = frozenset({Reason.OFFLINE, Reason.UNKNOWN, Reason.SUSPENDED, Reason.BUSY_ORCHESTRATING, Reason.LAST_RESORT})
"""Reasons that may be gone in a moment; any other stands until somebody does something."""


@dataclass
class _Waiting:
    state: JobState
    needs: Needs
    files: tuple[FileRef, ...]
    stuck_since: float | None = None
    """Since when no backend at all could take it."""


@dataclass
class _Placement:
    """A job of ours on a backend."""

    backend_id: str
    definition_key: str
    placed_at: float
    cold: bool
    released: bool = False


class _MissingBytes(Mapping[str, int]):
    """Backend id to the bytes it lacks of some files, computed only where placement asks."""

    def __init__(self, transfer: Transfer, farm: Farm, files: Collection[FileRef]) -> None:
        self._transfer, self._farm, self._files = transfer, farm, files

    def __getitem__(self, backend_id: str) -> int:
        peer = self._farm.get(backend_id)
        if peer is None:
            raise KeyError(backend_id)
        return self._transfer.missing_bytes(peer, self._files)

    def __iter__(self) -> Iterator[str]:
        return iter(peer.backend.id for peer in self._farm)

    def __len__(self) -> int:
        return sum(1 for _ in self._farm)


class Backlog:
    """Waiting jobs and who runs what. Lives on the server loop."""

    def __init__(
        self,
        farm: Farm,
        qualifier: Qualifier,
        transfer: Transfer,
        estimates: Estimates,
        *,
        health: Callable[[str], BackendHealth],
        clock: Callable[[], float],
        new_id: Callable[[], str],
        placement_wait_s: float = PLACEMENT_WAIT_S,
    ) -> None:
        self._farm = farm
        self._qualifier = qualifier
        self._transfer = transfer
        self.estimates = estimates
        self._health = health
        self._clock = clock
        self._new_id = new_id
        self._placement_wait_s = placement_wait_s
        self._waiting: dict[str, _Waiting] = {}
        self._entering: dict[str, asyncio.Task[None]] = {}
        self._placed: dict[str, _Placement] = {}
        self._warm: dict[str, frozenset[str]] = {}
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
        self._placed.pop(job_id, None)
        self._entering[job_id] = task = asyncio.create_task(self._enter(state), name=f"enter {job_id}")
        task.add_done_callback(lambda _: self._entering.pop(job_id, None))

    def occupy(self, state: JobState) -> None:
        """Note that a job has an attempt under way that was not placed here: one found after a restart."""
        attempt = state.current
        if attempt is not None and state.job.id not in self._placed:
            self._placed[state.job.id] = _Placement(
                attempt.backend_id, state.job.spec.definition_hash, self._clock(), cold=True
            )

    def release(self, job_id: str) -> None:
        """Note that a job's backend is done with it, though its outputs are still being fetched."""
        placement = self._placed.get(job_id)
        if placement is not None:
            placement.released = True
            self.wake()

    def leave(self, state: JobState) -> None:
        """Note that a job is final or waits for a person, and learn from how it went."""
        self._waiting.pop(state.job.id, None)
        entering = self._entering.get(state.job.id)
        if entering is not None:
            entering.cancel()
        placement = self._placed.pop(state.job.id, None)
        if placement is not None and state.job.status is JobStatus.SUCCEEDED:
            self._learn(state, placement)
        self.wake()

    def out_of_memory(self, definition_key: str, backend_id: str) -> None:
        """Learn that a definition did not fit into a backend's memory."""
        self.estimates.out_of_memory(definition_key, backend_id, self._vram(backend_id), self._clock())

    async def explain(self, state: JobState) -> Explanation:
        """Return where a job could go and why not elsewhere, as things stand now.

        Raises:
            NotFound: its definition is gone.
        """
        needs = await self._qualifier.needs(state.job.spec)
        waiting = _Waiting(state, needs, tuple(files_of(state.job)))
        return explain(self._job_view(waiting), self._backend_views(), self.estimates, self._clock())

    async def could_run(self, spec: JobSpec) -> bool:
        """Whether some backend could run such a job now, or may turn out to once it is reached.

        Raises:
            NotFound: the definition is gone.
        """
        needs = await self._qualifier.needs(spec)
        for peer in self._farm:
            if _by_choice(peer, spec.selector, spec.excluded_backends) is not None:
                continue
            health = self._health(peer.backend.id)
            if health.status is BackendStatus.UNKNOWN:
                return True
            if health.usable and await self._qualifier.able(needs, peer):
                return True
        return False

    # --- the loop

    async def _enter(self, state: JobState) -> None:
        if self._feed is None:
            raise RuntimeError("the backlog was not started")
        try:
            needs = await self._qualifier.needs(state.job.spec)
        except NotFound as error:
            await self._feed(state.job.id, Unplaceable(Failure(Cause.INTERNAL, str(error))))
            return
        self._waiting[state.job.id] = _Waiting(state, needs, tuple(files_of(state.job)))
        self.wake()

    async def _run(self) -> None:
        pause_s: float | None = None
        while True:
            try:
                await asyncio.wait_for(self._wake.wait(), pause_s)
            except asyncio.TimeoutError:
                log.debug("Placement looks again after %s s", pause_s)
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
        if not self._waiting:
            return None
        now = self._clock()
        views = {job_id: self._job_view(waiting) for job_id, waiting in self._waiting.items()}
        backends = self._backend_views()
        decision = decide(views.values(), backends, self.estimates, now)
        for assignment in decision.assignments:
            await self._place(assignment.job_id, assignment.backend_id, views[assignment.job_id], backends)
        pause_s = decision.again_in_s
        if len(decision.assignments) == len(views):
            return pause_s
        stuck = await self._refuse_hopeless(views, backends, now)
        return min(1.0, pause_s) if stuck and pause_s is not None else (1.0 if stuck else pause_s)

    async def _place(self, job_id: str, backend_id: str, view: JobView, backends: Collection[BackendView]) -> None:
        waiting = self._waiting.pop(job_id, None)
        if waiting is None or self._feed is None:
            return
        cold = not view.models <= self._warm.get(backend_id, frozenset())
        self._placed[job_id] = _Placement(backend_id, view.definition_key, self._clock(), cold)
        if view.models:
            self._warm[backend_id] = view.models
        why = explain(view, list(backends), self.estimates, self._clock()).to_json()
        await self._feed(job_id, Placed(self._new_id(), self._new_id(), backend_id, {"explanation": why}))

    async def _refuse_hopeless(self, views: Mapping[str, JobView], backends: list[BackendView], now: float) -> bool:
        """End jobs that no backend will run; return whether others are stuck that may still be helped by waiting."""
        stuck = False
        for job_id, waiting in list(self._waiting.items()):
            view = views.get(job_id)
            if view is None:
                continue
            explanation = explain(view, backends, self.estimates, now)
            if explanation.candidates:
                waiting.stuck_since = None
                continue
            waiting.stuck_since = waiting.stuck_since or now
            passing = any(refusal.reason in _PASSING for refusal in explanation.refusals.values())
            if passing and now - waiting.stuck_since < self._placement_wait_s:
                stuck = True
                continue
            del self._waiting[job_id]
            error = NoBackendQualifies(explanation.by_name())
            if self._feed is not None:
                await self._feed(job_id, Unplaceable(Failure(Cause.NO_BACKEND, str(error))))
        return stuck

    # --- views

    def _job_view(self, waiting: _Waiting) -> JobView:
        job = waiting.state.job
        return JobView(
            id=job.id,
            definition_key=job.spec.definition_hash,
            models=waiting.needs.models,
            priority=job.spec.priority,
            queued_at=job.created_at,
            refused=self._refused(waiting),
            transfer_bytes=_MissingBytes(self._transfer, self._farm, waiting.files) if waiting.files else {},
        )

    def _refused(self, waiting: _Waiting) -> dict[str, Refusal]:
        spec = waiting.state.job.spec
        failed = exclusions(waiting.state.attempts)
        refused: dict[str, Refusal] = {}
        for peer in self._farm:
            backend_id = peer.backend.id
            reason = _by_choice(peer, spec.selector, spec.excluded_backends)
            if reason is None and backend_id in failed:
                reason = Refusal(Reason.EXCLUDED, f"it {failed[backend_id]} in an earlier attempt")
            if reason is None and self._health(backend_id).usable:
                reason = self._qualifier.refusal(waiting.needs, peer)
            if reason is not None:
                refused[backend_id] = reason
        return refused

    def _backend_views(self) -> list[BackendView]:
        now = self._clock()
        ours: dict[str, list[_Placement]] = {}
        for placement in self._placed.values():
            if not placement.released:
                ours.setdefault(placement.backend_id, []).append(placement)
        return [self._backend_view(peer, ours.get(peer.backend.id, []), now) for peer in self._farm]

    def _backend_view(self, peer: Peer, ours: list[_Placement], now: float) -> BackendView:
        backend_id = peer.backend.id
        health = self._health(backend_id)
        remaining = (
            self.estimates.remaining_s(p.definition_key, backend_id, cold=p.cold, elapsed_s=now - p.placed_at)
            for p in ours
        )
        foreign = max(0, peer.queue_remaining - peer.in_flight)
        gpus = peer.capabilities.gpus if peer.capabilities is not None else ()
        return BackendView(
            id=backend_id,
            name=peer.backend.name,
            status=health.status if peer.capabilities is not None else _unready(health.status),
            slots_free=0 if ours else 1,
            in_flight=len(ours),
            busy_s=sum(remaining),
            foreign_queue=foreign,
            warm=frozenset() if foreign else self._warm.get(backend_id, frozenset()),
            vram_bytes=self._vram(backend_id),
            gpu=gpus[0].name if gpus else "",
            busy_orchestrating=peer.orchestrating,
            last_resort=backend_id == LOCAL_BACKEND_ID,
        )

    def _vram(self, backend_id: str) -> int | None:
        peer = self._farm.get(backend_id)
        if peer is None or peer.capabilities is None or not peer.capabilities.gpus:
            return None
        return max(gpu.vram_total_bytes for gpu in peer.capabilities.gpus)

    def _learn(self, state: JobState, placement: _Placement) -> None:
        attempt = state.attempts[-1] if state.attempts else None
        if attempt is None or attempt.started_at is None or attempt.ended_at is None:
            return
        self.estimates.observe(
            Outcome(
                placement.definition_key,
                placement.backend_id,
                elapsed_s=attempt.ended_at - attempt.started_at,
                cold=placement.cold,
                vram_bytes=self._vram(placement.backend_id),
            )
        )


def _unready(status: BackendStatus) -> BackendStatus:
    """A backend that answers, but has not said yet what it is, is not used yet."""
    return BackendStatus.UNKNOWN if status in (BackendStatus.ONLINE, BackendStatus.DEGRADED) else status


def _by_choice(peer: Peer, selector: str, excluded: Collection[str]) -> Refusal | None:
    """Return why the user's own choices rule a backend out, or None."""
    backend = peer.backend
    if not backend.enabled:
        return Refusal(Reason.DISABLED, "it is disabled")
    if backend.id in excluded:
        if backend.id == LOCAL_BACKEND_ID:
            return Refusal(Reason.LOCAL, "its queue waits for this very job")
        return Refusal(Reason.EXCLUDED, "the job excludes it")
    if selector == "auto" or selector in (backend.id, backend.name):
        return None
    if selector.startswith("tag:"):
        tag = selector.removeprefix("tag:")
        return None if tag in backend.tags else Refusal(Reason.TAG, f"it has no tag {tag!r}")
    return Refusal(Reason.PINNED, f"the job asks for {selector!r}")
