from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path

import pytest

from comfy_orchestrator_nodes.backend.client import ComfyClient
from comfy_orchestrator_nodes.backend.object_info import ObjectInfoCache
from comfy_orchestrator_nodes.backend.peer import Farm, Peer
from comfy_orchestrator_nodes.domain import Agent, Backend, BackendStatus
from comfy_orchestrator_nodes.machine.backends import BackendHealth
from comfy_orchestrator_nodes.store.samples.repository import Question, SampleStore
from comfy_orchestrator_nodes.telemetry.collector import Collector, CollectorTimes
from comfy_orchestrator_nodes.telemetry.latest import AGENT, PLAIN
from tests.fakes.fake_comfy import FakeComfy
from tests.unit.telemetry.conftest import GIB, FakeAgent, a_sample

PATIENCE_S = 20.0
QUICK = CollectorTimes(watched_s=0.02, idle_s=1000, plain_s=0.05, refused_s=0.1)


class Setting:
    """A collector with one backend."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.status = BackendStatus.ONLINE
        self.farm = Farm(self._open_peer)
        self.read: list[str] = []
        self.came = asyncio.Event()

    @staticmethod
    def _open_peer(backend: Backend) -> Peer:
        client = ComfyClient(backend)
        return Peer(backend, client, ObjectInfoCache(client))

    async def open(self) -> None:
        self.samples = await SampleStore.open(self.folder / "telemetry.sqlite3", clock=time.time)
        self.collector = Collector(
            self.farm, self.samples, health=lambda _: BackendHealth(status=self.status), clock=time.time, times=QUICK
        )

        def note(backend_id: str) -> None:
            self.read.append(backend_id)
            self.came.set()

        self.collector.on_reading = note

    async def close(self) -> None:
        await self.collector.close()
        await self.farm.close()
        await self.samples.close()

    async def wait_until(self, condition: Callable[[], bool]) -> None:
        async def wait() -> None:
            while not condition():
                await asyncio.sleep(0.005)

        await asyncio.wait_for(wait(), PATIENCE_S)


@pytest.fixture
async def fake() -> AsyncIterator[FakeComfy]:
    async with FakeComfy() as started:
        yield started


@pytest.fixture
def agent(fake: FakeComfy) -> FakeAgent:
    agent = FakeAgent()
    agent.install(fake)
    return agent


@pytest.fixture
async def setting(tmp_path: Path, fake: FakeComfy) -> AsyncIterator[Setting]:
    made = Setting(tmp_path)
    await made.open()
    made.farm.add(fake.backend("peer"))
    yield made
    await made.close()


async def test_an_agents_samples_are_kept_and_shown(setting: Setting, agent: FakeAgent) -> None:
    setting.collector.start()
    await setting.wait_until(lambda: "peer" in setting.collector.latest)
    latest = setting.collector.latest["peer"]
    assert (latest.source, latest.problem) == (AGENT, "")
    assert abs(latest.at - time.time()) < 5
    now = time.time()
    answer = await setting.samples.ask(Question(("peer",), ("power_w",), now - 60, now + 1, 1, ("max",)))
    assert max(v for v in answer.series[0].values["max"] if v == v) == 200


async def test_each_question_goes_on_where_the_one_before_ended(setting: Setting, agent: FakeAgent) -> None:
    setting.collector.start()
    setting.collector.watch(60)
    await setting.wait_until(lambda: len(agent.asked) >= 3)
    assert [asked["after"] for asked in agent.asked[:3]] == ["", "boot-1", "boot-2"]


async def test_samples_of_a_time_when_nobody_asked_are_put_where_they_belong(
    setting: Setting, agent: FakeAgent
) -> None:
    mono, now = time.monotonic(), time.time()
    agent.samples = [a_sample(mono - ago, power_w=float(ago)) for ago in range(100, 0, -1)]
    setting.collector.start()
    await setting.wait_until(lambda: "peer" in setting.collector.latest)
    answer = await setting.samples.ask(Question(("peer",), ("power_w",), now - 90, now - 10, 1))
    power = answer.series[0].values["avg"]
    assert power[10] - power[60] == pytest.approx(50, abs=2)
    assert power[0] == pytest.approx(90, abs=2)


async def test_an_agent_is_asked_often_only_while_somebody_looks(setting: Setting, agent: FakeAgent) -> None:
    setting.collector.start()
    await setting.wait_until(lambda: len(agent.asked) == 1)
    assert agent.asked[0]["watch_s"] == "0"
    setting.collector.watch(0.2)
    await setting.wait_until(lambda: len(agent.asked) >= 4)
    assert agent.asked[2]["watch_s"] == "5"


async def test_a_backend_on_which_we_run_something_is_asked_often(setting: Setting, agent: FakeAgent) -> None:
    peer = setting.farm.get("peer")
    assert peer is not None
    with peer.inbox("some prompt"):
        setting.collector.start()
        await setting.wait_until(lambda: len(agent.asked) >= 3)


async def test_a_plain_comfyui_tells_what_it_knows(setting: Setting) -> None:
    setting.collector.start()
    await setting.wait_until(lambda: len(setting.read) >= 2)
    latest = setting.collector.latest["peer"]
    assert (latest.source, latest.problem) == (PLAIN, "")
    assert latest.reading.host["ram_used_bytes"] == 8 * GIB


async def test_a_backend_whose_handshake_tells_of_no_telemetry_is_not_asked_for_it(
    setting: Setting, fake: FakeComfy, agent: FakeAgent
) -> None:
    peer = setting.farm.get("peer")
    assert peer is not None
    await peer.probe(time.time())
    assert peer.capabilities is not None
    peer.capabilities = replace(peer.capabilities, agent=None)
    setting.collector.start()
    await setting.wait_until(lambda: len(setting.read) >= 2)
    assert (agent.asked, setting.collector.latest["peer"].source) == ([], PLAIN)
    says = Agent("1", "1.0", "life", frozenset({"telemetry"}), trusted=False, problem="no token")
    peer.capabilities = replace(peer.capabilities, agent=says)
    await setting.wait_until(lambda: setting.collector.latest["peer"].source == AGENT)


async def test_an_agent_that_wants_its_token_is_told_and_tried_again(setting: Setting, agent: FakeAgent) -> None:
    agent.status = 401
    setting.collector.start()
    await setting.wait_until(lambda: "peer" in setting.collector.latest)
    latest = setting.collector.latest["peer"]
    assert latest.source == PLAIN
    assert "does not tell more than memory" in latest.problem
    agent.status = 200
    await setting.wait_until(lambda: setting.collector.latest["peer"].source == AGENT)
    assert setting.collector.latest["peer"].problem == ""


async def test_an_agent_that_is_broken_is_a_gap_and_no_fault_of_the_backend(setting: Setting, agent: FakeAgent) -> None:
    agent.status = 500
    setting.collector.start()
    setting.collector.watch(60)
    await setting.wait_until(lambda: len(agent.asked) >= 2)
    assert setting.read == []
    agent.status = 200
    await setting.wait_until(lambda: "peer" in setting.collector.latest)


async def test_a_driver_that_hangs_is_told_with_the_last_reading(setting: Setting, agent: FakeAgent) -> None:
    setting.collector.start()
    setting.collector.watch(60)
    await setting.wait_until(lambda: "peer" in setting.collector.latest)
    agent.samples, agent.problem = [], "A driver has not answered for 7 s."
    await setting.wait_until(lambda: "7 s" in setting.collector.latest["peer"].problem)
    assert setting.collector.latest["peer"].reading.devices[0].name == "A GPU"


async def test_a_backend_that_is_offline_is_not_asked(setting: Setting, agent: FakeAgent) -> None:
    setting.status = BackendStatus.OFFLINE
    setting.collector.start()
    setting.collector.watch(60)
    await asyncio.sleep(0)
    setting.collector.nudge("peer")
    assert agent.asked == []
    setting.status = BackendStatus.ONLINE
    setting.collector.nudge("peer")
    await setting.wait_until(lambda: len(agent.asked) >= 1)


async def test_backends_come_and_go(setting: Setting, agent: FakeAgent, fake: FakeComfy) -> None:
    setting.collector.start()
    await setting.wait_until(lambda: "peer" in setting.collector.latest)
    await setting.farm.remove("peer")
    setting.collector.follow_farm()
    assert "peer" not in setting.collector.latest
    setting.farm.add(fake.backend("other"))
    setting.collector.follow_farm()
    await setting.wait_until(lambda: "other" in setting.collector.latest)


async def test_however_many_jobs_end_there_it_is_not_read_more_often(setting: Setting, agent: FakeAgent) -> None:
    setting.collector._times = CollectorTimes(watched_s=1000, idle_s=1000)
    setting.collector.start()
    await setting.wait_until(lambda: "peer" in setting.collector.latest)
    for _ in range(100):
        setting.collector.nudge("peer")
        await asyncio.sleep(0)
    assert len(agent.asked) == 1
