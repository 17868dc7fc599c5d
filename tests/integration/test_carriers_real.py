"""Every type goes into a real ComfyUI with nothing installed, and comes back: what is exact is exact."""

from __future__ import annotations

import hashlib
import io
import uuid
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import av
import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from comfy_orchestrator_nodes.backend import codecs
from comfy_orchestrator_nodes.backend.answers import HistoryEntry, HistoryStatus
from comfy_orchestrator_nodes.backend.carriers import (
    carriers_for,
    media_type_of,
    upload_name,
)
from comfy_orchestrator_nodes.backend.client import ComfyClient
from comfy_orchestrator_nodes.backend.codecs.clean import cleaner
from comfy_orchestrator_nodes.backend.object_info import ObjectInfoCache
from comfy_orchestrator_nodes.backend.results import RemoteFile
from comfy_orchestrator_nodes.backend.scalars import collect_scalar
from comfy_orchestrator_nodes.domain import Backend, Definition, FileRef, JobSpec, Json, Output, Parameter, Value
from comfy_orchestrator_nodes.workflow.bind import bind
from comfy_orchestrator_nodes.workflow.fragments import Lowered
from comfy_orchestrator_nodes.workflow.patch import lower
from tools.devtools.instances import Instance

pytestmark = pytest.mark.comfy

NATURAL_SHAPE = (48, 64)


@dataclass
class Ran:
    """What came of one attempt."""

    lowered: Lowered
    entry: HistoryEntry
    files: Mapping[str, Sequence[RemoteFile]]
    contents: Mapping[str, list[io.BytesIO]]

    def read(self, output: str) -> Any:
        return codecs.read(self.contents[output], self.lowered.collectors[output].type)

    def scalar(self, output: str) -> Json:
        collector = self.lowered.collectors[output]
        shown = self.entry.outputs[collector.node_id].values[collector.key]
        return collect_scalar(collector.type, [str(text) for text in shown])


class Peer:
    """A real backend, used as the scheduler uses it: upload, lower, submit, collect."""

    def __init__(self, client: ComfyClient) -> None:
        self.client = client
        self.infos = ObjectInfoCache(client)

    async def run(self, definition: Definition, natives: Mapping[str, Any], wanted: Sequence[str]) -> Ran:
        values: dict[str, Json | Value] = {}
        names: dict[str, str] = {}
        for name, native in natives.items():
            parameter = definition.parameter(name)
            assert parameter is not None
            values[name] = await self.send(native, parameter.type, names)
        bound = bind(definition, values)
        spec = JobSpec(definition.id, definition.version, definition.content_hash, bound, tuple(wanted))
        carriers = await carriers_for(self.infos, definition, spec)
        classes = {str(node["class_type"]) for node in definition.prompt.values()}
        lowered = lower(
            definition,
            bound,
            wanted,
            carriers=carriers,
            attempt_id=uuid.uuid4().hex,
            files=names,
            infos=await self.infos.many(classes),
        )
        assert lowered.refusals == ()
        return await self.collect(lowered)

    async def send(self, native: Any, type_: str, names: dict[str, str]) -> Json | Value:
        if type_ not in ("IMAGE", "MASK", "LATENT", "AUDIO", "VIDEO"):
            return native
        media: list[str] = []

        def open_sink(media_type: str) -> io.BytesIO:
            media.append(media_type)
            return io.BytesIO()

        files = [native] if isinstance(native, io.BytesIO) else codecs.encode(native, type_, open_sink)
        media = media or ["video/mp4"]
        refs = []
        for file, media_type in zip(files, media, strict=True):
            data = file.getvalue()
            ref = FileRef(hashlib.sha256(data).hexdigest(), len(data), media_type)
            name = upload_name(ref)
            sent = await self.client.upload(
                io.BytesIO(data),
                name=name.filename,
                subfolder=name.subfolder,
                place=name.type,
                media_type=media_type,
                overwrite=True,
            )
            assert sent.file.annotated.replace("\\", "/") == name.annotated
            names[ref.sha256] = sent.file.annotated
            refs.append(ref)
        return Value(type_, files=tuple(refs))

    async def collect(self, lowered: Lowered) -> Ran:
        prompt_id = str(uuid.uuid4())
        await self.client.submit(lowered.prompt, prompt_id=prompt_id)
        entry = None
        while entry is None:
            entry = await self.client.history(prompt_id)
        assert entry.status is HistoryStatus.SUCCESS, entry
        files: dict[str, Sequence[RemoteFile]] = {}
        contents: dict[str, list[io.BytesIO]] = {}
        for name, collector in lowered.collectors.items():
            if collector.is_text:
                continue
            files[name] = entry.outputs[collector.node_id].files[collector.key]
            contents[name] = [await self.fetch(file) for file in files[name]]
        return Ran(lowered, entry, files, contents)

    async def fetch(self, file: RemoteFile) -> io.BytesIO:
        content = io.BytesIO()
        clean = cleaner(media_type_of(file.name), content.write)
        await self.client.view(file, clean.write)
        clean.finish()
        return content


@pytest.fixture
async def peer(plain_peer: Instance) -> AsyncIterator[Peer]:
    async with ComfyClient(Backend("plain", "Plain", plain_peer.url)) as client:
        yield Peer(client)


def through(type_: str, *, by: Mapping[str, Json] | None = None) -> Definition:
    """A workflow that takes one value in by a Workflow Input and gives it out again, past ``by`` where given."""
    prompt: dict[str, Json] = {
        "1": {"class_type": "OrchestratorWorkflowInput", "inputs": {"name": "in", "type": type_}},
        "3": {"class_type": "OrchestratorWorkflowOutput", "inputs": {"name": "out", "value": ["1", 0]}},
    }
    if by is not None:
        prompt["2"] = by
        prompt["3"]["inputs"]["value"] = ["2", 0]
    source = "2" if by is not None else "1"
    return Definition(
        "through", 1, "Through", prompt, (Parameter("in", type_, "1", "value"),), (Output("out", type_, source, 0),)
    )


def eight_bit(*shape: int) -> npt.NDArray[np.float32]:
    """Random content that has exactly 8 bits, made as ComfyUI makes it."""
    return np.random.default_rng(sum(shape)).integers(0, 256, shape, dtype=np.uint8).astype(np.float32) / 255.0


async def test_a_batch_of_8_bit_images_comes_back_bit_for_bit(peer: Peer) -> None:
    images = eight_bit(5, *NATURAL_SHAPE, 3)
    ran = await peer.run(through("IMAGE"), {"in": images}, ["out"])
    result = ran.read("out")
    assert result.dtype == np.float32
    assert np.array_equal(result, images)


async def test_an_image_with_more_than_8_bits_is_rounded_to_the_nearest(peer: Peer) -> None:
    image = np.random.default_rng(1).random((1, *NATURAL_SHAPE, 3), dtype=np.float32)
    ran = await peer.run(through("IMAGE"), {"in": image}, ["out"])
    assert np.array_equal(ran.read("out"), (np.rint(image * 255)).astype(np.uint8).astype(np.float32) / 255.0)


async def test_an_image_made_there_is_cut_off_as_comfyui_saves_it(peer: Peer) -> None:
    prompt = {
        "1": {"class_type": "EmptyImage", "inputs": {"width": 32, "height": 16, "batch_size": 2, "color": 0x336699}},
        "2": {"class_type": "SaveImage", "inputs": {"images": ["1", 0], "filename_prefix": "never"}},
    }
    definition = Definition("made", 1, "Made", prompt, (), (Output("image", "IMAGE", "1", 0),))
    ran = await peer.run(definition, {}, ["image"])
    expected = np.array([0x33, 0x66, 0x99], np.float32) / 255.0
    assert ran.read("image").shape == (2, 16, 32, 3)
    assert np.array_equal(np.unique(ran.read("image").reshape(-1, 3), axis=0), expected[None])
    assert all(file.type == "temp" and file.subfolder.startswith("orchestrator") for file in ran.files["image"])


async def test_masks_come_back_bit_for_bit(peer: Peer) -> None:
    masks = eight_bit(3, *NATURAL_SHAPE)
    ran = await peer.run(through("MASK"), {"in": masks}, ["out"])
    assert np.array_equal(ran.read("out"), masks)


async def test_one_mask_comes_back_with_its_batch_axis(peer: Peer) -> None:
    mask = eight_bit(*NATURAL_SHAPE)
    ran = await peer.run(through("MASK"), {"in": mask}, ["out"])
    assert np.array_equal(ran.read("out"), mask[None])


async def test_a_latent_comes_back_bit_for_bit(peer: Peer) -> None:
    samples = np.random.default_rng(2).normal(size=(2, 4, 8, 8)).astype(np.float32)
    ran = await peer.run(through("LATENT"), {"in": {"samples": samples}}, ["out"])
    assert np.array_equal(ran.read("out")["samples"], samples)


async def test_sound_of_16_bits_comes_back_bit_for_bit(peer: Peer) -> None:
    samples = np.random.default_rng(3).integers(-(2**15), 2**15, (1, 2, 5000), dtype=np.int16)
    waveform = samples.astype(np.float32) / 2**15
    result = (await peer.run(through("AUDIO"), {"in": {"waveform": waveform, "sample_rate": 44100}}, ["out"])).read(
        "out"
    )
    assert result["sample_rate"] == 44100
    assert np.array_equal(result["waveform"], waveform)


async def test_sound_enters_as_32_bit_floats_and_leaves_rounded_to_16_bits(peer: Peer) -> None:
    waveform = np.random.default_rng(4).uniform(-1, 1, (1, 1, 4000)).astype(np.float32)
    result = (await peer.run(through("AUDIO"), {"in": {"waveform": waveform, "sample_rate": 22050}}, ["out"])).read(
        "out"
    )
    assert result["waveform"].shape == waveform.shape
    assert float(np.abs(result["waveform"] - waveform).max()) <= 1 / 2**15


def small_video() -> io.BytesIO:
    buffer = io.BytesIO()
    with av.open(buffer, mode="w", format="mp4") as container:
        stream = container.add_stream("mpeg4", rate=Fraction(8))
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for shade in range(0, 250, 25):
            frame = av.VideoFrame.from_ndarray(np.full((48, 64, 3), shade, np.uint8), format="rgb24")
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return buffer


def packets(file: io.BytesIO) -> list[bytes]:
    file.seek(0)
    with av.open(file) as container:
        return [bytes(packet) for packet in container.demux(video=0) if packet.size]


async def test_a_video_file_comes_back_with_the_same_stream(peer: Peer) -> None:
    video = small_video()
    ran = await peer.run(through("VIDEO"), {"in": video}, ["out"])
    assert packets(ran.contents["out"][0]) == packets(video)
    assert media_type_of(ran.files["out"][0].name) == "video/mp4"


SCALARS: list[tuple[str, str, Json]] = [
    ("STRING", "PrimitiveStringMultiline", 'Zeile 1\nline 2\t"ö" 🌊 \\n {"a": [1, 2]} None True '),
    ("STRING", "PrimitiveStringMultiline", ""),
    ("INT", "PrimitiveInt", 2**63 - 1),
    ("INT", "PrimitiveInt", -7),
    ("FLOAT", "PrimitiveFloat", 0.1),
    ("FLOAT", "PrimitiveFloat", 1e-7),
    ("FLOAT", "PrimitiveFloat", 2.0),
    ("BOOLEAN", "PrimitiveBoolean", True),
    ("BOOLEAN", "PrimitiveBoolean", False),
]


@pytest.mark.parametrize(("type_", "class_type", "value"), SCALARS)
async def test_a_scalar_comes_back_with_its_type_and_every_digit(
    peer: Peer, type_: str, class_type: str, value: Json
) -> None:
    node = {"class_type": class_type, "inputs": {"value": ["1", 0]}}
    ran = await peer.run(through(type_, by=node), {"in": value}, ["out"])
    assert ran.scalar("out") == value
    assert type(ran.scalar("out")) is type(value)


async def test_a_scalar_that_only_passes_through_is_shown_as_it_is(peer: Peer) -> None:
    assert (await peer.run(through("FLOAT"), {"in": 0.1}, ["out"])).scalar("out") == 0.1


async def test_a_scalar_is_shown_again_when_all_of_its_prompt_is_cached(peer: Peer) -> None:
    definition = through("STRING", by={"class_type": "PrimitiveString", "inputs": {"value": ["1", 0]}})
    ran = [await peer.run(definition, {"in": "the same"}, ["out"]) for _ in range(2)]
    assert [one.scalar("out") for one in ran] == ["the same", "the same"]
    assert "2" in ran[1].entry.cached_node_ids


async def test_an_image_given_to_its_loader_still_yields_the_mask(peer: Peer) -> None:
    rgba: npt.NDArray[np.uint8] = np.random.default_rng(5).integers(0, 256, (*NATURAL_SHAPE, 4), dtype=np.uint8)
    prompt = {"1": {"class_type": "LoadImage", "inputs": {"image": "not-there.png"}}}
    definition = Definition(
        "loader",
        1,
        "Loader",
        prompt,
        (Parameter("image", "IMAGE", "1", "image"),),
        (Output("image", "IMAGE", "1", 0), Output("mask", "MASK", "1", 1)),
    )
    image = rgba[None].astype(np.float32) / 255.0
    ran = await peer.run(definition, {"image": image}, ["image", "mask"])
    assert np.array_equal(ran.read("image"), image[..., :3])
    inverted = 1.0 - image[..., 3]
    assert np.array_equal(ran.read("mask"), (255.0 * inverted).astype(np.uint8).astype(np.float32) / 255.0)


async def test_a_batch_given_to_one_loader_enters_whole(peer: Peer) -> None:
    prompt = {
        "1": {"class_type": "LoadImage", "inputs": {"image": "not-there.png"}},
        "2": {"class_type": "ImageInvert", "inputs": {"image": ["1", 0]}},
    }
    definition = Definition(
        "loader", 1, "Loader", prompt, (Parameter("image", "IMAGE", "1", "image"),), (Output("out", "IMAGE", "2", 0),)
    )
    images = eight_bit(4, *NATURAL_SHAPE, 3)
    ran = await peer.run(definition, {"image": images}, ["out"])
    assert ran.read("out").shape == images.shape
    assert float(np.abs(ran.read("out") - (1 - images)).max()) <= 1 / 255


async def test_a_mask_given_to_its_loader_is_not_inverted(peer: Peer) -> None:
    prompt = {
        "1": {"class_type": "LoadImageMask", "inputs": {"image": "not-there.png", "channel": "alpha"}},
        "2": {"class_type": "InvertMask", "inputs": {"mask": ["1", 0]}},
        "3": {"class_type": "InvertMask", "inputs": {"mask": ["2", 0]}},
    }
    definition = Definition(
        "mask", 1, "Mask", prompt, (Parameter("mask", "MASK", "1", "image"),), (Output("out", "MASK", "3", 0),)
    )
    mask = (eight_bit(2, *NATURAL_SHAPE) > 0.5).astype(np.float32)
    assert np.array_equal((await peer.run(definition, {"mask": mask}, ["out"])).read("out"), mask)


async def test_a_second_attempt_writes_anew_while_what_it_depends_on_stays_cached(peer: Peer) -> None:
    images = eight_bit(1, 40, 56, 3)
    definition = through("IMAGE", by={"class_type": "ImageInvert", "inputs": {"image": ["1", 0]}})
    first = await peer.run(definition, {"in": images}, ["out"])
    second = await peer.run(definition, {"in": images}, ["out"])
    assert "2" in second.entry.cached_node_ids
    assert second.lowered.collectors["out"].node_id not in second.entry.cached_node_ids
    assert first.files["out"][0].subfolder != second.files["out"][0].subfolder
    assert np.array_equal(first.read("out"), second.read("out"))


@pytest.mark.parametrize("type_", ["IMAGE", "MASK", "LATENT", "AUDIO"])
async def test_two_attempts_with_one_result_leave_equal_files(peer: Peer, type_: str) -> None:
    natives = {
        "IMAGE": eight_bit(2, 24, 32, 3),
        "MASK": eight_bit(1, 24, 32),
        "LATENT": {"samples": eight_bit(1, 4, 8, 8)},
        "AUDIO": {"waveform": eight_bit(1, 2, 900), "sample_rate": 8000},
    }
    first, second = [await peer.run(through(type_), {"in": natives[type_]}, ["out"]) for _ in range(2)]
    assert [f.getvalue() for f in first.contents["out"]] == [f.getvalue() for f in second.contents["out"]]


async def test_all_outputs_of_one_job_come_back_together(peer: Peer) -> None:
    prompt = {
        "1": {"class_type": "EmptyImage", "inputs": {"width": 16, "height": 16, "batch_size": 1, "color": 0xFF0000}},
        "2": {"class_type": "ImageToMask", "inputs": {"image": ["1", 0], "channel": "red"}},
        "3": {"class_type": "EmptyLatentImage", "inputs": {"width": 64, "height": 64, "batch_size": 1}},
        "4": {"class_type": "PrimitiveInt", "inputs": {"value": 5}},
        "5": {"class_type": "CreateVideo", "inputs": {"images": ["1", 0], "fps": 8.0}},
    }
    outputs = (
        Output("image", "IMAGE", "1", 0),
        Output("mask", "MASK", "2", 0),
        Output("latent", "LATENT", "3", 0),
        Output("number", "INT", "4", 0),
        Output("video", "VIDEO", "5", 0),
    )
    ran = await peer.run(Definition("many", 1, "Many", prompt, (), outputs), {}, [o.name for o in outputs])
    assert ran.read("image").shape == (1, 16, 16, 3)
    assert np.array_equal(ran.read("mask"), np.ones((1, 16, 16), np.float32))
    assert np.array_equal(ran.read("latent")["samples"], np.zeros((1, 4, 8, 8), np.float32))
    assert ran.scalar("number") == 5
    assert packets(ran.contents["video"][0])


async def test_images_of_several_sizes_come_back_as_a_list(peer: Peer) -> None:
    sizes = ((16, 8), (8, 16))
    prompt = {
        str(number): {"class_type": "EmptyImage", "inputs": {"width": w, "height": h, "batch_size": 1, "color": 0}}
        for number, (w, h) in enumerate(sizes)
    }
    outputs = tuple(Output(f"image_{number}", "IMAGE", str(number), 0) for number in range(len(sizes)))
    ran = await peer.run(Definition("sizes", 1, "Sizes", prompt, (), outputs), {}, [o.name for o in outputs])
    together = [file for output in outputs for file in ran.contents[output.name]]
    assert [value.shape for value in codecs.read_list(together, "IMAGE")] == [(1, h, w, 3) for w, h in sizes]


async def test_this_backends_own_saver_is_read_like_ours(peer: Peer) -> None:
    """What a user uploads is any PNG: Pillow's writer, with filtered rows, must read the same as ours."""
    pixels = np.random.default_rng(6).integers(0, 256, (*NATURAL_SHAPE, 3), dtype=np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, format="PNG")
    ran = await peer.run(through("IMAGE"), {"in": file}, ["out"])
    assert np.array_equal(ran.read("out")[0], pixels.astype(np.float32) / 255.0)
