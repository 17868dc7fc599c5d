from __future__ import annotations

import asyncio
import io
import logging
import uuid

import pytest

from comfy_orchestrator_nodes.backend.answers import CancelOutcome, Place
from comfy_orchestrator_nodes.backend.client import ComfyClient
from comfy_orchestrator_nodes.backend.messages import Connected, Disconnected, Executing, Interrupted, Progress, Started
from comfy_orchestrator_nodes.errors import (
    BackendFault,
    ConnectionLost,
    InvalidPrompt,
    PayloadTooLarge,
    PromptRejected,
    ProtocolViolation,
)
from tests.fakes.execution import out_of_memory, stepping, until, vanishing
from tests.fakes.fake_comfy import FakeComfy
from tests.fakes.faults import Hold, answer, cut_after, cut_before
from tests.support.recorder import Recorder
from tests.unit.backend.conftest import QUICK

IMAGE = {"class_type": "EmptyImage", "inputs": {"width": 8, "height": 8, "batch_size": 1, "color": 1}}
PROMPT = {"1": IMAGE, "2": {"class_type": "PreviewImage", "inputs": {"images": ["1", 0]}}}


def new_id() -> str:
    return str(uuid.uuid4())


async def running(fake: FakeComfy, client: ComfyClient, recorder: Recorder) -> str:
    """Let a prompt run that goes on until it is interrupted."""
    prompt_id = new_id()
    fake.behave(until(asyncio.Event()), prompt_id)
    await client.submit(PROMPT, prompt_id=prompt_id)
    await recorder.wait_for(Executing, lambda m: m.prompt_id == prompt_id)
    return prompt_id


async def test_a_prompt_carries_its_id_and_that_of_the_socket(fake: FakeComfy, client: ComfyClient) -> None:
    prompt_id = new_id()
    async with Recorder(client) as recorder:
        await client.submit(PROMPT, prompt_id=prompt_id, extra_data={"extra_pnginfo": {"workflow": {"a": 1}}})
        await recorder.wait_over(prompt_id)
        expected = {
            "prompt": PROMPT,
            "prompt_id": prompt_id,
            "client_id": client.client_id,
            "extra_data": {"extra_pnginfo": {"workflow": {"a": 1}}},
        }

    assert fake.submissions == [expected]


async def test_a_prompt_without_a_socket_still_has_a_client_id(fake: FakeComfy, client: ComfyClient) -> None:
    for _ in range(2):
        await client.submit(PROMPT, prompt_id=new_id())

    ids = [body["client_id"] for body in fake.submissions]
    assert all(ids)
    assert ids[0] != ids[1]


@pytest.mark.parametrize("value", [float("nan"), float("inf"), object(), {1, 2}])
async def test_what_json_cannot_hold_is_not_sent(fake: FakeComfy, client: ComfyClient, value: object) -> None:
    prompt = {"1": {"class_type": "X", "inputs": {"a": value}}}
    with pytest.raises(InvalidPrompt):
        await client.submit(prompt, prompt_id=new_id())

    assert fake.requests == []


async def test_a_submit_that_lost_its_answer_is_found_by_its_id(fake: FakeComfy, client: ComfyClient) -> None:
    taken, untaken, gate = new_id(), new_id(), asyncio.Event()
    fake.behave(until(gate), taken)
    fake.fail("POST", "/prompt", cut_after(), cut_before())
    async with Recorder(client) as recorder:
        for prompt_id in (taken, untaken):
            with pytest.raises(ConnectionLost):
                await client.submit(PROMPT, prompt_id=prompt_id)
        await recorder.wait_for(Started)
        places = [(await client.find(prompt_id)).place for prompt_id in (taken, untaken)]
        gate.set()
        await recorder.wait_over(taken)

    assert places == [Place.RUNNING, Place.ABSENT]
    assert fake.executions == {taken: 1}


async def test_a_prompt_that_ends_between_the_two_questions_is_found(fake: FakeComfy, client: ComfyClient) -> None:
    prompt_id, gate, hold = new_id(), asyncio.Event(), Hold()
    fake.behave(until(gate), prompt_id)
    async with Recorder(client) as recorder:
        await client.submit(PROMPT, prompt_id=prompt_id)
        await recorder.wait_for(Started)
        # The queue is answered after the prompt has left it, and the history is asked after that.
        fake.fail("GET", "/queue", hold.fault())
        finding = asyncio.create_task(client.find(prompt_id))
        await hold.arrived.wait()
        gate.set()
        await recorder.wait_over(prompt_id)
        hold.let_go.set()
        where = await finding

    assert where.place is Place.FINISHED
    assert where.entry is not None


async def test_a_prompt_that_starts_between_two_looks_is_running(fake: FakeComfy, client: ComfyClient) -> None:
    hold = Hold(handle_first=True)
    prompt_id = new_id()
    async with Recorder(client) as recorder:
        first = await running(fake, client, recorder)
        fake.behave(until(asyncio.Event()), prompt_id)
        await client.submit(PROMPT, prompt_id=prompt_id)
        fake.fail("GET", "/queue", hold.fault())
        cancelling = asyncio.create_task(client.cancel(prompt_id))
        await hold.arrived.wait()
        # It was pending when the queue was read, and runs when the answer is handled.
        fake.interrupt(first)
        await recorder.wait_for(Started, lambda m: m.prompt_id == prompt_id)
        hold.let_go.set()
        outcome = await cancelling
        await recorder.wait_for(Interrupted, lambda m: m.prompt_id == prompt_id)

    assert outcome is CancelOutcome.STOPPING
    assert fake.interrupts == [{"prompt_id": prompt_id}]


async def test_a_prompt_that_ends_while_it_is_cancelled_stops_nobody(fake: FakeComfy, client: ComfyClient) -> None:
    hold = Hold(handle_first=True)
    async with Recorder(client) as recorder:
        first, second = new_id(), new_id()
        gates = [asyncio.Event(), asyncio.Event()]
        for prompt_id, gate in zip((first, second), gates, strict=True):
            fake.behave(until(gate), prompt_id)
            await client.submit(PROMPT, prompt_id=prompt_id)
        await recorder.wait_for(Started, lambda m: m.prompt_id == first)
        await client.system_stats()
        fake.fail("GET", "/queue", hold.fault())
        cancelling = asyncio.create_task(client.cancel(first))
        await hold.arrived.wait()
        gates[0].set()
        await recorder.wait_for(Started, lambda m: m.prompt_id == second)
        hold.let_go.set()
        await cancelling
        gates[1].set()
        await recorder.wait_over(second)

    assert not any(isinstance(message, Interrupted) for message in recorder.messages)


@pytest.mark.parametrize("version", ["0.3.56", "unknown", ""])
async def test_a_backend_without_targeted_interrupts_is_never_interrupted(version: str) -> None:
    async with (
        FakeComfy(version=version) as fake,
        ComfyClient(fake.backend(), timeouts=QUICK) as client,
        Recorder(client) as recorder,
    ):
        prompt_id = await running(fake, client, recorder)
        outcome = await client.cancel(prompt_id)
        place = (await client.find(prompt_id)).place

        assert outcome is CancelOutcome.UNSUPPORTED
        assert place is Place.RUNNING
        assert fake.interrupts == []


async def test_the_jobs_api_is_used_where_it_is() -> None:
    async with (
        FakeComfy(version="0.26.0", jobs_api=True) as fake,
        ComfyClient(fake.backend(), timeouts=QUICK) as client,
        Recorder(client) as recorder,
    ):
        prompt_id, waiting = await running(fake, client, recorder), new_id()
        await client.submit(PROMPT, prompt_id=waiting)
        outcomes = [await client.cancel(waiting), await client.cancel(prompt_id)]
        await recorder.wait_over(prompt_id)
        outcomes.append(await client.cancel(prompt_id))

        assert outcomes == [CancelOutcome.STOPPING, CancelOutcome.STOPPING, CancelOutcome.NOT_QUEUED]
        assert fake.interrupts == []
        assert ("GET", "/queue") not in fake.requests


async def test_the_jobs_api_is_looked_for_once(fake: FakeComfy, client: ComfyClient) -> None:
    for _ in range(3):
        await client.cancel(new_id())

    assert len([path for _, path in fake.requests if path.startswith("/api/jobs")]) <= 1
    assert fake.interrupts == []


async def test_an_updated_backend_is_looked_at_again(fake: FakeComfy, client: ComfyClient) -> None:
    await client.system_stats()
    await client.cancel(new_id())
    await fake.stop()
    fake.version, fake.jobs_api = "0.26.0", True
    await fake.start()
    await client.system_stats()
    fake.requests.clear()
    await client.cancel(new_id())

    assert [path for _, path in fake.requests] == ["/api/jobs/{job_id}/cancel"]


async def test_a_restarted_backend_is_asked_for_its_limit_again(fake: FakeComfy, client: ComfyClient) -> None:
    async with Recorder(client) as recorder:
        await client.upload(io.BytesIO(b"x"), name="a.bin")
        await fake.stop()
        fake.max_upload_bytes = 1
        await fake.start()
        await recorder.wait_for(Disconnected)
        await recorder.wait_for(Connected, after=len(recorder.messages) - 1)
        with pytest.raises(PayloadTooLarge):
            await client.upload(io.BytesIO(b"xy"), name="b.bin")


async def test_the_newest_backends_refuse_an_id_that_is_no_uuid() -> None:
    async with FakeComfy(jobs_api=True) as fake, ComfyClient(fake.backend(), timeouts=QUICK) as client:
        with pytest.raises(PromptRejected) as caught:
            await client.submit(PROMPT, prompt_id="not a UUID")

    assert caught.value.kind == "invalid_prompt_id"


async def test_a_backend_that_chooses_its_own_id_is_refused_and_emptied(
    fake: FakeComfy, client: ComfyClient, caplog: pytest.LogCaptureFixture
) -> None:
    fake.fail("POST", "/prompt", answer(200, b'{"prompt_id": "mine", "number": 1, "node_errors": {}}'))
    caplog.set_level(logging.WARNING)
    with pytest.raises(ProtocolViolation, match="prompt_id"):
        await client.submit(PROMPT, prompt_id=new_id())

    assert ("GET", "/queue") in fake.requests
    assert caplog.records == []


async def test_a_rejection_stands_even_if_taking_back_fails(
    fake: FakeComfy, client: ComfyClient, caplog: pytest.LogCaptureFixture
) -> None:
    bad = {**IMAGE, "inputs": {**IMAGE["inputs"], "width": 0}}  # type: ignore[dict-item]
    prompt = PROMPT | {"3": bad, "4": {"class_type": "PreviewImage", "inputs": {"images": ["3", 0]}}}
    fake.fail("GET", "/queue", answer(500))
    with pytest.raises(PromptRejected):
        await client.submit(prompt, prompt_id=new_id())

    assert "could not be taken back" in caplog.text


async def test_out_of_memory_is_told_as_such(fake: FakeComfy, client: ComfyClient) -> None:
    prompt_id = new_id()
    fake.behave(out_of_memory(), prompt_id)
    async with Recorder(client) as recorder:
        await client.submit(PROMPT, prompt_id=prompt_id)
        await recorder.wait_over(prompt_id)
        entry = await client.history(prompt_id)

    assert entry is not None
    assert entry.error is not None
    assert entry.error.out_of_memory


async def test_a_prompt_that_leaves_no_trace_is_absent(fake: FakeComfy, client: ComfyClient) -> None:
    prompt_id, following = new_id(), new_id()
    fake.behave(vanishing, prompt_id)
    async with Recorder(client) as recorder:
        await client.submit(PROMPT, prompt_id=prompt_id)
        await client.submit(PROMPT, prompt_id=following)
        await recorder.wait_over(following)

        assert (await client.find(prompt_id)).place is Place.ABSENT


async def test_a_restarted_backend_knows_nothing_of_earlier_prompts(fake: FakeComfy, client: ComfyClient) -> None:
    async with Recorder(client) as recorder:
        prompt_id = await running(fake, client, recorder)
        await fake.restart()

        assert (await client.find(prompt_id)).place is Place.ABSENT


async def test_steps_are_told_as_they_come(fake: FakeComfy, client: ComfyClient) -> None:
    prompt_id, gates = new_id(), [asyncio.Event() for _ in range(3)]
    fake.behave(stepping(gates), prompt_id)
    async with Recorder(client) as recorder:
        await client.submit(PROMPT, prompt_id=prompt_id)
        for step, gate in enumerate(gates):
            gate.set()
            told = await recorder.wait_for(Progress, lambda m, step=step: m.value == step + 1)  # type: ignore[misc]
            assert told.maximum == 3
        await recorder.wait_over(prompt_id)


async def test_freeing_says_what_to_free(fake: FakeComfy, client: ComfyClient) -> None:
    await client.free(unload_models=True, free_memory=False)

    assert fake.freed == [{"unload_models": True, "free_memory": False}]


async def test_a_broken_node_class_is_left_out(
    fake: FakeComfy, client: ComfyClient, caplog: pytest.LogCaptureFixture
) -> None:
    fake.fail("GET", "/object_info", answer(200, b'{"Good": {"input": {}, "output": []}, "Bad": 5}'))
    found = await client.all_object_info()

    assert set(found) == {"Good"}
    assert "Bad" in caplog.text


async def test_a_prefix_is_kept_for_every_route() -> None:
    async with (
        FakeComfy(prefix="/gpu/one") as fake,
        ComfyClient(fake.backend(), timeouts=QUICK) as client,
        Recorder(client) as recorder,
    ):
        prompt_id = new_id()
        await client.submit(PROMPT, prompt_id=prompt_id)
        await recorder.wait_over(prompt_id)
        capabilities = await client.capabilities(0.0)

        assert fake.url.endswith("/gpu/one")
        assert "EmptyImage" in capabilities.node_classes


async def test_a_fault_of_one_part_of_the_capabilities_comes_out(fake: FakeComfy, client: ComfyClient) -> None:
    fake.fail("GET", "/models/{folder}", answer(500))
    with pytest.raises(BackendFault):
        await client.capabilities(0.0)
