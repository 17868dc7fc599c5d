"""What sampling costs a backend, and what asking costs both sides.

The sampler's reading is measured on this machine, and with four made-up NVIDIA GPUs behind the real binding (without a
driver below it, which on a real card adds its own microseconds). The route is measured on a real ComfyUI beside
``GET /prompt``, the cheapest route that ComfyUI has.
"""

from __future__ import annotations

import asyncio
import itertools
import statistics
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import aiohttp

from comfy_orchestrator_nodes.agent.telemetry.machine import Machine, Surroundings
from comfy_orchestrator_nodes.agent.telemetry.sampler import Sampler
from tests.fakes.nvml.library import FakeNvml, why_not
from tools.devtools.bench import Result
from tools.devtools.instances import Farm

READINGS, REQUESTS = 300, 300


async def run(farm: Farm) -> Result:
    """Measure."""
    figures = {f"reading_without_gpu_{name}": value for name, value in (await asyncio.to_thread(readings)).items()}
    if not why_not():
        with tempfile.TemporaryDirectory() as folder:
            library = FakeNvml(Path(folder))
            library.set(gpus=4, processes=3)
            found = await asyncio.to_thread(readings)
        figures |= {f"reading_four_gpus_{name}": value for name, value in found.items()}
    (peer, *_) = await asyncio.to_thread(farm.with_pack, "bench-telemetry")
    async with aiohttp.ClientSession(peer.url) as session:
        await asyncio.wait_for(until_sampled(session), 30)
        floor = await measured(lambda: get(session, "/prompt"))
        route = await measured(lambda: get(session, "/orchestrator/agent/telemetry?watch_s=10"))
    figures |= {"route_ms": route, "floor_ms": floor}
    return Result(figures=figures, ratios={"route": route / floor})


def readings() -> dict[str, float]:
    """Return what one reading with its encoding takes of the processor, and which share of a core that is at 1 Hz."""
    # A second a reading, so that what is read each five seconds counts a fifth.
    machine = Machine(Surroundings(str(Path.cwd())), clock=itertools.count().__next__)
    # Read by hand instead of in its thread, so that only the reading counts.
    sampler = Sampler(machine.read)
    sampler._take(0.0)
    used = []
    for _ in range(READINGS):
        started = time.thread_time()
        sampler._take(0.0)
        used.append(time.thread_time() - started)
    machine.close()
    mean_s = statistics.mean(used)
    return {"cpu_ms": mean_s * 1e3, "core_percent": mean_s * 100}


async def until_sampled(session: aiohttp.ClientSession) -> None:
    """Wait for the first sample."""
    while not (await get(session, "/orchestrator/agent/telemetry?watch_s=10"))["samples"]:  # noqa: ASYNC110
        await asyncio.sleep(0.05)


async def get(session: aiohttp.ClientSession, path: str) -> dict[str, list[object]]:
    """Return what a route answers."""
    async with session.get(path) as response:
        response.raise_for_status()
        answer: dict[str, list[object]] = await response.json()
        return answer


async def measured(once: Callable[[], Awaitable[object]]) -> float:
    """Return the median milliseconds of a call."""
    times = []
    for _ in range(REQUESTS):
        started = time.perf_counter()
        await once()
        times.append(time.perf_counter() - started)
    return statistics.median(times) * 1e3
