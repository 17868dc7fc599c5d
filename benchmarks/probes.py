"""What it costs the master to watch a hundred backends.

The floor is a bare aiohttp client that asks the same hundred addresses as often, and does nothing with the answers.
"""

from __future__ import annotations

import asyncio
import sys
import tempfile
import time
from pathlib import Path

import aiohttp

from comfy_orchestrator_nodes.domain import LOCAL_BACKEND_ID, Backend, BackendStatus
from comfy_orchestrator_nodes.health import ProbeTimes
from comfy_orchestrator_nodes.service import open_service
from tools.devtools.bench import Result
from tools.devtools.instances import Farm
from tools.devtools.paths import ROOT

PEERS = 100
MEASURED_S = 20.0


async def run(_farm: Farm) -> Result:
    """Measure the CPU time of both, each over the same span."""
    server = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "benchmarks._many_peers", cwd=ROOT, stdout=asyncio.subprocess.PIPE
    )
    try:
        if server.stdout is None:
            raise RuntimeError("the peers' server has no output")
        port = int(await server.stdout.readline())
        urls = [f"http://127.0.0.1:{port}/p{number}" for number in range(PEERS)]
        floor = await _floor(urls)
        ours, start_s = await _watch(urls)
    finally:
        server.kill()
        await server.wait()
    percent = 100 * ours / MEASURED_S
    figures = {
        "peers": float(PEERS),
        "floor_percent_of_a_core": 100 * floor / MEASURED_S,
        "watching_percent_of_a_core": percent,
        "all_online_after_s": start_s,
    }
    return Result(figures, {"watching_over_floor": ours / floor})


async def _floor(urls: list[str]) -> float:
    """Return the CPU seconds of a bare client."""
    interval_s = ProbeTimes().interval_s

    async def poll(session: aiohttp.ClientSession, url: str, delay_s: float) -> None:
        await asyncio.sleep(delay_s)
        while True:
            async with session.get(f"{url}/prompt") as response:
                await response.json()
            await asyncio.sleep(interval_s)

    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:
        tasks = [asyncio.create_task(poll(session, u, i * interval_s / PEERS)) for i, u in enumerate(urls)]
        await asyncio.sleep(interval_s)
        used = time.process_time()
        await asyncio.sleep(MEASURED_S)
        used = time.process_time() - used
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    return used


async def _watch(urls: list[str]) -> tuple[float, float]:
    """Return the CPU seconds of a master that watches, and how long it took until all were online."""
    nowhere = Backend(LOCAL_BACKEND_ID, "This server", "http://127.0.0.1:9", enabled=False)
    with tempfile.TemporaryDirectory() as folder:
        async with open_service(Path(folder), nowhere, lambda _: None, clock=time.time) as service:
            started = time.monotonic()
            for number, url in enumerate(urls):
                await service.registry.add(Backend("", f"peer {number}", url))
            online = False
            while not online:
                await asyncio.sleep(0.1)
                states = [s for s in service.registry.list() if s.backend.id != LOCAL_BACKEND_ID]
                online = all(s.health.status is BackendStatus.ONLINE for s in states)
            start_s = time.monotonic() - started
            await asyncio.sleep(ProbeTimes().interval_s)
            used = time.process_time()
            await asyncio.sleep(MEASURED_S)
            return time.process_time() - used, start_s
