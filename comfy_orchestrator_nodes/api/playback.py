"""Sounds and videos that lie in values, as files that browsers play and seek in."""

from __future__ import annotations

import asyncio
import logging
import uuid
from contextlib import closing
from typing import BinaryIO

from aiohttp import web

from ..backend.codecs.playback import Playable, playable
from ..domain import BLOB_MEDIA_TYPE, FileRef
from ..errors import InvalidRequest, NoPlayback, NotFound, StoreError, StoreFull, ValueLost
from .refusals import RangeNotSatisfiable
from .table import Call, Route
from .values import DOWNLOAD_LEASE_S, FOR_EVER, SANDBOX

log = logging.getLogger(__name__)

_CHUNK_BYTES = 1 << 20


async def get_playback(call: Call, sha256: str) -> web.StreamResponse:
    """Return the sound or the video of a value that came through an agent, or the asked range of it.

    A video is the file that it is, a sound WAV of 16 bits; the sounds of a batch follow each other.
    """
    etag = f"{sha256}-playback"
    if any(tag.value == etag for tag in call.request.if_none_match or ()):
        return web.Response(status=304, headers=_headers(etag))
    service, owner = call.service, f"playback {uuid.uuid4().hex}"
    size_bytes = service.artifacts.find(sha256)
    if size_bytes is None and await service.orchestrator.fetch(sha256):
        size_bytes = service.artifacts.find(sha256)
    if size_bytes is None:
        raise NotFound("stored file", sha256)
    ref = FileRef(sha256, size_bytes, BLOB_MEDIA_TYPE)
    service.artifacts.lease(owner, [ref], seconds=DOWNLOAD_LEASE_S)
    try:
        with closing(await asyncio.to_thread(service.artifacts.open, ref)) as file:
            return await _send(call.request, file, etag)
    finally:
        service.artifacts.release(owner)


async def _send(request: web.Request, file: BinaryIO, etag: str) -> web.StreamResponse:
    found = await asyncio.to_thread(playable, file)
    begin, end, partial = _asked(request, found.size_bytes)
    response = web.StreamResponse(status=206 if partial else 200, headers=_headers(etag))
    # One of a few kinds of sound and video, whatever the file holds; nothing else is made of it by a browser.
    response.content_type = found.media_type
    response.content_length = end - begin
    if partial:
        response.headers["Content-Range"] = f"bytes {begin}-{end - 1}/{found.size_bytes}"
    await response.prepare(request)
    if request.method != "HEAD":
        await _write(request, response, found, begin, end)
    return response


async def _write(request: web.Request, response: web.StreamResponse, found: Playable, begin: int, end: int) -> None:
    while begin < end:
        try:
            part = await asyncio.to_thread(found.read, begin, min(end, begin + _CHUNK_BYTES))
        except (ValueLost, OSError) as error:
            # Part of the answer is sent: that it broke off is all that can still be told.
            log.warning("A value could not be played to its end: %s", error)
            if request.transport is not None:
                request.transport.abort()
            return
        await response.write(part)
        begin += len(part)
    await response.write_eof()


def _asked(request: web.Request, size_bytes: int) -> tuple[int, int, bool]:
    """Return where the answer begins and ends, and whether that is a part."""
    try:
        asked = request.http_range
    except ValueError:
        raise RangeNotSatisfiable(size_bytes) from None
    if asked.start is None and asked.stop is None:
        return 0, size_bytes, False
    begin, end, _ = asked.indices(size_bytes)
    if begin >= end:
        raise RangeNotSatisfiable(size_bytes)
    return begin, end, True


def _headers(etag: str) -> dict[str, str]:
    return {
        "ETag": f'"{etag}"',
        "Accept-Ranges": "bytes",
        "Cache-Control": FOR_EVER,
        "Content-Disposition": "inline",
        "Content-Security-Policy": SANDBOX,
        "X-Content-Type-Options": "nosniff",
    }


ROUTES = (
    Route(
        "GET",
        "/values/{sha256}/playback",
        get_playback,
        (InvalidRequest, NoPlayback, NotFound, ValueLost, StoreFull, StoreError, RangeNotSatisfiable),
        download=True,
    ),
)
