"""A process with many fake ComfyUIs with agents; prints their URLs as JSON, runs until its input ends.

Each tells each second what its GPU does, as an agent would, and takes ``JOB_S`` for a prompt, with a message for each
step: what a page gets to show of them has gone the whole way through a real master.
"""

from __future__ import annotations

import asyncio
import json
import random
import sys
import time
from itertools import repeat
from typing import Any

from aiohttp import web

from comfy_orchestrator_nodes.metrics import DEVICE, METRICS
from tests.fakes.execution import Run, run_nodes
from tests.fakes.fake_comfy import FakeComfy

STEPS, STEP_S = 40, 0.2
JOB_S = STEPS * STEP_S
MOST_JOBS = 1000

_PATH = "/orchestrator/agent"
_IDLE = {"temperature_c": 36.0, "power_w": 22.0, "vram_used_bytes": 6e8, "ram_used_bytes": 6e9}
_BUSY = {"temperature_c": 68.0, "power_w": 310.0, "vram_used_bytes": 18e9, "ram_used_bytes": 2e10}
_STEADY = {"vram_total_bytes": 24e9, "ram_total_bytes": 64e9, "power_limit_w": 450.0}


async def work(run: Run) -> None:
    """Sample for a while, then make the image."""
    run.start_node(next(iter(run.prompt)))
    for step in range(STEPS):
        await asyncio.sleep(STEP_S)
        run.progress(step + 1, STEPS)
    await run_nodes(run)


class Agent:
    """What the agent of one peer answers."""

    def __init__(self, fake: FakeComfy, number: int) -> None:
        self._fake = fake
        self._number = number
        self._random = random.Random(number)

    def routes(self) -> list[web.RouteDef]:
        """Return its routes."""
        return [web.get(_PATH, self.introduce), web.get(f"{_PATH}/telemetry", self.tell)]

    async def introduce(self, _request: web.Request) -> web.Response:
        """Say what it can do."""
        return web.json_response(
            {
                "protocol": {"major": 1, "minor": 0},
                "agent_version": "0.0.0",
                "instance_id": f"busy-{self._number}",
                "capabilities": ["blobs", "blobs.range", "values", "telemetry"],
                "values": {"format": 1},
                "access": {"granted": True, "problem": None},
            }
        )

    async def tell(self, _request: web.Request) -> web.Response:
        """Tell of the machine now."""
        now = time.time()
        names = {scope: [n for n, m in METRICS.items() if (m.scope == DEVICE) is scope] for scope in (True, False)}
        host, device = ({name: self._value(name) for name in names[scope]} for scope in (False, True))
        gpu = {"id": f"nvidia:{self._number}", "name": "NVIDIA GeForce RTX 4090", "kind": "nvidia", "values": device}
        return web.json_response(
            {
                "now": now,
                "cursor": f"{now}",
                "interval_s": 1.0,
                "problem": "",
                "samples": [{"at": now, "host": host, "devices": [{**gpu, "state": "ok"}]}],
            }
        )

    def _value(self, name: str) -> Any:
        """Return a value that moves a little, as measured ones do."""
        if name in _STEADY:
            return _STEADY[name]
        busy = bool(self._fake.running)
        if name.endswith("_ratio"):
            return self._random.uniform(0.9, 1.0) if busy else self._random.uniform(0.0, 0.02)
        return (_BUSY if busy else _IDLE).get(name, 1.0) * self._random.uniform(0.98, 1.02)


async def main(count: int) -> None:
    """Serve until the input ends."""
    fakes = [FakeComfy() for _ in range(count)]
    for number, fake in enumerate(fakes):
        for behaviour in repeat(work, MOST_JOBS):
            fake.behave(behaviour)
        fake.routes_beside = Agent(fake, number).routes()
        await fake.start()
    sys.stdout.write(json.dumps([fake.url for fake in fakes]) + "\n")
    sys.stdout.flush()
    # Whoever started this holds the other end: when that is gone, so is its interest.
    await asyncio.to_thread(sys.stdin.read)


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1])))
