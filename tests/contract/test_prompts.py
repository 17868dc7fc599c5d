from __future__ import annotations

import io

import pytest

from comfy_orchestrator_nodes.backend.answers import HistoryStatus, Place
from comfy_orchestrator_nodes.backend.messages import (
    Cached,
    Executed,
    Executing,
    ExecutionError,
    ProgressState,
    Started,
    Status,
    Success,
)
from comfy_orchestrator_nodes.errors import PromptRejected
from tests.contract.conftest import Peer
from tests.contract.prompts import Prompt, empty_image, new_id, preview_prompt


async def test_a_prompt_runs_and_its_messages_come_in_order(peer: Peer) -> None:
    prompt_id = new_id()
    async with peer.recorder() as recorder:
        submitted = await peer.client.submit(preview_prompt(), prompt_id=prompt_id)
        await recorder.wait_over(prompt_id)

    assert submitted.prompt_id == prompt_id
    steps = [message for message in recorder.of(prompt_id) if not isinstance(message, ProgressState)]
    assert [type(step) for step in steps] == [Started, Cached, Executing, Executing, Executed, Success, Executing]
    assert [step.node_id for step in steps if isinstance(step, Executing)] == ["1", "2", None]


async def test_the_history_is_written_when_the_end_is_told(peer: Peer) -> None:
    prompt_id = new_id()
    async with peer.recorder() as recorder:
        await peer.client.submit(preview_prompt(), prompt_id=prompt_id)
        await recorder.wait_over(prompt_id)
        entry = await peer.client.history(prompt_id)

    assert entry is not None
    assert entry.status is HistoryStatus.SUCCESS
    assert entry.error is None
    executed = [message for message in recorder.messages if isinstance(message, Executed)]
    assert entry.outputs == {"2": executed[0].output}
    assert entry.started_at is not None
    assert entry.ended_at is not None
    assert entry.ended_at >= entry.started_at


async def test_progress_tells_every_node_that_started(peer: Peer) -> None:
    prompt_id = new_id()
    async with peer.recorder() as recorder:
        await peer.client.submit(preview_prompt(), prompt_id=prompt_id)
        await recorder.wait_over(prompt_id)

    states = [message for message in recorder.of(prompt_id) if isinstance(message, ProgressState)]
    assert {node: progress.state for node, progress in states[-1].nodes.items()} == {"1": "finished", "2": "finished"}


async def test_outputs_are_there_again_when_every_node_was_cached(peer: Peer) -> None:
    prompt, first, second = preview_prompt(), new_id(), new_id()
    async with peer.recorder() as recorder:
        await peer.client.submit(prompt, prompt_id=first)
        await recorder.wait_over(first)
        await peer.client.submit(prompt, prompt_id=second)
        await recorder.wait_over(second)
        entries = [await peer.client.history(prompt_id) for prompt_id in (first, second)]

    cached = next(message for message in recorder.of(second) if isinstance(message, Cached))
    assert set(cached.node_ids) == {"1", "2"}
    assert entries[0] is not None
    assert entries[1] is not None
    assert entries[1].outputs == entries[0].outputs
    assert set(entries[1].cached_node_ids) == {"1", "2"}


async def test_an_image_is_fetched_as_it_was_stored(peer: Peer) -> None:
    prompt_id, received = new_id(), io.BytesIO()
    async with peer.recorder() as recorder:
        await peer.client.submit(preview_prompt(width=40, height=30, batch_size=2), prompt_id=prompt_id)
        await recorder.wait_over(prompt_id)
        entry = await peer.client.history(prompt_id)
        assert entry is not None
        files = entry.outputs["2"].files["images"]
        size = await peer.client.view(files[0], received.write)

    assert len(files) == 2
    assert files[0] != files[1]
    assert {file.type for file in files} == {"temp"}
    assert size == len(received.getvalue())
    assert received.getvalue()[:8] == b"\x89PNG\r\n\x1a\n"
    assert received.getvalue()[16:24] == (40).to_bytes(4, "big") + (30).to_bytes(4, "big")


async def test_a_linked_prefix_gives_previews_a_folder_of_our_own(peer: Peer) -> None:
    prompt_id, folder = new_id(), f"orchestrator/{new_id()}"
    prompt = preview_prompt()
    prompt["3"] = {"class_type": "PrimitiveString", "inputs": {"value": f"{folder}/out"}}
    prompt["2"]["inputs"]["filename_prefix"] = ["3", 0]
    async with peer.recorder() as recorder:
        await peer.client.submit(prompt, prompt_id=prompt_id)
        await recorder.wait_over(prompt_id)
        entry = await peer.client.history(prompt_id)
        assert entry is not None
        received = io.BytesIO()
        await peer.client.view(entry.outputs["2"].files["images"][0], received.write)

    assert entry.outputs["2"].files["images"][0].subfolder.replace("\\", "/") == folder
    assert received.getvalue()


async def test_texts_come_back_as_values(peer: Peer) -> None:
    prompt_id, text = new_id(), 'zwei\nZeilen ✓ "quoted"'
    prompt: Prompt = {
        "1": {"class_type": "PrimitiveString", "inputs": {"value": text}},
        "2": {"class_type": "PreviewAny", "inputs": {"source": ["1", 0]}},
    }
    async with peer.recorder() as recorder:
        await peer.client.submit(prompt, prompt_id=prompt_id)
        await recorder.wait_over(prompt_id)
        entry = await peer.client.history(prompt_id)

    assert entry is not None
    assert entry.outputs["2"].values == {"text": (text,)}
    assert entry.outputs["2"].files == {}


async def test_a_failing_node_is_named_with_its_error(peer: Peer) -> None:
    prompt_id, name = new_id(), f"{new_id()}.png"
    stored = await peer.client.upload(io.BytesIO(b"no image at all"), name=name, place="temp")
    prompt: Prompt = {
        "7": {"class_type": "LoadImage", "inputs": {"image": stored.file.annotated}},
        "8": {"class_type": "PreviewImage", "inputs": {"images": ["7", 0]}},
    }
    async with peer.recorder() as recorder:
        await peer.client.submit(prompt, prompt_id=prompt_id)
        told = await recorder.wait_for(ExecutionError, lambda m: m.prompt_id == prompt_id)
        await recorder.wait_over(prompt_id)
        entry = await peer.client.history(prompt_id)

    assert entry is not None
    assert entry.status is HistoryStatus.ERROR
    assert entry.error == told.error
    assert (told.error.node_id, told.error.class_type) == ("7", "LoadImage")
    assert told.error.exception_type == "PIL.UnidentifiedImageError"
    assert "cannot identify image file" in told.error.message
    assert told.error.traceback
    assert not told.error.out_of_memory
    assert not any(isinstance(message, Success) for message in recorder.of(prompt_id))


async def test_a_missing_node_class_is_named(peer: Peer) -> None:
    with pytest.raises(PromptRejected) as caught:
        await peer.client.submit({"5": {"class_type": "NoSuchNode", "inputs": {}}}, prompt_id=new_id())

    assert caught.value.kind == "missing_node_type"
    assert caught.value.node_errors["5"][0]["class_type"] == "NoSuchNode"
    assert "NoSuchNode" in str(caught.value)


async def test_a_prompt_without_outputs_is_rejected(peer: Peer) -> None:
    with pytest.raises(PromptRejected) as caught:
        await peer.client.submit({"1": empty_image()}, prompt_id=new_id())

    assert caught.value.kind == "prompt_no_outputs"
    assert caught.value.node_errors == {}


@pytest.mark.parametrize(
    ("node", "changes", "error_type", "input_name"),
    [
        ("1", {"width": 0}, "value_smaller_than_min", "width"),
        ("1", {"color": 0x1000000}, "value_bigger_than_max", "color"),
        ("1", {"height": None}, "required_input_missing", "height"),
        ("3", {"upscale_method": "magic"}, "value_not_in_list", "upscale_method"),
        ("3", {"width": ["1", 0]}, "return_type_mismatch", "width"),
    ],
)
async def test_a_bad_input_is_named(
    peer: Peer, node: str, changes: dict[str, object], error_type: str, input_name: str
) -> None:
    scale = {"image": ["1", 0], "upscale_method": "area", "width": 8, "height": 8, "crop": "disabled"}
    prompt: Prompt = {
        "1": empty_image(),
        "3": {"class_type": "ImageScale", "inputs": scale},
        "2": {"class_type": "PreviewImage", "inputs": {"images": ["3", 0]}},
    }
    inputs = prompt[node]["inputs"] | changes
    prompt[node]["inputs"] = {name: value for name, value in inputs.items() if value is not None}

    with pytest.raises(PromptRejected) as caught:
        await peer.client.submit(prompt, prompt_id=new_id())

    assert caught.value.kind == "prompt_outputs_failed_validation"
    errors = caught.value.node_errors[node]
    assert [(error["type"], error["input_name"]) for error in errors] == [(error_type, input_name)]
    assert errors[0]["class_type"] == prompt[node]["class_type"]


async def test_a_missing_file_is_a_rejection(peer: Peer) -> None:
    prompt: Prompt = {
        "1": {"class_type": "LoadImage", "inputs": {"image": "no such file.png"}},
        "2": {"class_type": "PreviewImage", "inputs": {"images": ["1", 0]}},
    }
    with pytest.raises(PromptRejected) as caught:
        await peer.client.submit(prompt, prompt_id=new_id())

    assert caught.value.node_errors["1"][0]["type"] == "custom_validation_failed"


def half_bad_prompt() -> Prompt:
    """Return a prompt of which one output is valid and one is not."""
    good, bad = preview_prompt(), preview_prompt(width=0)
    return good | {"3": bad["1"], "4": {"class_type": "PreviewImage", "inputs": {"images": ["3", 0]}}}


async def test_a_prompt_with_one_bad_output_is_taken_back(peer: Peer) -> None:
    blocker, prompt_id = new_id(), new_id()
    async with peer.recorder() as recorder:
        await peer.client.submit(peer.slow_prompt(blocker), prompt_id=blocker)
        await recorder.wait_for(Started, lambda m: m.prompt_id == blocker)
        with pytest.raises(PromptRejected) as caught:
            await peer.client.submit(half_bad_prompt(), prompt_id=prompt_id)
        found = await peer.client.find(prompt_id)
        await peer.client.cancel(blocker)
        await recorder.wait_over(blocker)

    assert found.place is Place.ABSENT
    assert list(caught.value.node_errors) == ["3"]


async def test_a_bad_output_can_be_left_out(peer: Peer) -> None:
    prompt_id = new_id()
    async with peer.recorder() as recorder:
        submitted = await peer.client.submit(half_bad_prompt(), prompt_id=prompt_id, allow_dropped_outputs=True)
        await recorder.wait_over(prompt_id)
        entry = await peer.client.history(prompt_id)

    assert submitted.node_errors["3"][0]["type"] == "value_smaller_than_min"
    assert entry is not None
    assert set(entry.outputs) == {"2"}


async def test_status_counts_the_prompts(peer: Peer) -> None:
    prompt_id = new_id()
    async with peer.recorder() as recorder:
        await peer.client.submit(preview_prompt(), prompt_id=prompt_id)
        await recorder.wait_over(prompt_id)
        counts = [message.queue_remaining for message in recorder.messages if isinstance(message, Status)]

    assert counts[0] == 0
    assert counts[-1] == 0
    assert max(counts) == 1
    assert await peer.client.ping() == 0
