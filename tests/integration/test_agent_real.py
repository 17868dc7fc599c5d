"""The agent in a real ComfyUI: values enter, pass through links, and leave without a difference."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import io
import math
import uuid
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import numpy as np
import pytest

from comfy_orchestrator_nodes.agent import wire
from comfy_orchestrator_nodes.agent.dtypes import BY_NAME
from tools.devtools.instances import Farm, Instance

pytestmark = pytest.mark.comfy

AGENT = "/orchestrator/agent"
OURS = {"X-Orchestrator": "1"}
Prompt = dict[str, Any]


@pytest.fixture
async def peer(comfy_farm: Farm) -> Instance:
    return (await asyncio.to_thread(comfy_farm.with_pack, "agent-peer"))[0]


@pytest.fixture
async def session(peer: Instance) -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(peer.url, headers=OURS) as session:
        yield session


async def send(session: aiohttp.ClientSession, data: bytes) -> str:
    sha256 = hashlib.sha256(data).hexdigest()
    async with session.put(f"{AGENT}/blobs/{sha256}", data=io.BytesIO(data)) as response:
        assert response.status in (200, 201), await response.text()
    return sha256


async def fetch(session: aiohttp.ClientSession, sha256: str) -> bytes:
    async with session.get(f"{AGENT}/blobs/{sha256}") as response:
        assert response.status == 200, await response.text()
        return await response.read()


async def run(session: aiohttp.ClientSession, prompt: Prompt) -> dict[str, Any]:
    """Run a prompt and return its history."""
    body = {"prompt": prompt, "client_id": uuid.uuid4().hex, "prompt_id": str(uuid.uuid4())}
    async with session.post("/prompt", json=body) as response:
        answer = await response.json()
        assert response.status == 200, answer
    return await asyncio.wait_for(_ended(session, answer["prompt_id"]), 60)


async def _ended(session: aiohttp.ClientSession, prompt_id: str) -> dict[str, Any]:
    while True:
        async with session.get(f"/history/{prompt_id}") as response:
            history: dict[str, dict[str, Any]] = await response.json()
        if history:
            return history[prompt_id]
        await asyncio.sleep(0.02)


def value_in(sha256: str, type_: str, **more: Any) -> Prompt:
    return {"class_type": "OrchestratorValueIn", "inputs": {"sha256": sha256, "type": type_, **more}}


def value_out(source: str, type_: str, attempt_id: str = "", slot: int = 0) -> Prompt:
    inputs = {"value": [source, slot], "type": type_, "attempt_id": attempt_id or uuid.uuid4().hex}
    return {"class_type": "OrchestratorValueOut", "inputs": inputs}


async def handles(session: aiohttp.ClientSession, prompt: Prompt, node_id: str = "out") -> list[dict[str, Any]]:
    history = await run(session, prompt)
    assert history["status"]["status_str"] == "success", history["status"]
    found: list[dict[str, Any]] = history["outputs"][node_id]["orchestrator_value"]
    return found


def floats(*shape: int) -> Any:
    return np.random.default_rng(1).random(shape, dtype=np.float32)


SAMPLES: dict[str, tuple[str, Any]] = {
    "image": ("IMAGE", floats(2, 64, 48, 3)),
    "image of 8 bits": ("IMAGE", np.arange(64 * 48 * 3, dtype=np.uint8).reshape(1, 64, 48, 3) / np.float32(255)),
    "mask": ("MASK", floats(2, 64, 48)),
    "latent": ("LATENT", {"samples": floats(1, 4, 8, 8), "noise_mask": floats(1, 1, 64, 64), "batch_index": [3]}),
    "audio": ("AUDIO", {"waveform": floats(1, 2, 1000), "sample_rate": 44100}),
    "conditioning": (
        "CONDITIONING",
        [[floats(1, 77, 16), {"pooled_output": floats(1, 16), "area": (64, 64, 0, 0), "strength": 1.0, "mask": None}]],
    ),
    "sigmas": ("SIGMAS", floats(21)),
    "half precision": ("LATENT", {"samples": wire.RawTensor(BY_NAME["BF16"], np.arange(24, dtype="<u2"))}),
    "8-bit floats": ("LATENT", {"samples": wire.RawTensor(BY_NAME["F8_E4M3"], np.arange(256, dtype=np.uint8))}),
    "complex": ("LATENT", {"samples": floats(4).astype(np.complex64)}),
    "empty": ("IMAGE", floats(0, 8, 8, 3)),
    "one number": ("SIGMAS", np.float32(0.5).reshape(())),
    "text": ("STRING", "ü\n" * 20_000),
    "int": ("INT", -(2**70)),
    "float": ("FLOAT", math.inf),
    "json": ("JSON", {"a": [1, 2.5, None, True, {"b": "c"}], "$": "dollar"}),
    "list of images": ("IMAGE", [floats(1, 8, 8, 3), floats(1, 16, 8, 3)]),
}


@pytest.mark.parametrize("name", SAMPLES)
async def test_a_value_passes_through_a_link_without_a_difference(session: aiohttp.ClientSession, name: str) -> None:
    type_, value = SAMPLES[name]
    data = b"".join(wire.encode(value, type_, arrays_are_tensors=True).parts())
    sha256 = await send(session, data)
    (handle,) = await handles(session, {"in": value_in(sha256, type_), "out": value_out("in", type_)})
    assert (handle["sha256"], handle["size_bytes"]) == (sha256, len(data))
    assert (handle["type"], handle["form"], handle["lossless"]) == (type_, "value", True)
    assert await fetch(session, sha256) == data


async def test_what_comfyui_makes_is_what_comes_out(session: aiohttp.ClientSession) -> None:
    prompt = {
        "image": {
            "class_type": "EmptyImage",
            "inputs": {"width": 32, "height": 16, "batch_size": 2, "color": 0xFF8000},
        },
        "out": value_out("image", "IMAGE"),
    }
    (handle,) = await handles(session, prompt)
    image = wire.decode(io.BytesIO(await fetch(session, handle["sha256"])))
    assert (image.shape, image.dtype) == ((2, 16, 32, 3), np.float32)
    assert image[1, 3, 4].tolist() == [1.0, float(np.float32(128) / np.float32(255)), 0.0]
    assert handle["summary"] == "2 x 16 x 32 x 3 float32"


async def test_a_list_comes_out_item_by_item(session: aiohttp.ClientSession) -> None:
    data = b"".join(wire.encode(floats(3, 8, 8, 3), "IMAGE", arrays_are_tensors=True).parts())
    prompt = {
        "in": value_in(await send(session, data), "IMAGE"),
        "list": {"class_type": "RebatchImages", "inputs": {"images": ["in", 0], "batch_size": 1}},
        "out": value_out("list", "IMAGE"),
    }
    found = await handles(session, prompt)
    images = [wire.decode(io.BytesIO(await fetch(session, handle["sha256"]))) for handle in found]
    assert np.concatenate(images).tobytes() == floats(3, 8, 8, 3).tobytes()


async def test_another_attempt_stores_again_what_the_peer_has_cached(session: aiohttp.ClientSession) -> None:
    def prompt() -> Prompt:
        inputs = {"width": 40, "height": 16, "batch_size": 1, "color": 1}
        return {"image": {"class_type": "EmptyImage", "inputs": inputs}, "out": value_out("image", "IMAGE", "attempt")}

    (first,) = await handles(session, prompt())
    async with session.post(f"{AGENT}/blobs/release", json={"owner": "attempt"}) as response:
        assert response.status == 204
    async with session.delete(f"{AGENT}/blobs/{first['sha256']}") as response:
        assert response.status == 204
    again = prompt()
    again["out"]["inputs"]["attempt_id"] = "next attempt"
    history = await run(session, again)
    assert "image" in dict(history["status"]["messages"])["execution_cached"]["nodes"]
    (second,) = history["outputs"]["out"]["orchestrator_value"]
    assert second["sha256"] == first["sha256"]
    assert len(await fetch(session, second["sha256"])) == second["size_bytes"]


async def test_a_number_is_told_in_its_handle(session: aiohttp.ClientSession) -> None:
    prompt = {
        "number": {"class_type": "PrimitiveInt", "inputs": {"value": 42}},
        "out": value_out("number", "INT"),
    }
    (handle,) = await handles(session, prompt)
    assert wire.decode(io.BytesIO(base64.b64decode(handle["inline"]))) == 42


async def test_a_value_that_is_not_here_is_refused_before_anything_runs(session: aiohttp.ClientSession) -> None:
    body = {"prompt": {"in": value_in("0" * 64, "IMAGE"), "out": value_out("in", "IMAGE")}}
    async with session.post("/prompt", json=body) as response:
        told = await response.json()
        assert response.status == 400
    assert "blob_missing" in str(told["node_errors"]["in"])


async def test_what_cannot_travel_fails_with_its_name(session: aiohttp.ClientSession) -> None:
    prompt = {
        "sampler": {"class_type": "KSamplerSelect", "inputs": {"sampler_name": "euler"}},
        "out": value_out("sampler", "SAMPLER"),
    }
    history = await run(session, prompt)
    (failure,) = [told for name, told in history["status"]["messages"] if name == "execution_error"]
    assert failure["exception_type"].endswith("UnsupportedValue")
    assert "comfy.samplers.KSAMPLER, which cannot travel" in failure["exception_message"]


async def test_a_video_keeps_its_file(session: aiohttp.ClientSession) -> None:
    frames = np.zeros((4, 32, 32, 3), np.float32)
    data = b"".join(wire.encode(frames, "IMAGE", arrays_are_tensors=True).parts())
    made = {
        "in": value_in(await send(session, data), "IMAGE"),
        "video": {"class_type": "CreateVideo", "inputs": {"images": ["in", 0], "fps": 8.0}},
        "out": value_out("video", "VIDEO"),
    }
    (encoded,) = await handles(session, made)
    assert (encoded["form"], encoded["lossless"]) == ("value", False)
    back = {"in": value_in(encoded["sha256"], "VIDEO"), "out": value_out("in", "VIDEO")}
    (kept,) = await handles(session, back)
    assert (kept["sha256"], kept["lossless"]) == (encoded["sha256"], True)


async def test_the_agent_introduces_itself_to_everybody(session: aiohttp.ClientSession) -> None:
    for prefix in ("", "/api"):
        async with session.get(prefix + AGENT, headers={"Host": "peer.example"}) as response:
            told = await response.json()
        assert told["protocol"] == {"major": 1, "minor": 0}
        assert told["access"]["granted"] is False
        assert {"blobs", "values", "stalls"} <= set(told["capabilities"])
        assert (told["values"]["in"], told["values"]["out"]) == ("OrchestratorValueIn", "OrchestratorValueOut")
    async with session.get(AGENT) as response:
        assert (await response.json())["access"]["granted"] is True


async def test_the_token_lets_in_from_anywhere_and_is_nowhere_to_be_read(
    session: aiohttp.ClientSession, peer: Instance
) -> None:
    elsewhere = {"X-Forwarded-For": "192.0.2.1"}
    async with session.post(f"{AGENT}/token") as response:
        token = (await response.json())["token"]
    (file,) = peer.directory.rglob("__comfy_orchestrator_agent/token")
    assert file.read_text().strip() == token
    assert file.stat().st_mode & 0o077 == 0
    async with session.get(f"{AGENT}/blobs", headers=elsewhere) as response:
        assert (response.status, (await response.json())["error"]["code"]) == (401, "token_wanted")
    async with session.get(f"{AGENT}/blobs", headers=elsewhere | {"X-Orchestrator-Token": token}) as response:
        assert response.status == 200
    async with session.post(f"{AGENT}/token", headers=elsewhere | {"X-Orchestrator-Token": token}) as response:
        assert response.status == 401
    async with session.get("/internal/logs") as response:
        assert token not in await response.text()
    assert token not in peer.log_path.read_text()
    async with session.get("/userdata?dir=../__comfy_orchestrator_agent") as response:
        assert response.status in (400, 403, 404)


async def test_other_addresses_below_the_agents_are_refused_in_our_form(session: aiohttp.ClientSession) -> None:
    async with session.get(f"{AGENT}/nonsense") as response:
        assert (response.status, (await response.json())["error"]["code"]) == (404, "not_found")
    async with session.get(f"{AGENT}/blobs/nonsense") as response:
        assert (response.status, (await response.json())["error"]["code"]) == (400, "malformed_request")
