"""The blobs of an agent, over real sockets that break: what arrives is whole and right, and nothing moves twice."""

from __future__ import annotations

import asyncio
import hashlib
import os
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from http.client import HTTPConnection
from pathlib import Path
from urllib.parse import urlsplit

import aiohttp
import pytest

from comfy_orchestrator_nodes.agent.packing import NAME as PACKING
from comfy_orchestrator_nodes.agent.packing import find_zstd, pack
from comfy_orchestrator_nodes.backend.agent import parse_agent
from comfy_orchestrator_nodes.backend.blobs import AT_ONCE, kept_blobs
from comfy_orchestrator_nodes.backend.client import ComfyClient
from comfy_orchestrator_nodes.backend.fields import Malformed
from comfy_orchestrator_nodes.backend.http import Timeouts
from comfy_orchestrator_nodes.backend.pipe import ENCODING_HEADER, SIZE_HEADER
from comfy_orchestrator_nodes.domain import BLOB_MEDIA_TYPE, Backend, Credentials, FileRef
from comfy_orchestrator_nodes.errors import (
    BackendFault,
    BackendRefused,
    BackendTimedOut,
    BackendUnreachable,
    ConnectionLost,
    ProtocolViolation,
    StoreFull,
    ValueLost,
)
from tests.fakes.fake_comfy import FakeComfy
from tests.support.agent_server import AgentServer, agent_server
from tests.support.proxy import Act, Fault, Part, Proxy, Where, proxy_before
from tests.support.raw_server import Link as RawLink
from tests.support.raw_server import RawServer, raw_server

DATA = os.urandom(3 << 20)
REF = FileRef(hashlib.sha256(DATA).hexdigest(), len(DATA), BLOB_MEDIA_TYPE)
ROUTE = f"/orchestrator/agent/blobs/{REF.sha256}"
QUICK = Timeouts(connect_s=2.0, control_s=2.0, idle_s=1.0)


class Sink:
    """Reads each part as late as it may."""

    def __init__(self) -> None:
        self.data = bytearray()
        self.finished = 0
        self._part = memoryview(b"")

    def write(self, data: memoryview) -> None:
        self.append(data)
        self.settle()

    def append(self, data: memoryview) -> None:
        self.settle()
        self._part = data

    def settle(self) -> None:
        self.data += self._part
        self._part = memoryview(b"")

    def finish(self) -> None:
        self.finished += 1


@pytest.fixture
async def agent(tmp_path: Path) -> AsyncIterator[AgentServer]:
    async with agent_server(tmp_path / "agent") as server:
        yield server


@asynccontextmanager
async def client_of(url: str, token: str | None = None) -> AsyncIterator[ComfyClient]:
    backend = Backend("b", "peer", url, credentials=Credentials(agent_token=token))
    async with ComfyClient(backend, timeouts=QUICK) as client:
        yield client


@pytest.fixture
async def proxy(agent: AgentServer) -> AsyncIterator[Proxy]:
    async with proxy_before(agent.url) as proxy:
        yield proxy


async def fetched(url: str) -> bytes:
    sink = Sink()
    async with client_of(url) as client:
        assert await client.blobs.fetch(REF, sink) == len(DATA)
    assert sink.finished == 1
    return bytes(sink.data)


def source(tmp_path: Path) -> Path:
    path = tmp_path / "value"
    path.write_bytes(DATA)
    return path


async def test_a_blob_arrives_whole(agent: AgentServer) -> None:
    agent.keep(DATA)
    assert await fetched(agent.url) == DATA


async def test_a_fetch_that_is_cut_goes_on_where_it_broke_off(agent: AgentServer, proxy: Proxy) -> None:
    agent.keep(DATA)
    proxy.fail("GET", ROUTE, *(Fault(Part.ANSWER, Where.IN_BODY, Act.CUT) for _ in range(3)))
    assert await fetched(proxy.url) == DATA
    assert len(proxy.exchanges) == 4


async def test_a_fetch_that_never_gets_further_is_given_up(agent: AgentServer, proxy: Proxy) -> None:
    agent.keep(DATA)
    proxy.fail("GET", ROUTE, *(Fault(Part.ANSWER, Where.IN_HEAD, Act.CUT) for _ in range(9)))
    with pytest.raises(ConnectionLost):
        await fetched(proxy.url)


async def test_a_fetch_that_stands_still_is_given_up(agent: AgentServer, proxy: Proxy) -> None:
    agent.keep(DATA)
    proxy.fail("GET", ROUTE, Fault(Part.ANSWER, Where.IN_BODY, Act.HOLD))
    with pytest.raises(BackendTimedOut):
        await fetched(proxy.url)


async def test_a_blob_that_is_gone_is_told_as_lost(agent: AgentServer) -> None:
    with pytest.raises(ValueLost):
        await fetched(agent.url)


async def test_an_agent_that_is_gone_is_told_as_unreachable(agent: AgentServer, proxy: Proxy) -> None:
    await proxy.refuse()
    with pytest.raises(BackendUnreachable):
        await fetched(proxy.url)


async def test_what_the_taker_raises_comes_through(agent: AgentServer) -> None:
    agent.keep(DATA)

    class Full(Sink):
        def append(self, data: memoryview) -> None:
            raise StoreFull("no room")

    async with client_of(agent.url) as client:
        with pytest.raises(StoreFull):
            await client.blobs.fetch(REF, Full())


async def test_cancelling_a_fetch_ends_its_thread_at_once(agent: AgentServer, proxy: Proxy) -> None:
    agent.keep(DATA)
    held = Fault(Part.ANSWER, Where.IN_BODY, Act.HOLD)
    proxy.fail("GET", ROUTE, held)
    async with client_of(proxy.url) as client:
        task = asyncio.create_task(client.blobs.fetch(REF, Sink()))
        await asyncio.wait_for(held.arrived.wait(), 10)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asyncio.wait_for(task, QUICK.idle_s / 2)


async def test_cancelling_a_fetch_that_waits_for_its_turn_begins_nothing(agent: AgentServer, proxy: Proxy) -> None:
    agent.keep(DATA)
    held = [Fault(Part.ANSWER, Where.IN_BODY, Act.HOLD) for _ in range(AT_ONCE)]
    proxy.fail("GET", ROUTE, *held)
    async with client_of(proxy.url) as client:
        moving = [asyncio.create_task(client.blobs.fetch(REF, Sink())) for _ in held]
        for fault in held:
            await asyncio.wait_for(fault.arrived.wait(), 10)
        waiting = asyncio.create_task(client.blobs.fetch(REF, Sink()))
        await asyncio.sleep(0)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asyncio.wait_for(waiting, QUICK.idle_s / 2)
        for fault in held:
            fault.let_go.set()
        assert await asyncio.gather(*moving) == [len(DATA)] * AT_ONCE
    assert proxy.exchanges == [f"GET {ROUTE}"] * AT_ONCE


async def test_who_waits_for_a_turn_is_told_when_the_connection_is_closed(agent: AgentServer, proxy: Proxy) -> None:
    agent.keep(DATA)
    held = [Fault(Part.ANSWER, Where.IN_BODY, Act.HOLD) for _ in range(AT_ONCE)]
    proxy.fail("GET", ROUTE, *held)
    async with client_of(proxy.url) as client:
        fetches = [asyncio.create_task(client.blobs.fetch(REF, Sink())) for _ in range(AT_ONCE + 2)]
        for fault in held:
            await asyncio.wait_for(fault.arrived.wait(), 10)
    ends = await asyncio.gather(*fetches, return_exceptions=True)
    assert {type(end) for end in ends} <= {BackendUnreachable, ConnectionLost}


async def test_a_fetch_is_cancelled_while_it_connects_without_any_byte_of_it_moving(
    agent: AgentServer, proxy: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    agent.keep(DATA)
    connects, go = threading.Event(), threading.Event()
    connect = HTTPConnection.connect

    def slowly(connection: HTTPConnection) -> None:
        connects.set()
        assert go.wait(10)
        connect(connection)

    monkeypatch.setattr(HTTPConnection, "connect", slowly)
    async with client_of(proxy.url) as client:
        task = asyncio.create_task(client.blobs.fetch(REF, Sink()))
        await asyncio.to_thread(connects.wait, 10)
        task.cancel()
        await asyncio.sleep(0)
        go.set()
        with pytest.raises(asyncio.CancelledError):
            await task
    assert proxy.exchanges == []


@pytest.mark.skipif(find_zstd() is None, reason="needs zstd")
async def test_an_agent_that_never_ends_a_packed_value_is_cut_off() -> None:
    zstd = find_zstd()
    assert zstd is not None
    block = pack(zstd, b"abcd")

    async def script(_: RawServer, link: RawLink) -> None:
        await link.read_request()
        head = f"{ENCODING_HEADER}: {PACKING}\r\n{SIZE_HEADER}: 4\r\nTransfer-Encoding: chunked\r\n\r\n"
        link.writer.write(f"HTTP/1.1 200 OK\r\n{head}{len(block):x}\r\n".encode() + block + b"\r\n")
        with suppress(ConnectionError):
            while True:
                link.writer.write(b"10000\r\n" + bytes(0x10000) + b"\r\n")
                await link.writer.drain()

    async with raw_server(script) as server, client_of(server.url) as client:
        client.blobs.can_unpack = True
        client.blobs.link.rate = 1e6
        with pytest.raises(ProtocolViolation):
            await asyncio.wait_for(client.blobs.fetch(FileRef("0" * 64, 4, BLOB_MEDIA_TYPE), Sink()), 10)


@pytest.mark.parametrize("offset", ["9" * 5000, str(len(DATA) + 1), "-1"], ids=["endless", "too large", "negative"])
async def test_an_agent_that_lies_about_what_it_has_gets_the_whole(tmp_path: Path, offset: str) -> None:
    wholes: list[int] = []

    async def script(_: RawServer, link: RawLink) -> None:
        while (request := await link.read_request()) is not None:
            if request.method == "HEAD":
                await link.answer(b"", "404 Not Found", X_Orchestrator_Offset=offset)
            elif not wholes:
                wholes.append(len(request.body))
                link.abort()
                return
            else:
                wholes.append(len(request.body))
                await link.answer(status="201 Created")

    async with raw_server(script) as server, client_of(server.url) as client:
        assert await client.blobs.send(REF, lambda: source(tmp_path)) == len(DATA)
    assert wholes == [len(DATA)] * 2


async def test_a_value_larger_than_any_file_may_be_is_not_asked_for(agent: AgentServer) -> None:
    async with client_of(agent.url) as client:
        with pytest.raises(ProtocolViolation):
            await client.blobs.fetch(FileRef(REF.sha256, 1 << 60, BLOB_MEDIA_TYPE), Sink())


async def test_a_blob_is_sent_whole_and_known_there_by_its_hash(agent: AgentServer, tmp_path: Path) -> None:
    async with client_of(agent.url) as client:
        assert await client.blobs.missing([REF.sha256]) == {REF.sha256}
        assert await client.blobs.send(REF, lambda: source(tmp_path)) == len(DATA)
        assert await client.blobs.missing([REF.sha256], owner="job", lease_s=60) == set()
    with agent.blobs.open(REF.sha256) as file:
        assert file.read() == DATA


async def test_an_upload_that_is_cut_is_sent_again(agent: AgentServer, proxy: Proxy, tmp_path: Path) -> None:
    proxy.fail("PUT", ROUTE, Fault(Part.REQUEST, Where.IN_BODY, Act.CUT))
    async with client_of(proxy.url) as client:
        await client.blobs.send(REF, lambda: source(tmp_path))
    with agent.blobs.open(REF.sha256) as file:
        assert file.read() == DATA


async def test_an_upload_goes_on_where_an_earlier_one_broke_off(
    agent: AgentServer, proxy: Proxy, tmp_path: Path
) -> None:
    await half_an_upload(agent)
    proxy.fail("PUT", ROUTE, Fault(Part.REQUEST, Where.BEFORE, Act.CUT))
    async with client_of(proxy.url) as client:
        assert await client.blobs.send(REF, lambda: source(tmp_path)) == len(DATA) - len(DATA) // 2
    with agent.blobs.open(REF.sha256) as file:
        assert file.read() == DATA


async def half_an_upload(agent: AgentServer) -> None:
    """Begin an upload, hang up in the middle, and wait until the agent has noticed."""
    address = urlsplit(agent.url)
    _, writer = await asyncio.open_connection(address.hostname, address.port)
    head = f"PUT {ROUTE} HTTP/1.1\r\nHost: {address.netloc}\r\nX-Orchestrator: 1\r\nContent-Length: {len(DATA)}\r\n\r\n"
    writer.write(head.encode() + DATA[: len(DATA) // 2])
    await writer.drain()
    writer.close()
    async with aiohttp.ClientSession() as session:
        for _ in range(1000):
            async with session.head(agent.url + ROUTE, headers={"X-Orchestrator": "1"}) as answer:
                if int(answer.headers.get("X-Orchestrator-Offset", 0)) == len(DATA) // 2:
                    return
            await asyncio.sleep(0.01)
    raise AssertionError("the agent does not keep what arrived")


async def test_an_upload_that_is_damaged_on_its_way_is_refused(
    agent: AgentServer, proxy: Proxy, tmp_path: Path
) -> None:
    proxy.fail("PUT", ROUTE, Fault(Part.REQUEST, Where.IN_BODY, Act.GARBLE))
    async with client_of(proxy.url) as client:
        with pytest.raises(BackendFault, match="refused a value"):
            await client.blobs.send(REF, lambda: source(tmp_path))
        assert await client.blobs.missing([REF.sha256]) == {REF.sha256}


async def test_without_its_token_an_agent_moves_nothing(tmp_path: Path) -> None:
    async with agent_server(tmp_path, trust_loopback=False) as agent:
        async with client_of(agent.url, "wrong") as client:
            introduced = await client.agent()
            assert introduced is not None
            assert not introduced.trusted
            assert "refuses the token" in introduced.problem
            with pytest.raises(BackendRefused):
                await client.blobs.missing([REF.sha256])
        async with client_of(agent.url) as client:
            introduced = await client.agent()
            assert introduced is not None
            assert "wants its token" in introduced.problem
        async with client_of(agent.url, agent.token) as client:
            introduced = await client.agent()
            assert introduced is not None
            assert (introduced.trusted, introduced.problem) == (True, "")
            assert await client.blobs.missing([REF.sha256]) == {REF.sha256}


async def test_a_plain_comfyui_has_no_agent() -> None:
    async with FakeComfy() as fake, client_of(fake.url, "token") as client:
        assert await client.agent() is None


HANDSHAKE = {
    "protocol": {"major": 1, "minor": 3},
    "agent_version": "0.4.0",
    "instance_id": "one",
    "capabilities": ["blobs", "blobs.range", "blobs.resume", "values", "what comes later"],
    "access": {"granted": True},
    "values": {"format": 1},
}


def test_an_agent_with_a_newer_minor_version_is_used() -> None:
    agent = parse_agent(HANDSHAKE, has_token=False)
    assert (agent.version, agent.protocol, agent.trusted) == ("0.4.0", "1.3", True)


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"protocol": {"major": 2, "minor": 0}}, "update the pack on this one"),
        ({"protocol": {"major": 0, "minor": 9}}, "update the pack on that server"),
        ({"capabilities": ["telemetry"]}, "update the pack on both"),
        ({"values": {"format": 2}}, "update the pack on both"),
        ({"access": {"granted": False}}, "wants its token"),
    ],
)
def test_an_agent_that_cannot_work_with_us_says_why(change: dict[str, object], problem: str) -> None:
    agent = parse_agent({**HANDSHAKE, **change}, has_token=False)
    assert not agent.trusted
    assert problem in agent.problem


@pytest.mark.parametrize("answer", [None, [], {}, {"protocol": 1}, {"protocol": {"major": "1", "minor": 0}}])
def test_what_is_no_handshake_is_refused(answer: object) -> None:
    with pytest.raises(Malformed):
        parse_agent(answer, has_token=False)


@pytest.mark.parametrize(
    "handle",
    [
        None,
        {"sha256": "../../etc/passwd", "size_bytes": 1},
        {"sha256": REF.sha256, "size_bytes": -1},
        {"sha256": REF.sha256, "size_bytes": 1, "form": "file"},
    ],
)
def test_a_handle_that_names_no_value_is_refused(handle: object) -> None:
    with pytest.raises(ProtocolViolation):
        kept_blobs("peer", [handle])
