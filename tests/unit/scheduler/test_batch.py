"""The jobs of one node execution, taken together."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest

from comfy_orchestrator_nodes.domain import Job
from comfy_orchestrator_nodes.errors import ValueLost
from comfy_orchestrator_nodes.nodes.batch import Updates, run_batch
from comfy_orchestrator_nodes.orchestrator.jobs import Request
from tests.fakes.execution import raising, run_nodes, until
from tests.fakes.fake_comfy import FakeComfy
from tests.unit.scheduler.conftest import TIMEOUT_S, Master


def requests(definition_id: str, count: int, **changes: Any) -> list[Request]:
    """Return one request for each item."""
    return [Request(definition_id, {"color": i}, use_cache=False, item_index=i, **changes) for i in range(count)]


def item(job: Job) -> dict[str, Any]:
    """Decode a job into something that tells which it was."""
    return {"image": job.item_index}


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
