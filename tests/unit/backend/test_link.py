"""How fast a link is, is learned in passing; on a slow one values are packed, and arrive the same."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import numpy as np
import pytest

from comfy_orchestrator_nodes.agent import wire
from comfy_orchestrator_nodes.backend.client import ComfyClient
from comfy_orchestrator_nodes.backend.link import PAYS_BELOW, Link, Moved
from comfy_orchestrator_nodes.domain import BLOB_MEDIA_TYPE, Backend, FileRef
from tests.support.agent_server import AgentServer, agent_server
from tests.support.proxy import Act, Fault, Part, Where, proxy_before

SMOOTH = np.linspace(0, 1, 2_000_000, dtype=np.float32).tobytes()
REF = FileRef(hashlib.sha256(SMOOTH).hexdigest(), len(SMOOTH), BLOB_MEDIA_TYPE)
ROUTE = f"/orchestrator/agent/blobs/{REF.sha256}"


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_a_link_is_as_fast_as_all_that_moves_at_once() -> None:
    clock = Clock()
    link = Link(clock)
    with link.moving() as one, link.moving() as other:
        clock.now = 1.0
        one.size_bytes = other.size_bytes = 20_000_000
    assert link.rate == pytest.approx(40e6, rel=0.6)
    assert link.is_slow


def test_nothing_is_said_of_a_link_that_moved_little() -> None:
    clock = Clock()
    link = Link(clock)
    with link.moving() as moved:
        clock.now = 60.0
        moved.size_bytes = 1000
    assert (link.rate, link.is_slow) == (None, False)


def test_a_link_that_becomes_fast_is_taken_as_fast_again() -> None:
    clock = Clock()
    link = Link(clock)
    for rate in (PAYS_BELOW / 10, *[PAYS_BELOW * 10] * 2):
        with link.moving() as moved:
            clock.now += 1
            moved.size_bytes = int(rate)
    assert not link.is_slow


@pytest.fixture
async def agent(tmp_path: Path) -> AsyncIterator[AgentServer]:
    async with agent_server(tmp_path / "agent") as server:
        yield server


class SlowLink(Link):
    """A link that was found to be slow, and tells how many bytes went over it."""

    def __init__(self) -> None:
        super().__init__()
        self.rate = 1.0
        self.size_bytes = 0

    @contextmanager
    def moving(self) -> Iterator[Moved]:
        with super().moving() as moved:
            try:
                yield moved
            finally:
                self.size_bytes += moved.size_bytes


@asynccontextmanager
async def slow(url: str) -> AsyncIterator[tuple[ComfyClient, SlowLink]]:
    async with ComfyClient(Backend("b", "peer", url)) as client:
        assert await client.agent() is not None
        client.blobs.link = link = SlowLink()
        yield client, link


async def test_on_a_slow_link_a_value_is_fetched_packed_and_goes_on_where_it_broke_off(agent: AgentServer) -> None:
    agent.keep(SMOOTH)
    async with proxy_before(agent.url) as proxy, slow(proxy.url) as (client, link):
        proxy.fail("GET", ROUTE, Fault(Part.ANSWER, Where.IN_BODY, Act.CUT))
        taken = Taken()
        assert await client.blobs.fetch(REF, taken) == len(SMOOTH)
        assert b"".join(taken.parts) == SMOOTH
        assert 0 < link.size_bytes < 0.8 * len(SMOOTH)


async def test_on_a_slow_link_a_value_is_sent_packed(agent: AgentServer, tmp_path: Path) -> None:
    (tmp_path / "value").write_bytes(SMOOTH)
    async with slow(agent.url) as (client, link):
        await client.blobs.send(REF, lambda: tmp_path / "value")
        assert 0 < link.size_bytes < 0.8 * len(SMOOTH)
        with agent.blobs.open(REF.sha256) as file:
            assert file.read() == SMOOTH


async def test_without_zstd_on_both_sides_a_value_is_sent_as_it_is(agent: AgentServer, tmp_path: Path) -> None:
    (tmp_path / "value").write_bytes(SMOOTH)
    async with slow(agent.url) as (client, link):
        client.blobs.can_unpack = False
        await client.blobs.send(REF, lambda: tmp_path / "value")
        assert agent.blobs.size(REF.sha256) == link.size_bytes == len(SMOOTH)


class Taken:
    def __init__(self) -> None:
        self.parts: list[bytes] = []

    def write(self, part: memoryview) -> None:
        self.parts.append(bytes(part))

    append = write

    def settle(self) -> None:
        pass

    def finish(self) -> None:
        pass


def test_there_is_something_to_pack_with_where_these_tests_run() -> None:
    assert wire.find_zstd() is not None
