"""Images, sounds and latents that are picked on a Remote Workflow node as users do: from its lists, or uploaded."""

from __future__ import annotations

import io
import json
import struct
import time
import wave
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from playwright.sync_api import expect

from tests.support.canvas import Canvas
from tests.support.master import Master
from tests.support.sidebar import Sidebar
from tests.support.surfaces import newest
from tools.devtools.instances import Instance

pytestmark = [pytest.mark.comfy, pytest.mark.browser]

INVERTED = {
    "1": {"class_type": "LoadImage", "inputs": {"image": "example.png"}},
    "2": {"class_type": "ImageInvert", "inputs": {"image": ["1", 0]}},
    "3": {"class_type": "PreviewImage", "inputs": {"images": ["2", 0]}},
}
SOUND = {
    "1": {"class_type": "LoadAudio", "inputs": {"audio": "tone.wav"}},
    "2": {"class_type": "PreviewAudio", "inputs": {"audio": ["1", 0]}},
}
LATENT = {
    "1": {"class_type": "LoadLatent", "inputs": {"latent": "field.latent"}},
    "2": {"class_type": "LatentFlip", "inputs": {"samples": ["1", 0], "flip_method": "x-axis: vertically"}},
    "3": {"class_type": "SaveLatent", "inputs": {"samples": ["2", 0], "filename_prefix": "flipped"}},
}


@pytest.fixture
def farm(master: Master, plain_peer: Instance) -> Master:
    """The master with one backend, and a sound and a latent in its input folder."""
    master.forget_backends()
    master.register(plain_peer)
    _write_tone(master.instance.directory / "input" / "tone.wav")
    _write_latent(master.instance.directory / "input" / "field.latent")
    return master


def _write_tone(path: Path) -> None:
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(8000)
        file.writeframes(b"".join(struct.pack("<h", (i * 997) % 8192) for i in range(4000)))


def _write_latent(path: Path) -> None:
    data = struct.pack("<256f", *range(256))
    head = {
        "latent_tensor": {"dtype": "F32", "shape": [1, 4, 8, 8], "data_offsets": [0, len(data)]},
        "latent_format_version_0": {"dtype": "F32", "shape": [0], "data_offsets": [len(data), len(data)]},
    }
    text = json.dumps(head).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + data)


def _place(canvas: Canvas, name: str) -> str:
    Sidebar(canvas.page).open("Library").get_by_role("button", name=f"Add {name} to the canvas").click()
    (node,) = canvas.nodes()
    return node.id


def _sent(farm: Master, canvas: Canvas, consumer: dict[str, Any]) -> dict[str, Any]:
    """Run what the canvas would send, with something that takes the result; return what the job was given."""
    (job,) = farm.jobs(farm.run({**canvas.prompt(), "taker": consumer}))
    values: dict[str, Any] = job["values"]
    return values


def _colour(farm: Master, canvas: Canvas, node: str) -> tuple[int, ...]:
    """Run what the canvas would send; return what the first pixel of the result is."""
    shown = {"class_type": "PreviewImage", "inputs": {"images": [node, 2]}}
    (data,) = farm.images(farm.run({**canvas.prompt(), "shown": shown}), "shown")
    pixel = Image.open(io.BytesIO(data)).convert("RGB").getpixel((0, 0))
    assert isinstance(pixel, tuple)
    return pixel


@newest
def test_the_image_that_was_picked_or_uploaded_is_the_one_that_runs(
    farm: Master, open_canvas: Callable[..., Canvas], tmp_path: Path
) -> None:
    stamp = time.monotonic_ns()
    there, mine = f"red-{stamp}.png", f"green-{stamp}.png"
    Image.new("RGB", (8, 8), (255, 0, 0)).save(farm.instance.directory / "input" / there)
    Image.new("RGB", (8, 8), (0, 255, 0)).save(tmp_path / mine)
    name = f"Inverted {stamp}"
    farm.define(name, INVERTED)
    canvas = open_canvas(farm.instance)
    node = _place(canvas, name)
    canvas.choose(node, "parameters.image", there)
    assert _colour(farm, canvas, node) == (0, 255, 255)
    with canvas.page.expect_file_chooser() as chooser:
        canvas.press(node, "Choose a file to upload (image)")
    chooser.value.set_files(tmp_path / mine)
    canvas.until_widget(node, "parameters.image", mine)
    assert _colour(farm, canvas, node) == (255, 0, 255)


def test_a_sound_is_picked_heard_and_sent(farm: Master, canvas: Canvas) -> None:
    name = f"Sound {time.monotonic_ns()}"
    farm.define(name, SOUND)
    node = _place(canvas, name)
    canvas.choose(node, "parameters.audio", "tone.wav")
    player = canvas.page.get_by_label("audio", exact=True).and_(canvas.page.locator("audio"))
    expect(player).to_be_visible()
    player.evaluate("player => { player.muted = true; return player.play() }")
    canvas.page.wait_for_function("() => document.querySelector('.orc-node-audio audio').duration === 0.5")
    sent = _sent(farm, canvas, {"class_type": "PreviewAudio", "inputs": {"audio": [node, 2]}})
    assert [sent["audio"]["type"], len(sent["audio"]["files"])] == ["AUDIO", 1]


def test_a_latent_is_uploaded_on_the_node_and_sent(farm: Master, canvas: Canvas, tmp_path: Path) -> None:
    name = f"Latent {time.monotonic_ns()}"
    farm.define(name, LATENT)
    node = _place(canvas, name)
    mine = f"mine-{time.monotonic_ns()}.latent"
    _write_latent(tmp_path / mine)
    with canvas.page.expect_file_chooser() as chooser:
        canvas.press(node, "Choose a file to upload (latent)")
    chooser.value.set_files(tmp_path / mine)
    canvas.until_widget(node, "parameters.latent", mine)
    saving = {"class_type": "SaveLatent", "inputs": {"samples": [node, 2], "filename_prefix": "flipped"}}
    sent = _sent(farm, canvas, saving)
    assert [sent["latent"]["type"], len(sent["latent"]["files"])] == ["LATENT", 1]
