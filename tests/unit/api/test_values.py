from __future__ import annotations

import asyncio
import hashlib
import io
import os
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import numpy as np
import pytest
from PIL import Image

from comfy_orchestrator_nodes.agent import wire
from comfy_orchestrator_nodes.api.guard import HEADER
from comfy_orchestrator_nodes.api.value_schemas import MAX_PREVIEWED_BYTES, FileView
from comfy_orchestrator_nodes.domain import FileRef
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


async def test_an_image_has_a_small_picture_that_a_browser_may_keep(api: Api) -> None:
    stored = await _put(api, _image(1600, 800))
    async with api.http.get(stored["preview_url"]) as response:
        assert response.content_type == "image/webp"
        assert "immutable" in response.headers["Cache-Control"]
        assert response.headers["X-Content-Type-Options"] == "nosniff"
        with Image.open(io.BytesIO(await response.read())) as picture:
            assert picture.size == (512, 256)
        tag = response.headers["ETag"]
    async with api.http.get(stored["preview_url"], headers={"If-None-Match": tag}) as again:
        assert (again.status, again.headers["ETag"]) == (304, tag)


async def test_a_value_from_an_agent_has_a_picture_of_each_of_its_images(api: Api) -> None:
    images = np.zeros((2, 8, 8, 3), np.float32)
    images[1] = 1.0
    data = b"".join(bytes(part) for part in wire.encode(images, "IMAGE", arrays_are_tensors=True).parts())
    ref = api.service.artifacts.put(data, wire.MEDIA_TYPE)
    view = FileView.of(ref, "IMAGE")
    assert view.preview_url is not None
    shades = []
    for more in ("", "&index=1"):
        async with api.http.get(view.preview_url + more) as response:
            with Image.open(io.BytesIO(await response.read())) as picture:
                shades.append(picture.convert("L").getpixel((4, 4)))
    assert shades == [0, 255]
    beyond = await api.ask("GET", f"/values/{ref.sha256}/preview?index=2", status=404)
    assert "The value holds 2" in beyond["error"]["message"]


async def test_what_has_no_picture_is_refused_with_a_reason(api: Api) -> None:
    sound = await _put(api, b"RIFF", "audio/wav")
    text = await _put(api, b"no image at all")
    assert sound["preview_url"] is None
    for path in (f"/values/{sound['sha256']}/preview?media_type=audio/wav", _below(text["preview_url"])):
        refused = await api.ask("GET", path, status=415)
        assert refused["error"]["code"] == "no_picture"
    lost = await api.ask("GET", f"/values/{text['sha256']}/preview", status=410)
    assert lost["error"]["code"] == "value_lost"
    await api.ask("GET", f"/values/{'0' * 64}/preview", status=404)
    for query in ("index=-1", "index=x", "media_type=image", "side=9"):
        await api.ask("GET", f"/values/{text['sha256']}/preview?{query}", status=400)


@pytest.mark.parametrize(
    ("media_type", "value_type", "size_bytes", "has_one"),
    [
        ("image/png", "IMAGE", 10, True),
        ("image/svg+xml", "SVG", 10, False),
        ("video/mp4", "VIDEO", 10, False),
        (wire.MEDIA_TYPE, "IMAGE", 10, True),
        (wire.MEDIA_TYPE, "MASK", 10, True),
        (wire.MEDIA_TYPE, "LATENT", 10, False),
        (wire.MEDIA_TYPE, "IMAGE", MAX_PREVIEWED_BYTES + 1, False),
    ],
)
def test_a_preview_is_offered_where_there_is_something_to_see(
    media_type: str, value_type: str, size_bytes: int, has_one: bool
) -> None:
    view = FileView.of(FileRef("0" * 64, size_bytes, media_type), value_type)
    assert (view.preview_url is not None) is has_one


def _image(width: int, height: int) -> bytes:
    target = io.BytesIO()
    Image.new("RGB", (width, height), "teal").save(target, "png")
    return target.getvalue()


def _below(url: str) -> str:
    return url.removeprefix("/orchestrator")


MP4 = b"\0\0\0\x20ftypisom" + bytes(range(256)) * 8000
VIDEO = wire.Parts(wire.VIDEO, {"file": MP4})


def _held(api: Api, value: Any, type_: str) -> FileView:
    """Return a value as an agent made it."""
    data = b"".join(bytes(part) for part in wire.encode(value, type_, arrays_are_tensors=True).parts())
    return FileView.of(api.service.artifacts.put(data, wire.MEDIA_TYPE), type_)


async def test_a_video_from_an_agent_is_played_and_seeked_in(api: Api) -> None:
    view = _held(api, VIDEO, "VIDEO")
    assert view.playback_url is not None
    async with api.http.get(view.playback_url) as whole:
        assert (whole.status, whole.content_type) == (200, "video/mp4")
        assert whole.headers["Accept-Ranges"] == "bytes"
        assert await whole.read() == MP4
    for asked, (begin, end) in {
        "bytes=5-9": (5, 10),
        f"bytes={len(MP4) - 3}-": (len(MP4) - 3, len(MP4)),
        "bytes=-4": (len(MP4) - 4, len(MP4)),
        "bytes=1500000-99999999": (1_500_000, len(MP4)),
    }.items():
        async with api.http.get(view.playback_url, headers={"Range": asked}) as part:
            assert part.status == 206
            assert part.headers["Content-Range"] == f"bytes {begin}-{end - 1}/{len(MP4)}"
            assert await part.read() == MP4[begin:end]
    async with api.http.get(view.playback_url, headers={"Range": f"bytes={len(MP4)}-"}) as beyond:
        assert (beyond.status, beyond.headers["Content-Range"]) == (416, f"bytes */{len(MP4)}")
    async with api.http.head(view.playback_url) as head:
        assert (head.status, head.content_length) == (200, len(MP4))


async def test_a_sound_from_an_agent_is_played_and_may_be_kept(api: Api) -> None:
    view = _held(api, {"waveform": np.zeros((1, 2, 100), np.float32), "sample_rate": 44100}, "AUDIO")
    assert view.playback_url is not None
    async with api.http.get(view.playback_url) as response:
        assert response.content_type == "audio/wav"
        assert len(await response.read()) == 44 + 400
        tag = response.headers["ETag"]
    async with api.http.get(view.playback_url, headers={"If-None-Match": tag}) as again:
        assert (again.status, await again.read()) == (304, b"")


async def test_a_page_in_the_place_of_a_video_is_never_shown_as_one(api: Api) -> None:
    page = b"<html><script>alert(1)</script></html>"
    view = _held(api, wire.Parts(wire.VIDEO, {"file": page}), "VIDEO")
    assert view.playback_url is not None
    async with api.http.get(view.playback_url) as response:
        assert response.content_type == "video/mp4"
        assert response.headers["X-Content-Type-Options"] == "nosniff"
        assert response.headers["Content-Security-Policy"].startswith("sandbox")


async def test_what_cannot_be_played_is_refused_with_a_reason(api: Api) -> None:
    view = _held(api, np.zeros((1, 4, 4, 3), np.float32), "IMAGE")
    assert view.playback_url is None
    refused = await api.ask("GET", f"/values/{view.sha256}/playback", status=415)
    assert refused["error"]["code"] == "no_playback"
    await api.ask("GET", f"/values/{'0' * 64}/playback", status=404)


def test_a_file_that_is_a_video_or_a_sound_is_its_own_player() -> None:
    for media_type, plays in {"video/mp4": True, "audio/flac": True, "image/png": False}.items():
        view = FileView.of(FileRef("0" * 64, 10, media_type), "")
        assert view.playback_url == (view.url if plays else None)
