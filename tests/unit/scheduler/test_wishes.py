"""How a job is run: what its node, its definition and the settings wish, and where it goes because of that."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from comfy_orchestrator_nodes.domain import BackendStatus, Cause, JobStatus, Knobs
from comfy_orchestrator_nodes.errors import InvalidRequest
from comfy_orchestrator_nodes.orchestrator.preferences import KEY
from comfy_orchestrator_nodes.store.invariants import check_invariants
from tests.fakes.execution import raising, until
from tests.fakes.fake_comfy import FakeComfy
from tests.fakes.faults import Hold
from tests.unit.scheduler.conftest import QUICK, Master
from tests.unit.scheduler.test_faults import opened, running


@pytest.fixture(autouse=True)
async def sound_store(master: Master) -> AsyncIterator[None]:
    """After every test, the store holds what it promises."""
    yield
    assert await check_invariants(master.service.database) == []


# --- knobs


async def test_a_definitions_knobs_hold_where_nobody_says_otherwise(master: Master, fake: FakeComfy) -> None:
    await master.add(fake, "one")
    definition = await master.define()
    knobs = Knobs(on_failure="ask", attempts=5, time_limit_s=90.0, cache=False, prefer=("tag:fast",))
    await master.service.library.describe(definition.id, knobs=knobs)
    job = await master.run(definition, use_cache=None)
    assert (job.spec.on_failure, job.spec.max_attempts, job.spec.time_limit_s) == ("ask", 5, 90.0)
    assert (job.spec.use_cache, job.spec.prefer) == (False, ("tag:fast",))


async def test_what_is_asked_for_wins_over_the_definition(master: Master, fake: FakeComfy) -> None:
    await master.add(fake, "one")
    definition = await master.define()
    knobs = Knobs("ask", 5, 90.0, False, ("tag:fast",))
    await master.service.library.describe(definition.id, knobs=knobs)
    asked = {"on_failure": "fail", "max_attempts": 1, "time_limit_s": 5.0, "use_cache": True, "prefer": ("one",)}
    job = await master.run(definition, **asked)
    assert (job.spec.on_failure, job.spec.max_attempts, job.spec.time_limit_s) == ("fail", 1, 5.0)
    assert (job.spec.use_cache, job.spec.prefer) == (True, ("one",))


async def test_the_settings_hold_where_the_definition_says_nothing(master: Master, fake: FakeComfy) -> None:
    await master.add(fake, "one")
    await master.service.preferences.change({"attempts": 7, "on_failure": "drop", "time_limit_s": 30})
    job = await master.run(await master.define())
    assert (job.spec.max_attempts, job.spec.on_failure, job.spec.time_limit_s) == (7, "drop", 30.0)


async def test_a_new_version_keeps_the_knobs(master: Master) -> None:
    definition = await master.define()
    await master.service.library.describe(definition.id, knobs=Knobs(attempts=5))
    saved = await master.service.library.save(definition)
    assert (saved.version, saved.knobs) == (2, Knobs(attempts=5))
    assert (await master.service.library.version(definition.id)).knobs == Knobs(attempts=5)


# --- settings


async def test_settings_hold_at_once_and_over_restarts(tmp_path: Path, fake: FakeComfy) -> None:
    patient = replace(QUICK, decision_limit_s=60.0)
    async with opened(tmp_path, patient) as master:
        await master.add(fake, "one")
        await master.service.preferences.change({"decision_limit_s": 1, "artifact_limit_bytes": 2**30})
        fake.behave(raising("ValueError", "no"))
        ticket = await master.submit(await master.define(), on_failure="ask", max_attempts=1)
        job = await master.end(ticket)
        assert job.status is JobStatus.FAILED
        assert "decided" in master.kinds(job.id)
        assert master.service.artifacts.usage().limit_bytes == 2**30
    async with opened(tmp_path, patient) as master:
        assert master.service.preferences.current.decision_limit_s == 1.0
        assert master.service.artifacts.usage().limit_bytes == 2**30
        await master.service.preferences.change({}, reset=("decision_limit_s",))
        assert master.service.preferences.current.decision_limit_s == 60.0


@pytest.mark.parametrize(
    "change",
    [{"attempts": 0}, {"attempts": 1.5}, {"attempts": True}, {"on_failure": "panic"}, {"history_days": None}, {"x": 1}],
    ids=str,
)
async def test_a_setting_that_cannot_be_used_changes_nothing(master: Master, change: dict[str, object]) -> None:
    before = master.service.preferences.current
    with pytest.raises(InvalidRequest):
        await master.service.preferences.change({"stall_limit_s": 99, **change})
    assert master.service.preferences.current == before


async def test_a_stored_setting_that_is_no_longer_one_is_told_and_left_out(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with opened(tmp_path) as master:
        await master.service.settings.put(KEY, {"attempts": 4, "gone": 1, "stall_limit_s": "long"})
    with caplog.at_level(logging.WARNING):
        async with opened(tmp_path) as master:
            assert master.service.preferences.current.attempts == 4
            assert master.service.preferences.current.stall_limit_s == QUICK.patience.stall_s
    assert len([record for record in caplog.records if "stored setting" in record.message]) == 2


async def test_a_new_stall_limit_holds_for_a_job_under_way(master: Master, fake: FakeComfy) -> None:
    await master.add(fake, "one")
    ticket = await running(master, fake)
    master.service.preferences.defaults = replace(master.service.preferences.defaults, stall_limit_s=0.3)
    await master.service.preferences.change({})
    fake.send_status()  # the follower looks at its limits with the next message
    await master.until_kind(ticket.job_id, "faulted")
    assert (await master.end(ticket)).status is JobStatus.SUCCEEDED


# --- where


@pytest.mark.parametrize(
    "wish", [{"prefer": ("tag:fast",)}, {"selector": "prefer:two"}, {"selector": "prefer:tag:fast"}]
)
async def test_a_preferred_backend_is_taken_first_and_another_if_it_is_away(
    master: Master, fake: FakeComfy, other: FakeComfy, wish: dict[str, object]
) -> None:
    await master.add(fake, "one")
    preferred = await master.add(other, "two", tags=("fast",))
    definition = await master.define()
    for _ in range(3):
        job = await master.run(definition, **wish)
        (attempt,) = await master.service.attempts.for_job(job.id)
        assert attempt.backend_id == preferred
    await other.stop()
    assert (await master.run(definition, **wish)).status is JobStatus.SUCCEEDED


async def test_a_job_that_was_lost_waits_until_it_is_known_whether_another_backend_can_run_it(
    master: Master, fake: FakeComfy, other: FakeComfy
) -> None:
    first = await master.add(fake, "one")
    ticket = await running(master, fake)
    second = await master.add(other, "two")
    asked = Hold()
    # What the other one can do is asked for the first time when the job is looked at again.
    other.fail("GET", "/object_info/{node_class}", *[asked.fault() for _ in range(20)])
    master.service.qualifier.forget(second)
    peer = master.service.farm.get(second)
    assert peer is not None
    peer.infos.clear()
    await fake.restart()
    await asyncio.wait_for(asked.arrived.wait(), 20)
    health = master.service.health
    await master.until(lambda: health.of(first).status is BackendStatus.ONLINE)
    assert master.kinds(ticket.job_id).count("placed") == 1
    asked.let_go.set()
    job = await master.end(ticket)
    assert job.status is JobStatus.SUCCEEDED
    assert [a.backend_id for a in await master.service.attempts.for_job(job.id)][1:] == [second]


# --- drain


async def test_a_backend_that_is_drained_finishes_what_it_has_and_gets_nothing_new(tmp_path: Path) -> None:
    async with FakeComfy() as fake, FakeComfy() as other, opened(tmp_path) as master:
        first = await master.add(fake, "one")
        go = asyncio.Event()
        fake.behave(until(go))
        definition = await master.define()
        ticket = await master.submit(definition)
        await master.until_kind(ticket.job_id, "started")
        await master.service.registry.drain(first, draining=True)
        await master.add(other, "two")
        assert (await master.run(definition)).status is JobStatus.SUCCEEDED
        assert len(fake.submissions) == 1
        go.set()
        assert (await master.end(ticket)).status is JobStatus.SUCCEEDED
        await master.service.registry.remove((await master.service.attempts.for_job(ticket.job_id))[0].backend_id)


async def test_a_backend_stays_drained_over_a_restart_until_it_is_resumed(tmp_path: Path, fake: FakeComfy) -> None:
    async with opened(tmp_path) as master:
        backend_id = await master.add(fake, "one")
        definition = await master.define()
        await master.service.registry.drain(backend_id, draining=True)
    async with opened(tmp_path) as master:
        job = await master.run(definition)
        assert job.failure is not None
        assert job.failure.cause is Cause.NO_BACKEND
        assert "being drained" in job.failure.message
        await master.service.registry.drain(backend_id, draining=False)
        assert (await master.run(definition)).status is JobStatus.SUCCEEDED
