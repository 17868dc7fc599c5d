"""A submit whose request or answer is cut, held or garbled anywhere: one accepted result, and no copy left behind.

Executions are counted by the backend, never by our own records.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from comfy_orchestrator_nodes.backend.http import Timeouts
from comfy_orchestrator_nodes.domain import BackendStatus, Cause, JobStatus
from comfy_orchestrator_nodes.service import open_service
from comfy_orchestrator_nodes.store.invariants import check_invariants
from tests.fakes.execution import until
from tests.fakes.fake_comfy import FakeComfy
from tests.support.proxy import Act, Fault, Part, Proxy, Where, proxy_before
from tests.unit.scheduler.conftest import QUICK, Master, nowhere

IMPATIENT = replace(
    QUICK, timeouts=Timeouts(connect_s=0.5, submit_s=0.5, control_s=2.0, retry_min_s=0.05, retry_max_s=0.2)
)

EVERY_CUT = [(part, where) for part in Part for where in Where]
BEFORE_THE_LAST_BYTE = [Where.BEFORE, Where.IN_HEAD, Where.IN_BODY]


@pytest.fixture
async def master(tmp_path: Path) -> AsyncIterator[Master]:
    """A master that does not wait long for the answer to a submit."""
    async with open_service(tmp_path, nowhere(), lambda _: None, clock=time.time, settings=IMPATIENT) as service:
        found = Master(service)
        service.orchestrator.subscribe(found.updates.append)
        yield found
        assert await check_invariants(service.database) == []


@pytest.fixture
async def proxy(fake: FakeComfy) -> AsyncIterator[Proxy]:
    """What stands before the fake."""
    async with proxy_before(fake.url) as between:
        yield between


async def add(master: Master, proxy: Proxy) -> None:
    """Register the fake by its proxy's address."""
    await master.add_url(proxy.url, "one")


@pytest.mark.parametrize(("part", "where"), EVERY_CUT)
async def test_a_cut_exchange_leads_to_exactly_one_execution(
    master: Master, fake: FakeComfy, proxy: Proxy, part: Part, where: Where
) -> None:
    await add(master, proxy)
    proxy.fail("POST", "/prompt", Fault(part, where, Act.CUT))
    job = await master.run(await master.define(), values={"color": 7})
    assert job.status is JobStatus.SUCCEEDED
    assert sum(fake.executions.values()) == 1
    assert len(await master.service.attempts.for_job(job.id)) == 1


async def test_an_answer_of_garbage_leads_to_exactly_one_execution(
    master: Master, fake: FakeComfy, proxy: Proxy
) -> None:
    await add(master, proxy)
    proxy.fail("POST", "/prompt", Fault(Part.ANSWER, Where.IN_BODY, Act.GARBLE))
    job = await master.run(await master.define())
    assert job.status is JobStatus.SUCCEEDED
    assert sum(fake.executions.values()) == 1


@pytest.mark.parametrize("where", BEFORE_THE_LAST_BYTE)
async def test_an_answer_that_comes_too_late_leads_to_exactly_one_execution(
    master: Master, fake: FakeComfy, proxy: Proxy, where: Where
) -> None:
    await add(master, proxy)
    late = Fault(Part.ANSWER, where, Act.HOLD)
    proxy.fail("POST", "/prompt", late)
    job = await master.run(await master.define())
    late.let_go.set()
    assert job.status is JobStatus.SUCCEEDED
    assert sum(fake.executions.values()) == 1


@pytest.mark.parametrize("where", BEFORE_THE_LAST_BYTE)
async def test_a_second_copy_that_arrives_while_the_first_runs_is_removed_before_it_runs(
    master: Master, fake: FakeComfy, proxy: Proxy, where: Where
) -> None:
    await add(master, proxy)
    late = Fault(Part.REQUEST, where, Act.HOLD)
    proxy.fail("POST", "/prompt", late)
    go = asyncio.Event()
    fake.behave(until(go))
    ticket = await master.submit(await master.define())
    await master.until_kind(ticket.job_id, "started")
    late.let_go.set()
    await master.until(lambda: len(fake.submissions) == 2)
    await master.until(lambda: fake.remaining == 1)
    go.set()
    job = await master.end(ticket)
    assert job.status is JobStatus.SUCCEEDED
    assert sum(fake.executions.values()) == 1
    assert len({body["prompt_id"] for body in fake.submissions}) == 1


async def test_a_second_copy_that_arrives_after_the_result_is_found_and_stopped(
    master: Master, fake: FakeComfy, proxy: Proxy
) -> None:
    await add(master, proxy)
    late = Fault(Part.REQUEST, Where.IN_BODY, Act.HOLD)
    proxy.fail("POST", "/prompt", late)
    job = await master.run(await master.define())
    assert job.status is JobStatus.SUCCEEDED
    never = asyncio.Event()
    fake.behave(until(never))
    late.let_go.set()
    await master.until(lambda: sum(fake.executions.values()) == 2)
    await master.until(lambda: fake.remaining == 0)
    assert (await master.service.jobs.get(job.id)).status is JobStatus.SUCCEEDED


async def test_a_prompt_that_was_given_up_is_removed_when_it_appears_at_last(
    master: Master, fake: FakeComfy, proxy: Proxy
) -> None:
    await add(master, proxy)
    held = [Fault(Part.REQUEST, Where.BEFORE, Act.HOLD) for _ in range(2)]
    proxy.fail("POST", "/prompt", *held)
    job = await master.run(await master.define())
    assert job.status is JobStatus.SUCCEEDED
    first, second = await master.service.attempts.for_job(job.id)
    assert first.failure is not None
    assert (first.failure.cause, first.charged) == (Cause.SUBMIT_UNANSWERED, True)
    assert second.prompt_id != first.prompt_id
    never = asyncio.Event()
    fake.behave(until(never))
    fake.behave(until(never))
    for fault in held:
        fault.let_go.set()
    await master.until(lambda: sum(body["prompt_id"] == first.prompt_id for body in fake.submissions) == 2)
    await master.until(lambda: fake.remaining == 0)
    assert fake.executions[second.prompt_id] == 1


async def test_a_job_cancelled_while_its_submit_is_under_way_leaves_nothing_behind(
    master: Master, fake: FakeComfy, proxy: Proxy
) -> None:
    await add(master, proxy)
    late = Fault(Part.REQUEST, Where.BEFORE, Act.HOLD)
    proxy.fail("POST", "/prompt", late)
    never = asyncio.Event()
    fake.behave(until(never))
    ticket = await master.submit(await master.define())
    await late.arrived.wait()
    await master.service.orchestrator.cancel(ticket.job_id, "the test")
    assert (await master.end(ticket)).status is JobStatus.CANCELLED
    late.let_go.set()
    await master.until(lambda: len(fake.submissions) == 1)
    await master.until(lambda: fake.remaining == 0)


async def test_a_backend_that_freezes_with_the_job_and_thaws_costs_no_second_run(
    master: Master, fake: FakeComfy, proxy: Proxy
) -> None:
    await add(master, proxy)
    go = asyncio.Event()
    fake.behave(until(go))
    ticket = await master.submit(await master.define())
    await master.until_kind(ticket.job_id, "started")
    proxy.cut_all()
    await master.until(lambda: len(fake.sockets) > 0)
    proxy.freeze()
    go.set()
    proxy.thaw()
    assert (await master.end(ticket)).status is JobStatus.SUCCEEDED
    assert sum(fake.executions.values()) == 1


async def test_a_slow_line_only_takes_longer(master: Master, fake: FakeComfy, proxy: Proxy) -> None:
    await add(master, proxy)
    proxy.delay_s, proxy.bytes_per_s = 0.01, 200_000.0
    job = await master.run(await master.define())
    assert job.status is JobStatus.SUCCEEDED
    assert len(await master.service.attempts.for_job(job.id)) == 1
    assert all(s.health.status is not BackendStatus.OFFLINE for s in master.service.registry.list())


async def test_a_backend_cut_off_while_it_works_is_lost_and_found_again(
    master: Master, fake: FakeComfy, proxy: Proxy
) -> None:
    await add(master, proxy)
    go = asyncio.Event()
    fake.behave(until(go))
    ticket = await master.submit(await master.define())
    await master.until_kind(ticket.job_id, "started")
    await proxy.refuse()
    await master.until_kind(ticket.job_id, "vanished")
    await proxy.accept()
    await master.until_kind(ticket.job_id, "found")
    go.set()
    job = await master.end(ticket)
    assert job.status is JobStatus.SUCCEEDED
    assert sum(fake.executions.values()) == 1
    assert len(await master.service.attempts.for_job(job.id)) == 1
