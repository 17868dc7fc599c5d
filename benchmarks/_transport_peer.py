"""A peer with the pack whose nodes make and take images, and the service of a master that uses it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks._raw_peer import Wire
from benchmarks._raw_peer import start as start_raw_peer
from comfy_orchestrator_nodes.backend.blobs import PATH
from comfy_orchestrator_nodes.backend.peer import Peer
from comfy_orchestrator_nodes.domain import LOCAL_BACKEND_ID, Backend, Definition, FileRef, Job, Output, Parameter
from comfy_orchestrator_nodes.orchestrator.jobs import Request, raise_failure
from comfy_orchestrator_nodes.service import Service, Settings, open_service
from tools.devtools.instances import Farm, Instance
from tools.devtools.paths import ROOT

IMAGES = 32
"""How many images one job takes."""

_LIMIT_BYTES = 4 << 30
"""Of what the master stores: what was used longest ago goes first, as it would."""

_NODES = """
import sys, hashlib
sys.path.insert(0, "{root}")
from benchmarks._images import image
import torch

class Make:
    CATEGORY, FUNCTION, RETURN_TYPES, OUTPUT_IS_LIST = "benchmark", "run", ("IMAGE", "INT"), (True, False)
    @classmethod
    def INPUT_TYPES(cls):
        whole = ("INT", {{"default": 0, "max": 1 << 40}})
        return {{"required": {{"kind": ("STRING", {{}}), "seed": whole, "count": whole}}}}
    def run(self, kind, seed, count):
        return ([torch.from_numpy(image(kind, seed + n)) for n in range(count)], count)

class Same:
    CATEGORY, FUNCTION, RETURN_TYPES = "benchmark", "run", ("IMAGE",)
    INPUT_IS_LIST, OUTPUT_IS_LIST = True, (True,)
    @classmethod
    def INPUT_TYPES(cls):
        return {{"required": {{"images": ("IMAGE",)}}}}
    def run(self, images):
        return ([image.clone() for image in images],)

class Take:
    CATEGORY, FUNCTION, RETURN_TYPES = "benchmark", "run", ("INT", "STRING")
    @classmethod
    def INPUT_TYPES(cls):
        images = {{f"i{{n}}": ("IMAGE",) for n in range({images})}}
        return {{"required": {{"hashed": ("BOOLEAN", {{}})}}, "optional": images}}
    def run(self, hashed, **images):
        parts = [hashlib.sha256(t.contiguous().numpy()).hexdigest() for t in images.values()] if hashed else []
        return (len(images), " ".join(parts))

NODE_CLASS_MAPPINGS = {{"BenchMake": Make, "BenchSame": Same, "BenchTake": Take}}
"""


@dataclass(frozen=True)
class Bench:
    """The master's service, the peer it uses, and what both know."""

    service: Service
    url: str
    make: Definition
    chain: Definition
    take: Definition

    async def run(self, definition: Definition, values: Mapping[str, Any], outputs: Sequence[str], **more: Any) -> Job:
        """Run a job to its good end."""
        request = Request(definition.id, values, outputs=tuple(outputs), use_cache=False, **more)
        job = await (await self.service.orchestrator.submit(request)).done
        raise_failure(job)
        return job

    async def forget(self, job: Job) -> None:
        """Delete what a job made, on both sides: gigabytes would pile up."""
        service = self.service
        refs = [ref for value in job.outputs.values() for ref in value.files]
        await asyncio.to_thread(service.artifacts.release, f"result of {job.id}")
        await asyncio.to_thread(service.artifacts.clear)
        for attempt in await service.attempts.for_job(job.id):
            await self._peer.client.blobs.release(attempt.id)
        one = Wire(self.url)
        for ref in refs:
            await asyncio.to_thread(one.delete, f"{PATH}/{ref.sha256}", {"X-Orchestrator": "1"})
        one.close()

    async def send(self, refs: Sequence[FileRef]) -> None:
        """Send stored values to the peer, as many at once as it takes."""
        blobs, artifacts = self._peer.client.blobs, self.service.artifacts
        await asyncio.gather(*(blobs.send(ref, partial(artifacts.path, ref)) for ref in refs))

    @property
    def _peer(self) -> Peer:
        (peer,) = [one for one in self.service.farm if one.backend.id != LOCAL_BACKEND_ID]
        return peer

    async def moved(self, job: Job) -> tuple[int, int]:
        """Return the bytes sent and fetched for a job."""
        attempts = await self.service.attempts.for_job(job.id)
        return sum(a.uploaded_bytes for a in attempts), sum(a.downloaded_bytes for a in attempts)


def start(farm: Farm, folder: Path) -> Instance:
    """Return a ready peer that keeps its temporary files in a folder."""
    nodes = farm.directory / "transport-peer" / "custom_nodes" / "transport-nodes"
    nodes.mkdir(parents=True, exist_ok=True)
    (nodes / "__init__.py").write_text(_NODES.format(root=ROOT.as_posix(), images=IMAGES), encoding="utf-8")
    return start_raw_peer(farm, "transport-peer", "--temp-directory", str(folder))


@asynccontextmanager
async def open_bench(url: str, folder: Path) -> AsyncIterator[Bench]:
    """Open a master's service in a folder, with the peer as its only backend."""
    nowhere = Backend(LOCAL_BACKEND_ID, "This server", "http://127.0.0.1:9", enabled=False)
    settings = Settings(artifact_limit_bytes=_LIMIT_BYTES)
    async with open_service(folder, nowhere, lambda _: None, clock=time.time, settings=settings) as service:
        state = await service.registry.add(Backend("", "peer", url))
        peer = service.registry.peer(state.backend.id)
        while not peer.has_agent:  # noqa: ASYNC110 - outside what is timed
            await asyncio.sleep(0.02)
        yield Bench(service, url, *[await service.library.create(draft) for draft in _definitions()])


def _definitions() -> tuple[Definition, Definition, Definition]:
    def given(name: str) -> dict[str, Any]:
        return {"class_type": "OrchestratorWorkflowInput", "inputs": {"name": name, "type": "IMAGE"}}

    make = Definition(
        "",
        0,
        "make",
        {"m": {"class_type": "BenchMake", "inputs": {"kind": "noisy", "seed": 0, "count": 1}}},
        tuple(
            Parameter(name, type_, "m", name) for name, type_ in (("kind", "STRING"), ("seed", "INT"), ("count", "INT"))
        ),
        (Output("images", "IMAGE", "m", 0), Output("count", "INT", "m", 1)),
    )
    chain = Definition(
        "",
        0,
        "chain",
        {"i": given("image"), "s": {"class_type": "BenchSame", "inputs": {"images": ["i", 0]}}},
        (Parameter("image", "IMAGE", "i", "value", required=True),),
        (Output("image", "IMAGE", "s", 0),),
    )
    names = [f"i{n}" for n in range(IMAGES)]
    links = {name: [name, 0] for name in names}
    take = Definition(
        "",
        0,
        "take",
        {
            "t": {"class_type": "BenchTake", "inputs": {"hashed": False, **links}},
            **{name: given(name) for name in names},
        },
        (Parameter("hashed", "BOOLEAN", "t", "hashed"), *(Parameter(n, "IMAGE", n, "value") for n in names)),
        (Output("count", "INT", "t", 0), Output("hashes", "STRING", "t", 1)),
    )
    return make, chain, take
