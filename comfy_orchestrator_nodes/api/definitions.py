"""The library: definitions made from prompts, in versions, and where they could run."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

from ..domain import Definition, JobSpec
from ..errors import BackendError, Conflict, InvalidRequest, NotFound
from ..orchestrator.choices import offered
from ..orchestrator.describe import described
from ..service import Service
from ..workflow.exposure import check_definition
from ..workflow.graph import check_prompt, class_type
from ..workflow.inspect import Inspection, inspect
from .definition_schemas import (
    BackendPreflight,
    ChoicesView,
    ContentBody,
    DefinitionBody,
    DefinitionList,
    DefinitionQuery,
    DefinitionSummary,
    DefinitionView,
    DescriptionBody,
    DuplicateBody,
    InspectionView,
    ListQuery,
    MissingView,
    PreflightView,
    PromptBody,
    RemoveQuery,
    RollBackBody,
    VersionBody,
    VersionQuery,
)
from .schemas import Done, Problem
from .table import Call, Route


async def list_definitions(call: Call, query: ListQuery) -> DefinitionList:
    """List the library: the latest version of each definition, by name."""
    found = await call.service.library.list(search=query.search, tag=query.tag)
    return DefinitionList(definitions=[DefinitionSummary.of(definition) for definition in found])


async def create_definition(call: Call, body: DefinitionBody) -> DefinitionView:
    """Store a workflow in the library. What is exposed of it is suggested, unless parameters and outputs are given."""
    draft = Definition(body.id or "", 1, body.name, {}, (), (), body.description, body.tags)
    return DefinitionView.of(await call.service.library.create(await _filled(call.service, draft, body)))


async def get_definition(call: Call, definition_id: str, query: DefinitionQuery) -> DefinitionView:
    """Return one version of a definition."""
    library = call.service.library
    found = await library.version(definition_id, query.version)
    if query.workflow:
        found = next(v for v in await library.versions(definition_id) if v.version == found.version)
    return DefinitionView.of(found if query.workflow else replace(found, workflow=None))


async def save_definition(call: Call, definition_id: str, body: VersionBody) -> DefinitionView:
    """Store a new version of a definition. Jobs under way keep the version they started with."""
    library = call.service.library
    latest = await library.version(definition_id)
    draft = replace(
        latest,
        name=latest.name if body.name is None else body.name,
        description=latest.description if body.description is None else body.description,
        tags=latest.tags if body.tags is None else body.tags,
    )
    return DefinitionView.of(await library.save(await _filled(call.service, draft, body)))


async def describe_definition(call: Call, definition_id: str, body: DescriptionBody) -> DefinitionSummary:
    """Change a definition's name, description, tags or knobs. Its id and its versions stay."""
    knobs = body.knobs.to_domain() if body.knobs is not None else None
    stored = await call.service.library.describe(
        definition_id, name=body.name, description=body.description, tags=body.tags, knobs=knobs
    )
    return DefinitionSummary.of(stored)


async def remove_definition(call: Call, definition_id: str, query: RemoveQuery) -> Done:
    """Delete a definition with all its versions. Jobs that have ended keep their record."""
    await call.service.library.remove(definition_id, force=query.force)
    return Done()


async def list_versions(call: Call, definition_id: str) -> DefinitionList:
    """List all versions of a definition, the newest first."""
    found = await call.service.library.versions(definition_id)
    return DefinitionList(definitions=[DefinitionSummary.of(definition) for definition in found])


async def roll_back_definition(call: Call, definition_id: str, body: RollBackBody) -> DefinitionSummary:
    """Make an older version the newest again, as a new version. Nothing of the history is lost."""
    return DefinitionSummary.of(await call.service.library.roll_back(definition_id, body.version))


async def duplicate_definition(call: Call, definition_id: str, body: DuplicateBody) -> DefinitionSummary:
    """Copy a definition's latest version under a new id."""
    return DefinitionSummary.of(await call.service.library.duplicate(definition_id, name=body.name))


async def inspect_prompt(call: Call, body: PromptBody) -> InspectionView:
    """Find what can be exposed of a prompt, and what should be. Nothing is stored."""
    return InspectionView.of(await _inspected(call.service, body.prompt))


async def preflight_definition(call: Call, definition_id: str, query: VersionQuery) -> PreflightView:
    """Say for each backend what it lacks to run a definition with the values stored in it."""
    service = call.service
    definition = await service.library.version(definition_id, query.version)
    outputs = tuple(output.name for output in definition.outputs)
    spec = JobSpec(definition.id, definition.version, definition.content_hash, {}, outputs)
    states = service.registry.list()
    answers = await asyncio.gather(*(_preflight(service, spec, state.backend.id) for state in states))
    return PreflightView(definition=definition.id, version=definition.version, backends=list(answers))


async def list_choices(call: Call, definition_id: str, query: VersionQuery) -> ChoicesView:
    """List what can be chosen for the parameters that take one of a list: what the reachable backends offer now."""
    definition = await call.service.library.version(definition_id, query.version)
    return ChoicesView.of(definition, await offered(definition, call.service.farm))


async def _preflight(service: Service, spec: JobSpec, backend_id: str) -> BackendPreflight:
    peer = service.registry.peer(backend_id)
    name = peer.backend.name
    try:
        found = await service.qualifier.missing(await service.qualifier.needs(spec), peer)
    except BackendError as error:
        return BackendPreflight(backend_id=backend_id, backend=name, able=None, missing=[], problem=Problem.of(error))
    missing = [MissingView.of(refusal) for refusal in found]
    return BackendPreflight(backend_id=backend_id, backend=name, able=not missing, missing=missing)


async def _filled(service: Service, draft: Definition, body: ContentBody) -> Definition:
    """Return the draft with the content of the body, checked; what the body does not expose itself is suggested."""
    parameters = None if body.parameters is None else tuple(p.to_domain() for p in body.parameters)
    outputs = None if body.outputs is None else tuple(o.to_domain() for o in body.outputs)
    if parameters is None or outputs is None:
        suggested_parameters, suggested_outputs = (await _inspected(service, body.prompt)).suggestion()
        parameters = suggested_parameters if parameters is None else parameters
        outputs = suggested_outputs if outputs is None else outputs
    filled = replace(draft, prompt=body.prompt, parameters=parameters, outputs=outputs, workflow=body.workflow)
    await asyncio.to_thread(check_definition, filled)
    return filled


async def _inspected(service: Service, prompt: dict[str, Any]) -> Inspection:
    checked = await asyncio.to_thread(check_prompt, prompt)
    infos = await described(service.farm, {class_type(node) for node in checked.values()})
    return await asyncio.to_thread(inspect, checked, infos)


ROUTES = (
    Route("GET", "/definitions", list_definitions),
    Route("POST", "/definitions", create_definition, (InvalidRequest, Conflict), status=201),
    Route("POST", "/definitions/inspect", inspect_prompt, (InvalidRequest,)),
    Route("GET", "/definitions/{definition_id}", get_definition, (NotFound,)),
    Route("PUT", "/definitions/{definition_id}", save_definition, (InvalidRequest, NotFound)),
    Route("PATCH", "/definitions/{definition_id}", describe_definition, (NotFound,)),
    Route("DELETE", "/definitions/{definition_id}", remove_definition, (NotFound, Conflict)),
    Route("GET", "/definitions/{definition_id}/versions", list_versions, (NotFound,)),
    Route("POST", "/definitions/{definition_id}/roll-back", roll_back_definition, (NotFound, InvalidRequest)),
    Route("POST", "/definitions/{definition_id}/duplicate", duplicate_definition, (NotFound,), status=201),
    Route("GET", "/definitions/{definition_id}/preflight", preflight_definition, (NotFound, InvalidRequest)),
    Route("GET", "/definitions/{definition_id}/choices", list_choices, (NotFound,)),
)
