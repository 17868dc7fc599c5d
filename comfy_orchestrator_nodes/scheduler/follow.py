"""Follows one submitted prompt to its end, whatever happens to the socket or the backend in between.

Messages of the socket are a hint; the queue and the history are the truth. As long as the socket that submitted the
prompt stands, its messages tell all. Once it broke, messages of this prompt are addressed to a client id that is no
more, so the follower is *adrift* and asks queue and history until the prompt is found finished or gone. A second socket
under the old id (``Ear``) may still hear of progress, and lets a prompt that hangs be told from one that takes long.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from enum import Enum, auto

from ..backend.answers import HistoryEntry, HistoryStatus, Place, Where
from ..backend.messages import Connected, Disconnected, Executing, Preview, Status
from ..backend.peer import Inbox, Peer
from ..backend.results import NodeError
from ..domain import Attempt, Cause, Failure, Job
from ..errors import BackendError, BackendTimedOut, BackendUnreachable
from ..machine.backends import HealthEvent, ProbeFailed
from ..machine.events import Accepted, Event, Faulted, Found, Started, Vanished
from ..waiting import within
from .ear import Ear
from .loading import Loading
from .tracker import Advanced, Began, Ended, Tracker
from .updates import JobPreviewed, JobProgressed, Publish

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Patience:
    """How long to wait for what, in seconds."""

    connect_s: float = 10.0
    """For the socket to stand before a prompt is submitted."""
    poll_s: float = 1.0
    """Between two look-ups while adrift."""
    stall_s: float = 600.0
    """Without any message of a running prompt: loading a large model over a slow disk is silent for minutes."""
    lost_s: float = 60.0
    """For a backend that stopped answering to come back with the prompt."""
    refused_s: float = 5.0
    """The same when connections are refused: its process is gone, and its queue with it."""
    arrive_s: float = 3.0
    """For a submit that was not answered to appear in the queue after all."""
    disown_s: float = 600.0
    """For how long a prompt that was given up is looked for."""
    answer_s: float = 20.0
    """For a backend to say where a prompt is: its queue is a large document, but 60 s of silence are ``lost_s``."""
    pending_s: float = 2.0
    """Between two looks whether the queue that a prompt waits in is held by a meta-graph."""


async def find(peer: Peer, prompt_id: str, patience: Patience) -> Where:
    """Return where a prompt is.

    Raises:
        BackendError: the backend does not say, or not within ``patience.answer_s``.
    """
    try:
        return await within(peer.client.find(prompt_id), patience.answer_s)
    except asyncio.TimeoutError:
        text = f"it did not say within {patience.answer_s:g} s whether it has the job."
        raise BackendTimedOut(peer.backend.name, text) from None


class Verdict(Enum):
    """How following ended."""

    DONE = auto()
    """The prompt ended well; its outputs can be collected."""
    OVER = auto()
    """The end, whatever it was, has been fed to the job."""
    LOST = auto()
    """The backend does not answer; that has been fed to the job, which is located from now on."""
    ABSENT = auto()
    """The backend answers and has the prompt neither in its queue nor in its history."""


@dataclass
class Follower:
    """Follows one attempt. ``tracker.outputs`` or ``entry`` hold what it showed."""

    peer: Peer
    job: Job
    attempt: Attempt
    tracker: Tracker
    feed: Callable[[str, Event], Awaitable[None]]
    fault_of: Callable[[Ended], Failure]
    report: Callable[[str, HealthEvent], None]
    publish: Publish
    tuned: Callable[[], Patience]
    """The patience of the moment: it may be changed while a prompt is followed."""
    clock: Callable[[], float]
    entry: HistoryEntry | None = None
    _adrift: bool = False
    _ear: Ear | None = None
    _ear_renewed: bool = False
    _lost_since: float | None = None
    _refusals_since: float | None = None
    _quiet_since: float = 0.0
    _telling: asyncio.Task[None] | None = None
    """The last of the events that are being stored while the prompt is followed."""
    _began_at: float | None = None
    _loading: Loading = field(init=False)
    _done_at: float | None = None
    """When the backend was done with the prompt, or was found to be."""

    def __post_init__(self) -> None:
        self._loading = Loading(self.attempt.prompt_id, self.tracker.prompt)

    @property
    def loading_s(self) -> float | None:
        """How long the prompt has been in nodes that load models, or None if that is not known."""
        return self._loading.total_s(self.clock())

    @property
    def fetching_s(self) -> float | None:
        """How long the outputs of the prompt have been on their way, or None before it was done."""
        return max(0.0, self.clock() - self._done_at) if self._done_at is not None else None

    @property
    def patience(self) -> Patience:
        """How long to wait for what."""
        return self.tuned()

    async def follow(
        self, inbox: Inbox, *, accepted: bool = False, adrift: bool = False, lost: bool = False
    ) -> Verdict:
        """Read messages until the prompt is over.

        Args:
            inbox: the prompt's messages.
            accepted: whether the backend has just taken the prompt, which the job is to be told.
            adrift: whether the socket that submitted the prompt is gone, so that queue and history must be asked.
            lost: whether the backend was found not to answer.
        """
        self._adrift = adrift
        if adrift:
            self._loading.miss()
        self._quiet_since = self.clock()
        self._began_at = self.attempt.started_at
        self._lost_since = self.clock() if lost else None
        if accepted:
            self._tell(Accepted(self.attempt.id))
        try:
            verdict = await self._look_up(inbox) if adrift else None
            while verdict is None:
                verdict = await self._next(inbox)
            return verdict
        finally:
            if self._ear is not None:
                await self._ear.close()

    async def _next(self, inbox: Inbox) -> Verdict | None:
        limit = self.job.spec.time_limit_s
        if limit is not None and self._ran_s() >= limit:
            return await self._give_up(Cause.STALLED, f"took longer than the job's limit of {limit:g} s")
        if self._began_at is None and self.peer.orchestrating and await self._taken_back():
            return Verdict.OVER
        try:
            message = await within(inbox.get(), self._wait_s())
        except asyncio.TimeoutError:
            return await self._after_silence(inbox)
        if isinstance(message, Disconnected):
            self._adrift = True
            self._loading.miss()
            return await self._look_up(inbox)
        if isinstance(message, Connected | Status):
            # Every client hears of each change of the queue: the moment to ask for ours when nothing else tells.
            return await self._look_up(inbox) if self._adrift else None
        self._quiet_since, self._ear_renewed = self.clock(), False
        if isinstance(message, Preview):
            self._show(message)
            return None
        self._loading.read(message, self.clock())
        notable = self.tracker.read(message)
        if isinstance(notable, Began):
            self._begin()
        elif isinstance(notable, Advanced):
            self._progress(notable)
        elif isinstance(notable, Ended):
            return await self._ended(notable)
        if isinstance(message, Executing) and message.node_id is None and message.prompt_id is not None:
            # The prompt is over though no message told how: the history does.
            return await self._look_up(inbox)
        return None

    def _wait_s(self) -> float:
        if self._adrift:
            return self.patience.poll_s
        waits = [self.patience.stall_s - (self.clock() - self._quiet_since)]
        limit = self.job.spec.time_limit_s
        if self._began_at is None:
            waits.append(self.patience.pending_s)
        elif limit is not None:
            waits.append(limit - self._ran_s())
        return max(0.0, min(waits))

    def _ran_s(self) -> float:
        return self.clock() - self._began_at if self._began_at is not None else 0.0

    async def _after_silence(self, inbox: Inbox) -> Verdict | None:
        if not self._adrift and self.clock() - self._quiet_since < self.patience.stall_s:
            return None
        verdict = await self._look_up(inbox)
        quiet_s = self.clock() - self._quiet_since
        if verdict is not None or quiet_s < self.patience.stall_s:
            return verdict
        if self._began_at is None:
            # It waits behind others, for as long as they take.
            self._quiet_since = self.clock()
            return None
        if self._adrift and not await self._silence_counts():
            return None
        return await self._give_up(Cause.STALLED, f"sent nothing for {quiet_s:.0f} s while it ran the job")

    async def _silence_counts(self) -> bool:
        """Whether an adrift prompt would have been heard if it did anything.

        The first silence may be that of an ear that the backend has dropped; the second tells.
        """
        if self._ear is None or not self._ear.open:
            return False
        if self._ear_renewed:
            return True
        await self._ear.renew()
        self._quiet_since, self._ear_renewed = self.clock(), True
        return False

    async def _taken_back(self) -> bool:
        """Take a prompt back that waits behind a meta-graph, which may itself wait for a job in our own queue."""
        client, prompt_id = self.peer.client, self.attempt.prompt_id
        try:
            queue = await client.queue()
            if not queue.busy_orchestrating or all(p.prompt_id != prompt_id for p in queue.pending):
                return False
            await client.dequeue(prompt_id)
            where = await find(self.peer, prompt_id, self.patience)
        except BackendError as error:
            log.debug("Taking %s back from %s: %s", prompt_id, self.peer.backend.name, error)
            return False
        if where.place is not Place.ABSENT:
            return False  # it was quicker and runs
        text = f"The queue of {self.peer.backend.name} was held by a meta-graph, which may wait for this server."
        await self._fed(Faulted(self.attempt.id, Failure(Cause.BUSY, text), sent=False))
        return True

    async def _look_up(self, inbox: Inbox) -> Verdict | None:
        """Ask the backend where the prompt is."""
        if self.peer.closed:
            return await self._give_up(Cause.VANISHED, "was removed or edited while it had the job")
        try:
            where = await find(self.peer, self.attempt.prompt_id, self.patience)
        except BackendError as error:
            return await self._unanswered(error)
        self._refusals_since = None
        if where.place is Place.ABSENT:
            return Verdict.ABSENT
        if where.entry is not None:
            self.entry = where.entry
            return await self._ended(_ending(where.entry))
        await self._seen(running=where.place is Place.RUNNING)
        if self._adrift and self._ear is None and where.client_id is not None:
            prompt_id, retry_s = self.attempt.prompt_id, self.patience.poll_s
            self._ear = Ear(self.peer, prompt_id, where.client_id, inbox, retry_s=retry_s)
        return None

    async def _seen(self, *, running: bool) -> None:
        if self._lost_since is not None:
            self._lost_since = None
            await self._fed(Found(self.attempt.id, running=running))
        elif running and self.tracker.begin():
            self._begin()

    def _begin(self) -> None:
        self._began_at = self._began_at or self.clock()
        self._quiet_since = self.clock()
        self._tell(Started(self.attempt.id))

    async def _unanswered(self, error: BackendError) -> Verdict | None:
        now = self.clock()
        refused = isinstance(error, BackendUnreachable)
        self.report(self.peer.backend.id, ProbeFailed(str(error), refused=refused))
        self._refusals_since = (self._refusals_since or now) if refused else None
        if self._lost_since is None:
            # The job is lost now; whoever is told to locate it follows it from here.
            await self._fed(Vanished(self.attempt.id))
            return Verdict.LOST
        if self._refusals_since is not None and now - self._refusals_since >= self.patience.refused_s:
            return await self._give_up(Cause.VANISHED, f"is gone while it had the job ({error})")
        if now - self._lost_since >= self.patience.lost_s:
            return await self._give_up(Cause.VANISHED, f"did not answer for {self.patience.lost_s:g} s ({error})")
        self._adrift = True
        return None

    async def _ended(self, ended: Ended) -> Verdict:
        if ended.well:
            self._done_at = self.clock()
            self._progress(Advanced(1.0, None))
            return Verdict.DONE
        await self._fed(Faulted(self.attempt.id, self.fault_of(ended), loading_s=self.loading_s))
        return Verdict.OVER

    async def _give_up(self, cause: Cause, what: str) -> Verdict:
        failure = Failure(cause, f"{self.peer.backend.name} {what}.")
        await self._fed(Faulted(self.attempt.id, failure, loading_s=self.loading_s))
        return Verdict.OVER

    def _tell(self, event: Event) -> None:
        """Feed an event that nothing here waits for: it is stored while the backend works on."""
        telling = asyncio.create_task(self._after(self._telling, event), name=f"tell {self.job.id}")
        telling.add_done_callback(_noted)
        self._telling = telling

    async def in_turn(self, job_id: str, event: Event) -> None:
        """Feed an event of the job once all that happened before it is stored.

        Raises:
            StoreError: something could not be stored.
        """
        await self._after(self._telling, event)

    async def _after(self, before: asyncio.Task[None] | None, event: Event) -> None:
        if before is not None:
            # Not awaited itself: whoever gives this task up must not take a change back that is half stored.
            await asyncio.wait({before})
            before.result()
        await self.feed(self.job.id, event)

    async def _fed(self, event: Event) -> None:
        await self.in_turn(self.job.id, event)

    def _progress(self, advanced: Advanced) -> None:
        self.publish(
            JobProgressed(
                self.job.id,
                self.peer.backend.id,
                advanced.done_ratio,
                advanced.node_id,
                self.tracker.class_type(advanced.node_id),
                *self._loading.so_far(),
                self._done_at,
            )
        )

    def _show(self, preview: Preview) -> None:
        if preview.prompt_id is not None or self.tracker.began:
            self.publish(JobPreviewed(self.job.id, self.peer.backend.id, preview.image, preview.media_type))


def _ending(entry: HistoryEntry) -> Ended:
    if entry.status is HistoryStatus.INTERRUPTED:
        return Ended(interrupted=True)
    if entry.status is HistoryStatus.ERROR and entry.error is None:
        return Ended(error=NodeError(None, None, "", "the prompt failed, and its history entry does not say why"))
    return Ended(error=entry.error)


def _noted(telling: asyncio.Task[None]) -> None:
    """Look at how it ended: who gave a prompt up does not, and asyncio would complain."""
    if not telling.cancelled() and (error := telling.exception()) is not None:
        log.debug("An event could not be stored: %s", error)
