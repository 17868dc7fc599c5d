"""A server that answers like many idle ComfyUIs, one below each path ``/p0``, …; prints its port, runs until killed."""

from __future__ import annotations

import asyncio
import sys

from aiohttp import web

ANSWERS = {
    "prompt": {"exec_info": {"queue_remaining": 0}},
    "features": {"max_upload_size": 104857600},
    "models": ["checkpoints"],
    "models/checkpoints": ["model.safetensors"],
    "object_info": {},
    "system_stats": {
        "system": {
            "os": "linux",
            "ram_total": 1 << 34,
            "ram_free": 1 << 33,
            "comfyui_version": "0.3.75",
            "python_version": "3.12",
            "pytorch_version": "2.9",
        },
        "devices": [{"name": "gpu", "type": "cuda", "index": 0, "vram_total": 1 << 34, "vram_free": 1 << 33}],
    },
}


async def answer(request: web.Request) -> web.Response:
    """Answer any route of any of the peers."""
    found = ANSWERS.get(request.match_info["route"].removeprefix("api/"))
    return web.json_response(found) if found is not None else web.Response(status=404)


async def main() -> None:
    """Serve until killed."""
    app = web.Application()
    app.router.add_get("/{peer}/{route:.+}", answer)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    sys.stdout.write(f"{runner.addresses[0][1]}\n")
    sys.stdout.flush()
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main())
