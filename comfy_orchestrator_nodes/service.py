"""All the parts of a master, built and wired: everything but ComfyUI itself. Also what tests and benchmarks open."""

from __future__ import annotations

import asyncio
import logging
import uuid
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

from . import __version__
from .backend.client import ComfyClient
from .backend.http import Timeouts
from .backend.object_info import ObjectInfoCache
from .backend.peer import Farm, Peer
from .domain import Backend, Cause, Definition
from .health import HealthMonitor, ProbeTimes
from .machine.backends import BackendHealth, JobFaulted
from .orchestrator.backend_story import BackendStory
from .orchestrator.backends import BackendRegistry
from .orchestrator.documents import Documents
from .orchestrator.exchange import Exchange
from .orchestrator.history import HistoryKeeper
from .orchestrator.inputs import InputFiles, Locate
from .orchestrator.jobs import Orchestrator
from .orchestrator.library import Library
from .orchestrator.making import JobMaker
from .orchestrator.order import Order
from .orchestrator.pictures import Pictures
from .orchestrator.preferences import PreferenceBook, Preferences
from .orchestrator.snapshot import Publisher
from .orchestrator.thumbnails import Thumbnails
from .placement import Estimates
from .scheduler.attempt import AttemptExecutor
from .scheduler.backlog import PLACEMENT_WAIT_S, Backlog
from .scheduler.core import DECISION_LIMIT_S, Scheduler
from .scheduler.eligibility import Eligibility
from .scheduler.follow import Patience
from .scheduler.learned import Learned
from .scheduler.occupancy import Occupancy
from .scheduler.qualify import Qualifier
from .scheduler.transfer import Transfer
from .scheduler.updates import JobChanged, JobUpdate
from .scheduler.whereabouts import Whereabouts
from .store.artifacts import DEFAULT_LIMIT_BYTES, ArtifactStore
from .store.attempts import AttemptRepository
from .store.backend_events import BackendEventRepository
from .store.backends import BackendRepository
from .store.database import Database
from .store.definitions import DefinitionRepository
from .store.events import EventRepository
from .store.history import HistoryRepository
from .store.holdings import HoldingRepository
from .store.jobs import JobRepository
from .store.results import ResultCache
from .store.runs import RunRepository
from .store.samples.repository import SampleStore
from .store.settings import SettingRepository
from .telemetry.collector import Collector, CollectorTimes
from .telemetry.usage import UsageKeeper

log = logging.getLogger(__name__)

DATABASE_NAME = "orchestrator.sqlite3"
SAMPLES_NAME = "telemetry.sqlite3"


_BACKENDS_FAULT = frozenset(
    {Cause.UNREACHABLE, Cause.SUBMIT_UNANSWERED, Cause.VANISHED, Cause.STALLED, Cause.OUTPUT_INVALID}
)
"""Causes that speak against a backend: enough of them in a row and it is suspended."""


def new_uuid() -> str:
    """Return a lower-case UUID: what newer ComfyUI versions demand of a prompt_id."""
    return str(uuid.uuid4())


@dataclass(frozen=True)
class Settings:
    """With what a master is opened. Times in seconds, sizes in bytes. What the user sets then overrides some of it."""

    artifact_limit_bytes: int = DEFAULT_LIMIT_BYTES
    placement_wait_s: float = PLACEMENT_WAIT_S
    decision_limit_s: float = DECISION_LIMIT_S
    patience: Patience = field(default_factory=Patience)
    probes: ProbeTimes = field(default_factory=ProbeTimes)
    telemetry: CollectorTimes = field(default_factory=CollectorTimes)
    timeouts: Timeouts = field(default_factory=Timeouts)

    def defaults(self) -> Preferences:
        """Return what holds where the user set nothing."""
        return Preferences(
            decision_limit_s=self.decision_limit_s,
            placement_wait_s=self.placement_wait_s,
            stall_limit_s=self.patience.stall_s,
            artifact_limit_bytes=self.artifact_limit_bytes,
        )


@dataclass(frozen=True)
class Service:
    """A running master. Everything in it lives on the loop it was opened on, except ``artifacts`` and ``publisher``."""

    orchestrator: Orchestrator
    order: Order
    preferences: PreferenceBook
    registry: BackendRegistry
    story: BackendStory
    library: Library
    documents: Documents
    exchange: Exchange
    thumbnails: Thumbnails
    pictures: Pictures
    publisher: Publisher
    artifacts: ArtifactStore
    farm: Farm
    health: HealthMonitor
    qualifier: Qualifier
    jobs: JobRepository
    attempts: AttemptRepository
    runs: RunRepository
    events: EventRepository
    settings: SettingRepository
    telemetry: Collector
    samples: SampleStore
    database: Database


@asynccontextmanager
async def open_service(
    folder: Path,
    local: Backend,
    locate: Locate,
    *,
    clock: Callable[[], float],
    publisher: Publisher | None = None,
    settings: Settings | None = None,
    backends_changed: Callable[[], None] = lambda: None,
) -> AsyncIterator[Service]:
    """Open the store in ``folder`` and start to work; everything is closed again when the block ends.

    The caller holds the lock of ``store.lock`` on the database.

    Args:
        folder: where the database and the artifacts are kept.
        local: this server as a backend.
        locate: finds a file that loader nodes name on this server.
        clock: seconds since the epoch.
        publisher: where snapshots for other threads are published.
        settings: what the user tuned.
        backends_changed: called when a backend was added, edited, removed or changed its status.

    Raises:
        StoreError: the store cannot be opened; the message says what to do.
    """
    tuned = settings or Settings()
    published = publisher or Publisher()
    artifacts = await asyncio.to_thread(
        ArtifactStore, folder / "artifacts", limit_bytes=tuned.artifact_limit_bytes, clock=clock
    )
    database = await Database.open(folder / DATABASE_NAME, clock=clock)
    try:
        samples = await SampleStore.open(folder / SAMPLES_NAME, clock=clock)
        try:
            parts = _Parts(database, samples, artifacts, published, locate, clock, tuned, backends_changed)
            await parts.start(local)
            try:
                yield parts.service
            finally:
                await parts.stop()
        finally:
            await samples.close()
    finally:
        await database.close()


class _Parts:
    """Wires the parts. Callbacks between siblings are bound here, because siblings do not import each other."""

    def __init__(
        self,
        database: Database,
        samples: SampleStore,
        artifacts: ArtifactStore,
        publisher: Publisher,
        locate: Locate,
        clock: Callable[[], float],
        settings: Settings,
        backends_changed: Callable[[], None],
    ) -> None:
        self._clock = clock
        self._timeouts = settings.timeouts
        self._artifacts = artifacts
        self._backends_changed = backends_changed
        jobs, attempts = JobRepository(database), AttemptRepository(database)
        self._settings = SettingRepository(database)
        self.preferences = PreferenceBook(self._settings, settings.defaults(), changed=self._tune)
        self.story = BackendStory(BackendEventRepository(database), clock=clock)
        self.farm = Farm(self._open_peer)
        self.health = HealthMonitor(
            self._probe, clock=clock, changed=self._health_changed, name_of=self.farm.name, times=settings.probes
        )
        self.thumbnails = Thumbnails(database.path.parent / "thumbnails", artifacts)
        self.library = Library(
            DefinitionRepository(database), jobs, publisher, clock=clock, removed=self.thumbnails.remove
        )
        documents = Documents(self.farm)
        self.history = HistoryKeeper(HistoryRepository(database), lambda: self.preferences.current, clock=clock)
        self.qualifier = Qualifier(self.farm, self._definition, clock=clock, changed=self._wake)
        self.whereabouts = Whereabouts(artifacts, self.farm, HoldingRepository(database))
        self.transfer = transfer = Transfer(artifacts, self.whereabouts)
        self.occupancy = Occupancy(self.farm, Estimates(), health=self.health.of, clock=clock)
        self.learned = Learned(self.occupancy, self._settings)
        eligibility = Eligibility(self.farm, self.qualifier, health=self.health.of)
        self.backlog = Backlog(
            self.farm,
            self.qualifier,
            transfer,
            self.occupancy,
            eligibility,
            clock=clock,
            new_id=new_uuid,
            placement_wait_s=lambda: self.preferences.current.placement_wait_s,
        )
        self.executor = executor = AttemptExecutor(
            self.farm,
            transfer,
            self._definition,
            remade=lambda value: self.orchestrator.remade(value),
            report=self.health.report,
            released=self.backlog.release,
            publish=self._publish,
            clock=clock,
            patience=lambda: replace(settings.patience, stall_s=self.preferences.current.stall_limit_s),
        )
        self.scheduler = Scheduler(
            jobs,
            executor,
            self.backlog,
            clock=clock,
            publish=self._publish,
            decision_limit_s=lambda: self.preferences.current.decision_limit_s,
        )
        self.orchestrator = Orchestrator(
            scheduler=self.scheduler,
            backlog=self.backlog,
            eligibility=eligibility,
            jobs=jobs,
            attempts=attempts,
            runs=RunRepository(database),
            results=ResultCache(database, artifacts, elsewhere=self.whereabouts.is_elsewhere),
            artifacts=artifacts,
            maker=JobMaker(
                self._definition,
                InputFiles(artifacts, self.farm, locate),
                lambda: self.preferences.current,
                clock=clock,
                new_id=new_uuid,
            ),
            whereabouts=self.whereabouts,
            clock=clock,
            new_id=new_uuid,
        )
        self.telemetry = Collector(self.farm, samples, health=self.health.of, clock=clock, times=settings.telemetry)
        self.usage = UsageKeeper(self.telemetry, samples, attempts, learn=self.occupancy.used_memory)
        self.registry = BackendRegistry(
            BackendRepository(database),
            self.farm,
            self.health,
            self.qualifier,
            publisher,
            self.story,
            clock=clock,
            new_id=new_uuid,
            changed=self._farm_changed,
            removed=self.telemetry.forget,
        )
        self.service = Service(
            orchestrator=self.orchestrator,
            order=Order(self.scheduler, self.backlog),
            preferences=self.preferences,
            registry=self.registry,
            story=self.story,
            library=self.library,
            documents=documents,
            exchange=Exchange(self.library, documents, version=__version__),
            thumbnails=self.thumbnails,
            pictures=Pictures(artifacts, self.orchestrator.fetch),
            publisher=publisher,
            artifacts=artifacts,
            farm=self.farm,
            health=self.health,
            qualifier=self.qualifier,
            jobs=jobs,
            attempts=attempts,
            runs=RunRepository(database),
            events=EventRepository(database),
            settings=self._settings,
            telemetry=self.telemetry,
            samples=samples,
            database=database,
        )

    async def start(self, local: Backend) -> None:
        await self.preferences.start()
        await self.learned.restore()
        await self.library.start()
        await self.thumbnails.start()
        self.orchestrator.subscribe(self.thumbnails)
        self.story.start()
        await self.registry.start(local)
        await self.whereabouts.start()
        self.telemetry.start()
        self.backlog.start(self.scheduler.feed_or_abandon)
        await self.orchestrator.start()
        self.history.start()
        self.learned.start()

    async def stop(self) -> None:
        await self.history.close()
        await self.telemetry.close()
        await self.usage.close()
        await self.thumbnails.close()
        await self.backlog.close()
        await self.scheduler.close()
        await self.executor.close()
        await self.orchestrator.close()
        await self.qualifier.close()
        await self.transfer.close()
        await self.whereabouts.close()
        await self.health.close()
        await self.farm.close()
        await self.story.close()
        await self.learned.close()

    def _open_peer(self, backend: Backend) -> Peer:
        client = ComfyClient(backend, timeouts=self._timeouts)
        peer = Peer(backend, client, ObjectInfoCache(client))
        peer.on_status = self._wake
        peer.on_introduced = partial(self.story.introduced, backend.id)
        return peer

    async def _probe(self, backend_id: str) -> float:
        peer = self.farm.get(backend_id)
        if peer is None:
            return 0.0
        known = peer.capabilities
        latency_s = await peer.probe(self._clock())
        if peer.capabilities is not known:
            self._wake_and_tell()
        return latency_s

    async def _definition(self, definition_id: str, version: int | None) -> Definition:
        return await self.library.version(definition_id, version)

    def _publish(self, update: JobUpdate) -> None:
        if isinstance(update, JobChanged):
            self._learn_from(update)
        self.orchestrator.publish(update)

    def _learn_from(self, update: JobChanged) -> None:
        """Pass on what an attempt's failure says about its backend."""
        attempt = update.attempt
        if attempt is not None:
            self.usage.note(attempt, update.job.spec.definition_hash)
        failure = attempt.failure if attempt is not None and update.kind == "faulted" else None
        if attempt is None or failure is None:
            return
        if failure.cause is Cause.OUT_OF_MEMORY:
            self.occupancy.out_of_memory(update.job.spec.definition_hash, attempt.backend_id)
        if failure.cause in _BACKENDS_FAULT:
            self.health.report(attempt.backend_id, JobFaulted(failure.message))

    def _health_changed(self, backend_id: str, before: BackendHealth, after: BackendHealth) -> None:
        self.story.health(backend_id, after)
        self.telemetry.nudge(backend_id)
        self._wake_and_tell()

    def _farm_changed(self) -> None:
        self.telemetry.follow_farm()
        self._wake_and_tell()

    def _wake(self) -> None:
        self.backlog.wake()

    def _wake_and_tell(self) -> None:
        self._wake()
        self._backends_changed()

    def _tune(self, preferences: Preferences) -> None:
        """Let what is not asked for at each use follow the preferences."""
        if self._artifacts.usage().limit_bytes != preferences.artifact_limit_bytes:
            self._artifacts.set_limit(preferences.artifact_limit_bytes)
        self._wake()
        self.history.look_soon()
