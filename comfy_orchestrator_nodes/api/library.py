"""The library beyond single definitions: files in and out, who uses what, thumbnails."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import BinaryIO

from aiohttp import web

from ..errors import Conflict, InvalidDocument, InvalidRequest, NotFound, StoreError
from ..orchestrator.exchange import Imported
from ..workflow import bundle
from ..workflow.bundle import Bundle
from ..workflow.files import definition_name
from . import guard
from .definition_schemas import VersionQuery
from .library_schemas import (
    DraftView,
    FileQuery,
    ImportedView,
    ImportQuery,
    ImportView,
    NeedsView,
    ThumbnailList,
    ThumbnailQuery,
    ThumbnailView,
    UsesView,
)
from .refusals import BodyTooLarge
from .table import Call, Route

MAX_FILE_BYTES = 512 << 20
"""The largest file that is looked into: videos hold workflows, too. Of it only the texts are read."""

_CHUNK_BYTES = 1 << 20


async def read_file(call: Call, query: FileQuery) -> DraftView:
    """Look into a file that holds a workflow, of any kind and age. Nothing is stored."""
    async with received(call.request) as file:
        opened = await call.service.documents.open(file, query.filename)
    if isinstance(opened, Bundle):
        raise InvalidDocument("This file holds definitions exported from a library: import it as it is.")
    return DraftView.of(await call.service.documents.draft(opened))


async def import_file(call: Call, query: ImportQuery) -> ImportView:
    """Store what a file holds: a workflow of any kind and age, with what is suggested exposed, or exported definitions.

    Nothing in the library is ever overwritten: the same content is reused, and `on_conflict` says what becomes of other
    content under a taken id.
    """
    service = call.service
    async with received(call.request) as file:
        opened = await service.documents.open(file, query.filename)
    if isinstance(opened, Bundle):
        taken = await service.exchange.take(opened, query.on_conflict)
        found = f"{len(taken)} exported definition{'s' * (len(taken) != 1)}"
        warnings = await _absent(call, taken)
        return ImportView(found=found, imported=[ImportedView.of(one) for one in taken], warnings=warnings)
    draft = await service.documents.draft(opened)
    name = query.name or definition_name(query.filename)
    added = await service.exchange.add(draft.definition(name, definition_id=query.id or ""))
    warnings = [*draft.warnings, *await _absent(call, (added,))]
    return ImportView(found=draft.found, imported=[ImportedView.of(added)], warnings=warnings)


async def export_definition(call: Call, definition_id: str, query: VersionQuery) -> web.StreamResponse:
    """Return a definition, with those that it runs, as one file that another library can import."""
    data = await call.service.exchange.export(definition_id, query.version)
    return web.Response(
        body=data,
        content_type=bundle.MEDIA_TYPE,
        headers={
            "Content-Disposition": f'attachment; filename="{definition_id}{bundle.SUFFIX}"',
            "Cache-Control": "no-store",
            "X-Content-Type-Options": "nosniff",
        },
    )


async def get_uses(call: Call, definition_id: str) -> UsesView:
    """Say who would miss a definition: others that run it, and jobs that are not over."""
    return UsesView.of(await call.service.library.uses(definition_id))


async def get_needs(call: Call, definition_id: str, query: VersionQuery) -> NeedsView:
    """List the node classes, model files and other definitions that a definition needs."""
    service = call.service
    return NeedsView.of(await service.documents.needs(await service.library.version(definition_id, query.version)))


async def list_thumbnails(call: Call) -> ThumbnailList:
    """Say where the thumbnails are."""
    service = call.service
    found = {id_: service.thumbnails.get(id_) for id_ in service.publisher.current.definitions}
    return ThumbnailList(thumbnails={id_: ThumbnailView.of(id_, one) for id_, one in found.items() if one is not None})


async def get_thumbnail(call: Call, definition_id: str, query: ThumbnailQuery) -> web.StreamResponse:
    """Return a small picture of a definition's last result."""
    await call.service.library.version(definition_id)
    thumbnail = call.service.thumbnails.get(definition_id)
    if thumbnail is None:
        raise NotFound("thumbnail of", definition_id)
    named = query.sha256 == thumbnail.sha256
    headers = {
        "ETag": f'"{thumbnail.sha256}"',
        "Cache-Control": "private, max-age=31536000, immutable" if named else "private, no-cache",
        "X-Content-Type-Options": "nosniff",
        "Content-Security-Policy": "sandbox; default-src 'none'",
    }
    known = call.request.if_none_match or ()
    if any(tag.value in (thumbnail.sha256, "*") for tag in known):
        return web.Response(status=304, headers=headers)
    try:
        data = await asyncio.to_thread(thumbnail.path.read_bytes)
    except FileNotFoundError:
        raise NotFound("thumbnail of", definition_id) from None
    return web.Response(body=data, content_type=thumbnail.media_type, headers=headers)


async def _absent(call: Call, taken: Sequence[Imported]) -> list[str]:
    """Return a warning for each definition that is run by what was imported, and is not in the library."""
    absent = {used: one.definition for one in taken for used in await call.service.exchange.absent(one.definition)}
    return [f"{user.name!r} runs the workflow {used!r}, which is not in the library." for used, user in absent.items()]


@asynccontextmanager
async def received(request: web.Request) -> AsyncIterator[BinaryIO]:
    """Receive the body into a file, which is gone when the block ends.

    Raises:
        MediaTypeRefused: the request does not say what the file is.
        BodyTooLarge: it is larger than ``MAX_FILE_BYTES``.
    """
    guard.media_type_of(request)
    if request.content_length is not None and request.content_length > MAX_FILE_BYTES:
        raise _too_large()
    with tempfile.TemporaryFile() as file:
        received = 0
        async for chunk in request.content.iter_chunked(_CHUNK_BYTES):
            received += len(chunk)
            if received > MAX_FILE_BYTES:
                raise _too_large()
            await asyncio.to_thread(file.write, chunk)
        yield file


def _too_large() -> BodyTooLarge:
    return BodyTooLarge(f"The file is larger than {MAX_FILE_BYTES >> 20} MiB.", limit_bytes=MAX_FILE_BYTES)


ROUTES = (
    Route("POST", "/definitions/read", read_file, (InvalidRequest,), upload=True),
    Route("POST", "/definitions/import", import_file, (InvalidRequest, Conflict, StoreError), status=201, upload=True),
    Route("GET", "/definitions/{definition_id}/export", export_definition, (NotFound, Conflict), download=True),
    Route("GET", "/definitions/{definition_id}/uses", get_uses, (NotFound,)),
    Route("GET", "/definitions/{definition_id}/needs", get_needs, (NotFound,)),
    Route("GET", "/thumbnails", list_thumbnails),
    Route("GET", "/thumbnails/{definition_id}", get_thumbnail, (NotFound,), download=True),
)
