"""How soon the master's queue is free again after Stop, while a Remote Workflow node waits for another server.

The floor is the same Stop on the same master while one of its own nodes runs that looks for an interrupt every 20 ms.
Both take turns. The remote job must be gone from its server, too; how long that takes is told, and nobody waits for it.
"""

from __future__ import annotations

import asyncio
import shutil
import statistics
import time
import uuid
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import aiohttp

from tools.devtools.bench import Result
from tools.devtools.instances import Farm, Instance
from tools.devtools.paths import ROOT

ROUNDS = 20
TIMEOUT_S = 60.0
NODES = ROOT / "tests" / "data" / "nodes" / "orchestrator_count_node.py"
HEADERS = {"X-Orchestrator": "1"}

Json = Any


class Server:
    """What is asked of one ComfyUI."""

    def __init__(self, session: aiohttp.ClientSession, instance: Instance) -> None:
        self._session = session
        self._url = instance.url

    async def get(self, path: str) -> Json:
        """Return the JSON at a path; None while it answers with an error."""
        async with self._session.get(self._url + path) as response:
            return await response.json() if response.status == 200 else None

    async def post(self, path: str, body: Mapping[str, Json]) -> Json:
        """Send JSON; return the answer, if it is JSON."""
        async with self._session.post(self._url + path, json=body, headers=HEADERS) as response:
            response.raise_for_status()
            return await response.json() if response.content_type == "application/json" else None

    async def idle(self) -> bool:
        """Return whether it has no prompts."""
        return not (await self.get("/prompt"))["exec_info"]["queue_remaining"]


async def run(farm: Farm) -> Result:
    """Measure both on one master with one plain peer."""
    for name in ("cancel-master", "cancel-peer"):
        folder = farm.directory / name / "custom_nodes"
        folder.mkdir(parents=True, exist_ok=True)
        shutil.copy(NODES, folder / NODES.name)
    (peer,) = farm.plain("cancel-peer")
    (master,) = farm.with_pack("cancel-master")
    async with aiohttp.ClientSession() as session:
        ours, theirs = Server(session, master), Server(session, peer)
        workflow = await _prepare(ours, peer)
        floor: list[float] = []
        remote: list[float] = []
        gone: list[float] = []
        for _ in range(ROUNDS):
            floor.append(await _stop(ours, ours, waiting_here()))
            remote.append(await _stop(ours, theirs, waiting_there(workflow)))
            gone.append(await _until_idle(theirs))
    figures = {
        "floor_median_ms": 1000 * statistics.median(floor),
        "queue_free_median_ms": 1000 * statistics.median(remote),
        "queue_free_max_ms": 1000 * max(remote),
        "remote_job_gone_after_median_ms": 1000 * statistics.median(gone),
    }
    return Result(figures, {"queue_free_over_floor": figures["queue_free_median_ms"] / figures["floor_median_ms"]})


def waiting_here() -> dict[str, Json]:
    """Return a prompt in which a node of the server itself waits."""
    return {
        "1": {"class_type": "EmptyImage", "inputs": {"width": 8, "height": 8, "batch_size": 1, "color": 0}},
        "2": {"class_type": "OrchestratorTestGate", "inputs": {"image": ["1", 0], "name": f"never-{uuid.uuid4().hex}"}},
        "3": {"class_type": "PreviewImage", "inputs": {"images": ["2", 0]}},
    }


def waiting_there(workflow: str) -> dict[str, Json]:
    """Return a meta-graph whose sub-workflow waits on the peer."""
    inputs = {"workflow": workflow, "backend": "auto", "parameters": "{}", "cache": False}
    return {
        "1": {"class_type": "OrchestratorRemoteWorkflow", "inputs": inputs},
        "2": {"class_type": "PreviewImage", "inputs": {"images": ["1", 2]}},
    }


async def _prepare(master: Server, peer: Instance) -> str:
    await _until(lambda: master.get("/orchestrator/backends"))
    added = await master.post("/orchestrator/backends", {"name": peer.name, "base_url": peer.url})

    async def online() -> bool:
        state = await master.get(f"/orchestrator/backends/{added['id']}")
        return bool(state["status"] == "online" and state["capabilities"])

    await _until(online)
    created = await master.post("/orchestrator/definitions", {"name": "Waits", "prompt": waiting_here()})
    return str(created["id"])


async def _stop(master: Server, worker: Server, prompt: Mapping[str, Json]) -> float:
    """Queue a prompt, press Stop once ``worker`` runs it, and return the seconds until the master's queue is free."""
    await master.post("/prompt", {"prompt": prompt, "prompt_id": str(uuid.uuid4()), "client_id": "bench"})

    async def runs() -> bool:
        return bool((await worker.get("/queue"))["queue_running"])

    await _until(runs)
    started = time.perf_counter()
    await master.post("/interrupt", {})
    await _until(master.idle, pause_s=0.002)
    return time.perf_counter() - started


async def _until_idle(server: Server) -> float:
    started = time.perf_counter()
    await _until(server.idle, pause_s=0.002)
    return time.perf_counter() - started


async def _until(condition: Callable[[], Awaitable[Json]], pause_s: float = 0.02) -> None:
    deadline = time.monotonic() + TIMEOUT_S
    while not await condition():
        if time.monotonic() > deadline:
            raise TimeoutError(f"waited {TIMEOUT_S:.0f} s in vain")
        await asyncio.sleep(pause_s)
