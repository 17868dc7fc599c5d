"""Small pictures of stored images and masks, for people to look at, drawn when they are asked for."""

from __future__ import annotations

import asyncio
import io
import struct
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from typing import BinaryIO

from PIL import Image, ImageOps, features

from ..backend.codecs.blobs import image_of, images_in
from ..domain import BLOB_MEDIA_TYPE, FileRef
from ..errors import NoPicture, NotFound
from ..store.artifacts import ArtifactStore

PREVIEW_PIXELS = 512
"""The longer side of a preview."""

MAX_AT_ONCE = 2
"""So many previews are fetched and drawn at a time; others wait."""

MAX_FILE_PIXELS = 128 << 20
"""Larger image files are not decoded: it would take over 400 MB."""

MAX_BLOB_PIXELS = 32 << 20
"""Larger images of blobs, which are of floats, are not decoded: it would take over 400 MB."""

_FORMATS = ("PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF")
"""What is opened. Pillow knows more, and runs programs for some; files may come from anywhere."""

_QUALITY = 80
_UNREADABLE = (OSError, SyntaxError, ValueError, IndexError, EOFError, struct.error, Image.DecompressionBombError)
"""What Pillow raises for damaged files."""


@dataclass(frozen=True)
class Picture:
    """A small image as a file. ``format`` is ``webp``, or ``png`` where Pillow lacks WebP."""

    data: bytes
    format: str
    count: int = 1
    """How many images the value holds of which this is one."""


class Pictures:
    """Draws previews of stored files, and of values that stayed on a backend. Lives on the server loop."""

    def __init__(self, artifacts: ArtifactStore, fetch: Callable[[str], Awaitable[bool]]) -> None:
        """``fetch`` brings a value here of which only the hash is known, and returns whether there was one."""
        self._artifacts = artifacts
        self._fetch = fetch
        self._free = asyncio.Semaphore(MAX_AT_ONCE)

    async def preview(self, sha256: str, media_type: str, index: int) -> Picture:
        """Return a small copy of a stored image, or of image ``index`` of a value.

        Raises:
            NoPicture: there is no picture of such a thing, or the file is no image that can be read.
            NotFound: there is no such file, or it has no such image.
            ValueLost: it is gone or damaged.
            StoreError: there is no room to bring it here.
        """
        if not is_pictured(media_type):
            raise NoPicture(f"There is no picture of files of type {media_type}.", media_type=media_type)
        async with self._free:
            size_bytes = self._artifacts.find(sha256)
            if size_bytes is None and await self._fetch(sha256):
                size_bytes = self._artifacts.find(sha256)
            if size_bytes is None:
                raise NotFound("stored file", sha256)
            return await asyncio.to_thread(self._draw, FileRef(sha256, size_bytes, media_type), index)

    def _draw(self, ref: FileRef, index: int) -> Picture:
        with self._artifacts.open(ref) as source:
            return draw(source, ref.media_type, PREVIEW_PIXELS, index)


def is_pictured(media_type: str) -> bool:
    """Whether a picture of a file of this type can be thought of; whether it can be drawn, only its content tells."""
    return media_type == BLOB_MEDIA_TYPE or (media_type.startswith("image/") and media_type != "image/svg+xml")


def draw(source: BinaryIO, media_type: str, side: int, index: int = 0) -> Picture:
    """Return a small copy of an image file's first frame, or of one image of a blob. Blocks: run it in a thread.

    Args:
        source: the file, open for reading.
        media_type: what it is: a blob, or anything else for an image file.
        side: the most pixels of the longer side.
        index: which image of a blob; an image file has one.

    Raises:
        NoPicture: it has too many pixels, or is no image that can be read.
        NotFound: it has no image of that index.
        ValueLost: the blob is damaged.
    """
    if media_type == BLOB_MEDIA_TYPE:
        count = images_in(source)
        image = Image.fromarray(image_of(source, MAX_BLOB_PIXELS, index))
        return replace(_shrunk(image, side), count=count)
    if index:
        raise NotFound("image", str(index), repair="An image file holds one, which is 0.")
    try:
        return _of_file(source, side)
    except _UNREADABLE as error:
        raise NoPicture(f"The file is no image that can be read: {error}") from error


def _of_file(source: BinaryIO, side: int) -> Picture:
    with Image.open(source, formats=_FORMATS) as image:
        if image.width * image.height > MAX_FILE_PIXELS:
            raise NoPicture(f"The image has {image.width} x {image.height} pixels: too many for a small picture of it.")
        # JPEG is decoded at a fraction of its size where that suffices; for other formats this does nothing.
        image.draft("RGB", (2 * side, 2 * side))
        turned = ImageOps.exif_transpose(image)
        plain = turned if turned.mode in ("RGB", "RGBA") else turned.convert("RGBA" if _is_clear(turned) else "RGB")
        return _shrunk(plain, side)


def _shrunk(image: Image.Image, side: int) -> Picture:
    image.thumbnail((side, side), Image.Resampling.LANCZOS, reducing_gap=2.0)
    format_ = "webp" if features.check("webp") else "png"
    target = io.BytesIO()
    image.save(target, format_, quality=_QUALITY, method=4)
    return Picture(target.getvalue(), format_)


def _is_clear(image: Image.Image) -> bool:
    return "A" in image.mode or "transparency" in image.info
