"""How long an attempt spent in nodes that load models."""

from __future__ import annotations

import asyncio
import time
from typing import Any

from comfy_orchestrator_nodes.backend.messages import Cached, Executing, Message, Started, Success
from comfy_orchestrator_nodes.domain import Definition, JobStatus, Output
from comfy_orchestrator_nodes.scheduler.loading import Loading
from comfy_orchestrator_nodes.scheduler.updates import JobProgressed
from tests.fakes.execution import raising, until
from tests.fakes.fake_comfy import FakeComfy
from tests.unit.scheduler.conftest import Master

PROMPT = {
    "1": {"class_type": "CheckpointLoaderSimple", "inputs": {"ckpt_name": "dream.safetensors"}},
    "2": {"class_type": "LoraLoader", "inputs": {"model": ["1", 0], "lora_name": "a\\ink.safetensors"}},
    "3": {"class_type": "KSampler", "inputs": {"model": ["2", 0], "steps": 20}},
}


def heard(*messages: tuple[float, Message]) -> Loading:
    loading = Loading("p", PROMPT)
    for at, message in messages:
        loading.read(message, at)
    return loading


def at_node(node: str | None, prompt_id: str = "p") -> Executing:
    return Executing(prompt_id, node)


def test_what_counts_is_the_time_in_nodes_that_name_a_model_file() -> None:
    loading = heard((0, Started("p")), (1, at_node("1")), (4, at_node("2")), (6, at_node("3")), (20, Success("p")))
    assert loading.total_s(30) == 5


def test_a_node_that_loads_now_counts_until_now() -> None:
    assert heard((1, at_node("3")), (2, at_node("1"))).total_s(5) == 3


def test_a_prompt_ends_with_its_last_message() -> None:
    assert heard((1, at_node("1")), (3, at_node(None))).total_s(9) == 2


def test_models_that_are_there_already_take_no_time() -> None:
    assert heard((0, Started("p")), (0, Cached("p", ("1", "2"))), (0, at_node("3"))).total_s(9) == 0


def test_nodes_of_other_prompts_and_of_expansions_do_not_count() -> None:
    loading = heard((0, at_node("3")), (1, at_node("1", "other")), (2, at_node("3.0.0.1")))
    assert loading.total_s(9) == 0


def test_a_clock_that_is_set_back_takes_nothing_off() -> None:
    assert heard((0, at_node("1")), (3, at_node("2")), (1, at_node("3"))).total_s(0) == 3


def test_what_was_not_heard_of_or_missed_is_unknown() -> None:
    assert heard().total_s(9) is None
    loading = heard((0, at_node("1")), (2, at_node("3")))
    loading.miss()
    assert loading.total_s(9) is None


async def a_loader(master: Master) -> Definition:
    """A definition of one node, which names a model file."""
    return await master.define(
        prompt={"1": {"class_type": "PrimitiveString", "inputs": {"value": "dream.safetensors"}}},
        parameters=(),
        outputs=(Output("name", "STRING", "1", 0),),
    )


async def at_the_node(master: Master, job_id: str) -> float:
    """Wait until the job's node runs, as its master sees it, and return when."""
    await master.until(
        lambda: any(isinstance(u, JobProgressed) and (u.job_id, u.node_id) == (job_id, "1") for u in master.updates)
    )
    return time.time()


async def loading_told(master: Master, job_id: str, kind: str) -> Any:
    """Return what the job's story says of the time."""
    (event,) = [event for event in await master.service.events.for_job(job_id) if event.kind == kind]
    return event.details["loading_s"]


async def test_the_story_of_a_job_tells_how_long_its_models_were_loaded(master: Master, fake: FakeComfy) -> None:
    await master.add(fake, "one")
    go_on = asyncio.Event()
    fake.behave(until(go_on))
    ticket = await master.submit(await a_loader(master))
    at = await at_the_node(master, ticket.job_id)
    await master.until(lambda: time.time() >= at + 0.05)
    go_on.set()
    job = await master.end(ticket)
    (attempt,) = await master.service.attempts.for_job(job.id)
    assert attempt.started_at is not None
    assert attempt.ended_at is not None
    told = await loading_told(master, job.id, "succeeded")
    # The start is stored, and so stamped, a little after it was heard of.
    assert 0.05 <= told <= attempt.ended_at - attempt.created_at


async def test_it_is_told_while_models_are_loaded_and_while_the_results_are_fetched(
    master: Master, fake: FakeComfy
) -> None:
    await master.add(fake, "one")
    go_on = asyncio.Event()
    fake.behave(until(go_on))
    before = time.time()
    ticket = await master.submit(await a_loader(master))
    at = await at_the_node(master, ticket.job_id)
    go_on.set()
    job = await master.end(ticket)
    told = [u for u in master.updates if isinstance(u, JobProgressed) and u.job_id == job.id]
    loading = next(u for u in told if u.node_id == "1")
    assert loading.loading_since is not None
    assert (loading.loading_s, loading.fetching_since) == (0.0, None)
    assert before <= loading.loading_since <= at
    assert told[-1].fetching_since is not None
    assert (told[-1].done_ratio, told[-1].loading_since) == (1.0, None)
    (event,) = [event for event in await master.service.events.for_job(job.id) if event.kind == "succeeded"]
    assert 0 <= event.details["fetching_s"] <= time.time() - before


async def test_an_attempt_that_failed_tells_it_too(master: Master, fake: FakeComfy) -> None:
    await master.add(fake, "one")
    fake.behave(raising("OSError", "the file is cut short"))
    job = await master.run(await a_loader(master), max_attempts=1)
    assert job.status is JobStatus.FAILED
    assert await loading_told(master, job.id, "faulted") >= 0
    fake.behave(raising("ValueError", "no"))
    other = await master.run(await master.define(), max_attempts=1)
    assert await loading_told(master, other.id, "faulted") == 0


async def test_it_is_unknown_where_the_socket_was_away(master: Master, fake: FakeComfy) -> None:
    await master.add(fake, "one")
    go_on = asyncio.Event()
    fake.behave(until(go_on))
    ticket = await master.submit(await a_loader(master))
    await at_the_node(master, ticket.job_id)
    fake.drop_sockets()
    go_on.set()
    job = await master.end(ticket)
    assert job.status is JobStatus.SUCCEEDED
    assert await loading_told(master, job.id, "succeeded") is None
