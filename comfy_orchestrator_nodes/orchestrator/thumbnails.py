"""A small picture of each definition's last result, for the library's list."""

from __future__ import annotations

import asyncio
import hashlib
import io
import logging
import os
import struct
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from PIL import Image, ImageOps, features

from ..backend.codecs.blobs import first_image
from ..domain import BLOB_MEDIA_TYPE, FileRef, Job, JobStatus
from ..errors import OrchestratorError
from ..scheduler.updates import JobChanged, JobUpdate
from ..store.artifacts import ArtifactStore
from ..store.folders import make_private_folder

log = logging.getLogger(__name__)

MAX_PIXELS = 256
"""The longer side of a thumbnail."""

MAX_SOURCE_PIXELS = 128 << 20
"""Larger images are not decoded for a thumbnail: it would take over 400 MB."""

PAUSE_S = 1.0
"""The least time between two thumbnails."""

MAX_SHARE = 0.1
"""How much of one core they may take, however fast jobs end and however large their images are."""

_QUALITY = 80
_UNREADABLE = (OSError, SyntaxError, ValueError, IndexError, EOFError, struct.error, Image.DecompressionBombError)
"""What Pillow raises for damaged files."""


@dataclass(frozen=True)
class Thumbnail:
    """A stored thumbnail. ``sha256`` names its content, so that a browser may keep it for ever under it."""

    path: Path
    sha256: str
    media_type: str


class Thumbnails:
    """Makes and keeps thumbnails, one file for each definition. Lives on the server loop; Pillow works in threads."""

    def __init__(self, folder: Path, artifacts: ArtifactStore, *, pause_s: float = PAUSE_S) -> None:
        self._folder = folder
        self._artifacts = artifacts
        self._pause_s = pause_s
        self._known: dict[str, Thumbnail] = {}
        """By the name of the file, which is made from the definition's id."""
        self._waiting: dict[str, FileRef] = {}
        """Definition to its last result; a newer one takes the place of one that still waits."""
        self._removed: set[str] = set()
        """Definitions deleted while the present thumbnail was made."""
        self._work = asyncio.Event()
        self._worker: asyncio.Task[None] | None = None
        self.changed: Callable[[str], None] = lambda _: None
        """Called with a definition's id when its thumbnail is another one."""

    async def start(self) -> None:
        """Take note of the stored thumbnails and begin to make more.

        Raises:
            OSError: the folder cannot be made or read.
        """
        self._known = await asyncio.to_thread(_stored, self._folder)
        self._worker = asyncio.create_task(self._make_all(), name="thumbnails")

    async def close(self) -> None:
        """Stop. What still waits is not made."""
        if self._worker is not None:
            self._worker.cancel()
            await asyncio.gather(self._worker, return_exceptions=True)

    def __call__(self, update: JobUpdate) -> None:
        """Take note of a job that succeeded; subscribe this to the orchestrator."""
        if not isinstance(update, JobChanged) or update.job.status is not JobStatus.SUCCEEDED:
            return
        image = _image_of(update.job)
        if image is not None and (image.media_type != BLOB_MEDIA_TYPE or self._artifacts.find(image.sha256)):
            # A blob that stayed on the backend that made it is not fetched for its picture.
            self._waiting[update.job.spec.definition_id] = image
            self._work.set()

    def get(self, definition_id: str) -> Thumbnail | None:
        """Return a definition's thumbnail, or None when no result was seen of it yet."""
        return self._known.get(_stem(definition_id))

    def remove(self, definition_id: str) -> None:
        """Forget the thumbnail of a definition that was deleted."""
        self._waiting.pop(definition_id, None)
        self._removed.add(definition_id)
        known = self._known.pop(_stem(definition_id), None)
        if known is not None:
            _delete(known.path)

    async def _make_all(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            await self._work.wait()
            definition_id, ref = next(iter(self._waiting.items()))
            del self._waiting[definition_id]
            if not self._waiting:
                self._work.clear()
            self._removed.clear()
            started = loop.time()
            try:
                await self._make(definition_id, ref)
            except (OrchestratorError, *_UNREADABLE) as error:
                log.warning("No thumbnail could be made of the last result of %s: %s", definition_id, error)
            except Exception:
                # A task boundary: nobody awaits this task, and the next result may do.
                log.exception("Making a thumbnail of the last result of %s failed unexpectedly", definition_id)
            await asyncio.sleep(max(self._pause_s, (loop.time() - started) * (1 / MAX_SHARE - 1)))

    async def _make(self, definition_id: str, ref: FileRef) -> None:
        made = await asyncio.to_thread(self._store, definition_id, ref)
        if definition_id in self._removed:
            _delete(made.path)
            return
        before = self._known.get(_stem(definition_id))
        self._known[_stem(definition_id)] = made
        if before is not None and before.path != made.path:
            _delete(before.path)
        if before is None or before.sha256 != made.sha256:
            self.changed(definition_id)

    def _store(self, definition_id: str, ref: FileRef) -> Thumbnail:
        with self._artifacts.open(ref) as source:
            data, format_ = shrink_blob(source) if ref.media_type == BLOB_MEDIA_TYPE else shrink(source)
        path = self._folder / f"{_stem(definition_id)}.{format_}"
        unfinished = path.with_suffix(".part")
        unfinished.write_bytes(data)
        unfinished.replace(path)
        return _thumbnail(path, data)


def shrink(source: BinaryIO) -> tuple[bytes, str]:
    """Return a small copy of an image's first frame and its format: ``webp``, or ``png`` where Pillow lacks WebP.

    Args:
        source: the image's file, open for reading.

    Raises:
        ValueError: the image is larger than is decoded.
        OSError: it is damaged; Pillow raises more than this for some files (see ``_UNREADABLE``).
    """
    with Image.open(source) as image:
        if image.width * image.height > MAX_SOURCE_PIXELS:
            raise ValueError(f"{image.width} x {image.height} pixels are too many")
        # JPEG is decoded at a fraction of its size where that suffices; for other formats this does nothing.
        image.draft("RGB", (2 * MAX_PIXELS, 2 * MAX_PIXELS))
        turned = ImageOps.exif_transpose(image)
        return _saved(
            turned if turned.mode in ("RGB", "RGBA") else turned.convert("RGBA" if _is_clear(turned) else "RGB")
        )


def shrink_blob(source: BinaryIO) -> tuple[bytes, str]:
    """Return a small copy of the first image of a blob, as ``shrink`` does.

    Raises:
        ValueError: it is larger than is decoded, or no image.
        ValueLost: it is damaged.
    """
    pixels = first_image(source, MAX_SOURCE_PIXELS)
    return _saved(Image.fromarray(pixels))


def _saved(image: Image.Image) -> tuple[bytes, str]:
    image.thumbnail((MAX_PIXELS, MAX_PIXELS), Image.Resampling.LANCZOS, reducing_gap=2.0)
    format_ = "webp" if features.check("webp") else "png"
    target = io.BytesIO()
    image.save(target, format_, quality=_QUALITY, method=4)
    return target.getvalue(), format_


def _is_clear(image: Image.Image) -> bool:
    return "A" in image.mode or "transparency" in image.info


def _image_of(job: Job) -> FileRef | None:
    """Return the first file of a job's first image."""
    return next((v.files[0] for v in job.outputs.values() if v.type == "IMAGE" and v.files), None)


def _stem(definition_id: str) -> str:
    """Return a file name for an id: an id could be a name that the system keeps for itself (``con``), or too long."""
    return hashlib.sha256(definition_id.encode()).hexdigest()[:40]


def _stored(folder: Path) -> dict[str, Thumbnail]:
    make_private_folder(folder)
    found: dict[str, Thumbnail] = {}
    with os.scandir(folder) as entries:
        for entry in entries:
            path = Path(entry.path)
            if path.suffix in (".webp", ".png"):
                found[path.stem] = _thumbnail(path, path.read_bytes())
            else:
                # Left by a master that was killed while it wrote.
                path.unlink(missing_ok=True)
    return found


def _delete(path: Path) -> None:
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        log.warning("The thumbnail %s could not be deleted: %s", path, error)


def _thumbnail(path: Path, data: bytes) -> Thumbnail:
    return Thumbnail(path, hashlib.sha256(data).hexdigest(), f"image/{path.suffix[1:]}")
