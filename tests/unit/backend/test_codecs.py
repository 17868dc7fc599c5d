"""Files hold values exactly where ComfyUI's own formats can, and what is damaged is told, never guessed."""

from __future__ import annotations

import io
import json
import struct
from typing import Any

import av
import numpy as np
import numpy.typing as npt
import pytest
import safetensors.numpy
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from comfy_orchestrator_nodes.agent import wire
from comfy_orchestrator_nodes.backend import codecs
from comfy_orchestrator_nodes.backend.codecs import blobs
from comfy_orchestrator_nodes.backend.codecs.png import write_png
from comfy_orchestrator_nodes.errors import UnsupportedValue, ValueLost


def encode(native: Any, type_: str) -> list[io.BytesIO]:
    return codecs.encode(native, type_, lambda _media_type: io.BytesIO())


def there_and_back(native: Any, type_: str) -> Any:
    return codecs.read(encode(native, type_), type_)


def random_bytes(*shape: int) -> npt.NDArray[np.uint8]:
    return np.random.default_rng(sum(shape)).integers(0, 256, shape, dtype=np.uint8)


def as_comfyui_loads(pixels: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
    return pixels.astype(np.float32) / 255.0


def as_comfyui_saves(image: npt.NDArray[np.float32]) -> npt.NDArray[np.uint8]:
    saved: npt.NDArray[np.uint8] = np.clip(255.0 * image, 0, 255).astype(np.uint8)
    return saved


# --- images ----------------------------------------------------------------------------------------------------------


def test_every_8_bit_value_survives_comfyuis_own_rounding() -> None:
    every = np.arange(256, dtype=np.uint8)
    assert np.array_equal(as_comfyui_saves(as_comfyui_loads(every)), every)


@settings(deadline=None, max_examples=25)
@given(st.integers(1, 3), st.integers(1, 40), st.integers(1, 40), st.sampled_from([3, 4]))
def test_8_bit_images_of_any_size_come_back_bit_for_bit(count: int, height: int, width: int, channels: int) -> None:
    image = as_comfyui_loads(random_bytes(count, height, width, channels))
    found = there_and_back(image, "IMAGE")
    assert found.dtype == np.float32
    assert np.array_equal(found, image)


def test_a_written_png_is_what_pillow_and_so_loadimage_reads() -> None:
    pixels = random_bytes(1, 300, 200, 3)
    (file,) = encode(as_comfyui_loads(pixels), "IMAGE")
    opened = Image.open(file)
    opened.verify()
    assert opened.format == "PNG"
    file.seek(0)
    assert np.array_equal(np.asarray(Image.open(file)), pixels[0])


def as_newer_comfyui_loads(file: io.BytesIO) -> npt.NDArray[np.float32]:
    """Read a frame as LoadImage does since it goes through PyAV: exactly for these two formats, and for no other."""
    file.seek(0)
    with av.open(file) as container:
        frame = next(container.decode(video=0))
    assert frame.format.name in ("rgb24", "rgba")
    return as_comfyui_loads(frame.to_ndarray(format=frame.format.name))


@settings(deadline=None, max_examples=25)
@given(st.integers(1, 40), st.integers(1, 70))
def test_newer_versions_that_load_through_ffmpeg_read_the_same(height: int, width: int) -> None:
    for channels in (3, 4):
        image = as_comfyui_loads(random_bytes(1, height, width, channels))
        assert np.array_equal(as_newer_comfyui_loads(encode(image, "IMAGE")[0]), image[0])
    mask = as_comfyui_loads(random_bytes(1, height, width))
    assert np.array_equal(as_newer_comfyui_loads(encode(mask, "MASK")[0])[..., 0], mask[0])


def test_a_flat_image_is_deflated_and_noise_is_stored() -> None:
    flat, noise = np.zeros((1, 256, 256, 3), np.float32), as_comfyui_loads(random_bytes(1, 256, 256, 3))
    assert encode(flat, "IMAGE")[0].getbuffer().nbytes < 5_000
    assert 256 * 256 * 3 < encode(noise, "IMAGE")[0].getbuffer().nbytes < 256 * 256 * 3 * 1.01
    assert np.array_equal(there_and_back(flat, "IMAGE"), flat)


def test_a_large_frame_is_filtered_and_deflated_and_reads_the_same() -> None:
    y, x = np.mgrid[0:200, 0:300]
    pixels = np.stack([x % 256, y % 256, (x + y) % 256], axis=-1).astype(np.uint8)
    rows = np.zeros((200, 1 + 900), np.uint8)
    rows[:, 1:] = pixels.reshape(200, 900)
    file = io.BytesIO()
    write_png(file, rows, 300, 3, large_bytes=1)
    assert np.array_equal(np.asarray(Image.open(file)), pixels)
    assert np.array_equal(as_newer_comfyui_loads(file), as_comfyui_loads(pixels))
    assert file.getbuffer().nbytes < pixels.nbytes / 10


def test_values_between_and_beyond_8_bits_go_to_the_nearest() -> None:
    image = np.array([-1.0, 0.0019, 0.002, 0.5, 0.9999, 2.0, np.nan, np.inf, -np.inf], np.float32).reshape(1, 1, 3, 3)
    (file,) = encode(image, "IMAGE")
    assert np.asarray(Image.open(file)).ravel().tolist() == [0, 0, 1, 128, 255, 255, 0, 255, 0]


def test_the_value_given_is_not_changed() -> None:
    image = np.random.default_rng(0).random((1, 8, 8, 3), dtype=np.float32)
    before = image.copy()
    encode(image, "IMAGE")
    assert np.array_equal(image, before)


@pytest.mark.parametrize("dtype", [np.float16, np.float64])
def test_other_precisions_are_taken(dtype: type) -> None:
    image = as_comfyui_loads(random_bytes(1, 9, 7, 3))
    assert np.array_equal(there_and_back(image.astype(dtype), "IMAGE"), image)


def test_a_view_that_is_not_contiguous_is_taken() -> None:
    image = as_comfyui_loads(random_bytes(2, 10, 12, 3))
    assert np.array_equal(there_and_back(image[:, ::2, ::3], "IMAGE"), image[:, ::2, ::3])


@pytest.mark.parametrize("shape", [(8, 8, 3), (1, 8, 8, 1), (1, 8, 8, 2), (0, 8, 8, 3), (1, 0, 8, 3)])
def test_what_is_no_image_is_refused_in_words(shape: tuple[int, ...]) -> None:
    with pytest.raises(UnsupportedValue, match="IMAGE"):
        encode(np.zeros(shape, np.float32), "IMAGE")


def pillow_file(image: Image.Image, format_: str = "PNG", **options: Any) -> io.BytesIO:
    file = io.BytesIO()
    image.save(file, format=format_, **options)
    return file


def test_files_of_one_size_are_one_batch_in_order() -> None:
    pixels = random_bytes(3, 6, 5, 3)
    files = [pillow_file(Image.fromarray(one)) for one in pixels]
    assert np.array_equal(codecs.read(files, "IMAGE"), as_comfyui_loads(pixels))


def test_files_of_several_sizes_are_no_batch_but_a_list() -> None:
    sizes = [(4, 4), (4, 4), (8, 4)]
    files = [pillow_file(Image.new("RGB", size)) for size in sizes]
    with pytest.raises(UnsupportedValue, match="sizes"):
        codecs.read(files, "IMAGE")
    assert [found.shape for found in codecs.read_list(files, "IMAGE")] == [(2, 4, 4, 3), (1, 4, 8, 3)]


def test_a_file_of_several_frames_is_a_batch() -> None:
    frames = [Image.fromarray(one) for one in random_bytes(3, 6, 5, 3)]
    file = pillow_file(frames[0], "TIFF", save_all=True, append_images=frames[1:])
    assert np.array_equal(codecs.read([file], "IMAGE"), as_comfyui_loads(random_bytes(3, 6, 5, 3)))


def test_a_photo_is_turned_as_its_camera_says() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    file = pillow_file(Image.new("RGB", (8, 4), (255, 0, 0)), "JPEG", exif=exif)
    assert codecs.read([file], "IMAGE").shape == (1, 8, 4, 3)


@pytest.mark.parametrize("mode", ["L", "P", "1", "LA", "CMYK", "I;16"])
def test_other_modes_become_rgb(mode: str) -> None:
    file = pillow_file(Image.new(mode, (4, 4)), "TIFF" if mode == "CMYK" else "PNG")
    assert codecs.read([file], "IMAGE").shape == (1, 4, 4, 3)
    assert codecs.read([file], "MASK").shape == (1, 4, 4)


@settings(deadline=None, max_examples=25)
@given(st.integers(1, 3), st.integers(1, 30), st.integers(1, 30))
def test_masks_come_back_bit_for_bit(count: int, height: int, width: int) -> None:
    mask = as_comfyui_loads(random_bytes(count, height, width))
    assert np.array_equal(there_and_back(mask, "MASK"), mask)


def test_a_mask_may_lack_its_batch_or_have_a_channel() -> None:
    mask = as_comfyui_loads(random_bytes(6, 5))
    assert np.array_equal(there_and_back(mask, "MASK"), mask[None])
    assert np.array_equal(there_and_back(mask[None, None], "MASK"), mask[None])
    with pytest.raises(UnsupportedValue, match="MASK"):
        encode(np.zeros((1, 2, 5, 5), np.float32), "MASK")


def test_a_mask_is_read_from_the_red_channel_of_a_preview() -> None:
    mask = random_bytes(6, 5)
    file = pillow_file(Image.fromarray(np.repeat(mask[..., None], 3, axis=2)))
    assert np.array_equal(codecs.read([file], "MASK")[0], as_comfyui_loads(mask))


# --- latents ---------------------------------------------------------------------------------------------------------


@settings(deadline=None, max_examples=25)
@given(st.lists(st.integers(1, 5), min_size=4, max_size=5), st.sampled_from([np.float32, np.float16, np.float64]))
def test_latents_come_back_as_loadlatent_reads_them(shape: list[int], dtype: type) -> None:
    samples: npt.NDArray[Any] = np.random.default_rng(0).normal(size=shape).astype(dtype)
    found = there_and_back({"samples": samples, "noise_mask": 1}, "LATENT")
    assert set(found) == {"samples"}
    assert found["samples"].dtype == np.float32
    assert np.array_equal(found["samples"], samples.astype(np.float32))


def test_a_latent_file_is_what_safetensors_reads() -> None:
    samples = np.random.default_rng(0).normal(size=(1, 4, 3, 5)).astype(np.float32)
    (file,) = encode({"samples": samples}, "LATENT")
    found = safetensors.numpy.load(file.getvalue())
    assert np.array_equal(found["latent_tensor"], samples)
    assert found["latent_format_version_0"].shape == (0,)


def test_a_latent_file_of_safetensors_is_read() -> None:
    samples = np.random.default_rng(0).normal(size=(1, 4, 3, 5)).astype(np.float32)
    tensors = {"latent_tensor": samples, "latent_format_version_0": np.zeros(0, np.float32)}
    file = io.BytesIO(safetensors.numpy.save(tensors, metadata={"prompt": "{}"}))
    assert np.array_equal(codecs.read([file], "LATENT")["samples"], samples)


def test_an_old_latent_file_is_scaled_as_loadlatent_does() -> None:
    samples = np.ones((1, 4, 2, 2), np.float32)
    file = io.BytesIO(safetensors.numpy.save({"latent_tensor": samples}))
    assert np.allclose(codecs.read([file], "LATENT")["samples"], 1 / 0.18215)


def test_a_bfloat16_latent_is_read() -> None:
    header = json.dumps(
        {"latent_tensor": {"dtype": "BF16", "shape": [1, 2], "data_offsets": [0, 4]}, "latent_format_version_0": {}}
    )
    file = io.BytesIO(struct.pack("<Q", len(header)) + header.encode() + struct.pack("<HH", 0x3F80, 0xC000))
    assert codecs.read([file], "LATENT")["samples"].tolist() == [[1.0, -2.0]]


def damaged_latent(**changes: Any) -> io.BytesIO:
    entry = {"dtype": "F32", "shape": [1, 2], "data_offsets": [0, 8], **changes}
    header = json.dumps({"latent_tensor": entry}).encode()
    return io.BytesIO(struct.pack("<Q", len(header)) + header + b"\0" * 8)


@pytest.mark.parametrize(
    "file",
    [
        io.BytesIO(b""),
        io.BytesIO(b"\0" * 7),
        io.BytesIO(b"not a latent at all, but a text"),
        io.BytesIO(struct.pack("<Q", 2**62) + b"{}"),
        io.BytesIO(struct.pack("<Q", 2) + b"[]"),
        io.BytesIO(struct.pack("<Q", 2) + b"{}"),
        damaged_latent(dtype="X1"),
        damaged_latent(shape=[2**40, 2**40]),
        damaged_latent(shape=[1, 2**50], data_offsets=[0, 2**52]),
        damaged_latent(shape=[1, -2]),
        damaged_latent(shape="ab"),
        damaged_latent(data_offsets=[4, 12]),
        damaged_latent(data_offsets=[-8, 0]),
        damaged_latent(data_offsets=[0]),
    ],
)
def test_a_damaged_latent_is_told_without_taking_memory_for_it(file: io.BytesIO) -> None:
    with pytest.raises(ValueLost):
        codecs.read([file], "LATENT")


@pytest.mark.parametrize("native", [None, {}, {"samples": np.zeros((0, 4, 1, 1))}, {"samples": "text"}])
def test_what_is_no_latent_is_refused_in_words(native: Any) -> None:
    with pytest.raises(UnsupportedValue, match="LATENT"):
        encode(native, "LATENT")


# --- sound -----------------------------------------------------------------------------------------------------------


@settings(deadline=None, max_examples=25)
@given(st.integers(1, 3), st.integers(1, 6), st.integers(1, 3000), st.sampled_from([8000, 44100, 48000]))
def test_sound_is_written_bit_for_bit(count: int, channels: int, length: int, sample_rate: int) -> None:
    waveform = np.random.default_rng(length).normal(size=(count, channels, length)).astype(np.float32)
    found = there_and_back({"waveform": waveform, "sample_rate": sample_rate}, "AUDIO")
    assert found["sample_rate"] == sample_rate
    assert np.array_equal(found["waveform"], waveform)


def flac(samples: npt.NDArray[np.int16], rate: int = 44100) -> io.BytesIO:
    """Write (C, T) as SaveAudio does."""
    buffer = io.BytesIO()
    layout = "mono" if samples.shape[0] == 1 else "stereo"
    with av.open(buffer, mode="w", format="flac") as container:
        stream = container.add_stream("flac", rate=rate, layout=layout)
        frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(samples.T).reshape(1, -1), format="s16", layout=layout)
        frame.sample_rate = rate
        frame.pts = 0
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return buffer


def sixteen_bit(channels: int, length: int) -> npt.NDArray[np.int16]:
    return np.random.default_rng(length).integers(-(2**15), 2**15, (channels, length), dtype=np.int16)


@pytest.mark.parametrize("channels", [1, 2])
def test_flac_is_read_as_comfyui_reads_it(channels: int) -> None:
    samples = sixteen_bit(channels, 5000)
    found = codecs.read([flac(samples)], "AUDIO")
    assert np.array_equal(found["waveform"][0], samples.astype(np.float32) / 2**15)


def test_sounds_of_one_length_are_one_batch_and_others_a_list() -> None:
    files = [
        flac(sixteen_bit(1, 500)),
        flac(sixteen_bit(1, 500)),
        flac(sixteen_bit(1, 600)),
        flac(sixteen_bit(1, 600), 8000),
    ]
    found = codecs.read_list(files, "AUDIO")
    assert [(f["waveform"].shape, f["sample_rate"]) for f in found] == [
        ((2, 1, 500), 44100),
        ((1, 1, 600), 44100),
        ((1, 1, 600), 8000),
    ]
    with pytest.raises(UnsupportedValue, match="AUDIO"):
        codecs.read(files, "AUDIO")


@pytest.mark.parametrize(
    "native",
    [
        None,
        {"waveform": np.zeros((1, 1, 5))},
        {"waveform": np.zeros((1, 5)), "sample_rate": 44100},
        {"waveform": np.zeros((1, 1, 0)), "sample_rate": 44100},
        {"waveform": np.zeros((1, 1, 5)), "sample_rate": 0},
    ],
)
def test_what_is_no_sound_is_refused_in_words(native: Any) -> None:
    with pytest.raises(UnsupportedValue, match="AUDIO"):
        encode(native, "AUDIO")


# --- video -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("head", "media_type"),
    [(b"\x1a\x45\xdf\xa3", "video/webm"), (b"\0\0\0\x18ftypqt  ", "video/quicktime"), (b"", "video/mp4")],
)
def test_a_video_becomes_its_file_again_for_a_plain_backend(head: bytes, media_type: str) -> None:
    content = head + b"streams" * 100_000
    media: list[str] = []

    def open_sink(media_type: str) -> io.BytesIO:
        media.append(media_type)
        return io.BytesIO()

    blob = b"".join(wire.encode(wire.Parts(wire.VIDEO, {"file": content}), "VIDEO").parts())
    (file,), loss = blobs.write_files([io.BytesIO(blob)], "VIDEO", open_sink)
    assert (file.getvalue(), media, loss) == (content, [media_type], "")


@pytest.mark.parametrize(
    "value", [b"bytes", wire.Parts("svg", {"files": [b"<svg/>"]}), wire.Parts(wire.VIDEO, {"file": b""})]
)
def test_what_is_no_video_does_not_become_its_file(value: object) -> None:
    blob = b"".join(wire.encode(value, "VIDEO").parts())
    with pytest.raises((ValueLost, UnsupportedValue)):
        blobs.write_files([io.BytesIO(blob)], "VIDEO", lambda _: io.BytesIO())


# --- damage ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("type_", ["IMAGE", "MASK", "AUDIO", "LATENT"])
@pytest.mark.parametrize("content", [b"", b"garbage", b"\x89PNG\r\n\x1a\n", b"RIFF\0\0\0\0WAVE", b"fLaC"])
def test_a_file_that_is_no_such_thing_is_told(type_: str, content: bytes) -> None:
    with pytest.raises(ValueLost):
        codecs.read([io.BytesIO(content)], type_)


@pytest.mark.parametrize("part", [0.1, 0.5, 0.95])
def test_a_file_that_was_cut_off_is_told(part: float) -> None:
    whole = encode(as_comfyui_loads(random_bytes(1, 64, 64, 3)), "IMAGE")[0].getvalue()
    with pytest.raises(ValueLost):
        codecs.read([io.BytesIO(whole[: int(len(whole) * part)])], "IMAGE")


@settings(deadline=None, max_examples=60)
@given(st.data())
def test_a_flipped_byte_is_told_or_changes_nothing_but_pixels(data: st.DataObject) -> None:
    whole = bytearray(encode(as_comfyui_loads(random_bytes(1, 16, 16, 3)), "IMAGE")[0].getvalue())
    position = data.draw(st.integers(0, len(whole) - 1))
    whole[position] ^= data.draw(st.integers(1, 255))
    try:
        found = codecs.read_list([io.BytesIO(bytes(whole))], "IMAGE")
    except ValueLost:
        return
    assert all(value.dtype == np.float32 for value in found)


def test_types_that_are_no_files_are_refused() -> None:
    with pytest.raises(UnsupportedValue, match="STRING"):
        encode("text", "STRING")
    with pytest.raises(UnsupportedValue, match="MODEL"):
        codecs.read([io.BytesIO()], "MODEL")
    with pytest.raises(UnsupportedValue, match="no file"):
        codecs.read([], "IMAGE")
