"""Submits to a real ComfyUI that are cut or held anywhere. Executions are counted by a node on that server."""

from __future__ import annotations

import asyncio
import shutil
import time
import uuid
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path

import pytest

from comfy_orchestrator_nodes.backend.client import ComfyClient
from comfy_orchestrator_nodes.domain import (
    LOCAL_BACKEND_ID,
    Backend,
    BackendStatus,
    Definition,
    Job,
    JobStatus,
    Output,
    Parameter,
)
from comfy_orchestrator_nodes.orchestrator.jobs import Request, Ticket
from comfy_orchestrator_nodes.service import Service, open_service
from comfy_orchestrator_nodes.store.invariants import check_invariants
from tests.support.chaos import SETTINGS
from tests.support.proxy import Act, Fault, Part, Proxy, Where, proxy_before
from tools.devtools.instances import Farm, Instance

pytestmark = [pytest.mark.comfy, pytest.mark.timeout(240)]

NODES = Path(__file__).parents[1] / "data" / "nodes" / "orchestrator_count_node.py"
TIMEOUT_S = 60.0
IMPATIENT = replace(SETTINGS, timeouts=replace(SETTINGS.timeouts, connect_s=1.0, submit_s=2.0))

PROMPT = {
    "1": {"class_type": "EmptyImage", "inputs": {"width": 8, "height": 8, "batch_size": 1, "color": 255}},
    "2": {"class_type": "OrchestratorTestCount", "inputs": {"image": ["1", 0], "token": ""}},
    "3": {"class_type": "OrchestratorTestGate", "inputs": {"image": ["2", 0], "name": ""}},
}
DEFINITION = Definition(
    id="",
    version=0,
    name="counted",
    prompt=PROMPT,
    parameters=(Parameter("token", "STRING", "2", "token", ""), Parameter("gate", "STRING", "3", "name", "")),
    outputs=(Output("image", "IMAGE", "3", 0),),
)


class Scene:
    """A master in this process, and one real server behind a proxy."""

    def __init__(self, service: Service, peer: Instance, proxy: Proxy, definition: Definition) -> None:
        self.service = service
        self.peer = peer
        self.proxy = proxy
        self.token = f"t-{uuid.uuid4().hex[:12]}"
        self._definition = definition

    async def submit(self) -> Ticket:
        """Submit a job that waits for the gate."""
        values = {"token": self.token, "gate": self.token}
        return await self.service.orchestrator.submit(Request(self._definition.id, values, use_cache=False))

    async def end(self, ticket: Ticket) -> Job:
        """Wait for a job's end."""
        return await asyncio.wait_for(asyncio.shield(ticket.done), TIMEOUT_S)

    def open_gate(self) -> None:
        """Let what waits go on."""
        (self.peer.directory / "output" / self.token).touch()

    def shut_gate(self) -> None:
        """Let what comes next wait."""
        (self.peer.directory / "output" / self.token).unlink()

    @property
    def executions(self) -> int:
        """How often the server executed the job."""
        log = self.peer.directory / "output" / "executions.log"
        return log.read_text(encoding="utf-8").split().count(self.token) if log.is_file() else 0

    async def queued(self) -> int:
        """Return how many prompts the server has, asked without the proxy."""
        async with ComfyClient(Backend("direct", "direct", self.peer.url)) as client:
            return await client.ping()

    async def until(self, condition: Callable[[], bool]) -> None:
        """Wait until a condition holds."""

        async def wait() -> None:
            while not condition():
                await asyncio.sleep(0.05)

        await asyncio.wait_for(wait(), TIMEOUT_S)

    async def until_queued(self, count: int) -> None:
        """Wait until the server has so many prompts."""

        async def wait() -> None:
            while await self.queued() != count:
                await asyncio.sleep(0.1)

        await asyncio.wait_for(wait(), TIMEOUT_S)


@pytest.fixture
async def scene(comfy_farm: Farm, tmp_path: Path) -> AsyncIterator[Scene]:
    """The server is started once for all tests."""
    folder = comfy_farm.directory / "ambiguous" / "custom_nodes"
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copy(NODES, folder / NODES.name)
    (peer,) = await asyncio.to_thread(comfy_farm.plain, "ambiguous")
    nowhere = Backend(LOCAL_BACKEND_ID, "This server", "http://127.0.0.1:9", enabled=False)
    async with (
        proxy_before(peer.url) as proxy,
        open_service(tmp_path, nowhere, lambda _: None, clock=time.time, settings=IMPATIENT) as service,
    ):
        state = await service.registry.add(Backend("", "peer", proxy.url))
        found = Scene(service, peer, proxy, await service.library.create(DEFINITION))
        await found.until(lambda: service.health.of(state.backend.id).status is BackendStatus.ONLINE)
        yield found
        found.open_gate()
        assert await check_invariants(service.database) == []
        await found.until_queued(0)


@pytest.mark.parametrize("where", list(Where))
@pytest.mark.parametrize("part", list(Part))
async def test_a_cut_exchange_leads_to_exactly_one_execution(scene: Scene, part: Part, where: Where) -> None:
    scene.proxy.fail("POST", "/prompt", Fault(part, where, Act.CUT))
    scene.open_gate()
    job = await scene.end(await scene.submit())
    assert job.status is JobStatus.SUCCEEDED
    assert scene.executions == 1
    assert len(await scene.service.attempts.for_job(job.id)) == 1


async def test_an_answer_that_comes_too_late_leads_to_exactly_one_execution(scene: Scene) -> None:
    late = Fault(Part.ANSWER, Where.BEFORE, Act.HOLD)
    scene.proxy.fail("POST", "/prompt", late)
    scene.open_gate()
    job = await scene.end(await scene.submit())
    late.let_go.set()
    assert job.status is JobStatus.SUCCEEDED
    assert scene.executions == 1


@pytest.mark.parametrize("where", [Where.BEFORE, Where.IN_HEAD, Where.IN_BODY])
async def test_a_second_copy_that_arrives_while_the_first_runs_never_runs(scene: Scene, where: Where) -> None:
    late = Fault(Part.REQUEST, where, Act.HOLD)
    scene.proxy.fail("POST", "/prompt", late)
    ticket = await scene.submit()
    await scene.until(lambda: scene.executions == 1)
    late.let_go.set()
    await scene.until_queued(2)
    await scene.until_queued(1)
    scene.open_gate()
    assert (await scene.end(ticket)).status is JobStatus.SUCCEEDED
    await scene.until_queued(0)
    assert scene.executions == 1


async def test_a_second_copy_that_arrives_after_the_result_is_found_and_stopped(scene: Scene) -> None:
    late = Fault(Part.REQUEST, Where.BEFORE, Act.HOLD)
    scene.proxy.fail("POST", "/prompt", late)
    scene.open_gate()
    job = await scene.end(await scene.submit())
    assert job.status is JobStatus.SUCCEEDED
    scene.shut_gate()
    late.let_go.set()
    await scene.until(lambda: scene.executions == 2)
    await scene.until_queued(0)
    assert (await scene.service.jobs.get(job.id)).status is JobStatus.SUCCEEDED
