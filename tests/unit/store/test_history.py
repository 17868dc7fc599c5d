from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

import pytest

from comfy_orchestrator_nodes.domain import JobStatus, RunStatus
from comfy_orchestrator_nodes.errors import NotFound
from comfy_orchestrator_nodes.orchestrator.history import DAY_S, SPARE_S, HistoryKeeper
from comfy_orchestrator_nodes.orchestrator.preferences import Preferences
from comfy_orchestrator_nodes.store.attempts import AttemptRepository
from comfy_orchestrator_nodes.store.database import Database
from comfy_orchestrator_nodes.store.events import EventRepository
from comfy_orchestrator_nodes.store.history import HistoryRepository
from comfy_orchestrator_nodes.store.invariants import check_invariants
from comfy_orchestrator_nodes.store.jobs import JobRepository
from comfy_orchestrator_nodes.store.runs import RunRepository
from tests.unit.store.samples import NOW, Clock, a_job, a_run, dispatched, succeeded


async def store(database: Database, *days: float, run_status: RunStatus = RunStatus.SUCCEEDED) -> None:
    """Store jobs ``job 0``, … that ended so many days after NOW, each in a run of its own that ended with it."""
    jobs, runs = JobRepository(database), RunRepository(database)
    for number, day in enumerate(days):
        id_, ended = f"job {number}", NOW + day * DAY_S
        await jobs.create(a_job(id_, run_id=id_), run=a_run(id=id_))
        await jobs.apply(dispatched(id_))
        attempts = tuple(replace(attempt, ended_at=ended) for attempt in succeeded(id_).attempts)
        await jobs.apply(replace(succeeded(id_), attempts=attempts, now=ended))
        if run_status is not RunStatus.RUNNING:
            await runs.finish(id_, run_status, now=ended)


def keeper(database: Database, clock: Clock, **preferences: Any) -> HistoryKeeper:
    """Return a keeper that keeps 10 days, or what is given."""
    wanted = replace(Preferences(history_days=10.0, history_jobs=1000), **preferences)
    return HistoryKeeper(HistoryRepository(database), lambda: wanted, clock=clock)


async def left(database: Database) -> list[str]:
    assert await check_invariants(database) == []
    return [job.id for job in (await JobRepository(database).list(limit=1000)).jobs]


async def test_what_ended_long_ago_is_deleted_with_all_that_belongs_to_it(database: Database) -> None:
    await store(database, 0, 5, 20)
    assert await keeper(database, Clock(NOW + 20 * DAY_S)).prune() == 4
    assert await left(database) == ["job 2"]
    assert await EventRepository(database).for_job("job 0") == ()
    assert await AttemptRepository(database).for_job("job 0") == ()
    with pytest.raises(NotFound):
        await RunRepository(database).get("job 0")


async def test_of_too_many_the_oldest_go(database: Database) -> None:
    await store(database, 3, 1, 2, 4)
    await keeper(database, Clock(NOW + 5 * DAY_S), history_jobs=2).prune()
    assert await left(database) == ["job 3", "job 0"]


async def test_what_has_just_ended_stays_however_much_it_is(database: Database) -> None:
    await store(database, 0, 0, 0)
    await keeper(database, Clock(NOW + SPARE_S / 2), history_jobs=1).prune()
    assert len(await left(database)) == 3


async def test_what_is_under_way_or_belongs_to_a_run_under_way_stays(database: Database) -> None:
    await store(database, 0, run_status=RunStatus.RUNNING)
    jobs = JobRepository(database)
    await jobs.create(a_job("queued", run_id="job 0"))
    assert await keeper(database, Clock(NOW + 100 * DAY_S)).prune() == 0
    assert await left(database) == ["queued", "job 0"]
    await RunRepository(database).finish("job 0", RunStatus.CANCELLED, now=NOW)
    assert await keeper(database, Clock(NOW + 100 * DAY_S)).prune() == 1
    assert (await jobs.get("queued")).status is JobStatus.QUEUED


async def test_more_than_one_batch_is_deleted_without_holding_up_a_write(database: Database) -> None:
    await store(database, *([0.0] * 250))
    pruning = asyncio.create_task(keeper(database, Clock(NOW + 100 * DAY_S)).prune())
    await RunRepository(database).create(a_run(id="new"))
    assert not pruning.done()
    assert await pruning == 500
    assert await left(database) == []
