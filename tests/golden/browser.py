"""ComfyUI's own front end in Chromium, to ask what it makes of a workflow.

Needs the ``comfyui-frontend-package`` wheel, unpacked, and a Chromium. The server behind the page is a small one that
answers what the front end asks for on its way up; node classes come from a given ``object_info``.
"""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from aiohttp import web
from playwright.async_api import Page, async_playwright

CHROMIUM_ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]

_SETTINGS = {
    "Comfy.TutorialCompleted": True,
    "Comfy.Workflow.ShowMissingNodesWarning": False,
    "Comfy.Workflow.ShowMissingModelsWarning": False,
    "Comfy.InstalledVersion": "1.58.1",
    "Comfy.Release.Status": "skipped",
}

_CONVERT = """
async ([workflow, pause]) => {
  const app = window.app ?? window.comfyAPI.app.app
  const graph = app.rootGraph ?? app.graph
  await app.loadGraphData(workflow)
  await new Promise(done => setTimeout(done, pause))
  const outcome = {}
  try { outcome.api = (await app.graphToPrompt()).output } catch (error) { outcome.error = String(error) }
  return JSON.stringify(outcome)
}
"""


def _api(object_info: Mapping[str, Any]) -> web.Application:
    info = json.dumps(object_info)

    async def answer(request: web.Request) -> web.StreamResponse:
        path = request.path.removeprefix("/api")
        if path == "/object_info":
            return web.Response(text=info, content_type="application/json")
        if path == "/ws":
            socket = web.WebSocketResponse()
            await socket.prepare(request)
            await socket.send_json(
                {"type": "status", "data": {"status": {"exec_info": {"queue_remaining": 0}}, "sid": "1"}}
            )
            async for _ in socket:
                pass
            return socket
        if path in _ANSWERS:
            return web.json_response(_ANSWERS[path])
        return web.Response(status=404)

    app = web.Application()
    app.router.add_route("*", "/api/{tail:.*}", answer)
    app.router.add_route("*", "/ws", answer)
    return app


_ANSWERS: dict[str, Any] = {
    "/settings": _SETTINGS,
    "/users": {"storage": "server", "migrated": True},
    "/system_stats": {
        "system": {
            "os": "posix",
            "ram_total": 1,
            "ram_free": 1,
            "comfyui_version": "0.3.75",
            "python_version": "3.11",
            "pytorch_version": "2",
            "embedded_python": False,
            "argv": ["main.py"],
        },
        "devices": [],
    },
    "/features": {},
    "/extensions": [],
    "/embeddings": [],
    "/userdata": [],
    "/v2/userdata": [],
    "/i18n": {},
    "/queue": {"queue_running": [], "queue_pending": []},
    "/history": {},
    "/jobs": {"jobs": [], "pagination": {"offset": 0, "limit": 200, "total": 0, "has_more": False}},
    "/global_subgraphs": {},
    "/node_replacements": {},
    "/experiment/models": [],
    "/models": [],
    "/workflow_templates": {},
    "/prompt": {"exec_info": {"queue_remaining": 0}},
    "/assets": {"assets": [], "total": 0, "has_more": False},
}


@asynccontextmanager
async def front_end(static: Path, object_info: Mapping[str, Any]) -> AsyncIterator[FrontEnd]:
    """Serve the front end and open it.

    Args:
        static: the ``static`` folder of the unpacked wheel.
        object_info: what ``/object_info`` answers.
    """
    app = _api(object_info)

    async def index(_: web.Request) -> web.FileResponse:
        return web.FileResponse(static / "index.html")

    app.router.add_get("/", index)
    app.router.add_static("/", static)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    port = runner.addresses[0][1]
    try:
        async with async_playwright() as playwright:
            browser = await playwright.chromium.launch(
                executable_path=os.environ.get("CHROMIUM", "/usr/bin/chromium"), args=CHROMIUM_ARGUMENTS
            )
            page = await browser.new_page()
            await page.goto(f"http://127.0.0.1:{port}/", wait_until="domcontentloaded")
            await page.wait_for_function(
                "() => { const app = window.app ?? window.comfyAPI?.app?.app;"
                " return !!(app && app.canvas && (app.vueAppReady ?? true) && document.querySelector('#graph-canvas')"
                " && window.LiteGraph && Object.keys(window.LiteGraph.registered_node_types).includes('Reroute')) }",
                timeout=120_000,
            )
            await asyncio.sleep(1)
            yield FrontEnd(page)
            await browser.close()
    finally:
        await runner.cleanup()


class FrontEnd:
    """The open page."""

    def __init__(self, page: Page) -> None:
        self.page = page

    async def convert(self, workflow: Mapping[str, Any], pause_ms: int = 120) -> dict[str, Any]:
        """Return ``{"api": prompt}`` or ``{"error": text}`` for a workflow."""
        text = await self.page.evaluate(_CONVERT, [workflow, pause_ms])
        outcome = json.loads(text)
        assert isinstance(outcome, dict)
        return outcome
