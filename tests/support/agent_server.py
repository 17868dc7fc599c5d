"""The agent's blob routes on a server of their own, without a ComfyUI around them."""

from __future__ import annotations

import time
import uuid
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from aiohttp import web
from aiohttp.test_utils import TestServer

from comfy_orchestrator_nodes.agent.access import Access
from comfy_orchestrator_nodes.agent.blob_routes import BlobRoutes
from comfy_orchestrator_nodes.agent.blobs import BlobStore
from comfy_orchestrator_nodes.agent.introduction import Introduction
from comfy_orchestrator_nodes.agent.packing import find_zstd
from comfy_orchestrator_nodes.agent.routing import Part, add_parts
from comfy_orchestrator_nodes.agent.token import Token
from comfy_orchestrator_nodes.agent.uploads import Uploads

_LIMIT_BYTES = 1 << 30


@dataclass
class AgentServer:
    """A running agent."""

    url: str
    blobs: BlobStore
    token: str

    def keep(self, data: bytes) -> str:
        """Keep a blob; return its hash."""
        writer = self.blobs.writer()
        writer.append(memoryview(data))
        return self.blobs.publish(writer)


@asynccontextmanager
async def agent_server(folder: Path, *, trust_loopback: bool = True) -> AsyncIterator[AgentServer]:
    """Run an agent while the block runs."""
    token = Token(folder)
    fresh = token.ensure() or ""
    access = Access(token, trust_loopback=trust_loopback, clock=time.monotonic)
    store = BlobStore(folder / "temp", limit_bytes=_LIMIT_BYTES)
    table = web.RouteTableDef()
    with ThreadPoolExecutor(4) as executor:
        blobs = BlobRoutes(store, Uploads(store, executor, clock=time.monotonic), executor, find_zstd()).part()
        values = Part(capabilities=("values",), facts={"values": {"format": 1}})
        parts = [blobs, values]
        add_parts(table, [Introduction(parts, access, uuid.uuid4().hex).part(), *parts], access)
        app = web.Application(client_max_size=1 << 30)
        app.add_routes(table)
        async with TestServer(app) as server:
            yield AgentServer(str(server.make_url("")).rstrip("/"), store, fresh)
