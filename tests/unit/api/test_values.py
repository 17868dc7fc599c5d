from __future__ import annotations

import asyncio
import hashlib
import io
import os
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest

from comfy_orchestrator_nodes.api.guard import HEADER
from tests.unit.api.conftest import Api

PNG = b"\x89PNG\r\n\x1a\n" + os.urandom(5000)


async def _put(api: Api, content: Any, media_type: str = "image/png", *, status: int = 201) -> Any:
    headers = {"Content-Type": media_type}
    content = io.BytesIO(content) if isinstance(content, bytes) else content
    return await api.ask("PUT", "/values", status=status, data=content, json=None, headers=headers)


async def test_a_file_comes_back_as_it_was_put(api: Api) -> None:
    stored = await _put(api, PNG)
    assert stored["sha256"] == hashlib.sha256(PNG).hexdigest()
    assert (stored["size_bytes"], stored["media_type"]) == (len(PNG), "image/png")
    async with api.http.get(stored["url"]) as response:
        assert await response.read() == PNG
        assert response.content_type == "image/png"
        assert response.headers["Content-Disposition"].startswith("inline")


async def test_a_large_file_is_stored_as_it_streams_in(api: Api) -> None:
    digest = hashlib.sha256()

    async def parts() -> AsyncIterator[bytes]:
        for _ in range(40):
            part = os.urandom(1 << 20)
            digest.update(part)
            yield part

    stored = await _put(api, parts(), "video/mp4")
    assert (stored["sha256"], stored["size_bytes"]) == (digest.hexdigest(), 40 << 20)


async def test_the_head_tells_size_and_type_without_the_file(api: Api) -> None:
    stored = await _put(api, PNG)
    async with api.http.head(stored["url"]) as response:
        assert response.headers["Content-Length"] == str(len(PNG))
        assert response.content_type == "image/png"
        assert await response.read() == b""


@pytest.mark.parametrize(
    ("asked", "got"),
    [("bytes=0-9", PNG[:10]), ("bytes=100-", PNG[100:]), ("bytes=-7", PNG[-7:]), ("bytes=5000-999999", PNG[5000:])],
)
async def test_a_range_is_answered_with_that_range(api: Api, asked: str, got: bytes) -> None:
    stored = await _put(api, PNG)
    async with api.http.get(stored["url"], headers={"Range": asked}) as response:
        assert response.status == 206
        assert await response.read() == got
        assert response.headers["Content-Range"].endswith(f"/{len(PNG)}")


@pytest.mark.parametrize("asked", ["bytes=999999-", "bytes=9-1", "lines=1-2"])
async def test_a_range_outside_the_file_is_refused(api: Api, asked: str) -> None:
    stored = await _put(api, PNG)
    async with api.http.get(stored["url"], headers={"Range": asked}) as response:
        assert response.status == 416
        assert response.headers["Content-Range"] == f"bytes */{len(PNG)}"
        assert (await response.json())["error"]["code"] == "range_not_satisfiable"


async def test_a_copy_that_is_still_good_is_not_sent_again(api: Api) -> None:
    stored = await _put(api, PNG)
    async with api.http.get(stored["url"]) as first:
        tag = first.headers["ETag"]
        assert "immutable" in first.headers["Cache-Control"]
    async with api.http.get(stored["url"], headers={"If-None-Match": tag}) as again:
        assert again.status == 304


@pytest.mark.parametrize(
    "media_type", ["text/html", "image/svg+xml", "Image/SVG+xml", "application/xhtml+xml", "text/javascript"]
)
async def test_nothing_that_a_browser_would_run_is_served_as_such(api: Api, media_type: str) -> None:
    stored = await _put(api, b"<script>alert(1)</script>", media_type)
    async with api.http.get(stored["url"]) as response:
        assert response.content_type == "application/octet-stream"
        assert response.headers["Content-Disposition"].startswith("attachment")
        assert response.headers["X-Content-Type-Options"] == "nosniff"
        assert "sandbox" in response.headers["Content-Security-Policy"]


@pytest.mark.parametrize("media_type", ["image/png%0d%0aX-Evil:%201", "text", "image/", "%00/%00", "image/png%0a"])
async def test_an_odd_media_type_in_the_address_is_refused(api: Api, media_type: str) -> None:
    stored = await _put(api, PNG)
    async with api.http.get(f"/orchestrator/values/{stored['sha256']}?media_type={media_type}") as response:
        assert response.status == 400
        assert "X-Evil" not in response.headers


async def test_an_unknown_file_and_a_name_that_is_no_hash_are_told_apart(api: Api) -> None:
    unknown = await api.ask("GET", f"/values/{'0' * 64}", status=404)
    assert unknown["error"]["code"] == "not_found"
    for name in ("nonsense", "..%2f..%2fetc%2fpasswd", "A" * 64):
        refused = await api.ask("GET", f"/values/{name}", status=422)
        assert "not a SHA-256" in refused["error"]["message"]


@pytest.mark.parametrize("media_type", ["", "png", "multipart/form-data; boundary=x", "image/ png"])
async def test_an_upload_says_what_it_is(api: Api, media_type: str) -> None:
    refused = await _put(api, PNG, media_type or "x", status=415)
    assert refused["error"]["code"] == "media_type_refused"


async def test_a_file_over_the_limit_is_refused_however_it_is_sent(api: Api) -> None:
    api.service.artifacts.set_limit(1 << 20)

    async def parts() -> AsyncIterator[bytes]:
        for _ in range(3):
            yield bytes(1 << 20)

    declared = await _put(api, bytes((1 << 20) + 1), status=507)
    streamed = await _put(api, parts(), status=507)
    assert declared["error"]["code"] == streamed["error"]["code"] == "store_full"
    assert api.service.artifacts.usage().total_bytes == 0


async def test_an_upload_that_breaks_off_leaves_nothing(api: Api, caplog: pytest.LogCaptureFixture) -> None:
    unfinished = api.service.artifacts.root / "tmp"

    async def broken() -> AsyncIterator[bytes]:
        yield PNG
        while not list(unfinished.iterdir()):
            await asyncio.sleep(0.01)
        raise ConnectionAbortedError

    with pytest.raises((aiohttp.ClientError, ConnectionAbortedError)):
        await api.http.put("/orchestrator/values", data=broken(), headers={"Content-Type": "image/png", HEADER: "1"})
    while list(unfinished.iterdir()):
        await asyncio.sleep(0.01)
    assert api.service.artifacts.usage().files == 0
    assert [r.getMessage() for r in caplog.records if r.levelname in ("ERROR", "CRITICAL")] == []


async def test_a_damaged_file_is_told_as_lost(api: Api) -> None:
    stored = await _put(api, PNG)
    path = api.service.artifacts.root / stored["sha256"][:2] / stored["sha256"]
    path.write_bytes(PNG[:-1])
    lost = await api.ask("GET", f"/values/{stored['sha256']}", status=410)
    assert lost["error"]["code"] == "value_lost"


async def test_a_caller_that_goes_away_in_the_middle_is_no_fault(api: Api, caplog: pytest.LogCaptureFixture) -> None:
    stored = await _put(api, bytes(8 << 20), "image/png")
    async with api.http.get(stored["url"]) as response:
        await response.content.read(10)
        assert response.connection is not None
        assert response.connection.transport is not None
        response.connection.transport.abort()
    async with api.http.get(stored["url"]) as again:
        assert len(await again.read()) == 8 << 20
    assert [r.getMessage() for r in caplog.records if r.levelname in ("ERROR", "CRITICAL")] == []
