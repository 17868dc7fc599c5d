"""Images and masks are shown small, whatever file they are in."""

from __future__ import annotations

import asyncio
import hashlib
import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from comfy_orchestrator_nodes.agent import wire
from comfy_orchestrator_nodes.domain import BLOB_MEDIA_TYPE, FileRef
from comfy_orchestrator_nodes.errors import NoPicture, NotFound, ValueLost
from comfy_orchestrator_nodes.orchestrator import pictures as module
from comfy_orchestrator_nodes.orchestrator.pictures import MAX_AT_ONCE, Picture, Pictures, draw
from comfy_orchestrator_nodes.store.artifacts import ArtifactStore
from tests.fakes.node_classes import png

SIDE = 256


def blob(value: Any, type_: str = "IMAGE") -> bytes:
    return b"".join(bytes(part) for part in wire.encode(value, type_, arrays_are_tensors=True).parts())


def batch(*shades: float, height: int = 40, width: int = 60, channels: int = 3) -> Any:
    """Return images of one shade each."""
    return np.stack([np.full((height, width, channels), shade, np.float32) for shade in shades])


def shown(picture: Picture) -> Image.Image:
    image = Image.open(io.BytesIO(picture.data))
    image.load()
    return image


def shade(picture: Picture) -> int:
    return int(np.asarray(shown(picture).convert("L"))[3, 3])


@pytest.mark.parametrize(
    ("size", "mode", "expected"),
    [
        ((1024, 512), "RGB", (256, 128)),
        ((100, 3000), "RGBA", (9, 256)),
        ((20, 10), "L", (20, 10)),
        ((600, 600), "P", (256, 256)),
    ],
)
def test_a_picture_keeps_the_proportions_and_never_grows(
    size: tuple[int, int], mode: str, expected: tuple[int, int]
) -> None:
    source = io.BytesIO()
    Image.new(mode, size).save(source, "png")
    picture = draw(source, "image/png", SIDE)
    assert shown(picture).size == expected
    assert (picture.format, len(picture.data) < 2000) == ("webp", True)


def test_of_several_frames_the_first_is_shown() -> None:
    frames = [Image.new("RGB", (300, 300), color) for color in ("red", "blue")]
    source = io.BytesIO()
    frames[0].save(source, "webp", save_all=True, append_images=frames[1:], lossless=True)
    found = shown(draw(source, "image/webp", SIDE)).convert("RGB").getpixel((5, 5))
    assert isinstance(found, tuple)
    assert found[0] > 250
    assert max(found[1:]) < 5


def test_a_photo_is_turned_as_its_camera_says() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    source = io.BytesIO()
    Image.new("RGB", (200, 100)).save(source, "jpeg", exif=exif)
    assert shown(draw(source, "image/jpeg", SIDE)).size == (100, 200)


def test_an_image_of_too_many_pixels_is_not_decoded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_FILE_PIXELS", 99)
    monkeypatch.setattr(module, "MAX_BLOB_PIXELS", 99)
    with pytest.raises(NoPicture, match="10 x 10 pixels: too many"):
        draw(io.BytesIO(png(10, 10, 0)), "image/png", SIDE)
    with pytest.raises(NoPicture, match="more than 99 pixels"):
        draw(io.BytesIO(blob(batch(0.5, height=10, width=10))), BLOB_MEDIA_TYPE, SIDE)


@pytest.mark.parametrize(
    "data", [b"", b"hello", png(8, 8, 0)[:45], b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n"]
)
def test_a_file_that_is_no_image_has_no_picture(data: bytes) -> None:
    with pytest.raises(NoPicture, match="no image that can be read"):
        draw(io.BytesIO(data), "image/png", SIDE)


@pytest.mark.parametrize(("index", "expected"), [(0, 0), (1, 128), (2, 255)])
def test_any_image_of_a_batch_is_shown(index: int, expected: int) -> None:
    picture = draw(io.BytesIO(blob(batch(-1.0, 0.5, 7.0))), BLOB_MEDIA_TYPE, SIDE, index)
    assert shown(picture).size == (60, 40)
    assert picture.count == 3
    assert abs(shade(picture) - expected) <= 2


def test_only_the_image_that_is_shown_is_read() -> None:
    class Counting(io.BytesIO):
        taken = 0

        def readinto(self, buffer: Any, /) -> int:
            got = super().readinto(buffer)
            self.taken += got
            return got

    data = blob(batch(*np.linspace(0.1, 0.9, 50, dtype=np.float32)))
    source = Counting(data)
    draw(source, BLOB_MEDIA_TYPE, SIDE, 49)
    assert source.taken < len(data) / 10


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_images_of_any_number_of_channels_are_shown(channels: int) -> None:
    picture = draw(io.BytesIO(blob(batch(1.0, channels=channels))), BLOB_MEDIA_TYPE, SIDE)
    assert shade(picture) > 250


def test_an_image_that_holds_no_numbers_is_black_there() -> None:
    assert shade(draw(io.BytesIO(blob(batch(float("nan")))), BLOB_MEDIA_TYPE, SIDE)) < 5


def test_a_mask_is_shown_in_grey() -> None:
    mask = np.full((2, 700, 300), 0.25, np.float32)
    for value, index in ((mask, 1), (mask[0], 0)):
        picture = draw(io.BytesIO(blob(value, "MASK")), BLOB_MEDIA_TYPE, SIDE, index)
        assert shown(picture).size == (110, 256)
        assert abs(shade(picture) - 64) <= 2


@pytest.mark.parametrize(
    ("value", "type_"),
    [
        ({"samples": np.zeros((1, 4, 8, 8), np.float32)}, "LATENT"),
        ({"samples": np.zeros((1, 8, 8), np.float32)}, "LATENT"),
        ([np.zeros((1, 8, 8), np.float32)], "MASKS"),
        (np.zeros(20, np.float32), "SIGMAS"),
        (np.zeros((0, 8, 8, 3), np.float32), "IMAGE"),
        ("text", "STRING"),
    ],
)
def test_other_values_have_no_picture(value: Any, type_: str) -> None:
    with pytest.raises(NoPicture):
        draw(io.BytesIO(blob(value, type_)), BLOB_MEDIA_TYPE, SIDE)


@pytest.mark.parametrize("data", [b"", b"hello", png(8, 8, 0), blob(batch(0.5))[:-1]])
def test_a_damaged_value_is_told_as_lost(data: bytes) -> None:
    with pytest.raises(ValueLost):
        draw(io.BytesIO(data), BLOB_MEDIA_TYPE, SIDE)


@pytest.mark.parametrize(("data", "media_type"), [(blob(batch(0.5)), BLOB_MEDIA_TYPE), (png(8, 8, 0), "image/png")])
def test_an_image_that_is_not_there_is_told_with_how_many_there_are(data: bytes, media_type: str) -> None:
    with pytest.raises(NotFound, match="There is no image '1'"):
        draw(io.BytesIO(data), media_type, SIDE, 1)


class Backend:
    """Keeps one value, and hands it over when it is let."""

    def __init__(self, artifacts: ArtifactStore, kept: bytes) -> None:
        self.artifacts = artifacts
        self.kept = kept
        self.ref = FileRef(hashlib.sha256(kept).hexdigest(), len(kept), BLOB_MEDIA_TYPE)
        self.handing_over = 0
        self.most_at_once = 0
        self.ready = asyncio.Event()

    async def fetch(self, sha256: str) -> bool:
        self.handing_over += 1
        self.most_at_once = max(self.most_at_once, self.handing_over)
        await self.ready.wait()
        self.handing_over -= 1
        if sha256 != self.ref.sha256:
            return False
        self.artifacts.put(self.kept, BLOB_MEDIA_TYPE)
        return True


@pytest.fixture
def backend(tmp_path: Path) -> Backend:
    return Backend(ArtifactStore(tmp_path), blob(batch(0.0, 1.0)))


async def test_a_value_that_stayed_on_its_backend_is_brought_for_its_picture(backend: Backend) -> None:
    backend.ready.set()
    picture = await Pictures(backend.artifacts, backend.fetch).preview(backend.ref.sha256, BLOB_MEDIA_TYPE, 1)
    assert shade(picture) > 250
    assert backend.artifacts.has(backend.ref)


async def test_few_pictures_are_made_at_once_and_the_others_wait(backend: Backend) -> None:
    pictures = Pictures(backend.artifacts, backend.fetch)
    asked = [
        asyncio.create_task(pictures.preview(sha256, BLOB_MEDIA_TYPE, 0))
        for sha256 in (backend.ref.sha256, *(f"{number:064x}" for number in range(5)))
    ]
    while backend.handing_over < MAX_AT_ONCE:
        await asyncio.sleep(0)
    backend.ready.set()
    made, *unknown = await asyncio.gather(*asked, return_exceptions=True)
    assert isinstance(made, Picture)
    assert [type(error) for error in unknown] == [NotFound] * 5
    assert backend.most_at_once == MAX_AT_ONCE


@pytest.mark.parametrize("media_type", ["video/mp4", "image/svg+xml", "application/octet-stream"])
async def test_nothing_is_fetched_for_a_type_that_has_no_picture(backend: Backend, media_type: str) -> None:
    with pytest.raises(NoPicture, match="no picture of files of type"):
        await Pictures(backend.artifacts, backend.fetch).preview(backend.ref.sha256, media_type, 0)
    assert backend.most_at_once == 0
