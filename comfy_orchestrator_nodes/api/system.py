"""About the orchestrator itself: is it ready, how are its backends, and which browser tabs listen."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import Annotated

from pydantic import Field, StrictBool

from ..errors import Unavailable
from ..service import Service
from .backend_schemas import HealthView
from .events import WATCH_S
from .schemas import Body, Done, View
from .table import Call, Route


class StorageView(View):
    """How full the folder of stored files is, in bytes."""

    files: int
    total_bytes: int
    leased_bytes: int
    limit_bytes: int


class CountsView(View):
    """How much there is of everything; what there is none of is left out."""

    definitions: int
    backends: dict[str, int] = Field(description="By status.")
    jobs: dict[str, int] = Field(description="By status.")
    storage: StorageView


class StatusView(View):
    """Whether this server orchestrates."""

    version: str
    ready: bool
    problem: str = Field(description="Why it does not, and what to do; empty when it does.")
    counts: CountsView | None = Field(description="null while it is not ready.")


class HealthList(View):
    """Every backend's health, this server first."""

    backends: list[HealthView]


class WatchBody(Body):
    """Which previews a browser tab that listens wants to see."""

    jobs: Annotated[list[Annotated[str, Field(max_length=200)]], Field(max_length=1000)] = Field(
        default_factory=list, description="Ids of jobs."
    )
    all: StrictBool = Field(default=False, description="Those of every job.")
    telemetry: StrictBool = Field(
        default=False, description="Also what the backends' machines do: then they are read each second."
    )


class WatchView(View):
    """How long that holds; ask again before."""

    expires_in_s: float


async def get_status(call: Call) -> StatusView:
    """Say whether this server orchestrates, and how much it has to do."""
    try:
        service = call.service
    except Unavailable as error:
        return StatusView(version=call.access.version, ready=False, problem=str(error), counts=None)
    return StatusView(version=call.access.version, ready=True, problem="", counts=await _counts(service))


async def get_health(call: Call) -> HealthList:
    """Return every backend's health."""
    return HealthList(backends=[HealthView.of(state) for state in call.service.registry.list()])


async def listen(call: Call, client_id: str, body: WatchBody) -> WatchView:
    """Tell a browser tab what happens for a while, with the previews it wants, in the place of what it asked before."""
    call.access.events.unwatch(client_id)
    call.access.events.watch(client_id, *body.jobs, everything=body.all, telemetry=body.telemetry)
    return WatchView(expires_in_s=WATCH_S)


async def stop_listening(call: Call, client_id: str) -> Done:
    """Tell a browser tab nothing more, apart from the previews of what it submitted."""
    call.access.events.unwatch(client_id)
    return Done()


async def _counts(service: Service) -> CountsView:
    usage = await asyncio.to_thread(service.artifacts.usage)
    return CountsView(
        definitions=len(service.publisher.current.definitions),
        backends=Counter(state.health.status.value for state in service.registry.list()),
        jobs={status.value: count for status, count in (await service.jobs.counts()).items()},
        storage=StorageView(**vars(usage)),
    )


ROUTES = (
    Route("GET", "/status", get_status),
    Route("GET", "/health", get_health),
    Route("PUT", "/listeners/{client_id}", listen),
    Route("DELETE", "/listeners/{client_id}", stop_listening),
)
