"""The agent's routes on a real server, over a store in a temporary folder."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from comfy_orchestrator_nodes.agent.access import Access
from comfy_orchestrator_nodes.agent.blob_routes import BlobRoutes
from comfy_orchestrator_nodes.agent.blobs import BlobStore
from comfy_orchestrator_nodes.agent.introduction import Introduction, TokenRoutes
from comfy_orchestrator_nodes.agent.packing import find_zstd
from comfy_orchestrator_nodes.agent.routing import add_parts
from comfy_orchestrator_nodes.agent.token import Token
from comfy_orchestrator_nodes.agent.uploads import Uploads


@dataclass
class Clock:
    """Seconds that pass when told to."""

    now: float = 1000.0

    def __call__(self) -> float:
        return self.now


@dataclass
class Disk:
    """How much is free."""

    free_bytes: int = 1 << 40

    def __call__(self, _path: Path) -> int:
        return self.free_bytes


@dataclass
class Served:
    """An agent that is served, and what it is made of."""

    url: str
    store: BlobStore
    uploads: Uploads
    token: Token
    clock: Clock
    session: aiohttp.ClientSession = field(repr=False)

    def files(self) -> list[str]:
        """Return the names of all files in the store's folder."""
        return sorted(path.name for path in self.store.root.rglob("*")) if self.store.root.exists() else []


Serve = Callable[..., Awaitable[Served]]


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def disk() -> Disk:
    return Disk()


@pytest.fixture
def executor() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(4) as pool:
        yield pool


@pytest.fixture
async def serve(
    tmp_path: Path, clock: Clock, disk: Disk, executor: ThreadPoolExecutor
) -> AsyncIterator[Callable[..., Awaitable[Served]]]:
    """Serve an agent; arguments are those of ``BlobStore``, and ``idle_s`` and ``trust_loopback``."""
    runners: list[web.AppRunner] = []
    sessions: list[aiohttp.ClientSession] = []

    async def start(
        *, idle_s: float = 5.0, trust_loopback: bool = True, tls: ssl.SSLContext | None = None, **limits: Any
    ) -> Served:
        store = BlobStore(tmp_path, clock=clock, free_disk=disk, **limits)
        uploads = Uploads(store, executor, clock=clock, idle_s=idle_s)
        token = Token(tmp_path / "user")
        token.ensure()
        access = Access(token, trust_loopback=trust_loopback, clock=clock)
        blobs = BlobRoutes(store, uploads, executor, find_zstd()).part()
        table = web.RouteTableDef()
        add_parts(table, [Introduction([blobs], access, "life-1").part(), blobs, TokenRoutes(access).part()], access)
        app = web.Application()
        app.add_routes(table)
        # The rest of a refused body is waited for as long; nobody sends it here.
        runner = web.AppRunner(app, lingering_time=0.1)
        runners.append(runner)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=tls)
        await site.start()
        url = f"{'https' if tls else 'http'}://127.0.0.1:{runner.addresses[0][1]}"
        connector = aiohttp.TCPConnector(ssl=tls is None)  # the test's certificate is its own
        session = aiohttp.ClientSession(url, headers={"X-Orchestrator": "1"}, connector=connector)
        sessions.append(session)
        return Served(url, store, uploads, token, clock, session)

    yield start
    for session in sessions:
        await session.close()
    for runner in runners:
        await runner.cleanup()


@pytest.fixture
async def agent(serve: Serve) -> Served:
    """One agent with generous limits."""
    return await serve()
