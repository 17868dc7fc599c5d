"""What somebody who works on the master feels while images arrive: how long ``GET /queue`` takes there.

Two peers with the pack make images of 1024x1024x3 float32, eight at a time each, and the master's own queue runs them:
two Remote Workflow nodes, each on one peer. The control is the same work by the same code in a process of its own,
with the master idle: what is slow then is the machine, whose two cores are shared by all. All take turns.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import tempfile
import time
import uuid
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import _image_nodes
from benchmarks._poller import polling
from comfy_orchestrator_nodes.domain import LOCAL_BACKEND_ID, Backend
from comfy_orchestrator_nodes.orchestrator.requests import Request, raise_failure
from comfy_orchestrator_nodes.service import Service, Settings, open_service
from tools.devtools.bench import Result
from tools.devtools.demo import FIRST_OUTPUT, REMOTE_WORKFLOW, Api
from tools.devtools.instances import Farm, Instance

PEERS = ("queue-peer-1", "queue-peer-2")
AT_ONCE = 8
"""Images of one job."""
TURNS = 5
TURN_S = 5.0
PAUSE_S = 1.0
"""Between two turns, for what ends a little later."""
_LIMIT_BYTES = 2 << 30

Work = Callable[[int], Awaitable[None]]
"""Brings images of each peer, made of a seed that was not used before."""


async def run(farm: Farm) -> Result:
    """Measure the idle master, the master at work, and the control."""
    for name in PEERS:
        _image_nodes.install(farm, name)
    (master, *peers) = await asyncio.to_thread(farm.with_pack, "queue-master", *PEERS)
    async with AsyncExitStack() as stack:
        outside = await _outside(stack, peers)
        inside = await asyncio.to_thread(_inside, Api(master.url), peers)
        seeds = itertools.count(0, 1000)
        moved: dict[str, int] = {}
        latencies: dict[str, list[float]] = {}
        works: dict[str, Work | None] = {"idle": None, "inside": inside, "outside": outside}
        for turn in range(TURNS + 1):
            for name, work in works.items():
                with polling(master.url) as found:
                    images = await _busy(work, seeds)
                if turn:  # the first one warms up
                    latencies.setdefault(name, []).extend(found)
                    moved[name] = moved.get(name, 0) + images
                await asyncio.sleep(PAUSE_S)
    figures = {
        f"{name}_p{percent}_ms": float(np.percentile(found, percent))
        for name, found in latencies.items()
        for percent in (50, 95, 99)
    }
    figures |= {f"{name}_images_per_s": count / (TURNS * TURN_S) for name, count in moved.items() if count}
    ratios = {
        "p95_inside_over_outside": figures["inside_p95_ms"] / figures["outside_p95_ms"],
        "p99_inside_over_outside": figures["inside_p99_ms"] / figures["outside_p99_ms"],
        "p99_outside_over_idle": figures["outside_p99_ms"] / figures["idle_p99_ms"],
    }
    return Result(figures, ratios)


async def _busy(work: Work | None, seeds: Iterator[int]) -> int:
    """Do it again and again for a turn; return how many images came."""
    if work is None:
        await asyncio.sleep(TURN_S)
        return 0
    images, ends = 0, time.monotonic() + TURN_S
    while time.monotonic() < ends:
        await work(next(seeds))
        images += len(PEERS) * AT_ONCE
    return images


def _values(seed: int, number: int) -> dict[str, Any]:
    return {"kind": "noisy", "seed": seed + number * AT_ONCE, "count": AT_ONCE}


async def _outside(stack: AsyncExitStack, peers: Sequence[Instance]) -> Work:
    """Open a master's service in this process, and return the work through it."""
    folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
    nowhere = Backend(LOCAL_BACKEND_ID, "This server", "http://127.0.0.1:9", enabled=False)
    settings = Settings(artifact_limit_bytes=_LIMIT_BYTES)
    service: Service = await stack.enter_async_context(
        open_service(folder, nowhere, lambda _: None, clock=time.time, settings=settings)
    )
    for peer in peers:
        state = await service.registry.add(Backend("", peer.name, peer.url))
        while not service.registry.peer(state.backend.id).has_agent:  # noqa: ASYNC110 - outside what is timed
            await asyncio.sleep(0.02)
    definition = await service.library.create(_image_nodes.make())

    async def one(seed: int, number: int, peer: Instance) -> None:
        request = Request(
            definition.id,
            _values(seed, number),
            outputs=("images",),
            selector=peer.name,
            use_cache=False,
            native=True,
        )
        ticket = await service.orchestrator.submit(request)
        job = await ticket.done
        raise_failure(job)
        await asyncio.to_thread(_image_nodes.decoded, service, job.outputs["images"])
        service.artifacts.release(ticket.owner)

    async def work(seed: int) -> None:
        await asyncio.gather(*(one(seed, number, peer) for number, peer in enumerate(peers)))

    return work


def _inside(api: Api, peers: Sequence[Instance]) -> Work:
    """Tell the master of the peers and the workflow, and return the work through its own queue."""
    api.wait("the orchestrator", api.is_ready)
    for peer in peers:
        api.send("POST", "/orchestrator/backends", {"name": peer.name, "base_url": peer.url})

    def all_agents() -> bool:
        listed = {b["name"]: b for b in api.get("/orchestrator/backends")["backends"]}
        return all((listed[peer.name]["capabilities"] or {}).get("agent") for peer in peers)

    api.wait("the peers", all_agents)
    draft = _image_nodes.make()
    parameters = [
        {"name": p.name, "type": p.type, "node_id": p.node_id, "input_name": p.input_name} for p in draft.parameters
    ]
    outputs = [{"name": o.name, "type": o.type, "node_id": o.node_id, "index": o.index} for o in draft.outputs]
    body = {"name": draft.name, "prompt": draft.prompt, "parameters": parameters, "outputs": outputs}
    workflow = str(api.send("POST", "/orchestrator/definitions", body)["id"])

    def once(seed: int) -> None:
        prompt: dict[str, Any] = {}
        for number, peer in enumerate(peers):
            parameters = json.dumps({"values": _values(seed, number), "out": ["images"]})
            remote = {"workflow": workflow, "backend": peer.name, "parameters": parameters, "cache": False}
            prompt[f"work-{number}"] = {"class_type": REMOTE_WORKFLOW, "inputs": remote}
            # Something that looks into the images and neither writes nor shows them: that would be measured, too.
            size = {"image": [f"work-{number}", FIRST_OUTPUT]}
            prompt[f"size-{number}"] = {"class_type": "GetImageSize", "inputs": size}
            prompt[f"end-{number}"] = {"class_type": "PreviewAny", "inputs": {"source": [f"size-{number}", 0]}}
        prompt_id = str(uuid.uuid4())
        api.send("POST", "/prompt", {"prompt": prompt, "prompt_id": prompt_id, "client_id": "bench"})
        entry = api.wait("the images", lambda: api.get(f"/history/{prompt_id}").get(prompt_id))
        if entry["status"]["status_str"] != "success":
            raise RuntimeError(f"the images did not come: {entry['status']['messages'][-1]}")

    return lambda seed: asyncio.to_thread(once, seed)
