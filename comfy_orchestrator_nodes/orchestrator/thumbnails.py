"""A small picture of each definition's last result, for the library's list."""

from __future__ import annotations

import asyncio
import hashlib
import logging
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from ..domain import BLOB_MEDIA_TYPE, FileRef, Job, JobStatus
from ..errors import OrchestratorError
from ..scheduler.updates import JobChanged, JobUpdate
from ..store.artifacts import ArtifactStore
from ..store.folders import make_private_folder
from .pictures import draw

log = logging.getLogger(__name__)

MAX_PIXELS = 256
"""The longer side of a thumbnail."""

PAUSE_S = 1.0
"""The least time between two thumbnails."""

MAX_SHARE = 0.1
"""How much of one core they may take, however fast jobs end and however large their images are."""


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
            except (OrchestratorError, OSError) as error:
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
            picture = draw(source, ref.media_type, MAX_PIXELS)
        path = self._folder / f"{_stem(definition_id)}.{picture.format}"
        unfinished = path.with_suffix(".part")
        unfinished.write_bytes(picture.data)
        unfinished.replace(path)
        return _thumbnail(path, picture.data)


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
