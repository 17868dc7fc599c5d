"""One value of up to 8 GiB, from a peer with the pack to the master and back: exact, and in bounded memory.

A peer makes a bfloat16 tensor and hashes it. It comes to the master, is deleted at the peer, goes back as another job's
input, is decoded there and hashed again. What either side's memory grows by is told as a
part of the value; the tensor on the peer has to be there, the bytes on their way need not.
"""

from __future__ import annotations

import asyncio
import tempfile
import time
from pathlib import Path

import psutil

from benchmarks._growth import watched
from benchmarks._transport_peer import open_bench
from comfy_orchestrator_nodes.domain import Definition, Output, Parameter
from tools.devtools.bench import Result
from tools.devtools.instances import Farm, Instance, Spec
from tools.devtools.pack import Install

LARGEST_BYTES = 8 << 30
NAME = "large-peer"
_LINE_BYTES = 1 << 20
"""What one line of the tensor takes."""

_NODES = """
import hashlib, torch

def digest(tensor):
    return hashlib.sha256(tensor.view(torch.uint8).numpy()).hexdigest()

class Large:
    CATEGORY, FUNCTION, RETURN_TYPES = "benchmark", "run", ("IMAGE", "STRING")
    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"lines": ("INT", {"max": 1 << 20})}}
    def run(self, lines):
        line = torch.rand((1, 1, 1 << 17, 4), generator=torch.Generator().manual_seed(lines)).to(torch.bfloat16)
        image = line.repeat(1, lines, 1, 1)
        for number in range(lines):
            image[0, number, 0, 0] = number
        return (image, digest(image))

class Hash:
    CATEGORY, FUNCTION, RETURN_TYPES = "benchmark", "run", ("STRING",)
    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"image": ("IMAGE",)}}
    def run(self, image):
        return (digest(image),)

NODE_CLASS_MAPPINGS = {"BenchLarge": Large, "BenchHash": Hash}
"""


async def run(farm: Farm) -> Result:
    """Send one value there and back."""
    lines = min(LARGEST_BYTES, psutil.virtual_memory().available // 2) // _LINE_BYTES
    size_bytes = lines * _LINE_BYTES
    peer = await asyncio.to_thread(_start, farm)
    with tempfile.TemporaryDirectory() as folder:
        async with open_bench(peer.url, Path(folder), limit_bytes=2 * LARGEST_BYTES) as bench:
            make, take = [await bench.service.library.create(draft) for draft in (_make(), _take())]
            processes = psutil.Process(), psutil.Process(peer.pid)
            began = time.perf_counter()
            with watched(processes) as down:
                made = await bench.run(make, {"lines": lines}, ["image", "hash"], native=True)
            down_s = time.perf_counter() - began
            image, told = made.outputs["image"], made.outputs["hash"].data
            await bench.forget_there(made)
            began = time.perf_counter()
            with watched(processes) as up:
                taken = await bench.run(take, {"image": image}, ["hash"], native=True)
            up_s = time.perf_counter() - began
            if taken.outputs["hash"].data != told:
                raise RuntimeError("the value came back different")
            moved = (await bench.moved(made))[1], (await bench.moved(taken))[0]
            if min(moved) < size_bytes:
                raise RuntimeError(f"the value did not travel both ways: {moved}")
    figures = {"value_gib": size_bytes / (1 << 30), "make_and_fetch_s": down_s, "send_and_hash_s": up_s}
    return Result(
        figures,
        {
            "master_growth_down_over_value": down[0] / size_bytes,
            "master_growth_up_over_value": up[0] / size_bytes,
            # The tensor itself has to be there.
            "peer_growth_beside_it_down_over_value": down[1] / size_bytes - 1,
            "peer_growth_beside_it_up_over_value": up[1] / size_bytes - 1,
        },
    )


def _start(farm: Farm) -> Instance:
    nodes = farm.directory / NAME / "custom_nodes" / "large-nodes"
    nodes.mkdir(parents=True, exist_ok=True)
    (nodes / "__init__.py").write_text(_NODES, encoding="utf-8")
    # Without its cache: it would keep the tensor.
    return farm.start(Spec(NAME, Install.LINK, ("--cache-none",)))[0]


def _make() -> Definition:
    prompt = {"m": {"class_type": "BenchLarge", "inputs": {"lines": 1}}}
    outputs = (Output("image", "IMAGE", "m", 0), Output("hash", "STRING", "m", 1))
    return Definition("", 0, "large", prompt, (Parameter("lines", "INT", "m", "lines"),), outputs)


def _take() -> Definition:
    prompt = {
        "i": {"class_type": "OrchestratorWorkflowInput", "inputs": {"name": "image", "type": "IMAGE"}},
        "h": {"class_type": "BenchHash", "inputs": {"image": ["i", 0]}},
    }
    image = Parameter("image", "IMAGE", "i", "value", required=True)
    return Definition("", 0, "hash", prompt, (image,), (Output("hash", "STRING", "h", 0),))
