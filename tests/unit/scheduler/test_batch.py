"""The jobs of one node execution, taken together."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest

from comfy_orchestrator_nodes.domain import FileRef, Job
from comfy_orchestrator_nodes.errors import ValueLost
from comfy_orchestrator_nodes.nodes.batch import Updates, run_batch
from comfy_orchestrator_nodes.orchestrator.jobs import Request
from tests.fakes.execution import raising, run_nodes, until
from tests.fakes.fake_comfy import FakeComfy
from tests.unit.scheduler.conftest import TIMEOUT_S, Master
from tests.unit.scheduler.test_faults import define_unchanged, stored_image


def requests(definition_id: str, count: int, **changes: Any) -> list[Request]:
    """Return one request for each item."""
    return [Request(definition_id, {"color": i}, use_cache=False, item_index=i, **changes) for i in range(count)]


def item(job: Job) -> dict[str, Any]:
    """Decode a job into something that tells which it was."""
    return {"image": job.item_index}


def stays_without(master: Master, owner: str, ref: FileRef) -> bool:
    """Let an owner give up its leases and the store all that it may; return whether a file is still there."""
    artifacts = master.service.artifacts
    artifacts.release(owner)
    artifacts.clear()
    return artifacts.has(ref)


async def test_a_result_is_decoded_while_other_jobs_still_run(master: Master, fake: FakeComfy) -> None:
    await master.add(fake, "one")
    go, decoded = asyncio.Event(), threading.Event()
    fake.behave(run_nodes)
    fake.behave(until(go))

    def decode(job: Job) -> dict[str, Any]:
        decoded.set()
        return item(job)

    definition = await master.define()
    batch = asyncio.create_task(run_batch(master.service, requests(definition.id, 2), Updates(), decode))
    assert await asyncio.to_thread(decoded.wait, TIMEOUT_S)
    assert not batch.done()
    go.set()
    outcomes = await asyncio.wait_for(batch, TIMEOUT_S)
    assert [outcome.natives for outcome in outcomes] == [{"image": 0}, {"image": 1}]


async def test_a_dropped_item_has_no_values_and_the_others_keep_theirs(master: Master, fake: FakeComfy) -> None:
    await master.add(fake, "one")
    fake.behave(raising("ValueError", "no"))
    definition = await master.define()
    wanted = requests(definition.id, 3, max_attempts=1, on_failure="drop")
    outcomes = await asyncio.wait_for(run_batch(master.service, wanted, Updates(), item), TIMEOUT_S)
    assert [outcome.natives for outcome in outcomes] == [{}, {"image": 1}, {"image": 2}]


async def test_a_result_that_cannot_be_decoded_is_told(master: Master, fake: FakeComfy) -> None:
    await master.add(fake, "one")

    def lost(job: Job) -> dict[str, Any]:
        raise ValueLost(f"item {job.item_index} is gone")

    definition = await master.define()
    batch = run_batch(master.service, requests(definition.id, 2), Updates(), lost)
    with pytest.raises(ValueLost, match="item 0 is gone"):
        await asyncio.wait_for(batch, TIMEOUT_S)


async def test_results_that_were_taken_make_room_for_those_to_come(master: Master, fake: FakeComfy) -> None:
    await master.add(fake, "one")
    artifacts = master.service.artifacts
    definition = await master.define()
    first = await master.run(definition, values={"color": 1_000})
    size_bytes = first.outputs["image"].files[0].size_bytes
    artifacts.set_limit(12 * size_bytes)
    wanted = requests(definition.id, 48)
    outcomes = await asyncio.wait_for(run_batch(master.service, wanted, Updates(), item), TIMEOUT_S)
    assert [outcome.natives for outcome in outcomes] == [{"image": index} for index in range(48)]


async def test_a_result_waits_for_everybody_who_joined_its_job(master: Master, fake: FakeComfy) -> None:
    await master.add(fake, "one")
    definition = await master.define()
    quick, slow = [await master.submit(definition, use_cache=True) for _ in range(2)]
    job = await master.end(quick)
    (ref,) = job.outputs["image"].files
    await master.until(lambda: master.service.orchestrator.idle)
    assert stays_without(master, quick.owner, ref)
    assert not stays_without(master, slow.owner, ref)


async def test_a_reused_result_is_kept_only_until_it_is_taken(master: Master, fake: FakeComfy) -> None:
    await master.add(fake, "one")
    definition = await master.define()
    made = await master.submit(definition, use_cache=True)
    (ref,) = (await master.end(made)).outputs["image"].files
    await master.until(lambda: master.service.orchestrator.idle)
    reused = await master.submit(definition, use_cache=True)
    assert reused.cached
    assert stays_without(master, made.owner, ref)
    assert not stays_without(master, reused.owner, ref)


async def test_inputs_may_go_once_every_job_keeps_them_itself(master: Master, fake: FakeComfy) -> None:
    await master.add(fake, "one")
    go, submitted = asyncio.Event(), asyncio.Event()
    fake.behave(until(go))
    definition = await define_unchanged(master)
    image = await stored_image(master)
    wanted = [Request(definition.id, {"image": image}, use_cache=False, item_index=index) for index in range(2)]
    batch = asyncio.create_task(run_batch(master.service, wanted, Updates(), item, submitted.set))
    await asyncio.wait_for(submitted.wait(), TIMEOUT_S)
    assert stays_without(master, "the test", image.files[0])
    go.set()
    assert len(await asyncio.wait_for(batch, TIMEOUT_S)) == 2
