"""Uploads on their way: bodies into blobs, without the server's loop ever touching the disk or the hash.

What an upload that was cut off has brought is kept for a while, so that it can go on there.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from functools import partial as bind
from typing import Any

from aiohttp import ClientPayloadError, StreamReader, web

from .blob_writer import BlobWriter
from .blobs import BlobStore, Reservation
from .errors import BlobsFull, DiskFull, MalformedRequest, OffsetWrong, UploadStalled
from .packing import Unpacker

KEEP_S = 600.0
"""How long what came of a cut-off upload is kept."""
WORTH_KEEPING_BYTES = 1 << 20
IDLE_S = 60.0
"""How long an upload may bring nothing."""
_BATCH_BYTES = 1 << 20
"""What is handed to a thread at once: less, and the hand-over costs more than the hashing."""

ENCODING_HEADER = "X-Orchestrator-Encoding"
SIZE_HEADER = "X-Orchestrator-Size"

_CONTENT_RANGE = re.compile(r"bytes (\d{1,19})-(\d{1,19})/(\d{1,19})")


@dataclass(frozen=True)
class Extent:
    """Which part of a blob a body is."""

    start: int
    length: int
    total: int


def extent_of(request: web.Request) -> Extent:
    """Return which part of a blob a request brings, in bytes of the blob even if the body is packed.

    Raises:
        MalformedRequest: it does not say how long it is, or contradicts itself.
    """
    length = _packed_length(request) if ENCODING_HEADER in request.headers else request.content_length
    if length is None:
        raise MalformedRequest(f"Say how long the body is (Content-Length; {SIZE_HEADER} if it is packed).")
    told = request.headers.get("Content-Range")
    if told is None:
        return Extent(0, length, length)
    match = _CONTENT_RANGE.fullmatch(told)
    if match is None:
        raise MalformedRequest("Content-Range is 'bytes FIRST-LAST/TOTAL'.")
    first, last, total = map(int, match.groups())
    if last - first + 1 != length or last + 1 != total:
        raise MalformedRequest("Content-Range must reach to the end of the blob and fit the body's length.")
    return Extent(first, length, total)


def _packed_length(request: web.Request) -> int | None:
    told = request.headers.get(SIZE_HEADER, "")
    return int(told) if re.fullmatch(r"\d{1,19}", told, re.ASCII) else None


@dataclass
class _Partial:
    """What came of an upload, and the room that is kept for the rest of it."""

    writer: BlobWriter
    reservation: Reservation
    total: int
    kept_since: float = 0.0

    def discard(self) -> None:
        self.writer.discard()
        self.reservation.end()


class Uploads:
    """The uploads of one store. Lives on the server's loop; its work is done by ``executor``."""

    def __init__(
        self, store: BlobStore, executor: Executor, *, clock: Callable[[], float], idle_s: float = IDLE_S
    ) -> None:
        self._store = store
        self._executor = executor
        self._clock = clock
        self._idle_s = idle_s
        self._partials: dict[str, _Partial] = {}

    def offset(self, sha256: str) -> int:
        """Return how many bytes of a cut-off upload are kept."""
        self.sweep()
        partial = self._partials.get(sha256)
        return partial.writer.size_bytes if partial is not None else 0

    def sweep(self) -> None:
        """Delete what was kept for too long."""
        now = self._clock()
        for sha256, partial in list(self._partials.items()):
            if now - partial.kept_since >= KEEP_S:
                self._executor.submit(self._partials.pop(sha256).discard)

    def discard_all(self) -> None:
        """Delete all that is kept of cut-off uploads."""
        while self._partials:
            self._partials.popitem()[1].discard()

    async def receive(
        self,
        sha256: str,
        extent: Extent,
        body: StreamReader,
        owner: str,
        lease_s: float,
        unpacker: Unpacker | None = None,
    ) -> bool:
        """Store a body as a blob, or as the rest of one; return False if it was there already and nothing was read.

        Raises:
            MalformedValue: it is packed, and damaged. It was deleted.
            OffsetWrong: it does not go on where the upload stopped.
            UploadStalled: it was cut off, or nothing came for too long; what came is kept.
            HashWrong: it is not what its name says. It was deleted.
            BlobTooLarge, BlobsFull, DiskFull, SetupFailed: there is no place for it. It was deleted.
        """
        loop = asyncio.get_running_loop()
        partial = await self._begin(sha256, extent, owner, lease_s)
        if partial is None:
            return False
        try:
            await self._read(body, partial, unpacker)
            await loop.run_in_executor(self._executor, self._publish, partial, sha256, owner, lease_s)
        except UploadStalled:
            await loop.run_in_executor(self._executor, self._keep(sha256, partial))
            raise
        except asyncio.CancelledError:
            self._executor.submit(partial.discard)
            raise
        except BaseException:
            await loop.run_in_executor(self._executor, partial.discard)
            raise
        if (kept := self._partials.pop(sha256, None)) is not None:
            await loop.run_in_executor(self._executor, kept.discard)
        return True

    async def _begin(self, sha256: str, extent: Extent, owner: str, lease_s: float) -> _Partial | None:
        self.sweep()
        if extent.start:
            kept = self._partials.get(sha256)
            offset = kept.writer.size_bytes if kept is not None else 0
            if kept is None or extent.start != offset or extent.total != kept.total:
                raise OffsetWrong(f"The upload goes on at {offset}, not {extent.start}.", offset_bytes=offset)
            return self._partials.pop(sha256)
        open_ = bind(self._open, sha256, extent.total, owner, lease_s)
        loop = asyncio.get_running_loop()
        try:
            return await loop.run_in_executor(self._executor, open_)
        except (BlobsFull, DiskFull):
            # What is kept of other uploads may be what the room is lacking.
            if not self._partials:
                raise
            self.discard_all()
        return await loop.run_in_executor(self._executor, open_)

    def _open(self, sha256: str, total: int, owner: str, lease_s: float) -> _Partial | None:
        if self._store.lease(sha256, owner, lease_s):
            return None
        reservation = self._store.reserve(total)
        try:
            return _Partial(self._store.writer(), reservation, total)
        except BaseException:
            reservation.end()
            raise

    def _publish(self, partial: _Partial, sha256: str, owner: str, lease_s: float) -> None:
        partial.reservation.end()
        self._store.publish(partial.writer, expected=sha256, owner=owner, lease_s=lease_s)

    def _keep(self, sha256: str, partial: _Partial) -> Callable[[], None]:
        """Keep the longer one of this and what is kept already; return what deletes the other."""
        older = self._partials.get(sha256)
        kept = older.writer.size_bytes if older is not None else 0
        if partial.writer.size_bytes < max(WORTH_KEEPING_BYTES, kept):
            return partial.discard
        partial.kept_since = self._clock()
        self._partials[sha256] = partial
        asyncio.get_running_loop().call_later(KEEP_S, self.sweep)
        return older.discard if older is not None else lambda: None

    async def _read(self, body: StreamReader, partial: _Partial, unpacker: Unpacker | None) -> None:
        """Hand the body to threads in batches: one is hashed and written while the next is received."""
        works: list[Callable[[bytes], None]] = [partial.writer.hash, partial.writer.write]
        if unpacker is not None:
            works = [bind(_write_unpacked, partial.writer, unpacker)]
        storing: list[asyncio.Future[None]] = []
        try:
            while batch := await self._next_batch(body):
                await _all_of(storing)
                storing = [self._in_thread(work, batch) for work in works]
        finally:
            # Also when this fails or is cancelled: the threads must be done with the file before it is closed.
            await asyncio.shield(_all_of(storing))
        if partial.writer.size_bytes != partial.total:
            raise UploadStalled("The upload was cut off.")

    def _in_thread(self, work: Callable[..., None], *arguments: Any) -> asyncio.Future[None]:
        return asyncio.get_running_loop().run_in_executor(self._executor, work, *arguments)

    async def _next_batch(self, body: StreamReader) -> bytes:
        """Return about a megabyte of the body in one piece; nothing at its end.

        In one piece, although that costs a copy: each return of a thread to Python waits until the loop lets go of it,
        and the body arrives in pieces of a few kilobytes.
        """
        batch: list[bytes] = []
        size = 0
        while size < _BATCH_BYTES:
            try:
                # Without a wait (and a timer) where something is there already.
                chunk = body.read_nowait() or await asyncio.wait_for(body.readany(), self._idle_s)
            except asyncio.TimeoutError:
                raise UploadStalled(f"Nothing came for {self._idle_s:.0f} s.") from None
            except (ConnectionError, ClientPayloadError):
                # What came before still counts; the next call finds out that there is no more.
                if batch:
                    break
                raise UploadStalled("The connection was cut.") from None
            if not chunk:
                break
            batch.append(chunk)
            size += len(chunk)
        return b"".join(batch)


def _write_unpacked(writer: BlobWriter, unpacker: Unpacker, batch: bytes) -> None:
    for block in unpacker.feed(batch):
        writer.hash(block)
        writer.write(block)


async def _all_of(working: Sequence[asyncio.Future[None]]) -> None:
    """Wait until all are done, also those beside one that failed; then raise what it raised."""
    if working:
        await asyncio.wait(working)
        for done in working:
            done.result()
