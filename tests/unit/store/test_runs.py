from __future__ import annotations

from dataclasses import replace

import pytest

from comfy_orchestrator_nodes.domain import AttemptStatus, JobStatus, RunStatus
from comfy_orchestrator_nodes.errors import Conflict, NotFound, StaleWrite
from comfy_orchestrator_nodes.store.database import Database
from comfy_orchestrator_nodes.store.jobs import JobRepository
from comfy_orchestrator_nodes.store.runs import RunRepository, RunTotals
from comfy_orchestrator_nodes.store.settings import SettingRepository
from tests.unit.store.samples import NOW, a_job, a_run, an_attempt, dispatched, succeeded


@pytest.fixture
def runs(database: Database) -> RunRepository:
    return RunRepository(database)


async def test_a_run_comes_back_as_it_was_stored(runs: RunRepository) -> None:
    run = a_run(client_id="tab-1")
    await runs.create(run)
    assert await runs.get("run") == run


async def test_a_run_ends_once(runs: RunRepository) -> None:
    await runs.create(a_run())
    await runs.finish("run", RunStatus.SUCCEEDED, now=NOW + 9)
    with pytest.raises(StaleWrite, match="run run is succeeded, not running"):
        await runs.finish("run", RunStatus.FAILED, now=NOW + 10)
    assert await runs.get("run") == a_run(status=RunStatus.SUCCEEDED, ended_at=NOW + 9)


async def test_a_runs_jobs_are_counted_and_their_time_on_backends_is_summed(
    database: Database, runs: RunRepository
) -> None:
    jobs = JobRepository(database)
    for number in range(3):
        await jobs.create(a_job(f"job {number}"), run=a_run())
    ran = replace(succeeded("job 0").attempts[0], started_at=NOW, ended_at=NOW + 4)
    await jobs.apply(dispatched("job 0"))
    await jobs.apply(replace(succeeded("job 0"), attempts=(ran,)))
    runs_now = an_attempt("job 1", status=AttemptStatus.RUNNING, started_at=NOW + 4)
    await jobs.apply(dispatched("job 1", status=JobStatus.RUNNING, attempts=(runs_now,)))
    await runs.create(a_run(id="empty"))
    counts = {JobStatus.SUCCEEDED: 1, JobStatus.RUNNING: 1, JobStatus.QUEUED: 1}
    assert await runs.totals(["run", "empty"], now=NOW + 10) == {"run": RunTotals(counts, 10.0)}


async def test_runs_are_listed_newest_first_and_by_status(runs: RunRepository) -> None:
    for name in ("one", "two", "three"):
        await runs.create(a_run(id=name))
    await runs.finish("two", RunStatus.FAILED, now=NOW)
    assert [run.id for run in await runs.list()] == ["three", "two", "one"]
    assert [run.id for run in await runs.list(limit=1, offset=1)] == ["two"]
    assert [run.id for run in await runs.list(statuses=(RunStatus.RUNNING,))] == ["three", "one"]


async def test_an_unknown_run_is_told_so_and_a_known_one_is_not_made_twice(runs: RunRepository) -> None:
    with pytest.raises(NotFound):
        await runs.get("run")
    with pytest.raises(NotFound):
        await runs.finish("run", RunStatus.FAILED, now=NOW)
    await runs.create(a_run())
    with pytest.raises(Conflict):
        await runs.create(a_run())


async def test_a_setting_is_remembered_replaced_and_forgotten(database: Database) -> None:
    settings = SettingRepository(database)
    assert await settings.get("estimates") is None
    await settings.put("estimates", {"a": [1, 2.5, None, "\ud800"]})
    await settings.put("other", 0)
    assert await settings.get("estimates") == {"a": [1, 2.5, None, "\ud800"]}
    await settings.put("estimates", [])
    assert await settings.get("estimates") == []
    await settings.remove("estimates")
    assert await settings.get("estimates") is None
    assert await settings.get("other") == 0
