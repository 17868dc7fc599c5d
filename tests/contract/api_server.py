"""A master's routes on a socket of their own, over a real service and a fake ComfyUI, until standard input ends.

A process of its own: what a thread of the tests' process did to ``random`` would spoil the order of random requests.
Run as ``python -m tests.contract.api_server FOLDER``; prints the address of the routes and that of the fake.
"""

from __future__ import annotations

import asyncio
import sys
import time
from pathlib import Path

from aiohttp import web

from comfy_orchestrator_nodes.api import Access, BrowserEvents, add_routes
from comfy_orchestrator_nodes.domain import LOCAL_BACKEND_ID
from comfy_orchestrator_nodes.service import open_service
from tests.fakes.fake_comfy import FakeComfy


async def serve(folder: Path) -> None:
    access = Access("1.2.3", BrowserEvents(lambda event, data, client: None))
    routes = web.RouteTableDef()
    add_routes(routes, access)
    app = web.Application()
    app.add_routes(routes)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    async with (
        FakeComfy() as fake,
        open_service(folder, fake.backend(LOCAL_BACKEND_ID), lambda name: None, clock=time.time) as service,
    ):
        access.open(service)
        access.events.attach(service)
        sys.stdout.write(f"http://127.0.0.1:{runner.addresses[0][1]} {fake.url}\n")
        sys.stdout.flush()
        await asyncio.to_thread(sys.stdin.read)
        await access.events.detach()
        access.close("stopped")
    await runner.cleanup()


if __name__ == "__main__":
    asyncio.run(serve(Path(sys.argv[1])))
