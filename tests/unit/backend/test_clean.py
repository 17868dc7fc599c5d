"""Equal results are equal files, whatever ComfyUI wrote into them about how they were made."""

from __future__ import annotations

import io
from typing import Any

import av
import numpy as np
import numpy.typing as npt
import pytest
import safetensors.numpy
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from comfy_orchestrator_nodes.backend import codecs
from comfy_orchestrator_nodes.backend.codecs.clean import cleaner

LATENT = "application/x-comfyui-latent"


def cleaned(content: bytes, media_type: str, part_bytes: int = 1 << 20) -> bytes:
    result = io.BytesIO()
    clean = cleaner(media_type, result.write)
    for start in range(0, len(content), part_bytes):
        clean.write(content[start : start + part_bytes])
    clean.finish()
    return result.getvalue()


def pixels() -> npt.NDArray[np.uint8]:
    return np.random.default_rng(0).integers(0, 256, (20, 30, 3), dtype=np.uint8)


def png(prompt: str) -> bytes:
    info = PngInfo()
    info.add_text("prompt", prompt)
    info.add_itxt("workflow", prompt, zip=True)
    file = io.BytesIO()
    Image.fromarray(pixels()).save(file, format="PNG", pnginfo=info)
    return file.getvalue()


def flac(prompt: str) -> bytes:
    samples = np.random.default_rng(0).integers(-(2**15), 2**15, (1, 4000), dtype=np.int16)
    buffer = io.BytesIO()
    with av.open(buffer, mode="w", format="flac") as container:
        container.metadata["prompt"] = prompt
        stream = container.add_stream("flac", rate=8000, layout="stereo")
        frame = av.AudioFrame.from_ndarray(samples, format="s16", layout="stereo")
        frame.sample_rate = 8000
        frame.pts = 0
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return buffer.getvalue()


def latent(prompt: str) -> bytes:
    samples = np.random.default_rng(0).normal(size=(1, 4, 5, 6)).astype(np.float32)
    tensors = {"latent_tensor": samples, "latent_format_version_0": np.zeros(0, np.float32)}
    return safetensors.numpy.save(tensors, metadata={"prompt": prompt})


FILES = [
    pytest.param(png, "image/png", "IMAGE", id="png"),
    pytest.param(flac, "audio/flac", "AUDIO", id="flac"),
    pytest.param(latent, LATENT, "LATENT", id="latent"),
]


def as_arrays(value: Any) -> list[Any]:
    return [np.asarray(item) for item in value.values()] if isinstance(value, dict) else [value]


@pytest.mark.parametrize(("make", "media_type", "type_"), FILES)
def test_results_of_two_attempts_become_the_same_file_with_the_same_content(
    make: Any, media_type: str, type_: str
) -> None:
    first, second = make("attempt 1"), make("attempt 2, longer")
    assert first != second
    clean = cleaned(first, media_type)
    assert clean == cleaned(second, media_type)
    assert b"attempt" not in clean
    before, after = (codecs.read([io.BytesIO(content)], type_) for content in (first, clean))
    assert all(np.array_equal(a, b) for a, b in zip(as_arrays(before), as_arrays(after), strict=True))


@pytest.mark.parametrize(("make", "media_type", "type_"), FILES)
def test_what_is_clean_stays_as_it_is(make: Any, media_type: str, type_: str) -> None:
    clean = cleaned(make("x"), media_type)
    assert cleaned(clean, media_type) == clean


@settings(deadline=None, max_examples=40)
@given(st.sampled_from([(png, "image/png"), (flac, "audio/flac"), (latent, LATENT)]), st.integers(1, 5000))
def test_it_does_not_matter_how_the_parts_arrive(kind: tuple[Any, str], part_bytes: int) -> None:
    make, media_type = kind
    content = make("a prompt")
    assert cleaned(content, media_type, part_bytes) == cleaned(content, media_type)


@settings(deadline=None)
@given(st.sampled_from(["image/png", "audio/flac", LATENT, "video/mp4", "text/plain"]), st.binary(max_size=200))
def test_a_file_that_is_something_else_passes_unchanged(media_type: str, content: bytes) -> None:
    assert cleaned(content, media_type) == content


@settings(deadline=None, max_examples=40)
@given(st.sampled_from([(png, "image/png"), (flac, "audio/flac"), (latent, LATENT)]), st.data())
def test_a_file_that_was_cut_off_stays_cut_off(kind: tuple[Any, str], data: st.DataObject) -> None:
    make, media_type = kind
    content = make("a prompt")
    part = content[: data.draw(st.integers(0, len(content) - 1))]
    assert len(cleaned(part, media_type)) < len(content)


def test_the_chunks_that_colours_depend_on_stay() -> None:
    file = io.BytesIO()
    Image.fromarray(pixels()).save(file, format="PNG", icc_profile=b"a profile", dpi=(72, 72))
    assert cleaned(file.getvalue(), "image/png") == file.getvalue()
