from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest

from tests.fakes.execution import until
from tests.fakes.fake_comfy import FakeComfy
from tests.unit.api.conftest import Api, definition

SECRET = "hunter2-very-secret"
CREDENTIALS = {
    "bearer_token": SECRET + "-token",
    "username": "alice",
    "password": SECRET + "-password",
    "headers": {"X-Key": SECRET + "-header"},
    "agent_token": SECRET + "-agent",
}


async def test_this_server_is_listed_first_and_cannot_be_removed(api: Api) -> None:
    async with FakeComfy() as fake:
        await api.add_backend(fake, "a peer")
        listed = await api.ask("GET", "/backends")
    assert [(b["name"], b["local"]) for b in listed["backends"]] == [("local", True), ("a peer", False)]
    refused = await api.ask("DELETE", "/backends/local", status=409)
    assert "cannot be removed" in refused["error"]["message"]


async def test_a_backend_is_shown_with_what_it_has(api: Api) -> None:
    async with FakeComfy() as fake:
        fake.models["loras"] = ["styles/Ink.safetensors", "oil.safetensors"]
        added = await api.add_backend(fake, tags=["fast"], notes="under the desk")
        assert added["tags"] == ["fast"]
        assert added["notes"] == "under the desk"
        assert added["status"] == "online"
        assert added["capabilities"]["comfyui_version"] == fake.version
        assert added["capabilities"]["models"]["loras"] == 2
        assert added["latency_s"] > 0

        classes = await api.ask("GET", f"/backends/{added['id']}/node-classes?search=IMAGE")
        assert classes["node_classes"] == ["EmptyImage", "ImageScale", "LoadImage", "PreviewImage", "SaveImage"]
        models = await api.ask("GET", f"/backends/{added['id']}/models?search=ink")
        assert models["models"] == {"loras": ["styles/Ink.safetensors"]}


async def test_secrets_never_come_back(api: Api, caplog: pytest.LogCaptureFixture) -> None:
    await api.ask("PUT", "/listeners/tab", {})
    async with FakeComfy() as fake:
        added = await api.add_backend(fake, credentials=CREDENTIALS)
        assert added["credentials"] == {
            "has_bearer_token": True,
            "username": "alice",
            "has_password": True,
            "header_names": ["X-Key"],
            "has_agent_token": True,
        }
        everything = [
            added,
            await api.ask("GET", "/backends"),
            await api.ask("GET", f"/backends/{added['id']}"),
            await api.ask("GET", "/health"),
            await api.ask("PATCH", f"/backends/{added['id']}", {"notes": "seen"}),
            await api.ask("POST", f"/backends/{added['id']}/probe"),
        ]
        await fake.stop()
        everything.append(await api.ask("POST", f"/backends/{added['id']}/probe"))
        everything.append(await api.ask("POST", f"/backends/{added['id']}/free", status=502))
        await api.outbox.wait_for(lambda: "offline" in json.dumps(api.outbox.of("orchestrator.backends")))
        assert SECRET not in json.dumps([everything, api.outbox.sent])
        assert SECRET not in caplog.text
        assert api.service.registry.get(added["id"]).backend.credentials.password == SECRET + "-password"


async def test_a_patch_changes_what_it_names_and_keeps_the_rest(api: Api) -> None:
    async with FakeComfy() as fake:
        added = await api.add_backend(fake, tags=["fast"], credentials=CREDENTIALS)
        patched = await api.ask("PATCH", f"/backends/{added['id']}", {"enabled": False, "name": "desk"})
        assert (patched["enabled"], patched["name"], patched["tags"]) == (False, "desk", ["fast"])
        assert patched["credentials"] == added["credentials"]
        cleared = await api.ask("PATCH", f"/backends/{added['id']}", {"credentials": {}, "tags": []})
        assert (cleared["tags"], cleared["credentials"]["has_password"]) == ([], False)


async def test_stored_secrets_are_not_sent_to_another_address(api: Api) -> None:
    async with FakeComfy() as fake, FakeComfy() as thief:
        added = await api.add_backend(fake, credentials=CREDENTIALS)
        path = f"/backends/{added['id']}"
        refused = await api.ask("PATCH", path, {"base_url": thief.url}, status=422)
        assert "give the credentials again" in refused["error"]["message"]
        assert thief.requests == []
        moved = await api.ask("PATCH", path, {"base_url": thief.url, "credentials": {}})
        assert moved["base_url"] == thief.url


async def test_a_name_or_address_is_registered_once(api: Api) -> None:
    async with FakeComfy() as fake, FakeComfy() as other:
        await api.add_backend(fake, "Peer")
        for body in ({"name": "peer", "base_url": other.url}, {"name": "other", "base_url": fake.url + "/"}):
            refused = await api.ask("POST", "/backends", body, status=409)
            assert refused["error"]["code"] == "conflict"


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({"base_url": "ftp://x"}, "http or https"),
        ({"base_url": "http://u:p@127.0.0.1"}, "credentials"),
        ({"base_url": "https://127.0.0.1:9", "tls": {"ca_file": "/nowhere/ca.pem"}}, "cannot be used"),
        ({"base_url": "http://127.0.0.1:9", "credentials": {"headers": {"Host": "x"}}}, "Host"),
        ({"base_url": "http://127.0.0.1:9", "credentials": {"bearer_token": "a\nb"}}, "token"),
        ({"base_url": "http://127.0.0.1:9", "name": "  "}, "visible"),
    ],
)
async def test_a_backend_that_could_never_be_used_is_not_stored(api: Api, body: dict[str, object], said: str) -> None:
    refused = await api.ask("POST", "/backends", {"name": "x", **body}, status=422)
    assert said in refused["error"]["message"]
    assert len((await api.ask("GET", "/backends"))["backends"]) == 1


async def test_trying_a_backend_tells_what_is_wrong_and_stores_nothing(api: Api) -> None:
    async with FakeComfy() as fake:
        good = await api.ask("POST", "/backends/test", {"name": "x", "base_url": fake.url})
        assert good["usable"] is True
        assert good["capabilities"]["comfyui_version"] == fake.version
        await fake.stop()
        bad = await api.ask("POST", "/backends/test", {"name": "x", "base_url": fake.url})
    assert bad["usable"] is False
    assert bad["problem"]["code"] == "backend_unreachable"
    assert "Is ComfyUI running there" in bad["problem"]["message"]
    assert len((await api.ask("GET", "/backends"))["backends"]) == 1


async def test_a_probe_tells_at_once_that_a_backend_is_gone(api: Api) -> None:
    async with FakeComfy() as fake:
        added = await api.add_backend(fake)
        assert (await api.ask("POST", f"/backends/{added['id']}/probe"))["answered"] is True
        await fake.stop()
        gone = await api.ask("POST", f"/backends/{added['id']}/probe")
    assert (gone["answered"], gone["backend"]["status"]) == (False, "offline")
    assert gone["problem"]["code"] == "backend_unreachable"


async def test_a_drained_backend_is_shown_so_until_it_is_resumed(api: Api) -> None:
    async with FakeComfy() as fake:
        peer = await api.add_backend(fake)
        assert not peer["draining"]
        drained = await api.ask("POST", f"/backends/{peer['id']}/drain")
        assert drained["draining"]
        assert drained["status"] == "online"
        assert (await api.ask("GET", "/health"))["backends"][1]["draining"]
        assert not (await api.ask("POST", f"/backends/{peer['id']}/resume"))["draining"]
        await api.ask("POST", "/backends/nobody/drain", status=404)


async def test_free_reaches_the_backend(api: Api) -> None:
    async with FakeComfy() as fake:
        added = await api.add_backend(fake)
        await api.ask("POST", f"/backends/{added['id']}/free")
        assert fake.freed == [{"unload_models": True, "free_memory": True}]


async def test_interrupting_a_backend_cancels_our_jobs_there_and_nothing_else(api: Api) -> None:
    async with FakeComfy() as fake, FakeComfy() as other:
        added = await api.add_backend(fake)
        await api.add_backend(other, "other")
        stored = await api.ask("POST", "/definitions", definition(), status=201)
        gate = asyncio.Event()
        fake.behave(until(gate))
        other.behave(until(gate))
        body = {"definition": stored["id"], "cache": False}
        here = await api.ask("POST", "/jobs", {**body, "backend": "peer"}, status=201)
        there = await api.ask("POST", "/jobs", {**body, "backend": "other"}, status=201)
        for job in (here, there):
            await api.until(f"/jobs/{job['id']}", lambda found: found["status"] == "running")

        cancelled = await api.ask("POST", f"/backends/{added['id']}/interrupt")

        assert cancelled["job_ids"] == [here["id"]]
        ended = await api.ask("GET", f"/jobs/{here['id']}?wait_s=20")
        assert ended["status"] == "cancelled"
        gate.set()
        assert (await api.ask("GET", f"/jobs/{there['id']}?wait_s=20"))["status"] == "succeeded"


async def test_an_unknown_backend_is_answered_with_those_there_are(api: Api) -> None:
    missing = await api.ask("GET", "/backends/nonsense", status=404)
    assert missing["error"]["details"] == {"kind": "backend", "id": "nonsense", "near": ["local"]}


async def test_registrations_survive_in_the_database_only(api: Api, tmp_path: Path) -> None:
    async with FakeComfy() as fake:
        await api.add_backend(fake, credentials=CREDENTIALS)
    holders = [p.name for p in (tmp_path / "store").rglob("*") if p.is_file() and SECRET.encode() in p.read_bytes()]
    assert all(name.startswith("orchestrator.sqlite3") for name in holders)
    assert holders
