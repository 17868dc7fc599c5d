from __future__ import annotations

import asyncio
from contextlib import aclosing

import pytest

from comfy_orchestrator_nodes.backend.answers import CancelOutcome, HistoryStatus, Place
from comfy_orchestrator_nodes.backend.client import ComfyClient
from comfy_orchestrator_nodes.backend.messages import Executing, Interrupted, Started, Status, Success
from comfy_orchestrator_nodes.domain import Backend
from tests.contract.conftest import Peer
from tests.contract.prompts import new_id, preview_prompt
from tests.support.recorder import PATIENCE_S, Recorder


async def run_slowly(peer: Peer, recorder: Recorder) -> str:
    """Submit a prompt that goes on until it is cancelled, and wait until its first node runs."""
    prompt_id = new_id()
    await peer.client.submit(peer.slow_prompt(prompt_id), prompt_id=prompt_id)
    await recorder.wait_for(Executing, lambda m: m.prompt_id == prompt_id)
    return prompt_id


async def test_a_prompt_is_found_wherever_it_is(peer: Peer) -> None:
    finished, waiting = new_id(), new_id()
    async with peer.recorder() as recorder:
        await peer.client.submit(preview_prompt(), prompt_id=finished)
        await recorder.wait_over(finished)
        running = await run_slowly(peer, recorder)
        await peer.client.submit(preview_prompt(), prompt_id=waiting)
        places = [(await peer.client.find(id_)).place for id_ in (finished, running, waiting, new_id())]
        entry = (await peer.client.find(finished)).entry
        await peer.client.cancel(running)
        await recorder.wait_over(waiting)

    assert places == [Place.FINISHED, Place.RUNNING, Place.PENDING, Place.ABSENT]
    assert entry is not None
    assert entry.prompt_id == finished


async def test_the_queue_says_what_waits_in_which_order(peer: Peer) -> None:
    last, first, between = new_id(), new_id(), new_id()
    async with peer.recorder() as recorder:
        running = await run_slowly(peer, recorder)
        plain = await peer.client.submit(preview_prompt(), prompt_id=last)
        hurried = await peer.client.submit(preview_prompt(), prompt_id=first, front=True)
        numbered = await peer.client.submit(preview_prompt(), prompt_id=between, number=plain.number - 0.5)
        snapshot = await peer.client.queue()
        length = await peer.client.ping()
        await peer.client.cancel(running)
        for prompt_id in (last, first, between):
            await recorder.wait_over(prompt_id)

    assert [prompt.prompt_id for prompt in snapshot.running] == [running]
    assert [prompt.prompt_id for prompt in snapshot.pending] == [first, between, last]
    assert [prompt.number for prompt in snapshot.pending] == [hurried.number, numbered.number, plain.number]
    assert length == 4
    assert snapshot.pending[0].class_types == {"EmptyImage", "PreviewImage"}
    assert snapshot.pending[0].client_id is not None
    assert not snapshot.busy_orchestrating
    started = [m.prompt_id for m in recorder.messages if isinstance(m, Started) and m.prompt_id != running]
    assert started == [first, between, last]


async def test_cancelling_a_waiting_prompt_removes_it(peer: Peer) -> None:
    waiting = new_id()
    async with peer.recorder() as recorder:
        running = await run_slowly(peer, recorder)
        await peer.client.submit(preview_prompt(), prompt_id=waiting)
        outcome = await peer.client.cancel(waiting)
        places = [(await peer.client.find(id_)).place for id_ in (waiting, running)]
        await peer.client.cancel(running)
        await recorder.wait_over(running)

    assert outcome in (CancelOutcome.DEQUEUED, CancelOutcome.STOPPING)
    assert places == [Place.ABSENT, Place.RUNNING]
    assert recorder.of(waiting) == []


async def test_cancelling_a_running_prompt_interrupts_it(peer: Peer) -> None:
    async with peer.recorder() as recorder:
        running = await run_slowly(peer, recorder)
        outcome = await peer.client.cancel(running)
        told = await recorder.wait_for(Interrupted, lambda m: m.prompt_id == running)
        await recorder.wait_over(running)
        where = await peer.client.find(running)

    assert outcome is CancelOutcome.STOPPING
    assert where.place is Place.FINISHED
    assert where.entry is not None
    assert where.entry.status is HistoryStatus.INTERRUPTED
    assert where.entry.interrupted_node_id == told.node_id
    assert where.entry.error is None


async def test_cancelling_a_prompt_leaves_the_next_one_alone(peer: Peer) -> None:
    following = new_id()
    async with peer.recorder() as recorder:
        running = await run_slowly(peer, recorder)
        await peer.client.submit(preview_prompt(), prompt_id=following)
        await peer.client.cancel(running)
        await recorder.wait_over(following)

    assert any(isinstance(message, Success) for message in recorder.of(following))


@pytest.mark.parametrize("known", [True, False], ids=["finished", "unknown"])
async def test_cancelling_what_is_not_queued_stops_nobody(peer: Peer, known: bool) -> None:
    prompt_id = new_id()
    async with peer.recorder() as recorder:
        if known:
            await peer.client.submit(preview_prompt(), prompt_id=prompt_id)
            await recorder.wait_over(prompt_id)
        running = await run_slowly(peer, recorder)
        outcome = await peer.client.cancel(prompt_id)
        place = (await peer.client.find(running)).place
        await peer.client.cancel(running)
        await recorder.wait_over(running)

    assert outcome is CancelOutcome.NOT_QUEUED
    assert place is Place.RUNNING


async def test_messages_go_only_to_the_socket_that_submitted(peer: Peer) -> None:
    prompt_id, own = new_id(), new_id()
    async with (
        ComfyClient(Backend("other", "other", peer.url)) as other,
        Recorder(other) as bystander,
        peer.recorder() as recorder,
    ):
        await peer.client.submit(preview_prompt(), prompt_id=prompt_id)
        await recorder.wait_over(prompt_id)
        await other.submit(preview_prompt(), prompt_id=own)
        await bystander.wait_over(own)

    assert bystander.of(prompt_id) == []
    assert recorder.of(own) == []
    assert recorder.of(prompt_id)


async def test_a_running_prompt_is_overheard_under_the_client_id_it_was_submitted_with(peer: Peer) -> None:
    async def overhear(client_id: str, prompt_id: str) -> None:
        async with aclosing(peer.client.overhear(client_id)) as messages:
            async for message in messages:
                if isinstance(message, Status):
                    await peer.client.cancel(prompt_id)
                if isinstance(message, Interrupted) and message.prompt_id == prompt_id:
                    return
        pytest.fail("the socket ended without a word of the prompt")

    async with peer.recorder() as recorder:
        running = await run_slowly(peer, recorder)
        client_id = (await peer.client.find(running)).client_id
        assert client_id is not None
        await asyncio.wait_for(overhear(client_id, running), PATIENCE_S)


async def test_a_prompt_submitted_without_a_socket_can_be_followed_by_asking(peer: Peer) -> None:
    prompt_id = new_id()
    await peer.client.submit(preview_prompt(), prompt_id=prompt_id)
    async with peer.recorder() as recorder:
        # The queue runs in order, so what comes after it tells that it is over.
        following = new_id()
        await peer.client.submit(preview_prompt(), prompt_id=following)
        await recorder.wait_over(following)
        where = await peer.client.find(prompt_id)

    assert where.place is Place.FINISHED
    assert where.entry is not None
    assert where.entry.status is HistoryStatus.SUCCESS
    assert where.entry.outputs["2"].files["images"]


async def test_the_same_prompt_id_is_accepted_twice(peer: Peer) -> None:
    # Nobody deduplicates for us: that is why a lost answer is followed by a look, not by another submit.
    prompt_id = new_id()
    async with peer.recorder() as recorder:
        running = await run_slowly(peer, recorder)
        for _ in range(2):
            await peer.client.submit(preview_prompt(), prompt_id=prompt_id)
        snapshot = await peer.client.queue()
        await peer.client.cancel(prompt_id)
        await peer.client.cancel(prompt_id)
        await peer.client.cancel(running)
        await recorder.wait_over(running)

    assert [prompt.prompt_id for prompt in snapshot.pending] == [prompt_id, prompt_id]
