"""Where values are: who is asked, and how long a backend that does not answer is waited for."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Collection
from pathlib import Path

import pytest

from comfy_orchestrator_nodes.agent.errors import BlobLeased
from comfy_orchestrator_nodes.backend.client import ComfyClient
from comfy_orchestrator_nodes.backend.http import Timeouts
from comfy_orchestrator_nodes.backend.object_info import ObjectInfoCache
from comfy_orchestrator_nodes.backend.peer import Farm, Peer
from comfy_orchestrator_nodes.domain import BLOB_MEDIA_TYPE, Backend, Capabilities, FileRef, Value
from comfy_orchestrator_nodes.scheduler.transfer import Traffic, Transfer
from comfy_orchestrator_nodes.scheduler.whereabouts import Whereabouts
from comfy_orchestrator_nodes.store.artifacts import ArtifactStore
from comfy_orchestrator_nodes.store.database import Database
from comfy_orchestrator_nodes.store.holdings import HoldingRepository
from tests.support.agent_server import AgentServer, agent_server
from tests.support.proxy import Act, Fault, Part, Proxy, Where, proxy_before

CONTROL_S = 0.3
MISSING = "POST /orchestrator/agent/blobs/missing"


@pytest.fixture
async def agent(tmp_path: Path) -> AsyncIterator[AgentServer]:
    async with agent_server(tmp_path / "agent") as server:
        yield server


@pytest.fixture
async def proxy(agent: AgentServer) -> AsyncIterator[Proxy]:
    async with proxy_before(agent.url) as proxy:
        yield proxy


@pytest.fixture
async def farm() -> AsyncIterator[Farm]:
    def open_peer(backend: Backend) -> Peer:
        client = ComfyClient(backend, timeouts=Timeouts(connect_s=CONTROL_S, control_s=CONTROL_S))
        return Peer(backend, client, ObjectInfoCache(client))

    farm = Farm(open_peer)
    yield farm
    await farm.close()


@pytest.fixture
def artifacts(tmp_path: Path) -> ArtifactStore:
    return ArtifactStore(tmp_path / "results")


@pytest.fixture
async def whereabouts(tmp_path: Path, farm: Farm, artifacts: ArtifactStore) -> AsyncIterator[Whereabouts]:
    database = await Database.open(tmp_path / "store.sqlite3")
    found = Whereabouts(artifacts, farm, HoldingRepository(database))
    yield found
    await found.close()
    await database.close()


async def keeping(farm: Farm, url: str, backend_id: str, refs: Collection[FileRef]) -> Peer:
    """Add a backend whose agent is believed to keep some values."""
    peer = farm.add(Backend(backend_id, backend_id, url))
    introduced = await peer.client.agent()
    assert introduced is not None
    peer.capabilities = Capabilities("0.3.75", "3.12", "posix", (), None, frozenset(), {}, 0.0, introduced)
    peer.keeps([ref.sha256 for ref in refs])
    return peer


def values(count: int) -> list[Value]:
    return [Value("IMAGE", files=(FileRef(f"{number:064x}", 1, BLOB_MEDIA_TYPE),)) for number in range(count)]


async def test_a_backend_that_does_not_answer_is_waited_for_once_and_not_for_each_value(
    farm: Farm, whereabouts: Whereabouts, proxy: Proxy
) -> None:
    lost = values(30)
    peer = await keeping(farm, proxy.url, "silent", [ref for value in lost for ref in value.files])
    await whereabouts.note(peer, lost[0].files, "job")
    proxy.freeze()
    started = asyncio.get_running_loop().time()
    for value in lost:
        assert await whereabouts.is_lost(value)
    assert asyncio.get_running_loop().time() - started < 5 * CONTROL_S
    proxy.thaw()


async def test_a_value_is_found_at_the_backend_that_answers_beside_one_that_does_not(
    farm: Farm, whereabouts: Whereabouts, agent: AgentServer, proxy: Proxy
) -> None:
    sha256 = agent.keep(b"a value")
    ref = FileRef(sha256, 7, BLOB_MEDIA_TYPE)
    await keeping(farm, proxy.url, "silent", [ref])
    await keeping(farm, agent.url, "sound", [ref])
    proxy.freeze()
    assert await whereabouts.bring([ref], "the test") == 7
    proxy.thaw()


async def test_a_value_that_two_jobs_send_at_once_is_kept_for_both(
    farm: Farm, whereabouts: Whereabouts, artifacts: ArtifactStore, agent: AgentServer, proxy: Proxy
) -> None:
    ref = artifacts.put(b"a value", BLOB_MEDIA_TYPE)
    peer = await keeping(farm, proxy.url, "peer", [])
    transfer = Transfer(artifacts, whereabouts)
    held = Fault(Part.REQUEST, Where.IN_BODY, Act.HOLD)
    proxy.fail("PUT", f"/orchestrator/agent/blobs/{ref.sha256}", held)
    jobs = [
        asyncio.create_task(transfer.upload(peer, [ref], Traffic(), owner=tenant, tenant=tenant))
        for tenant in ("one", "two")
    ]
    await held.arrived.wait()
    while len([exchange for exchange in proxy.exchanges if exchange == MISSING]) < 2:
        await asyncio.sleep(0.01)
    held.let_go.set()
    await asyncio.gather(*jobs)
    await peer.client.blobs.release("one")
    with pytest.raises(BlobLeased):
        agent.blobs.delete(ref.sha256)
    await peer.client.blobs.release("two")
    agent.blobs.delete(ref.sha256)
