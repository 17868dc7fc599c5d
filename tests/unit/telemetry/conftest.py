"""A fake backend with an agent, whose telemetry is what the test says."""

from __future__ import annotations

import itertools
import time
from collections.abc import Awaitable, Callable
from typing import Any

from aiohttp import web

from comfy_orchestrator_nodes.backend.readings import PATH
from tests.fakes.fake_comfy import FakeComfy

Json = Any
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
GIB = 1 << 30
HANDSHAKE = "/orchestrator/agent"


class FakeAgent:
    """Answers a fake backend's telemetry route, by its own clock. Install it with ``fail``: it is asked for ever."""

    def __init__(self) -> None:
        self.asked: list[dict[str, str]] = []
        self.status = 200
        self.samples: list[Json] | None = None
        """What is answered; None for one sample of now."""
        self.problem = ""
        self._sequence = itertools.count(1)

    def install(self, fake: FakeComfy) -> None:
        fake.fail("GET", PATH, *itertools.repeat(self.answer, 10_000))
        fake.fail("GET", HANDSHAKE, *itertools.repeat(self.introduce, 10_000))

    async def introduce(self, _request: web.Request, _handler: Handler) -> web.StreamResponse:
        """Answer as an agent that measures, and moves no values."""
        protocol = {"major": 1, "minor": 0}
        return web.json_response({"protocol": protocol, "instance_id": "life", "capabilities": ["telemetry"]})

    async def answer(self, request: web.Request, _handler: Handler) -> web.StreamResponse:
        self.asked.append(dict(request.query))
        if self.status != 200:
            return web.json_response({}, status=self.status)
        now = time.monotonic()
        body = {
            "cursor": f"boot-{next(self._sequence)}",
            "now": now,
            "interval_s": 1.0,
            "problem": self.problem,
            "samples": [a_sample(now)] if self.samples is None else self.samples,
        }
        return web.json_response(body)


def a_sample(at: float, power_w: float = 200.0, vram_gib: int = 6) -> Json:
    return {
        "at": at,
        "host": {"cpu_ratio": 0.25, "ram_used_bytes": 8 * GIB, "ram_total_bytes": 16 * GIB, "from_the_future": 1},
        "devices": [
            {
                "id": "GPU-1",
                "name": "A GPU",
                "kind": "nvidia",
                "state": "ok",
                "message": "",
                "parent": None,
                "values": {"power_w": power_w, "vram_used_bytes": vram_gib * GIB, "vram_total_bytes": 24 * GIB},
                "throttled_by": ["power limit"],
                "processes": [{"pid": 7, "name": "python", "vram_used_bytes": GIB, "own": True}],
                "unsupported": ["fan_ratio"],
            }
        ],
        "models": [{"name": "SDXL", "size_bytes": 5, "loaded_bytes": 5, "device": "cuda:0"}],
        "sources": [{"name": "nvml", "state": "ok", "message": ""}],
    }
