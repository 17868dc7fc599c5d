"""The routes as a real ComfyUI carries them: under its middlewares, its limits and its socket."""

from __future__ import annotations

import asyncio
import hashlib
import io
import json
import os
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest

from comfy_orchestrator_nodes.api.guard import HEADER, HEADER_VALUE
from tools.devtools.instances import Farm, Instance, Spec
from tools.devtools.pack import Install

pytestmark = pytest.mark.comfy

OURS = {HEADER: HEADER_VALUE}
LARGE = 3 << 20
"""More than the instance lets through elsewhere."""


@pytest.fixture
async def open_master(comfy_farm: Farm) -> Instance:
    """A master that lets other origins in and takes uploads of 1 MB only."""
    spec = Spec("open-master", Install.LINK, ("--enable-cors-header", "*", "--max-upload-size", "1"))
    return (await asyncio.to_thread(comfy_farm.start, spec))[0]


@pytest.fixture
async def session(open_master: Instance) -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(open_master.url) as session:
        await asyncio.wait_for(_until_ready(session), 60)
        yield session


async def _until_ready(session: aiohttp.ClientSession) -> None:
    while True:
        async with session.get("/orchestrator/status") as response:
            if (await response.json())["ready"]:
                return
        await asyncio.sleep(0.1)


@pytest.mark.parametrize("prefix", ["", "/api"])
async def test_another_origin_is_not_granted_what_a_change_needs(session: aiohttp.ClientSession, prefix: str) -> None:
    preflight = {
        "Origin": "https://evil.example",
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": f"content-type,{HEADER.lower()}",
    }
    async with session.options(f"{prefix}/orchestrator/backends", headers=preflight) as response:
        granted = response.headers.get("Access-Control-Allow-Headers", "").lower()
    assert HEADER.lower() not in granted
    assert "*" not in granted


async def test_a_file_over_comfyuis_own_upload_limit_is_stored_and_comes_back(session: aiohttp.ClientSession) -> None:
    content = os.urandom(LARGE)
    headers = OURS | {"Content-Type": "image/png"}

    async def parts() -> AsyncIterator[bytes]:
        for start in range(0, LARGE, 1 << 16):
            yield content[start : start + (1 << 16)]

    async with session.put("/orchestrator/values", data=parts(), headers=headers) as response:
        stored = await response.json()
        assert response.status == 201, stored
    assert stored["sha256"] == hashlib.sha256(content).hexdigest()
    async with session.get("/api" + stored["url"]) as response:
        assert await response.read() == content
        assert response.content_type == "image/png"
        assert response.headers["X-Content-Type-Options"] == "nosniff"


async def test_a_definition_over_comfyuis_own_upload_limit_is_stored(session: aiohttp.ClientSession) -> None:
    body = {
        "name": "Large document",
        "prompt": {
            "1": {"class_type": "EmptyImage", "inputs": {"width": 8, "height": 8, "batch_size": 1, "color": 0}},
            "2": {"class_type": "PreviewImage", "inputs": {"images": ["1", 0]}},
        },
        "workflow": {"nodes": [], "padding": "x" * LARGE},
    }
    large = io.BytesIO(json.dumps(body).encode())
    headers = OURS | {"Content-Type": "application/json"}
    async with session.post("/orchestrator/definitions", data=large, headers=headers) as response:
        stored = await response.json()
        assert response.status == 201, stored
    assert [(o["name"], o["type"]) for o in stored["outputs"]] == [("image", "IMAGE")]
    async with session.delete(f"/orchestrator/definitions/{stored['id']}", headers=OURS) as response:
        assert response.status == 200


async def test_addresses_that_do_not_exist_are_ours_to_refuse(session: aiohttp.ClientSession) -> None:
    async with session.get("/orchestrator/nonsense") as response:
        assert (response.status, (await response.json())["error"]["code"]) == (404, "not_found")
    async with session.post("/api/orchestrator/status", json={}, headers=OURS) as response:
        assert (response.status, response.headers["Allow"]) == (405, "GET, HEAD")


async def test_a_tab_hears_of_a_job_over_comfyuis_socket(session: aiohttp.ClientSession) -> None:
    body = {
        "name": "Heard",
        "prompt": {
            "1": {"class_type": "EmptyImage", "inputs": {"width": 64, "height": 64, "batch_size": 1, "color": 7}},
            "2": {"class_type": "PreviewImage", "inputs": {"images": ["1", 0]}},
        },
    }
    async with session.post("/orchestrator/definitions", json=body, headers=OURS) as response:
        stored = await response.json()
    async with session.ws_connect("/ws?clientId=tab") as socket:
        async with session.put("/orchestrator/listeners/tab", json={}, headers=OURS) as response:
            assert response.status == 200
        job = {"definition": stored["id"], "cache": False, "client_id": "tab"}
        async with session.post("/orchestrator/jobs", json=job, headers=OURS) as response:
            submitted = await response.json()
            assert response.status == 201, submitted
        heard = await asyncio.wait_for(_changes_until_over(socket, submitted["id"]), 60)
    assert heard[0] == "created"
    assert heard[-1] == "succeeded"
    async with session.get(f"/orchestrator/jobs/{submitted['id']}?wait_s=30") as response:
        ended = await response.json()
    assert ended["status"] == "succeeded", ended
    (file,) = ended["outputs"]["image"]["files"]
    async with session.get(file["url"]) as response:
        assert (await response.read()).startswith(b"\x89PNG")


async def _changes_until_over(socket: aiohttp.ClientWebSocketResponse[Any], job_id: str) -> list[str]:
    """Return the kinds of changes of a job as a tab hears them, until it has ended."""
    heard: list[str] = []
    while True:
        frame = await socket.receive()
        if frame.type is not aiohttp.WSMsgType.TEXT:
            continue
        message: Any = json.loads(frame.data)
        if message["type"] != "orchestrator.jobs":
            continue
        for change in message["data"]["changes"]:
            if change["job"]["id"] != job_id:
                continue
            heard.append(change["kind"])
            if change["job"]["status"] in ("succeeded", "failed", "cancelled"):
                return heard
