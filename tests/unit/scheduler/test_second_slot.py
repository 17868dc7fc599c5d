"""A second job at a busy backend, sent early only so that its files travel while the first one runs."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from comfy_orchestrator_nodes.api.explanation_schemas import ExplanationView
from comfy_orchestrator_nodes.domain import Definition, JobStatus, Value
from comfy_orchestrator_nodes.orchestrator.jobs import Ticket
from comfy_orchestrator_nodes.scheduler.updates import JobChanged
from comfy_orchestrator_nodes.store.invariants import check_invariants
from tests.fakes.execution import until
from tests.fakes.fake_comfy import FakeComfy
from tests.fakes.node_classes import png
from tests.unit.scheduler.conftest import Master
from tests.unit.scheduler.test_faults import define_unchanged, opened, stored_image

LARGE_BYTES = 14_000_000
"""More than a quarter of a second on the network that placement reckons with."""


@pytest.fixture
async def definition(master: Master, fake: FakeComfy) -> Definition:
    """A definition that takes an image, known to take half a second on the one backend there is."""
    await master.add(fake, "one")
    return await define_known(master, fake)


async def define_known(master: Master, fake: FakeComfy) -> Definition:
    """Store the definition and let it run once, so that it is known how long it takes."""
    definition = await define_unchanged(master)
    over = asyncio.Event()
    fake.behave(until(over))
    asyncio.get_running_loop().call_later(0.5, over.set)
    job = await master.run(definition, values={"image": await stored_image(master)})
    assert job.status is JobStatus.SUCCEEDED
    return definition


async def large_image(master: Master, number: int = 0) -> Value:
    """Store an image in a large file."""
    with master.service.artifacts.writer("image/png", owner="the test") as writer:
        writer.write(png(8, 8, number) + b"\xff" * LARGE_BYTES)
        return Value("IMAGE", files=(await asyncio.to_thread(writer.publish),))


@pytest.fixture(autouse=True)
async def sound_store(master: Master) -> AsyncIterator[None]:
    """After every test, the store holds what it promises."""
    yield
    assert await check_invariants(master.service.database) == []


async def two(master: Master, fake: FakeComfy, definition: Definition, go: asyncio.Event) -> tuple[Ticket, Ticket]:
    """Let one job run until ``go`` and submit another with a large file; return when its prompt waits behind it."""
    fake.behave(until(go))
    first = await master.submit(definition, values={"image": await stored_image(master)})
    await master.until_kind(first.job_id, "started")
    second = await master.submit(definition, values={"image": await large_image(master)})
    await master.until(lambda: len(fake.pending) == 1)
    return first, second


async def test_the_files_of_the_next_job_travel_while_the_present_one_runs(
    master: Master, fake: FakeComfy, definition: Definition
) -> None:
    go = asyncio.Event()
    first, second = await two(master, fake, definition, go)
    assert any(len(content) > LARGE_BYTES for content in fake.files.values())
    assert not first.done.done()
    go.set()
    for ticket in (first, second):
        assert (await master.end(ticket)).status is JobStatus.SUCCEEDED
    assert set(fake.executions.values()) == {1}


async def test_a_job_that_has_nothing_to_send_waits_with_the_master(
    master: Master, fake: FakeComfy, definition: Definition
) -> None:
    go = asyncio.Event()
    fake.behave(until(go))
    first = await master.submit(definition, values={"image": await stored_image(master)})
    await master.until_kind(first.job_id, "started")
    sent = len(fake.submissions)
    # The backend has this very file already; the large one proves that placement has looked since.
    idle = await master.submit(definition, values={"image": await stored_image(master)})
    large = await master.submit(definition, values={"image": await large_image(master)})
    await master.until_kind(large.job_id, "accepted")
    assert len(fake.submissions) == sent + 1
    assert master.kinds(idle.job_id) == ["created"]
    go.set()
    for ticket in (first, idle, large):
        assert (await master.end(ticket)).status is JobStatus.SUCCEEDED


async def test_over_a_link_that_was_measured_fast_a_transfer_is_expected_to_be_short(
    master: Master, fake: FakeComfy, definition: Definition
) -> None:
    (peer,) = [peer for peer in master.service.farm if peer.backend.name == "one"]
    peer.client.blobs.link.rate = 1e9
    job = await master.submit(definition, values={"image": await large_image(master)})
    await master.end(job)
    told = ExplanationView.of(job.job_id, None, await master.service.events.for_job(job.job_id))
    [transfer_s] = [one.transfer_s for one in told.placements[0].candidates if one.backend == "one"]
    assert 0 < transfer_s < 0.1


async def test_no_third_job_is_sent(master: Master, fake: FakeComfy, definition: Definition) -> None:
    go = asyncio.Event()
    first, second = await two(master, fake, definition, go)
    third = await master.submit(definition, values={"image": await large_image(master, 1)})
    go.set()
    for ticket in (first, second, third):
        assert (await master.end(ticket)).status is JobStatus.SUCCEEDED
    kinds = [(u.job.id, u.kind) for u in master.updates if isinstance(u, JobChanged)]
    assert kinds.index((third.job_id, "placed")) > kinds.index((second.job_id, "started"))


async def test_the_cancel_of_the_one_that_waits_leaves_the_one_that_runs(
    master: Master, fake: FakeComfy, definition: Definition
) -> None:
    go = asyncio.Event()
    first, second = await two(master, fake, definition, go)
    await master.service.orchestrator.cancel(second.job_id, "the test")
    assert (await master.end(second)).status is JobStatus.CANCELLED
    assert fake.pending == []
    assert fake.interrupts == []
    go.set()
    assert (await master.end(first)).status is JobStatus.SUCCEEDED


async def test_both_are_found_again_after_a_restart_of_the_master(tmp_path: Path, fake: FakeComfy) -> None:
    go = asyncio.Event()
    async with opened(tmp_path / "again") as before:
        await before.add(fake, "one")
        definition = await define_known(before, fake)
        tickets = await two(before, fake, definition, go)
    async with opened(tmp_path / "again") as after:
        go.set()
        for ticket in tickets:
            await after.until_kind(ticket.job_id, "succeeded")
    assert set(fake.executions.values()) == {1}
