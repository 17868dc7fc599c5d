"""The routes of the blobs: ``docs/agent-protocol.md``, section Blobs."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Callable
from concurrent.futures import Executor
from contextlib import asynccontextmanager
from dataclasses import asdict
from functools import partial
from typing import BinaryIO, TypeVar

from aiohttp import web

from .blobs import BlobStore, check_sha256
from .errors import BlobMissing, Busy, MalformedRequest, RangeWrong
from .packing import BLOCK_BYTES, NAME, Unpacker, Zstd, pack
from .routing import PREFIX, Json, Part, answer, read_object
from .uploads import ENCODING_HEADER, SIZE_HEADER, Uploads, extent_of

BLOBS = PREFIX + "/blobs"
LEASE_HEADER = "X-Orchestrator-Lease"
ACCEPT_HEADER = "X-Orchestrator-Accept"
OFFSET_HEADER = "X-Orchestrator-Offset"
DEFAULT_LEASE = ("upload", 600.0)
MAX_HASHES = 10_000

DOWNLOADS = 8
UPLOADS = 4
WAITING = 64
"""How many requests may wait for their turn before others are sent away."""
_RETRY_AFTER_S = 2

ResultT = TypeVar("ResultT")

_LEASE = re.compile(r"([ -:<-~]{1,200}?)\s*;\s*seconds=(\d{1,9})")
_RANGE = re.compile(r"bytes=(\d{0,19})-(\d{0,19})")


class BlobRoutes:
    """Handlers over one store."""

    def __init__(self, store: BlobStore, uploads: Uploads, executor: Executor, zstd: Zstd | None = None) -> None:
        self._store = store
        self._uploads = uploads
        self._executor = executor
        self._zstd = zstd
        self._downloading = Turns(DOWNLOADS)
        self._uploading = Turns(UPLOADS)

    def part(self) -> Part:
        """Return what blobs add to the agent."""
        one = BLOBS + "/{sha256}"
        return Part(
            capabilities=("blobs", "blobs.range", "blobs.resume", *([f"blobs.{NAME}"] if self._zstd else [])),
            facts={"blobs": {"max_blob_bytes": self._store.max_blob_bytes}},
            routes=[
                web.get(BLOBS, self.get_usage),
                web.post(BLOBS + "/missing", self.post_missing),
                web.post(BLOBS + "/release", self.post_release),
                web.get(one, self.get_blob),
                web.put(one, self.put_blob),
                web.delete(one, self.delete_blob),
            ],
        )

    async def get_usage(self, _request: web.Request) -> web.StreamResponse:
        """Answer how full the store is."""
        return answer(asdict(await self._in_thread(self._store.usage)))

    async def post_missing(self, request: web.Request) -> web.StreamResponse:
        """Answer which blobs are lacking; lease the others."""
        body = await read_object(request)
        hashes = body.get("sha256")
        if not isinstance(hashes, list) or len(hashes) > MAX_HASHES:
            raise MalformedRequest(f"'sha256' is a list of at most {MAX_HASHES} hashes.")
        wanted = [check_sha256(item) for item in hashes]
        owner, lease_s = _owner(body), body.get("lease_s", 0)
        if isinstance(lease_s, bool) or not isinstance(lease_s, (int, float)) or not lease_s >= 0:
            raise MalformedRequest("'lease_s' is a number of seconds.")
        missing = await self._in_thread(lambda: self._store.missing(wanted, owner, lease_s))
        return answer({"missing": missing})

    async def post_release(self, request: web.Request) -> web.StreamResponse:
        """End the leases of an owner."""
        self._store.release(_owner(await read_object(request)))
        return web.Response(status=204)

    async def delete_blob(self, request: web.Request) -> web.StreamResponse:
        """Delete a blob that nobody leases."""
        sha256 = _sha256(request)
        await self._in_thread(lambda: self._store.delete(sha256))
        return web.Response(status=204)

    async def _head_blob(self, sha256: str) -> web.StreamResponse:
        """Answer whether a blob is there, or how far its upload got."""
        try:
            size_bytes = await self._in_thread(lambda: self._store.size(sha256))
        except BlobMissing:
            return web.Response(status=404, headers={OFFSET_HEADER: str(self._uploads.offset(sha256))})
        response = web.StreamResponse(headers=_headers(sha256))
        response.content_length = size_bytes
        return response

    async def get_blob(self, request: web.Request) -> web.StreamResponse:
        """Send a blob, or a range of it; HEAD tells of it."""
        sha256 = _sha256(request)
        if request.method == "HEAD":
            return await self._head_blob(sha256)
        async with self._downloading.turn():
            size_bytes = await self._in_thread(lambda: self._store.size(sha256))
            start, end = wanted_range(request, sha256, size_bytes)
            file = await self._in_thread(lambda: self._store.open(sha256))
            try:
                return await self._send(request, file, _headers(sha256), start, end, size_bytes)
            finally:
                file.close()

    async def _send(
        self, request: web.Request, file: BinaryIO, headers: dict[str, str], start: int, end: int, size_bytes: int
    ) -> web.StreamResponse:
        in_part = (start, end) != (0, size_bytes)
        if in_part:
            headers["Content-Range"] = f"bytes {start}-{end - 1}/{size_bytes}"
        zstd = self._zstd if request.headers.get(ACCEPT_HEADER) == NAME else None
        if zstd is not None:
            headers |= {ENCODING_HEADER: NAME, SIZE_HEADER: str(end - start)}
        response = web.StreamResponse(status=206 if in_part else 200, headers=headers)
        if zstd is None:
            response.content_length = end - start
        await response.prepare(request)
        try:
            if zstd is None:
                await self._send_content(request, response, file, start, end - start)
            else:
                await self._send_blocks(response, file, start, end - start, partial(pack, zstd))
        except OSError as error:
            # Too late for an answer of another kind: the caller must see that this one was cut short.
            raise ConnectionResetError("The blob could not be read.") from error
        await response.write_eof()
        return response

    async def _send_content(
        self, request: web.Request, response: web.StreamResponse, file: BinaryIO, start: int, count: int
    ) -> None:
        """Let the system copy from file to socket; where it cannot (TLS, some loops), read in a thread."""
        transport = request.transport
        if transport is None:
            raise ConnectionResetError("The connection is closed.")
        if count and transport.get_extra_info("sslcontext") is None:
            try:
                await asyncio.get_running_loop().sendfile(transport, file, start, count, fallback=False)
            except (NotImplementedError, asyncio.SendfileNotAvailableError):
                pass
            else:
                return
        await self._send_blocks(response, file, start, count, bytes)

    async def _send_blocks(
        self, response: web.StreamResponse, file: BinaryIO, start: int, count: int, shape: Callable[[bytes], bytes]
    ) -> None:
        """Read blocks in a thread, which also gives them the shape in which they are sent."""
        await self._in_thread(lambda: file.seek(start))
        for place in range(0, count, BLOCK_BYTES):
            size = min(BLOCK_BYTES, count - place)
            await response.write(await self._in_thread(partial(_shaped, file, size, shape)))

    async def put_blob(self, request: web.Request) -> web.StreamResponse:
        """Take a blob, or the rest of one."""
        sha256 = _sha256(request)
        owner, lease_s = lease_of(request)
        extent = extent_of(request)
        unpacker = self._unpacker(request, extent.length)
        async with self._uploading.turn():
            fresh = await self._uploads.receive(sha256, extent, request.content, owner, lease_s, unpacker)
        return answer({"sha256": sha256, "size_bytes": extent.total}, status=201 if fresh else 200)

    def _unpacker(self, request: web.Request, total: int) -> Unpacker | None:
        told = request.headers.get(ENCODING_HEADER)
        if told is None:
            return None
        if told != NAME or self._zstd is None:
            raise MalformedRequest(f"This peer does not unpack {told[:40]!r}: send the blob as it is.")
        return Unpacker(self._zstd, total)

    async def _in_thread(self, work: Callable[[], ResultT]) -> ResultT:
        return await asyncio.get_running_loop().run_in_executor(self._executor, work)


class Turns:
    """So many at once; as many again may wait; the others are sent away."""

    def __init__(self, at_once: int, waiting: int = WAITING) -> None:
        self._semaphore = asyncio.Semaphore(at_once)
        self._most = at_once + waiting
        self._present = 0

    @asynccontextmanager
    async def turn(self) -> AsyncIterator[None]:
        """Wait for a turn.

        Raises:
            Busy: too many wait already.
        """
        if self._present >= self._most:
            raise Busy("Too many transfers are under way here: try again.", retry_after_s=_RETRY_AFTER_S)
        self._present += 1
        try:
            async with self._semaphore:
                yield
        finally:
            self._present -= 1


def wanted_range(request: web.Request, sha256: str, size_bytes: int) -> tuple[int, int]:
    """Return which bytes a request wants: from the first, to before the second.

    What is not understood, several ranges, and a condition that does not hold mean all of it (RFC 9110, 14.2).

    Raises:
        RangeWrong: the range begins behind the end.
    """
    match = _RANGE.fullmatch(request.headers.get("Range", ""))
    if match is None or request.headers.get("If-Range", f'"{sha256}"') != f'"{sha256}"':
        return 0, size_bytes
    first, last = match.groups()
    if not first and not last:
        return 0, size_bytes
    if not first:
        start, end = max(0, size_bytes - int(last)), size_bytes
    else:
        start, end = int(first), min(int(last) + 1, size_bytes) if last else size_bytes
        if last and int(last) < start:
            return 0, size_bytes
    if start >= size_bytes:
        raise RangeWrong(f"The blob has {size_bytes} bytes.", size_bytes=size_bytes)
    return start, end


def lease_of(request: web.Request) -> tuple[str, float]:
    """Return who leases an upload, and for how many seconds.

    Raises:
        MalformedRequest: the header does not have its form.
    """
    told = request.headers.get(LEASE_HEADER)
    if told is None:
        return DEFAULT_LEASE
    match = _LEASE.fullmatch(told)
    if match is None:
        raise MalformedRequest(f"{LEASE_HEADER} is 'OWNER; seconds=N'.")
    return match.group(1), float(match.group(2))


def _headers(sha256: str) -> dict[str, str]:
    return {
        "ETag": f'"{sha256}"',
        "Accept-Ranges": "bytes",
        "Content-Type": "application/octet-stream",
        # What it is a browser must not guess, and nobody else may keep it.
        "X-Content-Type-Options": "nosniff",
        "Cache-Control": "no-store",
    }


def _shaped(file: BinaryIO, size: int, shape: Callable[[bytes], bytes]) -> bytes:
    block = file.read(size)
    while len(block) < size:
        more = file.read(size - len(block))
        if not more:
            raise ConnectionResetError("The blob was cut short.")
        block += more
    return shape(block)


def _sha256(request: web.Request) -> str:
    return check_sha256(request.match_info["sha256"])


def _owner(body: dict[str, Json]) -> str:
    owner = body.get("owner", "")
    if not isinstance(owner, str) or len(owner) > 200:
        raise MalformedRequest("'owner' is a text of at most 200 characters.")
    return owner
