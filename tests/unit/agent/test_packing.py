"""Blobs on slow links: packed on the way, the same in the end, and bounded whatever a stranger sends."""

from __future__ import annotations

import hashlib
import io
import os
import struct
import sys
from typing import Any

import numpy as np
import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from comfy_orchestrator_nodes.agent import packing
from comfy_orchestrator_nodes.agent.errors import MalformedValue

from .conftest import Served

BLOBS = "/orchestrator/agent/blobs"
FOUND = packing.find_zstd()
assert FOUND is not None
ZSTD = FOUND
SMOOTH = np.linspace(0, 1, 800_001, dtype=np.float32).tobytes()
PACKED = {"X-Orchestrator-Encoding": "zstd-blocks"}


def packed(data: bytes) -> bytes:
    return b"".join(
        packing.pack(ZSTD, data[n : n + packing.BLOCK_BYTES]) for n in range(0, len(data), packing.BLOCK_BYTES)
    )


def unpacked(data: bytes, total: int, step: int = 1 << 16) -> bytes:
    unpacker = packing.Unpacker(ZSTD, total)
    content = b"".join(block for n in range(0, len(data), step) for block in unpacker.feed(data[n : n + step]))
    assert unpacker.complete
    return content


@settings(deadline=None, max_examples=50)
@given(st.binary(max_size=3000), st.integers(1, 1000))
def test_bytes_come_out_as_they_went_in(data: bytes, step: int) -> None:
    assert unpacked(packed(data), len(data), step) == data


def test_smooth_floats_shrink_and_noise_does_not_grow() -> None:
    noise = os.urandom(2_500_001)
    assert len(packed(SMOOTH)) < 0.6 * len(SMOOTH)
    assert len(packed(noise)) <= len(noise) + 3 * 8
    assert unpacked(packed(noise), len(noise)) == noise


def block(stored: bytes, raw: int, told: int | None = None) -> bytes:
    return struct.pack("<II", len(stored) if told is None else told, raw) + stored


BOMB = zstandard.ZstdCompressor().compress(bytes(200 << 20))
HOSTILE = {
    "a bomb": block(BOMB, 1 << 20),
    "a block that is too large": block(BOMB, 200 << 20),
    "an empty block": block(b"", 0),
    "more than was announced": block(b"x" * 2000, 2000),
    "a block larger than its content": block(b"x" * 100, 50),
    "no zstd": block(b"nonsense", 900),
    "too little inside": block(zstandard.ZstdCompressor().compress(b"x"), 900),
    "a frame of unknown size": block(zstandard.ZstdCompressor(write_content_size=False).compress(b"x" * 900), 900),
}


@pytest.mark.parametrize("data", HOSTILE.values(), ids=HOSTILE.keys())
def test_damaged_blocks_are_refused_before_they_take_memory(data: bytes) -> None:
    with pytest.raises(MalformedValue):
        list(packing.Unpacker(ZSTD, 1000).feed(data))


def test_without_zstd_nothing_is_offered(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("zstandard", "compression.zstd"):
        monkeypatch.setitem(sys.modules, name, None)
    assert packing.find_zstd() is None


# --- over HTTP -------------------------------------------------------------------------------------------------------


def path(data: bytes) -> str:
    return f"{BLOBS}/{hashlib.sha256(data).hexdigest()}"


async def put(agent: Served, data: bytes, body: bytes, **headers: str) -> tuple[int, Any]:
    told = {**PACKED, "X-Orchestrator-Size": str(len(data)), **headers}
    async with agent.session.put(path(data), data=io.BytesIO(body), headers=told) as response:
        return response.status, await response.json()


async def test_a_blob_is_sent_and_fetched_packed(agent: Served) -> None:
    assert (await put(agent, SMOOTH, packed(SMOOTH)))[0] == 201
    wanted = {"X-Orchestrator-Accept": "zstd-blocks"}
    async with agent.session.get(path(SMOOTH), headers=wanted) as response:
        assert response.headers["X-Orchestrator-Encoding"] == "zstd-blocks"
        body = await response.read()
    assert len(body) < 0.6 * len(SMOOTH)
    assert unpacked(body, int(response.headers["X-Orchestrator-Size"])) == SMOOTH
    async with agent.session.get(path(SMOOTH), headers=wanted | {"Range": "bytes=2000001-"}) as response:
        assert (response.status, response.headers["Content-Range"]) == (
            206,
            f"bytes 2000001-{len(SMOOTH) - 1}/{len(SMOOTH)}",
        )
        assert unpacked(await response.read(), len(SMOOTH) - 2_000_001) == SMOOTH[2_000_001:]


async def test_nobody_gets_packed_what_he_did_not_ask_for(agent: Served) -> None:
    await put(agent, SMOOTH, packed(SMOOTH))
    async with agent.session.get(path(SMOOTH), headers={"Accept-Encoding": "zstd, gzip, br"}) as response:
        assert "X-Orchestrator-Encoding" not in response.headers
        assert await response.read() == SMOOTH


@pytest.mark.parametrize("body", HOSTILE.values(), ids=HOSTILE.keys())
async def test_a_damaged_upload_is_refused_and_leaves_nothing(agent: Served, body: bytes) -> None:
    status, told = await put(agent, b"x" * 1000, body)
    assert (status, told["error"]["code"]) == (422, "malformed_value")
    assert agent.files() == []


async def test_a_packed_upload_that_ends_early_is_cut_off(agent: Served) -> None:
    status, told = await put(agent, SMOOTH, packed(SMOOTH)[:-100])
    assert (status, told["error"]["code"]) == (408, "upload_stalled")


async def test_what_a_peer_cannot_unpack_is_refused(agent: Served) -> None:
    status, told = await put(agent, b"x", b"x", **{"X-Orchestrator-Encoding": "gzip"})
    assert (status, told["error"]["code"]) == (400, "malformed_request")
