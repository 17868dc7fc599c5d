from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from comfy_orchestrator_nodes.backend.peer import Farm
from comfy_orchestrator_nodes.backend.readings import Reading
from comfy_orchestrator_nodes.domain import Attempt, AttemptStatus, JobStatus
from comfy_orchestrator_nodes.machine.backends import BackendHealth
from comfy_orchestrator_nodes.placement.memory import MemoryNeeds
from comfy_orchestrator_nodes.store.attempts import AttemptRepository
from comfy_orchestrator_nodes.store.database import Database
from comfy_orchestrator_nodes.store.jobs import JobChange, JobRepository
from comfy_orchestrator_nodes.store.samples.repository import SampleStore
from comfy_orchestrator_nodes.telemetry.collector import Collector
from comfy_orchestrator_nodes.telemetry.latest import Latest
from comfy_orchestrator_nodes.telemetry.usage import Usage, UsageKeeper
from tests.unit.store.samples import a_job, a_run, an_attempt
from tests.unit.telemetry.clock import Clock

START = 1_700_000_000.0
GIB = 1 << 30


class Setting:
    """A usage keeper over real stores; time passes when the test says so."""

    def __init__(self, samples: SampleStore, database: Database, clock: Clock) -> None:
        self.samples, self.clock = samples, clock
        self.attempts = AttemptRepository(database)
        self.jobs = JobRepository(database)
        self.learned: list[tuple[str, int]] = []
        self.collector = Collector(
            Farm(lambda _: pytest.fail("no peer is opened")), samples, health=lambda _: BackendHealth(), clock=clock
        )
        self.keeper = UsageKeeper(
            self.collector,
            samples,
            self.attempts,
            learn=lambda key, peak: self.learned.append((key, peak)),
            sleep=self._sleep,
        )

    async def _sleep(self, seconds: float) -> None:
        self.clock.pass_(seconds)

    def agent(self) -> None:
        """Let the backend be known to have an agent."""
        known = Latest("attic", self.clock.now, "agent", 1.0, Reading(0.0, {}, ()))
        self.collector._latest["attic"] = known

    def measure(self, seconds: int, *, gpu: str = "GPU-1", power: float | None = 100.0, vram_gib: float = 4) -> None:
        """Sample one GPU each second from the start on."""
        for second in range(seconds):
            values = {"vram_used_bytes": vram_gib * GIB} | ({"power_w": power} if power is not None else {})
            self.samples.add("attic", gpu, "A GPU", START + second, values)
        self.clock.now = max(self.clock.now, START + seconds)

    def attempt(self, length_s: float, status: AttemptStatus = AttemptStatus.SUCCEEDED) -> Attempt:
        return replace(an_attempt(), backend_id="attic", status=status, started_at=START, ended_at=START + length_s)


@pytest.fixture
async def setting(tmp_path: Path) -> AsyncIterator[Setting]:
    clock = Clock(START)
    database = await Database.open(tmp_path / "orchestrator.sqlite3", clock=clock)
    samples = await SampleStore.open(tmp_path / "telemetry.sqlite3", clock=clock)
    yield Setting(samples, database, clock)
    await samples.close()
    await database.close()


async def test_an_attempt_has_its_peak_and_its_energy(setting: Setting) -> None:
    setting.measure(20, power=100)
    setting.samples.add("attic", "GPU-1", "A GPU", START + 20, {"vram_used_bytes": 9 * GIB, "power_w": 100})
    setting.clock.pass_(2)
    usage = await setting.keeper.measure(setting.attempt(20.5))
    assert usage.peak_vram_bytes == 9 * GIB
    assert usage.energy_j == pytest.approx(2050, abs=1)


async def test_energy_is_that_of_all_gpus_and_the_peak_that_of_the_fullest(setting: Setting) -> None:
    setting.measure(11, power=100, vram_gib=3)
    setting.measure(11, gpu="GPU-2", power=50, vram_gib=8)
    usage = await setting.keeper.measure(setting.attempt(10))
    assert (usage.peak_vram_bytes, usage.energy_j) == (8 * GIB, 1500)


async def test_what_was_before_and_after_does_not_count(setting: Setting) -> None:
    setting.measure(60, power=100)
    attempt = replace(setting.attempt(0), started_at=START + 10.5, ended_at=START + 20.25)
    assert (await setting.keeper.measure(attempt)).energy_j == pytest.approx(975, abs=1)


async def test_a_gap_is_filled_by_the_rest_and_a_large_one_is_not(setting: Setting) -> None:
    setting.measure(50, power=100)
    assert (await setting.keeper.measure(setting.attempt(55))).energy_j == pytest.approx(5500, abs=1)
    assert (await setting.keeper.measure(setting.attempt(100))).energy_j is None


async def test_without_power_there_is_no_energy_and_one_gpu_without_it_makes_none(setting: Setting) -> None:
    setting.measure(11, power=None)
    usage = await setting.keeper.measure(setting.attempt(10))
    assert (usage.peak_vram_bytes, usage.energy_j) == (4 * GIB, None)


async def test_without_samples_nothing_is_known(setting: Setting) -> None:
    assert await setting.keeper.measure(setting.attempt(10)) == Usage(None, None, dense=False)


async def test_an_attempt_that_ends_is_measured_stored_and_learned_from(setting: Setting) -> None:
    setting.agent()
    running = replace(an_attempt(), backend_id="attic", status=AttemptStatus.RUNNING, started_at=START)
    ended = replace(running, status=AttemptStatus.SUCCEEDED, ended_at=START + 10)
    job = a_job()
    await setting.jobs.create(job, run=a_run())
    await setting.jobs.apply(JobChange(job.id, JobStatus.QUEUED, JobStatus.DISPATCHED, START, (running,), ()))
    setting.measure(13)
    setting.keeper.note(running, "definition")
    setting.keeper.note(ended, "definition")
    for task in list(setting.keeper._tasks):
        await task
    (stored,) = await setting.attempts.for_job(job.id)
    assert (stored.peak_vram_bytes, stored.energy_j) == (4 * GIB, 1000)
    assert setting.learned == [("definition", 4 * GIB)]
    # Whoever saves the attempt later does not know of it, and does not take it away.
    await setting.jobs.apply(JobChange(job.id, JobStatus.DISPATCHED, JobStatus.RUNNING, START, (ended,), ()))
    (stored,) = await setting.attempts.for_job(job.id)
    assert (stored.status, stored.energy_j) == (AttemptStatus.SUCCEEDED, 1000)
    ((shown, _),) = await setting.attempts.on_backend("attic", since=START, until=START + 100, limit=10)
    assert shown == stored


def test_a_definition_that_got_by_with_little_fits_where_another_backend_ran_out() -> None:
    needs = MemoryNeeds()
    needs.succeeded("large", "24 GB", 24 * GIB)
    needs.failed("large", "crowded 12 GB", 12 * GIB, at=0.0)
    assert needs.too_small_for("large", "another 12 GB", 12 * GIB, now=1.0) == 12 * GIB
    needs.got_by_with("large", 7 * GIB)
    assert needs.too_small_for("large", "another 12 GB", 12 * GIB, now=1.0) is None
    assert MemoryNeeds.restore(needs.snapshot()).too_small_for("large", "another 12 GB", 12 * GIB, now=1.0) is None
