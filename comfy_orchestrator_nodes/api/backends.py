"""The backends: list, add, try, edit, remove, probe, what they have."""

from __future__ import annotations

import time
from dataclasses import replace

from ..backend.http import credential_headers, ssl_setting
from ..backend.urls import normalize_base_url
from ..domain import Backend, Credentials
from ..errors import BackendError, BackendRefused, BackendUnreachable, Conflict, InvalidRequest, NotFound
from ..machine.backends import ProbeAnswered, ProbeFailed
from .backend_schemas import (
    BackendBody,
    BackendList,
    BackendPatch,
    BackendView,
    CancelledView,
    CapabilitiesView,
    ModelsView,
    NamesQuery,
    NodeClassesView,
    ProbeView,
    TrialView,
)
from .schemas import Done, Problem
from .table import Call, Route


async def list_backends(call: Call) -> BackendList:
    """List the backends with their health, this server first."""
    return BackendList(backends=[BackendView.of(state) for state in call.service.registry.list()])


async def add_backend(call: Call, body: BackendBody) -> BackendView:
    """Register a backend."""
    draft = body.to_domain()
    _check_terms(draft)
    return BackendView.of(await call.service.registry.add(draft))


async def test_backend(call: Call, body: BackendBody) -> TrialView:
    """Try a server before it is registered. Nothing is stored."""
    draft = body.to_domain()
    _check_terms(draft)
    try:
        found = await call.service.registry.test(draft)
    except BackendError as error:
        return TrialView(usable=False, problem=Problem.of(error))
    return TrialView(usable=True, capabilities=CapabilitiesView.of(found))


async def get_backend(call: Call, backend_id: str) -> BackendView:
    """Return one backend."""
    return BackendView.of(call.service.registry.get(backend_id))


async def edit_backend(call: Call, backend_id: str, body: BackendPatch) -> BackendView:
    """Change a registration. Fields that are left out stay as they are."""
    registry = call.service.registry
    edited = _edited(registry.get(backend_id).backend, body)
    _check_terms(edited)
    return BackendView.of(await registry.edit(edited))


async def remove_backend(call: Call, backend_id: str) -> Done:
    """Forget a backend. What it runs for us is given up and tried elsewhere."""
    await call.service.registry.remove(backend_id)
    return Done()


async def probe_backend(call: Call, backend_id: str) -> ProbeView:
    """Ask a backend now whether it answers."""
    registry, health = call.service.registry, call.service.health
    problem: Problem | None = None
    try:
        latency_s = await registry.peer(backend_id).probe(time.time())
    except BackendError as error:
        refused = isinstance(error, BackendUnreachable | BackendRefused)
        health.report(backend_id, ProbeFailed(str(error), refused=refused))
        problem = Problem.of(error)
    else:
        health.report(backend_id, ProbeAnswered(latency_s))
    return ProbeView(answered=problem is None, backend=BackendView.of(registry.get(backend_id)), problem=problem)


async def drain_backend(call: Call, backend_id: str) -> BackendView:
    """Give a backend no new jobs; those that it has go on. It stays so, also over restarts, until it is resumed."""
    return BackendView.of(await call.service.registry.drain(backend_id, draining=True))


async def resume_backend(call: Call, backend_id: str) -> BackendView:
    """Give a backend that was drained jobs again."""
    return BackendView.of(await call.service.registry.drain(backend_id, draining=False))


async def free_backend(call: Call, backend_id: str) -> Done:
    """Ask a backend to unload its models and drop its caches once it is idle."""
    await call.service.registry.peer(backend_id).client.free()
    return Done()


async def interrupt_backend(call: Call, backend_id: str) -> CancelledView:
    """Cancel the jobs of ours that a backend has. Prompts of others are never touched."""
    service = call.service
    service.registry.get(backend_id)
    attempts = await service.attempts.for_backend(backend_id)
    job_ids = list(dict.fromkeys(attempt.job_id for attempt in attempts))
    for job_id in job_ids:
        await service.orchestrator.cancel(job_id, call.by)
    return CancelledView(job_ids=job_ids)


async def list_node_classes(call: Call, backend_id: str, query: NamesQuery) -> NodeClassesView:
    """List the node classes that a backend has."""
    peer = call.service.registry.peer(backend_id)
    known = peer.capabilities
    names = known.node_classes if known is not None else frozenset(await peer.infos.all())
    return NodeClassesView(node_classes=_found(names, query.search))


async def list_models(call: Call, backend_id: str, query: NamesQuery) -> ModelsView:
    """List the model files that a backend has."""
    peer = call.service.registry.peer(backend_id)
    known = peer.capabilities
    models = known.models if known is not None else await peer.client.models()
    found = {folder: _found(files, query.search) for folder, files in sorted(models.items())}
    return ModelsView(models={folder: files for folder, files in found.items() if files or not query.search})


def _found(names: frozenset[str], search: str) -> list[str]:
    wanted = search.casefold()
    return sorted((name for name in names if wanted in name.casefold()), key=str.casefold)


def _check_terms(backend: Backend) -> None:
    """Refuse an address, certificate file or header that could never be used, before anything is stored.

    Raises:
        InvalidUrl: the address is unusable.
        InvalidRequest: a header or the certificate file is.
    """
    normalize_base_url(backend.base_url)
    ssl_setting(backend.tls)
    credential_headers(backend.credentials)


def _edited(backend: Backend, patch: BackendPatch) -> Backend:
    given = {name: getattr(patch, name) for name in patch.model_fields_set if getattr(patch, name) is not None}
    if patch.tls is not None:
        given["tls"] = patch.tls.to_domain()
    if patch.credentials is not None:
        given["credentials"] = patch.credentials.to_domain()
    edited = replace(backend, **given)
    moved = normalize_base_url(edited.base_url) != backend.base_url
    if moved and patch.credentials is None and backend.credentials != Credentials():
        # Stored secrets are write-only: whoever may edit an address must not be able to have them sent to it.
        raise InvalidRequest("The address changes: give the credentials again, or {} for none.", field="credentials")
    return edited


ROUTES = (
    Route("GET", "/backends", list_backends),
    Route("POST", "/backends", add_backend, (InvalidRequest, Conflict), status=201),
    Route("POST", "/backends/test", test_backend, (InvalidRequest,)),
    Route("GET", "/backends/{backend_id}", get_backend, (NotFound,)),
    Route("PATCH", "/backends/{backend_id}", edit_backend, (InvalidRequest, NotFound, Conflict)),
    Route("DELETE", "/backends/{backend_id}", remove_backend, (NotFound, Conflict)),
    Route("POST", "/backends/{backend_id}/probe", probe_backend, (NotFound,)),
    Route("POST", "/backends/{backend_id}/drain", drain_backend, (NotFound,)),
    Route("POST", "/backends/{backend_id}/resume", resume_backend, (NotFound,)),
    Route("POST", "/backends/{backend_id}/free", free_backend, (NotFound, BackendError)),
    Route("POST", "/backends/{backend_id}/interrupt", interrupt_backend, (NotFound,)),
    Route("GET", "/backends/{backend_id}/node-classes", list_node_classes, (NotFound, BackendError)),
    Route("GET", "/backends/{backend_id}/models", list_models, (NotFound, BackendError)),
)
