"""Meta-graphs carry the definitions that they run: written into their document, offered for import elsewhere."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

from ..errors import Conflict, InvalidDocument, InvalidRequest, NotFound, StoreError
from ..workflow import embedded
from ..workflow.bundle import Bundle
from ..workflow.nested import definitions_named_in
from .embedded_schemas import CarriedView, EmbeddedList, EmbeddedQuery, EmbeddedView, EmbedRequest
from .library import received
from .library_schemas import FileQuery, ImportedView, ImportView
from .table import Call, Route


async def embed_definitions(call: Call, body: EmbedRequest) -> CarriedView:
    """Return what a meta-graph carries so that another master can run it, ready for its document."""
    return CarriedView.of(await call.service.exchange.embed(body.ids))


async def read_embedded(call: Call, query: FileQuery) -> EmbeddedList:
    """Say which definitions a workflow carries and how the library stands to each. Nothing is stored.

    The body is any file that holds a workflow: its JSON, or an image, sound or video that ComfyUI made.
    """
    workflow = await _workflow(call, query)
    carried = await asyncio.to_thread(embedded.read, workflow)
    compared = await call.service.exchange.compare(carried) if carried is not None else ()
    known = {one.definition.id for one in compared} | set(call.service.publisher.current.definitions)
    missing = [id_ for id_ in definitions_named_in(workflow) if id_ not in known]
    return EmbeddedList(definitions=[EmbeddedView.of(one) for one in compared], missing=missing)


async def import_embedded(call: Call, query: EmbeddedQuery) -> ImportView:
    """Put definitions that a workflow carries into the library, with those that they run. Nothing is overwritten.

    Where `on_conflict` gives one another id, the Remote Workflow nodes of the workflow must be set to that:
    `id_in_file` of each imported one says which.
    """
    carried = await asyncio.to_thread(embedded.read, await _workflow(call, query))
    if carried is None:
        raise InvalidDocument("This workflow carries no definitions.")
    chosen = embedded.chosen(carried, query.id) if query.id else carried
    taken = await call.service.exchange.take(chosen, query.on_conflict)
    found = f"{len(taken)} definition{'s' * (len(taken) != 1)} that the workflow carries"
    return ImportView(found=found, imported=[ImportedView.of(one) for one in taken], warnings=[])


async def _workflow(call: Call, query: FileQuery) -> Mapping[str, Any]:
    async with received(call.request) as file:
        opened = await call.service.documents.open(file, query.filename)
    if isinstance(opened, Bundle):
        raise InvalidDocument("This file holds definitions exported from a library: import it as it is.")
    if opened.workflow is None:
        raise InvalidDocument("This file holds a prompt without its workflow, which carries no definitions.")
    return opened.workflow


ROUTES = (
    Route("POST", "/definitions/embed", embed_definitions, (NotFound, Conflict)),
    Route("POST", "/definitions/embedded/read", read_embedded, (InvalidRequest,), upload=True),
    Route(
        "POST",
        "/definitions/embedded/import",
        import_embedded,
        (InvalidRequest, NotFound, Conflict, StoreError),
        status=201,
        upload=True,
    ),
)
