from __future__ import annotations

import asyncio
import gc
import logging
import struct
from contextlib import aclosing

import psutil
import pytest
from aiohttp import web

from comfy_orchestrator_nodes.backend.client import ComfyClient
from comfy_orchestrator_nodes.backend.http import Limits, Timeouts
from comfy_orchestrator_nodes.backend.messages import (
    Connected,
    Disconnected,
    Executing,
    FeatureFlags,
    Preview,
    ProgressText,
    Status,
)
from comfy_orchestrator_nodes.domain import Backend
from comfy_orchestrator_nodes.errors import (
    BackendFault,
    BackendRefused,
    BackendTimedOut,
    BackendUnreachable,
    ConnectionLost,
    ProtocolViolation,
)
from tests.fakes.fake_comfy import FakeComfy
from tests.fakes.faults import Hold, answer
from tests.support.raw_server import Link, RawServer, raw_server
from tests.support.recorder import Recorder
from tests.unit.backend.conftest import QUICK


async def test_the_first_thing_said_is_what_we_understand(fake: FakeComfy, client: ComfyClient) -> None:
    async with Recorder(client) as recorder:
        await recorder.wait_for(FeatureFlags)

        assert client.client_id is not None
        assert fake.features_of == {client.client_id: {"supports_preview_metadata": True}}


async def test_a_broken_socket_is_opened_again_under_a_fresh_id(fake: FakeComfy, client: ComfyClient) -> None:
    async with Recorder(client) as recorder:
        fake.drop_sockets()
        lost = await recorder.wait_for(Disconnected)
        await recorder.wait_for(Connected, after=recorder.messages.index(lost))

    first, second = [message.client_id for message in recorder.messages if isinstance(message, Connected)]
    assert isinstance(lost.error, ConnectionLost)
    assert first != second


async def test_a_restarted_backend_is_found_again(fake: FakeComfy, client: ComfyClient) -> None:
    async with Recorder(client) as recorder:
        await fake.stop()
        lost = await recorder.wait_for(Disconnected)
        assert client.client_id is None
        await fake.start()
        back = await recorder.wait_for(Connected, after=recorder.messages.index(lost))

        assert client.client_id == back.client_id
        assert len([message for message in recorder.messages if isinstance(message, Disconnected)]) == 1


async def test_a_backend_that_is_not_there_yet_is_told_once_and_awaited(fake: FakeComfy) -> None:
    await fake.stop()
    before = fake.url
    async with ComfyClient(Backend("b", "B", before), timeouts=QUICK) as client, aclosing(client.listen()) as messages:
        first = await anext(messages)
        assert isinstance(first, Disconnected)
        assert isinstance(first.error, BackendUnreachable)
        await fake.start()
        assert isinstance(await anext(messages), Connected)


async def test_hurrying_ends_a_long_pause(fake: FakeComfy) -> None:
    await fake.stop()
    patient = Timeouts(retry_min_s=3600.0, retry_max_s=3600.0)
    async with ComfyClient(fake.backend(), timeouts=patient) as client, aclosing(client.listen()) as messages:
        assert isinstance(await anext(messages), Disconnected)
        await fake.start()
        client.hurry()
        assert isinstance(await anext(messages), Connected)


async def test_refused_credentials_are_told_and_tried_again(fake: FakeComfy, client: ComfyClient) -> None:
    fake.required_header = ("X-Key", "right")
    async with aclosing(client.listen()) as messages:
        first = await anext(messages)
        assert isinstance(first, Disconnected)
        assert isinstance(first.error, BackendRefused)
        fake.required_header = None
        assert isinstance(await anext(messages), Connected)


@pytest.mark.parametrize(
    ("status", "expected"), [(404, BackendFault), (502, BackendFault), (200, ProtocolViolation), (401, BackendRefused)]
)
async def test_what_is_no_socket_is_told(
    fake: FakeComfy, client: ComfyClient, status: int, expected: type[Exception]
) -> None:
    fake.fail("GET", "/ws", answer(status, b"<html>", "text/html"))
    async with aclosing(client.listen()) as messages:
        first = await anext(messages)

    assert isinstance(first, Disconnected)
    assert type(first.error) is expected


async def test_a_socket_that_never_greets_is_given_up() -> None:
    async def mute(request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        async for _ in socket:
            pass
        return socket

    async with serving(mute) as url:
        short = Timeouts(control_s=0.05)
        async with ComfyClient(Backend("b", "B", url), timeouts=short) as client, aclosing(client.listen()) as messages:
            first = await anext(messages)

    assert isinstance(first, Disconnected)
    assert isinstance(first.error, BackendTimedOut)


async def test_a_socket_that_answers_no_ping_is_dead() -> None:
    async def deaf(request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse(autoping=False)
        await socket.prepare(request)
        await socket.send_json({"type": "status", "data": {"status": {"exec_info": {"queue_remaining": 0}}}})
        async for _ in socket:
            pass
        return socket

    async with serving(deaf) as url:
        short = Timeouts(heartbeat_s=0.05)
        async with ComfyClient(Backend("b", "B", url), timeouts=short) as client, aclosing(client.listen()) as messages:
            kinds = [type(await anext(messages)) for _ in range(2)]
            lost = await anext(messages)

    assert kinds == [Connected, Status]
    assert isinstance(lost, Disconnected)
    assert isinstance(lost.error, ConnectionLost)
    assert "ping" in lost.reason


async def test_a_frame_far_above_aiohttps_own_limit_is_taken(fake: FakeComfy, client: ComfyClient) -> None:
    image = bytes(6 << 20)
    async with Recorder(client) as recorder:
        fake.send_bytes(struct.pack(">II", 1, 2) + image, None)
        preview = await recorder.wait_for(Preview)

    assert preview.image == image
    assert preview.media_type == "image/png"


async def test_a_frame_over_our_own_limit_breaks_the_socket(fake: FakeComfy) -> None:
    limits = Limits(message_bytes=100_000)
    async with ComfyClient(fake.backend(), timeouts=QUICK, limits=limits) as client, Recorder(client) as recorder:
        fake.send_bytes(bytes(200_000), None)
        lost = await recorder.wait_for(Disconnected)
        await recorder.wait_for(Connected, after=recorder.messages.index(lost))

    assert isinstance(lost.error, ProtocolViolation)


async def test_messages_that_cannot_be_read_are_survived_and_logged_once(
    fake: FakeComfy, client: ComfyClient, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "comfy_orchestrator_nodes.backend")
    async with Recorder(client) as recorder:
        for _ in range(3):
            fake.send("crystools.monitor", {"gpu": 1}, None)
            fake.send("progress", {"value": "half"}, None)
            fake.send_bytes(b"\0", None)
            fake.send_bytes(struct.pack(">I", 99), None)
        fake.send_bytes(struct.pack(">II", 3, 1) + b"7" + "läuft".encode(), None)
        shown = await recorder.wait_for(ProgressText)

    assert shown == ProgressText("7", "läuft")
    assert not any(isinstance(message, Disconnected) for message in recorder.messages)
    logged = [record.getMessage() for record in caplog.records]
    for kind in ("crystools.monitor", "progress", "a binary message", "binary 99"):
        assert len([text for text in logged if kind in text]) == 1, logged


async def test_only_one_may_listen(client: ComfyClient) -> None:
    async with Recorder(client):
        with pytest.raises(RuntimeError, match="already"):
            await anext(client.listen())


async def test_listening_ends_when_the_client_is_closed(fake: FakeComfy) -> None:
    client = ComfyClient(fake.backend(), timeouts=QUICK)
    async with Recorder(client) as recorder:
        await client.aclose()
        with pytest.raises(AssertionError, match="listening ended"):
            await recorder.wait_for(Executing)

    assert not any(isinstance(message, Disconnected) for message in recorder.messages)


async def test_closing_does_not_wait_for_a_connection_that_hangs() -> None:
    arrived = asyncio.Event()

    async def script(_server: RawServer, link: Link) -> None:
        await link.read_request()
        arrived.set()
        await link.reader.read()

    async with raw_server(script) as server:
        client = ComfyClient(Backend("b", "B", server.url))
        listening = asyncio.create_task(anext(client.listen(), None))
        await arrived.wait()
        await client.aclose()
        assert await asyncio.wait_for(listening, 5.0) is None


async def test_closing_does_not_wait_for_a_pause(fake: FakeComfy) -> None:
    await fake.stop()
    client = ComfyClient(fake.backend(), timeouts=Timeouts(retry_min_s=3600.0, retry_max_s=3600.0))
    messages = client.listen()
    assert isinstance(await anext(messages), Disconnected)
    waiting = asyncio.create_task(anext(messages, None))
    await asyncio.sleep(0)
    await client.aclose()
    assert await asyncio.wait_for(waiting, 5.0) is None


def open_files() -> int:
    """Return how many descriptors this process holds, sockets included; 0 where the platform does not say."""
    process = psutil.Process()
    return process.num_fds() if hasattr(process, "num_fds") else 0


async def test_a_thousand_messages_and_many_gaps_leave_nothing_behind(fake: FakeComfy) -> None:
    before, files = asyncio.all_tasks(), open_files()
    async with (
        ComfyClient(fake.backend("a"), timeouts=QUICK) as one,
        ComfyClient(fake.backend("b"), timeouts=QUICK) as two,
        Recorder(one) as first,
        Recorder(two) as second,
    ):
        for gap in range(5):
            for number in range(200):
                fake.send("executing", {"node": str(number), "prompt_id": str(gap)}, None)
            for recorder in (first, second):
                last = await recorder.wait_for(
                    Executing,
                    lambda m, gap=gap: (m.prompt_id, m.node_id) == (str(gap), "199"),  # type: ignore[misc]
                )
                assert last
            lengths = len(first.messages), len(second.messages)
            fake.drop_sockets()
            await first.wait_for(Connected, after=lengths[0])
            await second.wait_for(Connected, after=lengths[1])
        counts = [len([m for m in r.messages if isinstance(m, Executing)]) for r in (first, second)]

    assert counts == [1000, 1000]
    # The fake notices the closed connections in its own time.
    leftover = asyncio.all_tasks() - before
    pending = (await asyncio.wait(leftover, timeout=10.0))[1] if leftover else set()
    assert not pending
    gc.collect()
    assert open_files() == files


async def test_a_slow_answer_to_the_handshake_does_not_hide_a_restart(fake: FakeComfy, client: ComfyClient) -> None:
    hold = Hold()
    fake.fail("GET", "/ws", hold.fault())
    async with aclosing(client.listen()) as messages:
        first = asyncio.create_task(anext(messages))
        await hold.arrived.wait()
        await fake.stop()
        assert isinstance(await first, Disconnected)
        await fake.start()
        assert isinstance(await anext(messages), Connected)


def serving(handler: object) -> _Serving:
    """Serve one WebSocket handler at /ws."""
    return _Serving(handler)


class _Serving:
    def __init__(self, handler: object) -> None:
        app = web.Application()
        app.router.add_get("/ws", handler)  # type: ignore[arg-type]
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)

    async def __aenter__(self) -> str:
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        return f"http://127.0.0.1:{self._runner.addresses[0][1]}"

    async def __aexit__(self, *_: object) -> None:
        await self._runner.cleanup()
