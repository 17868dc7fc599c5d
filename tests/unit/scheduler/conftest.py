"""A whole master on a temporary folder, with fake backends that tests drive."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from comfy_orchestrator_nodes.domain import (
    LOCAL_BACKEND_ID,
    Backend,
    BackendStatus,
    Definition,
    Job,
    Output,
    Parameter,
)
from comfy_orchestrator_nodes.health import ProbeTimes
from comfy_orchestrator_nodes.orchestrator.jobs import Request, Ticket
from comfy_orchestrator_nodes.scheduler.follow import Patience
from comfy_orchestrator_nodes.scheduler.updates import JobChanged, JobUpdate
from comfy_orchestrator_nodes.service import Service, Settings, open_service
from tests.fakes.fake_comfy import FakeComfy

QUICK = Settings(
    placement_wait_s=0.5,
    decision_limit_s=0.5,
    patience=Patience(connect_s=2.0, poll_s=0.05, stall_s=5.0, lost_s=1.0, refused_s=0.3, arrive_s=0.3, disown_s=2.0),
    probes=ProbeTimes(interval_s=0.2, retry_s=0.05, offline_interval_s=0.1),
)
"""Short waits; nothing in the tests depends on their exact length."""

TIMEOUT_S = 20.0


@dataclass
class Master:
    """A service with what tests need around it."""

    service: Service
    updates: list[JobUpdate] = field(default_factory=list)

    async def add(self, fake: FakeComfy, name: str, **changes: Any) -> str:
        """Register a fake and wait until it is online; return its id."""
        return await self.add_url(fake.url, name, **changes)

    async def add_url(self, url: str, name: str, **changes: Any) -> str:
        """Register what answers at an address and wait until it is online; return its id."""
        draft = Backend("", name, url, **changes)
        state = await self.service.registry.add(draft)
        await self.until(lambda: self.service.health.of(state.backend.id).status is BackendStatus.ONLINE)
        return state.backend.id

    async def define(self, **changes: Any) -> Definition:
        """Store the definition that most tests run: one grey image."""
        nodes = {"1": {"class_type": "EmptyImage", "inputs": {"width": 8, "height": 8, "batch_size": 1, "color": 0}}}
        values: dict[str, Any] = {
            "prompt": nodes,
            "parameters": (Parameter("color", "INT", "1", "color", 0),),
            "outputs": (Output("image", "IMAGE", "1", 0),),
            **changes,
        }
        return await self.service.library.create(Definition(id="", version=0, name="grey", **values))

    async def submit(self, definition: Definition, **changes: Any) -> Ticket:
        """Submit a job that no cache can answer."""
        return await self.service.orchestrator.submit(Request(definition.id, **{"use_cache": False, **changes}))

    async def run(self, definition: Definition, **changes: Any) -> Job:
        """Submit a job and wait for its end."""
        return await self.end(await self.submit(definition, **changes))

    async def end(self, ticket: Ticket) -> Job:
        """Wait for a job's end."""
        return await asyncio.wait_for(asyncio.shield(ticket.done), TIMEOUT_S)

    def kinds(self, job_id: str) -> list[str]:
        """Return the kinds of changes a job went through."""
        return [u.kind for u in self.updates if isinstance(u, JobChanged) and u.job.id == job_id]

    async def until(self, condition: Callable[[], bool]) -> None:
        """Wait until a condition holds."""

        async def wait() -> None:
            while not condition():
                await asyncio.sleep(0.01)

        await asyncio.wait_for(wait(), TIMEOUT_S)

    async def until_kind(self, job_id: str, kind: str) -> None:
        """Wait until a job went through a change of that kind."""
        await self.until(lambda: kind in self.kinds(job_id))


OpenMaster = Callable[[Path], Awaitable[Master]]


def nowhere() -> Backend:
    """This server as a backend that is never used."""
    return Backend(LOCAL_BACKEND_ID, "This server", "http://127.0.0.1:9", enabled=False)


@pytest.fixture
async def master(tmp_path: Path) -> AsyncIterator[Master]:
    """A running master without backends."""
    async with open_service(tmp_path, nowhere(), lambda _: None, clock=time.time, settings=QUICK) as service:
        found = Master(service)
        service.orchestrator.subscribe(found.updates.append)
        yield found


@pytest.fixture
async def fake() -> AsyncIterator[FakeComfy]:
    """A backend to drive."""
    async with FakeComfy() as server:
        yield server


@pytest.fixture
async def other() -> AsyncIterator[FakeComfy]:
    """A second backend."""
    async with FakeComfy() as server:
        yield server
