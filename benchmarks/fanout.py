"""What the orchestrator adds to a fan-out: 64 jobs of half a second on four peers, from Run to the merged batch.

The subject is a master's own queue: Fan Out, Remote Workflow, Merge. The floor is a greedy bare client with one job in
flight at each peer, which cannot be beaten by much: a peer idles only while a result comes back. Both take turns.
"""

from __future__ import annotations

import asyncio
import shutil
import statistics
import time
import uuid
from pathlib import Path
from typing import Any

import aiohttp

from benchmarks.dispatch import BareClient, empty_image
from tools.devtools.bench import Result
from tools.devtools.demo import Api
from tools.devtools.instances import Farm

JOBS = 64
JOB_S = 0.5
PEERS = ("fanout-1", "fanout-2", "fanout-3", "fanout-4")
PAIRS = 7
WAIT_S = 120.0

_NODES = Path(__file__).parents[1] / "tests" / "data" / "nodes" / "orchestrator_test_nodes.py"


class GreedyClient(BareClient):
    """A bare client whose prompt takes its time."""

    def graph(self, color: int) -> dict[str, Any]:
        """Return the prompt."""
        return {
            "1": {"class_type": "EmptyImage", "inputs": empty_image(color)},
            "2": {"class_type": "PreviewImage", "inputs": {"images": ["3", 0]}},
            "3": {"class_type": "OrchestratorTestSleep", "inputs": {"image": ["1", 0], "seconds": JOB_S}},
        }


async def run(farm: Farm) -> Result:
    """Measure both, turn by turn."""
    for name in PEERS:
        folder = farm.directory / name / "custom_nodes"
        folder.mkdir(parents=True, exist_ok=True)
        shutil.copy(_NODES, folder / _NODES.name)
    peers = await asyncio.to_thread(farm.plain, *PEERS)
    (master,) = await asyncio.to_thread(farm.with_pack, "fanout-master")
    api = Api(master.url)
    workflow = await asyncio.to_thread(_prepare, api, {peer.name: peer.url for peer in peers})
    floor: list[float] = []
    subject: list[float] = []
    async with aiohttp.ClientSession() as session:
        clients = [GreedyClient(session, peer.url) for peer in peers]
        for client in clients:
            await client.connect()
        for pair in range(PAIRS + 1):
            # Colors that no other round has, so that no cache helps; the first pair only warms up.
            first = pair * 2 * JOBS
            greedy = await _greedy(clients, first)
            ours = await asyncio.to_thread(_fan_out, api, workflow, first + JOBS)
            if pair:
                floor.append(greedy)
                subject.append(ours)
    ideal = JOBS * JOB_S / len(PEERS)
    figures = {
        "ideal_s": ideal,
        "floor_median_s": statistics.median(floor),
        "run_to_merged_median_s": statistics.median(subject),
    }
    return Result(
        figures,
        {
            "run_to_merged_over_floor": statistics.median(o / f for o, f in zip(subject, floor, strict=True)),
            "ideal_over_floor": ideal / figures["floor_median_s"],
        },
    )


async def _greedy(clients: list[GreedyClient], first: int) -> float:
    colors = iter(range(first, first + JOBS))

    async def work(client: GreedyClient) -> None:
        for color in colors:
            await client.once(color)

    started = time.perf_counter()
    await asyncio.gather(*(work(client) for client in clients))
    return time.perf_counter() - started


def _prepare(api: Api, peers: dict[str, str]) -> str:
    """Register the peers, put the workflow into the library, and return its id."""
    api.wait("the orchestrator", api.is_ready)
    for name, url in peers.items():
        api.send("POST", "/orchestrator/backends", {"name": name, "base_url": url})

    def all_online() -> bool:
        listed = {b["name"]: b for b in api.get("/orchestrator/backends")["backends"]}
        return all(listed[name]["status"] == "online" and listed[name]["capabilities"] for name in peers)

    api.wait("the peers", all_online)
    prompt = {
        "0": {"class_type": "OrchestratorWorkflowInput", "inputs": {"name": "color", "type": "INT"}},
        "1": {"class_type": "EmptyImage", "inputs": {**empty_image(0), "color": ["0", 0]}},
        "2": {"class_type": "OrchestratorTestSleep", "inputs": {"image": ["1", 0], "seconds": JOB_S}},
        "3": {"class_type": "OrchestratorWorkflowOutput", "inputs": {"name": "image", "value": ["2", 0]}},
    }
    return str(api.send("POST", "/orchestrator/definitions", {"name": "Half a second", "prompt": prompt})["id"])


def _fan_out(api: Api, workflow: str, first: int) -> float:
    seeds = {"source": "seeds", "first_seed": first, "seeds": JOBS}
    remote = {"workflow": workflow, "backend": "auto", "parameters": "{}", "cache": False, "in_1": ["fan", 0]}
    merge = {"mode": "batch", "sizes": "error", "separator": "", "in_1": ["work", 2]}
    prompt = {
        "fan": {"class_type": "OrchestratorFanOut", "inputs": seeds},
        "work": {"class_type": "OrchestratorRemoteWorkflow", "inputs": remote},
        "merge": {"class_type": "OrchestratorMerge", "inputs": merge},
        # The floor writes no images, so neither is the subject to: 64 PreviewImages alone take 0.2 s.
        "size": {"class_type": "GetImageSize", "inputs": {"image": ["merge", 0]}},
        "end": {"class_type": "PreviewAny", "inputs": {"source": ["size", 2]}},
    }
    started = time.time()
    body = {"prompt": prompt, "client_id": uuid.uuid4().hex}
    prompt_id = str(api.send("POST", "/prompt", body)["prompt_id"])
    while not (entry := api.get(f"/history/{prompt_id}").get(prompt_id)):
        if time.time() - started > WAIT_S:
            raise RuntimeError(f"the fan-out did not end in {WAIT_S:.0f} s")
        time.sleep(0.1)
    # As ComfyUI noted it: right afterwards it collects garbage, during which no server answers.
    ended = entry["status"]["messages"][-1][1]["timestamp"] / 1000
    merged = entry["outputs"].get("end", {}).get("text", ["none"])[0]
    if merged != str(JOBS):
        raise RuntimeError(f"{merged} of {JOBS} images came back: {entry['status']['messages'][-1]}")
    return float(ended - started)
