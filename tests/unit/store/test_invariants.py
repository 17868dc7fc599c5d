from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from comfy_orchestrator_nodes.store.database import Database
from comfy_orchestrator_nodes.store.definitions import DefinitionRepository
from comfy_orchestrator_nodes.store.invariants import check_invariants
from comfy_orchestrator_nodes.store.jobs import JobRepository
from tests.unit.store.samples import a_definition, a_job, a_run, dispatched, failed, succeeded


@pytest.fixture
async def broken(path: Path) -> AsyncIterator[Database]:
    """A sound database with one job of each kind; its tests break it, so nothing is checked at the end."""
    opened = await Database.open(path)
    jobs = JobRepository(opened)
    for name in ("waits", "runs", "done", "gone"):
        await jobs.create(a_job(name), run=a_run())
    for name in ("runs", "done", "gone"):
        await jobs.apply(dispatched(name))
    await jobs.apply(succeeded("done"))
    await jobs.apply(failed("gone"))
    await DefinitionRepository(opened).create(a_definition())
    yield opened
    await opened.close()


async def test_a_sound_database_breaks_no_rule(broken: Database) -> None:
    assert await check_invariants(broken) == []


@pytest.mark.parametrize(
    ("damage", "finding"),
    [
        ("UPDATE job SET status = 'asleep' WHERE id = 'waits'", "job waits is asleep, which no version"),
        ("UPDATE attempt SET status = 'asleep' WHERE id = 'runs/1'", "attempt runs/1 is asleep, which no version"),
        ("DELETE FROM run", "job waits has no run"),
        ("DELETE FROM job WHERE id = 'runs'", "attempt runs/1 has no job"),
        ("DELETE FROM job WHERE id = 'waits'", "has no job"),
        ("DELETE FROM attempt WHERE id = 'gone/1'", "event 2 of job gone names attempt gone/1, which is not the job's"),
        ("DELETE FROM attempt WHERE id = 'done/1'", "job done succeeded without an accepted attempt"),
        ("UPDATE attempt SET status = 'succeeded' WHERE id = 'gone/1'", "job gone is failed, but its attempt gone/1"),
        (
            "UPDATE attempt SET status = 'running' WHERE id = 'gone/1'",
            "job gone is over, but its attempt gone/1 is run",
        ),
        ("UPDATE job SET status = 'queued' WHERE id = 'runs'", "job runs is queued, but has 1 attempts under way"),
        ("UPDATE job SET status = 'running' WHERE id = 'waits'", "job waits is running, but has 0 attempts under way"),
        (
            "UPDATE job SET ended_at = NULL WHERE id = 'done'",
            "job done is succeeded, but its time of ending is missing",
        ),
        ("UPDATE job SET ended_at = 5 WHERE id = 'runs'", "job runs is dispatched, but its time of ending is 5"),
        ("UPDATE attempt SET ended_at = NULL WHERE id = 'done/1'", "attempt done/1 is succeeded, but its time of end"),
        ("UPDATE job SET failure = NULL WHERE id = 'gone'", "job gone failed without a failure"),
        ("UPDATE attempt SET failure = NULL WHERE id = 'gone/1'", "attempt gone/1 failed without a failure"),
        ("UPDATE attempt SET number = 2 WHERE id = 'gone/1'", "the attempts of job gone are not numbered from 1"),
        ("DELETE FROM event WHERE job_id = 'done' AND sequence = 2", "the events of job done are not numbered from 1"),
        ("DELETE FROM event WHERE job_id = 'waits'", "job waits has no event"),
        ("UPDATE run SET status = 'failed'", "run run is failed, but its time of ending is missing"),
        ("UPDATE definition SET latest_version = 2", "definition blue has no latest version 2"),
        ("UPDATE job SET outputs = '{}' WHERE id = 'done'", "job done succeeded without its output 'image'"),
        (
            "DROP INDEX attempt_accepted; INSERT INTO attempt SELECT 'again', job_id, 2, backend_id, 'p', status,"
            " charged, failure, created_at, started_at, ended_at, 0, 0, NULL, NULL FROM attempt WHERE id = 'done/1'",
            "job done has 2 accepted results",
        ),
    ],
    ids=lambda part: part if " is " in part or " has " in part or "not" in part else "",
)
async def test_each_broken_rule_is_named(broken: Database, damage: str, finding: str) -> None:
    # Foreign keys would repair or refuse some of it; they can only be switched off outside of a transaction.
    await broken.close()
    connection = sqlite3.connect(broken.path, isolation_level=None)
    connection.executescript(damage)
    connection.close()
    reopened = await Database.open(broken.path)
    findings = await check_invariants(reopened)
    await reopened.close()
    assert any(finding in line for line in findings), findings
