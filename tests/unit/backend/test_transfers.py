from __future__ import annotations

import asyncio
import io
import threading
import tracemalloc
from pathlib import Path
from typing import BinaryIO

import pytest

from comfy_orchestrator_nodes.backend.client import ComfyClient
from comfy_orchestrator_nodes.backend.http import Timeouts
from comfy_orchestrator_nodes.backend.results import RemoteFile
from comfy_orchestrator_nodes.domain import Backend
from comfy_orchestrator_nodes.errors import (
    BackendFault,
    BackendTimedOut,
    ConnectionLost,
    InvalidRequest,
    PayloadTooLarge,
    ProtocolViolation,
)
from tests.fakes.fake_comfy import FakeComfy
from tests.fakes.faults import answer, cut_after, cut_before, endless, truncate
from tests.support.raw_server import Link, RawServer, raw_server

STORED = RemoteFile("a.bin", "s", "temp")
LARGE = 5 << 20


def store(fake: FakeComfy, content: bytes) -> RemoteFile:
    fake.files["temp", "s", "a.bin"] = content
    return STORED


@pytest.mark.parametrize("size", [0, 1, 1000, LARGE])
async def test_a_file_arrives_whole_and_in_order(fake: FakeComfy, client: ComfyClient, size: int) -> None:
    content = bytes(i * 7 % 251 for i in range(1009)) * (size // 1009 + 1)
    received = io.BytesIO()
    count = await client.view(store(fake, content[:size]), received.write)

    assert received.getvalue() == content[:size]
    assert count == size


@pytest.mark.parametrize(("size", "on_loop"), [(1000, True), (LARGE, False)])
async def test_only_small_files_are_written_on_the_loop(
    fake: FakeComfy, client: ComfyClient, size: int, on_loop: bool
) -> None:
    threads = set()
    await client.view(store(fake, bytes(size)), lambda _: threads.add(threading.current_thread()))

    assert (threads == {threading.main_thread()}) is on_loop
    assert (threading.main_thread() in threads) is on_loop


async def test_parts_are_handed_over_one_at_a_time(fake: FakeComfy, client: ComfyClient) -> None:
    busy = threading.Lock()
    sizes = []

    def sink(part: bytes) -> None:
        assert busy.acquire(blocking=False)
        sizes.append(len(part))
        busy.release()

    await client.view(store(fake, bytes(LARGE)), sink)

    assert sum(sizes) == LARGE
    assert max(sizes) < LARGE


async def test_a_file_is_never_whole_in_memory(client: ComfyClient) -> None:
    total, part = 96 << 20, bytes(1 << 20)

    async def script(_server: RawServer, link: Link) -> None:
        await link.read_request()
        link.writer.write(f"HTTP/1.1 200 OK\r\nContent-Length: {total}\r\n\r\n".encode())
        for _ in range(total // len(part)):
            link.writer.write(part)
            await link.writer.drain()

    async with raw_server(script) as server, ComfyClient(Backend("b", "B", server.url)) as raw:
        tracemalloc.start()
        try:
            count = await raw.view(STORED, len)
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    assert count == total
    assert peak < 24 << 20


@pytest.mark.parametrize("sent", [0, 10, LARGE - 1])
async def test_a_truncated_file_is_a_lost_connection(fake: FakeComfy, client: ComfyClient, sent: int) -> None:
    fake.fail("GET", "/view", truncate(sent))
    with pytest.raises(ConnectionLost):
        await client.view(store(fake, bytes(LARGE)), len)


async def test_a_file_without_a_length_is_refused() -> None:
    async def script(_server: RawServer, link: Link) -> None:
        await link.read_request()
        link.writer.write(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\npart of it")
        await link.writer.drain()
        link.writer.close()

    async with raw_server(script) as server, ComfyClient(Backend("b", "B", server.url)) as client:
        with pytest.raises(ProtocolViolation, match="length"):
            await client.view(STORED, len)


async def test_a_file_in_chunks_is_taken_and_a_cut_one_is_not() -> None:
    async def script(server: RawServer, link: Link) -> None:
        request = await link.read_request()
        assert request is not None
        server.requests.append(request)
        link.writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n")
        if len(server.requests) == 1:
            link.writer.write(b"0\r\n\r\n")
        await link.writer.drain()
        link.writer.close()

    async with raw_server(script) as server, ComfyClient(Backend("b", "B", server.url)) as client:
        assert await client.view(STORED, len) == 5
        with pytest.raises(ConnectionLost):
            await client.view(STORED, len)


@pytest.mark.parametrize("announced", [True, False])
async def test_a_file_over_the_limit_is_not_read(fake: FakeComfy, client: ComfyClient, announced: bool) -> None:
    if not announced:
        fake.fail("GET", "/view", endless("image/png"))
    received: list[int] = []
    with pytest.raises(ProtocolViolation):
        await client.view(store(fake, bytes(LARGE)), lambda part: received.append(len(part)), max_bytes=LARGE - 1)

    assert sum(received) < LARGE


async def test_a_download_that_stands_still_times_out() -> None:
    async def script(_server: RawServer, link: Link) -> None:
        await link.read_request()
        link.writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhello")
        await link.reader.read()

    short = Timeouts(idle_s=0.2)
    async with raw_server(script) as server, ComfyClient(Backend("b", "B", server.url), timeouts=short) as client:
        with pytest.raises(BackendTimedOut):
            await client.view(STORED, len)


async def test_what_the_sink_raises_comes_out(fake: FakeComfy, client: ComfyClient) -> None:
    def full(_part: bytes) -> None:
        raise OSError(28, "No space left on device")

    for size in (10, LARGE):
        with pytest.raises(OSError, match="No space left"):
            await client.view(store(fake, bytes(size)), full)
    # The connection that was cut in the middle is not used for the next file.
    assert await client.view(store(fake, b"abc"), len) == 3


async def test_a_cancelled_download_leaves_its_sink_alone(fake: FakeComfy, client: ComfyClient) -> None:
    loop, writing, go_on, ended = asyncio.get_running_loop(), asyncio.Event(), threading.Event(), threading.Event()

    def sink(_part: bytes) -> None:
        loop.call_soon_threadsafe(writing.set)
        assert go_on.wait(30)
        ended.set()

    download = asyncio.create_task(client.view(store(fake, bytes(LARGE)), sink))
    await writing.wait()
    download.cancel()
    loop.call_later(0.01, go_on.set)
    with pytest.raises(asyncio.CancelledError):
        await download

    assert ended.is_set()


async def test_the_limit_is_asked_once(fake: FakeComfy, client: ComfyClient) -> None:
    for number in range(3):
        await client.upload(io.BytesIO(b"x"), name=f"{number}.bin")

    assert [path for _, path in fake.requests].count("/features") == 1


async def test_a_file_over_the_limit_is_refused_before_it_is_sent(fake: FakeComfy, client: ComfyClient) -> None:
    fake.max_upload_bytes = 10
    with pytest.raises(PayloadTooLarge) as caught:
        await client.upload(io.BytesIO(bytes(11)), name="a.bin")

    assert caught.value.details() == {"backend": "fake", "size_bytes": 11, "max_bytes": 10}
    assert ("POST", "/upload/image") not in fake.requests


async def test_a_limit_of_a_proxy_is_told_too(fake: FakeComfy, client: ComfyClient) -> None:
    fake.fail("POST", "/upload/image", answer(413, b"too large", "text/html"))
    with pytest.raises(PayloadTooLarge):
        await client.upload(io.BytesIO(b"x"), name="a.bin")


async def test_a_backend_without_features_gets_the_file(fake: FakeComfy, client: ComfyClient) -> None:
    fake.fail("GET", "/features", answer(404, b"404: Not Found", "text/plain"))
    uploaded = await client.upload(io.BytesIO(b"x"), name="a.bin")

    assert fake.files["temp", "", uploaded.file.name] == b"x"


@pytest.mark.parametrize("fault", [cut_before, cut_after])
async def test_an_upload_that_breaks_off_is_lost(fake: FakeComfy, client: ComfyClient, fault: object) -> None:
    fake.fail("POST", "/upload/image", fault())  # type: ignore[operator]
    with pytest.raises(ConnectionLost):
        await client.upload(io.BytesIO(bytes(LARGE)), name="a.bin")

    assert [path for _, path in fake.requests].count("/upload/image") == 1


async def test_an_upload_that_nobody_reads_times_out() -> None:
    async def script(_server: RawServer, link: Link) -> None:
        await link.reader.readuntil(b"\r\n\r\n")
        if link.number == 1:
            await link.answer(b"{}")
            await link.reader.readuntil(b"\r\n\r\n")
        await asyncio.Event().wait()

    short = Timeouts(idle_s=0.2)
    async with raw_server(script) as server, ComfyClient(Backend("b", "B", server.url), timeouts=short) as client:
        with pytest.raises(BackendTimedOut, match="stood still"):
            await client.upload(io.BytesIO(bytes(64 << 20)), name="a.bin")


class Moody(io.BytesIO):
    """A file that fails, or ends early, once it is read."""

    def __init__(self, failure: Exception | None) -> None:
        super().__init__(bytes(LARGE))
        self._failure = failure

    def read(self, _size: int | None = -1, /) -> bytes:
        if self._failure is not None:
            raise self._failure
        return b""


@pytest.mark.parametrize(
    ("source", "expected"),
    [(Moody(None), InvalidRequest), (Moody(OSError(5, "Input/output error")), OSError)],
    ids=["shorter", "unreadable"],
)
async def test_a_file_that_fails_is_not_blamed_on_the_backend(
    fake: FakeComfy, client: ComfyClient, source: BinaryIO, expected: type[Exception]
) -> None:
    with pytest.raises(expected):
        await client.upload(source, name="a.bin")

    assert fake.files == {}


async def test_cancelling_an_upload_ends_it(fake: FakeComfy, client: ComfyClient) -> None:
    reading = asyncio.Event()
    loop = asyncio.get_running_loop()

    class Slow(io.BytesIO):
        def read(self, size: int | None = -1, /) -> bytes:
            loop.call_soon_threadsafe(reading.set)
            return super().read(size)

    before = asyncio.all_tasks()
    upload = asyncio.create_task(client.upload(Slow(bytes(LARGE)), name="a.bin"))
    await reading.wait()
    upload.cancel()
    with pytest.raises(asyncio.CancelledError):
        await upload

    leftover = {task for task in asyncio.all_tasks() - before if "upload" in repr(task.get_coro())}
    assert not leftover


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "a\\b", "a\r\nb", "a\x00b"])
async def test_a_name_that_is_no_file_name_is_refused(fake: FakeComfy, client: ComfyClient, name: str) -> None:
    with pytest.raises(InvalidRequest):
        await client.upload(io.BytesIO(b"x"), name=name)

    assert fake.requests == []


@pytest.mark.parametrize("subfolder", ["..", "a/../../b", "/etc", "\\x", "a\r\nb", "..\\x"])
async def test_a_subfolder_out_of_the_folder_is_refused(fake: FakeComfy, client: ComfyClient, subfolder: str) -> None:
    with pytest.raises(InvalidRequest):
        await client.upload(io.BytesIO(b"x"), name="a.bin", subfolder=subfolder)

    assert fake.requests == []


async def test_a_folder_that_comfyui_has_not_is_refused(fake: FakeComfy, client: ComfyClient) -> None:
    with pytest.raises(InvalidRequest, match="input, output, temp"):
        await client.upload(io.BytesIO(b"x"), name="a.bin", place="models")

    assert fake.requests == []


async def test_a_missing_path_is_an_ordinary_error(client: ComfyClient, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        await client.upload(tmp_path / "none", name="a.bin")


async def test_an_answer_without_a_name_is_a_violation(fake: FakeComfy, client: ComfyClient) -> None:
    fake.fail("POST", "/upload/image", answer(200, b'{"subfolder": ""}'))
    with pytest.raises(ProtocolViolation):
        await client.upload(io.BytesIO(b"x"), name="a.bin")


async def test_a_fault_while_viewing_is_told(fake: FakeComfy, client: ComfyClient) -> None:
    fake.fail("GET", "/view", answer(500, b"", "text/plain"))
    with pytest.raises(BackendFault) as caught:
        await client.view(STORED, len)

    assert caught.value.status == 500
