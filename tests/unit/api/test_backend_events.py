from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

from comfy_orchestrator_nodes.domain import Agent, Capabilities
from tests.fakes.fake_comfy import FakeComfy
from tests.unit.api.conftest import Api, Json


async def _events(api: Api, backend_id: str, query: str = "") -> list[Json]:
    answer = await api.ask("GET", f"/backends/{backend_id}/events{query}")
    return list(answer["events"])


async def _kinds(api: Api, backend_id: str) -> list[str]:
    """What happened, the oldest first."""
    return [event["kind"] for event in reversed(await _events(api, backend_id))]


async def test_a_backend_tells_when_it_came_and_why_it_went(api: Api) -> None:
    async with FakeComfy() as fake:
        peer = await api.add_backend(fake)
        assert await _kinds(api, peer["id"]) == ["online"]
    gone = await api.until(f"/backends/{peer['id']}", lambda backend: backend["status"] == "offline")
    newest, *_ = await _events(api, peer["id"])
    assert (newest["kind"], newest["at"], newest["until"]) == ("offline", gone["since"], None)
    assert newest["reason"] == gone["last_error"] != ""


async def test_what_somebody_did_to_a_backend_is_told_once_each(api: Api) -> None:
    async with FakeComfy() as fake:
        peer = await api.add_backend(fake)
        path = f"/backends/{peer['id']}"
        for action in ("drain", "drain", "resume"):
            await api.ask("POST", f"{path}/{action}")
        await api.ask("PATCH", path, {"notes": "under the roof"})
        await api.ask("PATCH", path, {"enabled": False})
        await api.ask("PATCH", path, {"enabled": True})
        await api.until(path, lambda backend: backend["status"] == "online")
        # It was online before all that, which is not told again.
        assert await _kinds(api, peer["id"]) == ["online", "draining", "resumed", "disabled", "enabled"]
        assert [event["kind"] for event in await _events(api, peer["id"], "?limit=2")] == ["enabled", "disabled"]


async def test_an_agent_that_comes_goes_and_restarts_is_told(api: Api) -> None:
    async with FakeComfy() as fake:
        peer = await api.add_backend(fake)
    plain = api.service.registry.get(peer["id"]).capabilities
    assert plain is not None
    agent = Agent("1.2.0", "1.0", "life-1", trusted=True)
    lives: list[Capabilities] = [
        plain,
        replace(plain, agent=agent),
        replace(plain, agent=replace(agent, instance_id="life-2")),
        replace(plain, agent=replace(agent, instance_id="life-2", trusted=False, problem="It wants a token.")),
        replace(plain, comfyui_version="9.9.9"),
    ]
    for before, after in pairwise(lives):
        api.service.story.introduced(peer["id"], before, after)
    told = [(event["kind"], event["reason"]) for event in reversed(await _events(api, peer["id"]))]
    assert [event for event in told if event[0] not in ("online", "offline")] == [
        ("agent_found", "1.2.0"),
        ("restarted", ""),
        ("agent_refused", "It wants a token."),
        ("restarted", f"ComfyUI {plain.comfyui_version} became 9.9.9"),
        ("agent_gone", ""),
    ]


async def test_a_removed_or_unknown_backend_has_no_events(api: Api) -> None:
    async with FakeComfy() as fake:
        peer = await api.add_backend(fake)
        await api.ask("DELETE", f"/backends/{peer['id']}")
        await api.ask("GET", f"/backends/{peer['id']}/events", status=404)
        await api.ask("GET", "/backends/local/events?limit=0", status=400)
