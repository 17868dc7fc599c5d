"""Blobs over HTTP: sent once, resumed where they were cut off, and nothing left behind whatever goes wrong."""

from __future__ import annotations

import asyncio
import errno
import hashlib
import io
import os
import ssl
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from comfy_orchestrator_nodes.agent.blob_routes import Turns
from comfy_orchestrator_nodes.agent.errors import Busy

from .conftest import Clock, Disk, Serve, Served

BLOBS = "/orchestrator/agent/blobs"
DATA = os.urandom(3_000_000)


def named(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def path(data: bytes) -> str:
    return f"{BLOBS}/{named(data)}"


async def put(agent: Served, data: bytes, **headers: str) -> tuple[int, Any]:
    async with agent.session.put(path(data), data=io.BytesIO(data), headers=headers) as response:
        return response.status, await response.json()


async def get(agent: Served, data: bytes, **headers: str) -> tuple[int, bytes, Mapping[str, str]]:
    told = {name.replace("_", "-"): text for name, text in headers.items()}
    async with agent.session.get(path(data), headers=told) as response:
        return response.status, await response.read(), response.headers


async def code(agent: Served, method: str, address: str, **more: Any) -> tuple[int, str]:
    async with agent.session.request(method, address, **more) as response:
        return response.status, (await response.json())["error"]["code"]


async def cut_off(agent: Served, data: bytes, sent: int, claimed: int | None = None) -> None:
    """Send the head of an upload and the first bytes of its body, then cut the connection."""
    host, port = agent.url.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    head = f"PUT {path(data)} HTTP/1.1\r\nHost: {host}:{port}\r\nX-Orchestrator: 1\r\n"
    writer.write(f"{head}Content-Length: {claimed or len(data)}\r\n\r\n".encode() + data[:sent])
    await writer.drain()
    writer.write_eof()
    await reader.read()
    writer.close()


# --- there and back --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("data", [b"", b"x", DATA], ids=["empty", "one byte", "large"])
async def test_a_blob_comes_back_as_it_was_sent(agent: Served, data: bytes) -> None:
    assert await put(agent, data) == (201, {"sha256": named(data), "size_bytes": len(data)})
    status, body, headers = await get(agent, data)
    assert (status, body, headers["ETag"]) == (200, data, f'"{named(data)}"')
    assert agent.files() == [named(data)]


async def test_a_blob_crosses_tls(serve: Serve) -> None:
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(Path(__file__).parents[2] / "data" / "tls" / "server.pem")
    agent = await serve(tls=tls)
    assert (await put(agent, DATA))[0] == 201
    assert (await get(agent, DATA))[:2] == (200, DATA)
    assert (await get(agent, DATA, Range="bytes=1000000-2499999"))[:2] == (206, DATA[1_000_000:2_500_000])


async def test_a_blob_that_is_there_is_not_written_again(agent: Served) -> None:
    await put(agent, DATA)
    before = agent.store.path(named(DATA)).stat().st_mtime_ns
    assert (await put(agent, DATA))[0] == 200
    assert agent.store.path(named(DATA)).stat().st_mtime_ns == before
    assert agent.files() == [named(DATA)]


async def test_head_tells_the_size_of_a_blob(agent: Served) -> None:
    await put(agent, DATA)
    async with agent.session.head(path(DATA)) as response:
        assert (response.status, response.content_length) == (200, len(DATA))
    async with agent.session.head(path(b"other")) as response:
        assert (response.status, response.headers["X-Orchestrator-Offset"]) == (404, "0")


@pytest.mark.parametrize(
    ("wanted", "start", "end"),
    [
        ("bytes=0-0", 0, 1),
        ("bytes=1000000-", 1_000_000, 3_000_000),
        ("bytes=-10", 2_999_990, 3_000_000),
        ("bytes=2999999-99999999", 2_999_999, 3_000_000),
        ("bytes=5-9", 5, 10),
    ],
)
async def test_a_range_of_a_blob_is_sent(agent: Served, wanted: str, start: int, end: int) -> None:
    await put(agent, DATA)
    status, body, headers = await get(agent, DATA, Range=wanted)
    assert (status, body) == (206, DATA[start:end])
    assert headers["Content-Range"] == f"bytes {start}-{end - 1}/{len(DATA)}"


@pytest.mark.parametrize("wanted", ["bytes=0-1,5-6", "bytes=9-5", "bytes=-", "lines=1-2", "bytes=x-"])
async def test_a_range_that_is_not_understood_means_all(agent: Served, wanted: str) -> None:
    await put(agent, DATA)
    assert (await get(agent, DATA, Range=wanted))[:2] == (200, DATA)


async def test_a_range_behind_the_end_is_refused(agent: Served) -> None:
    await put(agent, DATA)
    assert await code(agent, "GET", path(DATA), headers={"Range": "bytes=3000000-"}) == (416, "range_wrong")


async def test_a_condition_for_a_range_compares_with_the_hash(agent: Served) -> None:
    await put(agent, DATA)
    assert (await get(agent, DATA, Range="bytes=0-9", If_Range=f'"{named(DATA)}"'))[0] == 206
    assert (await get(agent, DATA, Range="bytes=0-9", If_Range='"other"'))[0] == 200


async def test_what_is_missing_is_told_in_order(agent: Served) -> None:
    await put(agent, b"there")
    wanted = {"sha256": [named(b"b"), named(b"there"), named(b"a"), named(b"b")]}
    async with agent.session.post(f"{BLOBS}/missing", json=wanted) as response:
        assert await response.json() == {"missing": [named(b"b"), named(b"a")]}


# --- resuming --------------------------------------------------------------------------------------------------------


async def resumable(agent: Served, data: bytes) -> int:
    """Wait until the agent has noticed that an upload was cut off; return how much it kept."""
    while True:
        async with agent.session.head(path(data)) as response:
            offset = int(response.headers["X-Orchestrator-Offset"])
        if offset:
            return offset
        await asyncio.sleep(0.01)


async def test_an_upload_goes_on_where_it_was_cut_off(agent: Served) -> None:
    await cut_off(agent, DATA, 2_000_000)
    offset = await asyncio.wait_for(resumable(agent, DATA), 10)
    assert 1 << 20 <= offset <= 2_000_000
    told = {"Content-Range": f"bytes {offset}-{len(DATA) - 1}/{len(DATA)}"}
    async with agent.session.put(path(DATA), data=io.BytesIO(DATA[offset:]), headers=told) as response:
        assert response.status == 201, await response.text()
    assert (await get(agent, DATA))[1] == DATA
    assert agent.files() == [named(DATA)]


async def test_an_upload_that_goes_on_elsewhere_is_told_where(agent: Served) -> None:
    told = {"Content-Range": f"bytes 100-{len(DATA) - 1}/{len(DATA)}"}
    async with agent.session.put(path(DATA), data=io.BytesIO(DATA[100:]), headers=told) as response:
        error = (await response.json())["error"]
    assert (response.status, error["code"], error["details"]["offset_bytes"]) == (409, "offset_wrong", 0)


async def test_what_came_of_a_cut_off_upload_goes_after_ten_minutes(agent: Served, clock: Clock) -> None:
    await cut_off(agent, DATA, 2_000_000)
    await asyncio.wait_for(resumable(agent, DATA), 10)
    clock.now += 601
    async with agent.session.head(path(DATA)) as response:
        assert response.headers["X-Orchestrator-Offset"] == "0"
    await until_empty(agent)


async def test_an_upload_from_the_beginning_takes_no_notice_of_one_that_was_cut_off(agent: Served) -> None:
    await cut_off(agent, DATA, 2_000_000)
    await asyncio.wait_for(resumable(agent, DATA), 10)
    assert (await put(agent, DATA))[0] == 201
    assert (await get(agent, DATA))[1] == DATA
    assert agent.files() == [named(DATA)]


async def until_empty(agent: Served) -> None:
    async def empty() -> None:
        while agent.files():
            await asyncio.sleep(0.01)

    await asyncio.wait_for(empty(), 10)


async def test_little_of_a_cut_off_upload_is_not_kept(agent: Served) -> None:
    await cut_off(agent, DATA, 1000)
    await until_empty(agent)


# --- what goes wrong -------------------------------------------------------------------------------------------------


async def test_content_that_is_not_what_its_name_says_is_refused_and_deleted(agent: Served) -> None:
    damaged = bytes(len(DATA))
    assert await code(agent, "PUT", path(DATA), data=io.BytesIO(damaged)) == (422, "hash_wrong")
    assert agent.files() == []


async def test_two_uploads_of_one_blob_do_not_disturb_each_other(agent: Served) -> None:
    statuses = await asyncio.gather(*(put(agent, DATA) for _ in range(4)))
    assert {status for status, _ in statuses} <= {200, 201}
    assert (await get(agent, DATA))[1] == DATA
    assert agent.files() == [named(DATA)]
    assert agent.store.usage().total_bytes == len(DATA)


async def test_an_upload_that_stalls_is_ended(serve: Serve) -> None:
    agent = await serve(idle_s=0.2)
    host, port = agent.url.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    head = f"PUT {path(DATA)} HTTP/1.1\r\nHost: {host}:{port}\r\nX-Orchestrator: 1\r\nContent-Length: 3000000\r\n\r\n"
    writer.write(head.encode() + b"a few bytes")
    assert b"408" in await asyncio.wait_for(reader.readline(), 10)
    writer.close()
    await until_empty(agent)


@pytest.mark.parametrize("claimed", [1 << 40, 1 << 62, 10**19 - 1])
async def test_a_hostile_size_is_refused_before_anything_is_read(agent: Served, claimed: int) -> None:
    told = {"Content-Range": f"bytes 0-{claimed - 1}/{claimed}", "Content-Length": str(claimed)}
    host, port = agent.url.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    lines = "".join(f"{name}: {text}\r\n" for name, text in {**told, "Host": f"{host}:{port}"}.items())
    writer.write(f"PUT {path(DATA)} HTTP/1.1\r\nX-Orchestrator: 1\r\n{lines}\r\n".encode())
    assert b" 413 " in await asyncio.wait_for(reader.readline(), 10)
    writer.close()
    assert agent.files() == []


async def test_an_upload_without_a_size_is_refused(agent: Served) -> None:
    async def body() -> Any:
        yield DATA

    assert await code(agent, "PUT", path(DATA), data=body()) == (400, "malformed_request")


@pytest.mark.parametrize(
    "told", ["bytes 0-9/10", "bytes 5-2/3000000", "bytes */3", "0-2999999/3000000", "bytes 0-2999999/*"]
)
async def test_a_range_that_does_not_fit_its_body_is_refused(agent: Served, told: str) -> None:
    assert await code(agent, "PUT", path(DATA), data=io.BytesIO(DATA), headers={"Content-Range": told}) == (
        400,
        "malformed_request",
    )


@pytest.mark.parametrize("name", ["abc", "A" * 64, "..%2f" * 16, "0" * 63 + "g"])
async def test_a_name_that_is_no_hash_is_refused(agent: Served, name: str) -> None:
    assert await code(agent, "GET", f"{BLOBS}/{name}") == (400, "malformed_request")


@pytest.mark.parametrize(
    "body",
    [b"", b"{", b"[]", b'{"sha256": "a"}', b'{"sha256": [1]}', b'{"sha256": ["x"]}', b'{"sha256": [], "lease_s": -1}',
     b'{"sha256": [], "lease_s": NaN}', b'{"sha256": [], "owner": 5}', b"[" * 100_000, b'{"x": "' + b"x" * (2 << 20)],
)  # fmt: skip
async def test_a_question_without_its_form_is_refused(agent: Served, body: bytes) -> None:
    assert await code(agent, "POST", f"{BLOBS}/missing", data=io.BytesIO(body)) == (400, "malformed_request")


async def test_a_full_disk_is_told_before_anything_is_written(agent: Served, disk: Disk) -> None:
    disk.free_bytes = 1_000_000
    assert await code(agent, "PUT", path(DATA), data=io.BytesIO(DATA)) == (507, "disk_full")
    assert agent.files() == []


async def test_a_disk_that_fills_up_meanwhile_leaves_nothing_behind(
    agent: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    def write(_descriptor: int, _data: Any) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "write", write)
    assert await code(agent, "PUT", path(DATA), data=io.BytesIO(DATA)) == (507, "disk_full")
    assert agent.files() == []
    monkeypatch.undo()
    assert (await put(agent, DATA))[0] == 201


async def test_blobs_that_nobody_leases_make_room(serve: Serve, clock: Clock) -> None:
    agent = await serve(limit_bytes=5_000_000)
    await put(agent, DATA)
    other = DATA[::-1]
    assert await code(agent, "PUT", path(other), data=io.BytesIO(other)) == (507, "blobs_full")
    clock.now += 601
    assert (await put(agent, other))[0] == 201
    assert agent.files() == [named(other)]


async def test_a_lease_is_renewed_by_asking_and_ended_by_its_owner(serve: Serve, clock: Clock) -> None:
    agent = await serve(limit_bytes=5_000_000)
    await put(agent, DATA, **{"X-Orchestrator-Lease": "job 1; seconds=10"})
    other = DATA[::-1]
    clock.now += 9
    question = {"sha256": [named(DATA)], "owner": "job 1", "lease_s": 60}
    async with agent.session.post(f"{BLOBS}/missing", json=question) as response:
        assert response.status == 200
    clock.now += 30
    assert await code(agent, "PUT", path(other), data=io.BytesIO(other)) == (507, "blobs_full")
    assert await code(agent, "DELETE", path(DATA)) == (409, "blob_leased")
    async with agent.session.post(f"{BLOBS}/release", json={"owner": "job 1"}) as response:
        assert response.status == 204
    assert (await put(agent, other))[0] == 201


async def test_what_was_kept_of_other_uploads_makes_room(serve: Serve) -> None:
    agent = await serve(limit_bytes=4_000_000)
    await cut_off(agent, DATA, 2_000_000)
    await asyncio.wait_for(resumable(agent, DATA), 10)
    other = DATA[::-1]
    assert (await put(agent, other))[0] == 201
    assert agent.files() == [named(other)]


async def test_a_folder_that_somebody_emptied_is_noticed(agent: Served) -> None:
    await put(agent, DATA)
    agent.store.path(named(DATA)).unlink()
    assert await code(agent, "GET", path(DATA)) == (404, "blob_missing")
    assert (await put(agent, DATA))[0] == 201
    assert agent.store.usage().total_bytes == len(DATA)


async def test_a_deleted_blob_is_gone(agent: Served) -> None:
    await put(agent, DATA, **{"X-Orchestrator-Lease": "x; seconds=0"})
    for _ in range(2):
        async with agent.session.delete(path(DATA)) as response:
            assert response.status == 204
    assert await code(agent, "GET", path(DATA)) == (404, "blob_missing")


async def test_too_many_at_once_are_sent_away() -> None:
    turns = Turns(1, waiting=1)
    entered, leave = asyncio.Event(), asyncio.Event()

    async def stay() -> None:
        async with turns.turn():
            entered.set()
            await leave.wait()

    first, second = asyncio.create_task(stay()), asyncio.create_task(stay())
    await entered.wait()
    with pytest.raises(Busy):
        async with turns.turn():
            pass
    leave.set()
    await asyncio.gather(first, second)
    async with turns.turn():
        pass


async def test_the_loop_is_never_held_up_by_an_upload(agent: Served) -> None:
    """While 60 MB are hashed and written, other requests are answered."""
    large = os.urandom(1 << 20) * 60
    upload = asyncio.create_task(put(agent, large))
    answered = 0
    while not upload.done():
        async with agent.session.get("/orchestrator/agent") as response:
            assert response.status == 200
        answered += 1
    assert (await upload)[0] == 201
    assert answered >= 3
