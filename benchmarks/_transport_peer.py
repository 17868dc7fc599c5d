"""A peer with the pack whose nodes make and take images, and the service of a master that uses it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks import _image_nodes
from benchmarks._raw_peer import Wire
from benchmarks._raw_peer import start as start_raw_peer
from comfy_orchestrator_nodes.backend.blobs import PATH
from comfy_orchestrator_nodes.backend.peer import Peer
from comfy_orchestrator_nodes.domain import LOCAL_BACKEND_ID, Backend, Definition, FileRef, Job
from comfy_orchestrator_nodes.orchestrator.jobs import Request, raise_failure
from comfy_orchestrator_nodes.service import Service, Settings, open_service
from tools.devtools.instances import Farm, Instance

OWNER = "benchmark"
"""Who leases what is stored beside the jobs."""

_LIMIT_BYTES = 4 << 30
"""Of what the master stores: what was used longest ago goes first, as it would."""


@dataclass(frozen=True)
class Bench:
    """The master's service, the peer it uses, and what both know."""

    service: Service
    url: str
    make: Definition
    chain: Definition
    take: Definition
    owners: dict[str, str] = field(default_factory=dict)
    """By job id: who leases its result."""

    async def run(self, definition: Definition, values: Mapping[str, Any], outputs: Sequence[str], **more: Any) -> Job:
        """Run a job to its good end."""
        request = Request(definition.id, values, outputs=tuple(outputs), use_cache=False, **more)
        ticket = await self.service.orchestrator.submit(request)
        self.owners[ticket.job_id] = ticket.owner
        job = await ticket.done
        raise_failure(job)
        return job

    async def forget(self, job: Job) -> None:
        """Delete what a job made, on both sides: gigabytes would pile up."""
        service = self.service
        for owner in (self.owners.pop(job.id), OWNER):
            await asyncio.to_thread(service.artifacts.release, owner)
        await asyncio.to_thread(service.artifacts.clear)
        await self.forget_there(job)

    async def forget_there(self, job: Job) -> None:
        """Delete what a job made on the peer."""
        refs = [ref for value in job.outputs.values() for ref in value.files]
        for attempt in await self.service.attempts.for_job(job.id):
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
    _image_nodes.install(farm, "transport-peer")
    return start_raw_peer(farm, "transport-peer", "--temp-directory", str(folder))


@asynccontextmanager
async def open_bench(url: str, folder: Path, *, limit_bytes: int = _LIMIT_BYTES) -> AsyncIterator[Bench]:
    """Open a master's service in a folder, with the peer as its only backend."""
    nowhere = Backend(LOCAL_BACKEND_ID, "This server", "http://127.0.0.1:9", enabled=False)
    settings = Settings(artifact_limit_bytes=limit_bytes)
    async with open_service(folder, nowhere, lambda _: None, clock=time.time, settings=settings) as service:
        state = await service.registry.add(Backend("", "peer", url))
        peer = service.registry.peer(state.backend.id)
        while not peer.has_agent:  # noqa: ASYNC110 - outside what is timed
            await asyncio.sleep(0.02)
        drafts = (_image_nodes.make(), _image_nodes.chain(), _image_nodes.take())
        make, chain, take = [await service.library.create(draft) for draft in drafts]
        yield Bench(service, url, make, chain, take)
