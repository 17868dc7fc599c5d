"""Stored files: put one in, get one out. They are named by the SHA-256 of their content, so they never change."""

from __future__ import annotations

import asyncio
import mimetypes
import uuid
from collections.abc import Callable
from pathlib import Path

from aiohttp import web
from aiohttp.abc import AbstractStreamWriter

from ..domain import FileRef
from ..errors import InvalidRequest, NoPicture, NotFound, StoreError, StoreFull, ValueLost
from ..store.artifacts import ArtifactStore
from . import guard
from .refusals import RangeNotSatisfiable
from .table import Call, Route
from .value_schemas import DownloadQuery, FileView, PreviewQuery

UPLOAD_LEASE_S = 3600.0
"""How long an uploaded file is kept at least, so that a job can be submitted with it."""

DOWNLOAD_LEASE_S = 24 * 3600.0
"""The longest that a download may take; the lease ends with it."""

_CHUNK_BYTES = 1 << 20

SANDBOX = "sandbox; default-src 'none'"
FOR_EVER = "private, max-age=31536000, immutable"

_INLINE = ("image/", "audio/", "video/")
_SCRIPTABLE = frozenset({"image/svg+xml"})


IMAGES_HEADER = "X-Images"
"""How many images the value holds that a preview is of."""


async def put_value(call: Call) -> FileView:
    """Store a file: the body is its content, the Content-Type says what it is. It is kept for an hour at least."""
    media_type = guard.media_type_of(call.request)
    return FileView.of(await _receive(call.request, call.service.artifacts, media_type))


async def get_value(call: Call, sha256: str, query: DownloadQuery) -> web.StreamResponse:
    """Return a stored file, or the asked range of it."""
    artifacts = call.service.artifacts
    size_bytes = artifacts.find(sha256)
    if size_bytes is None and await call.service.orchestrator.fetch(sha256):
        # It had stayed on the backend that made it.
        size_bytes = artifacts.find(sha256)
    if size_bytes is None:
        raise NotFound("stored file", sha256)
    _check_range(call.request, size_bytes)
    ref = FileRef(sha256, size_bytes, query.media_type)
    owner = f"download {uuid.uuid4().hex}"
    artifacts.lease(owner, [ref], seconds=DOWNLOAD_LEASE_S)
    try:
        path = await asyncio.to_thread(artifacts.path, ref)
    except BaseException:
        artifacts.release(owner)
        raise
    return _StoredFile(path, lambda: artifacts.release(owner), _headers(ref))


async def get_preview(call: Call, sha256: str, query: PreviewQuery) -> web.StreamResponse:
    """Return a small picture of a stored image, or of one image or mask of a value: at most 512 × 512 pixels.

    A value that stayed on its backend is brought here for it. The header `X-Images` tells how many images it holds.
    """
    etag = f"{sha256}-{query.index}"
    headers = {
        "ETag": f'"{etag}"',
        "Cache-Control": FOR_EVER,
        "X-Content-Type-Options": "nosniff",
        "Content-Security-Policy": SANDBOX,
    }
    if any(tag.value == etag for tag in call.request.if_none_match or ()):
        return web.Response(status=304, headers=headers)
    picture = await call.service.pictures.preview(sha256, query.media_type, query.index)
    headers[IMAGES_HEADER] = str(picture.count)
    return web.Response(body=picture.data, content_type=f"image/{picture.format}", headers=headers)


class _StoredFile(web.FileResponse):
    """A file that stays leased until it was sent, which aiohttp does in ``prepare``."""

    def __init__(self, path: Path, release: Callable[[], None], headers: dict[str, str]) -> None:
        super().__init__(path, chunk_size=_CHUNK_BYTES, headers=headers)
        self._release = release

    async def prepare(self, request: web.BaseRequest) -> AbstractStreamWriter | None:
        """Send it."""
        try:
            return await super().prepare(request)
        finally:
            self._release()


async def _receive(request: web.Request, artifacts: ArtifactStore, media_type: str) -> FileRef:
    limit = artifacts.usage().limit_bytes
    if request.content_length is not None and request.content_length > limit:
        raise _over(limit)
    owner = f"upload {uuid.uuid4().hex}"
    writer = await asyncio.to_thread(artifacts.writer, media_type, owner=owner, lease_s=UPLOAD_LEASE_S)
    try:
        # What arrives comes in small pieces: each would cost a change of threads of its own.
        piece = bytearray()
        async for chunk in request.content.iter_any():
            piece += chunk
            if writer.size_bytes + len(piece) > limit:
                raise _over(limit)
            if len(piece) >= _CHUNK_BYTES:
                await asyncio.to_thread(writer.write, piece)
                piece = bytearray()
        await asyncio.to_thread(writer.write, piece)
        return await asyncio.to_thread(writer.publish)
    finally:
        await asyncio.to_thread(writer.close)


def _over(limit: int) -> StoreFull:
    return StoreFull(
        f"The file is larger than all results together may be ({limit} bytes). Raise the size limit of the results.",
        limit_bytes=limit,
    )


def _check_range(request: web.Request, size_bytes: int) -> None:
    try:
        start = request.http_range.start
    except ValueError:
        raise RangeNotSatisfiable(size_bytes) from None
    if start is not None and start >= size_bytes:
        raise RangeNotSatisfiable(size_bytes)


def _headers(ref: FileRef) -> dict[str, str]:
    """Return headers under which no browser runs anything of the file: it may come from anywhere."""
    media_type = ref.media_type.lower()
    shown = media_type.startswith(_INLINE) and media_type not in _SCRIPTABLE
    suffix = mimetypes.guess_extension(media_type) or ""
    return {
        "Content-Type": media_type if shown else "application/octet-stream",
        "Content-Disposition": f'{"inline" if shown else "attachment"}; filename="{ref.sha256[:16]}{suffix}"',
        "X-Content-Type-Options": "nosniff",
        "Content-Security-Policy": SANDBOX,
        "Cache-Control": FOR_EVER,
    }


_UPLOAD_ERRORS = (StoreFull, StoreError)

ROUTES = (
    Route("PUT", "/values", put_value, _UPLOAD_ERRORS, status=201, upload=True),
    Route("POST", "/values", put_value, _UPLOAD_ERRORS, status=201, upload=True),
    Route(
        "GET",
        "/values/{sha256}",
        get_value,
        (InvalidRequest, NotFound, ValueLost, RangeNotSatisfiable),
        download=True,
    ),
    Route(
        "GET",
        "/values/{sha256}/preview",
        get_preview,
        (InvalidRequest, NoPicture, NotFound, ValueLost, StoreFull, StoreError),
        download=True,
    ),
)
