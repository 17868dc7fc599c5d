"""A real service on real sockets: the routes as ComfyUI's server would carry them, and fake backends."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from comfy_orchestrator_nodes.api import Access, BrowserEvents, add_routes
from comfy_orchestrator_nodes.api.guard import HEADER, HEADER_VALUE
from comfy_orchestrator_nodes.domain import LOCAL_BACKEND_ID
from comfy_orchestrator_nodes.health import ProbeTimes
from comfy_orchestrator_nodes.orchestrator.snapshot import Publisher
from comfy_orchestrator_nodes.service import Service, Settings, open_service
from tests.fakes.fake_comfy import FakeComfy

Json = Any
Client = TestClient[web.Request, web.Application]

PATIENCE_S = 20.0
"""How long something may take before a test fails; nothing waits this long when all is well."""


@dataclass
class Outbox:
    """What was sent to the browsers."""

    sent: list[tuple[str, dict[str, Json], str | None]] = field(default_factory=list)
    came: asyncio.Event = field(default_factory=asyncio.Event)

    def send(self, event: str, data: dict[str, Json], client_id: str | None) -> None:
        self.sent.append((event, data, client_id))
        self.came.set()

    def of(self, event: str) -> list[dict[str, Json]]:
        return [data for name, data, _ in self.sent if name == event]

    async def wait_for(self, condition: Callable[[], bool]) -> None:
        async def wait() -> None:
            while not condition():
                self.came.clear()
                await self.came.wait()

        await asyncio.wait_for(wait(), PATIENCE_S)


@dataclass
class Api:
    """The routes, with the master's own fake ComfyUI behind them."""

    http: Client
    access: Access
    service: Service
    local: FakeComfy
    outbox: Outbox

    async def ask(self, method: str, path: str, body: Json = None, *, status: int = 200, **options: Any) -> Json:
        """Send a request as the page does and return the answer's JSON."""
        headers = {HEADER: HEADER_VALUE} | options.pop("headers", {})
        if method in ("POST", "PUT", "PATCH"):
            options.setdefault("json", {} if body is None else body)
        async with self.http.request(method, f"/orchestrator{path}", headers=headers, **options) as response:
            answer = await response.json()
            assert response.status == status, answer
            return answer

    async def add_backend(self, fake: FakeComfy, name: str = "peer", **more: Json) -> Json:
        """Register a fake backend and wait until it is known to be online."""
        added = await self.ask("POST", "/backends", {"name": name, "base_url": fake.url, **more}, status=201)
        return await self.until(f"/backends/{added['id']}", lambda b: b["capabilities"] is not None)

    async def until(self, path: str, condition: Callable[[Json], bool]) -> Json:
        """Ask again and again until the answer satisfies the condition."""

        async def wait() -> Json:
            while not condition(answer := await self.ask("GET", path)):
                await asyncio.sleep(0.01)
            return answer

        return await asyncio.wait_for(wait(), PATIENCE_S)


def prompt(width: int = 64, color: int = 0) -> dict[str, Json]:
    """Return a small prompt: an empty image, saved."""
    inputs = {"width": width, "height": 64, "batch_size": 1, "color": color}
    return {
        "1": {"class_type": "EmptyImage", "inputs": inputs},
        "2": {"class_type": "SaveImage", "inputs": {"images": ["1", 0], "filename_prefix": "ComfyUI"}},
    }


WIDTH = {"name": "width", "type": "INT", "node_id": "1", "input_name": "width", "default": 64, "minimum": 1}
IMAGE = {"name": "image", "type": "IMAGE", "node_id": "1", "index": 0}


def definition(name: str = "Empty image", **more: Json) -> dict[str, Json]:
    """Return the body that stores a small definition."""
    return {"name": name, "prompt": prompt(), "parameters": [WIDTH], "outputs": [IMAGE], **more}


def routed(access: Access) -> web.Application:
    """Return an application that carries the routes as ComfyUI does, also under /api."""
    routes = web.RouteTableDef()
    add_routes(routes, access)
    app = web.Application()
    doubled = web.RouteTableDef()
    for route in routes:
        assert isinstance(route, web.RouteDef)
        doubled.route(route.method, "/api" + route.path)(route.handler, **route.kwargs)
    app.add_routes(doubled)
    app.add_routes(routes)
    return app


@pytest.fixture
def outbox() -> Outbox:
    return Outbox()


@pytest.fixture
async def access(outbox: Outbox) -> Access:
    return Access("1.2.3", BrowserEvents(outbox.send))


@pytest.fixture
async def http(access: Access) -> AsyncIterator[Client]:
    async with TestClient(TestServer(routed(access))) as client:
        yield client


@pytest.fixture
async def api(http: Client, access: Access, outbox: Outbox, tmp_path: Path) -> AsyncIterator[Api]:
    settings = Settings(placement_wait_s=5.0, probes=ProbeTimes(interval_s=0.5, retry_s=0.1, offline_interval_s=0.5))
    async with (
        FakeComfy() as local,
        open_service(
            tmp_path / "store",
            local.backend(LOCAL_BACKEND_ID),
            lambda name: None,
            clock=time.time,
            settings=settings,
            publisher=Publisher(access.events.library_changed),
            backends_changed=access.events.backends_changed,
        ) as service,
    ):
        access.open(service)
        access.events.attach(service)
        try:
            yield Api(http, access, service, local, outbox)
        finally:
            await access.events.detach()
            access.close("stopped")
