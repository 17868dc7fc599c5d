from __future__ import annotations

from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from comfy_orchestrator_nodes.nodes.owners import REMEMBERED, Owners


@pytest.fixture
def owners() -> Owners:
    ids = iter(range(10**6))
    return Owners(lambda request: request.headers.get("comfy-user"), lambda: f"made-{next(ids)}")


async def queue(owners: Owners, body: dict[str, Any], path: str = "/prompt", **headers: str) -> dict[str, Any]:
    """Post a prompt as a browser does, to a server whose handler of prompts is ours; return the prompt as handled."""

    async def post_prompt(request: web.Request) -> web.Response:
        return web.json_response(owners.note(await request.json()))

    app = web.Application(middlewares=[owners.middleware()])
    app.add_routes([web.post("/prompt", post_prompt), web.post("/api/prompt", post_prompt)])
    async with TestClient(TestServer(app)) as client, client.post(path, json=body, headers=headers) as response:
        handled: dict[str, Any] = await response.json()
        return handled


@pytest.mark.parametrize("path", ["/prompt", "/api/prompt"])
async def test_a_prompt_belongs_to_the_user_who_queued_it(owners: Owners, path: str) -> None:
    handled = await queue(owners, {"prompt": {}}, path, **{"comfy-user": "ann"})
    assert owners.of(handled["prompt_id"]) == "ann"


async def test_an_id_that_the_sender_chose_is_kept(owners: Owners) -> None:
    handled = await queue(owners, {"prompt": {}, "prompt_id": "mine"}, **{"comfy-user": "ann"})
    assert handled == {"prompt": {}, "prompt_id": "mine"}
    assert owners.of("mine") == "ann"


async def test_a_prompt_of_nobody_known_is_left_as_it_is(owners: Owners) -> None:
    assert await queue(owners, {"prompt": {}}) == {"prompt": {}}


async def test_only_so_many_prompts_are_remembered(owners: Owners) -> None:
    async def post(request: web.Request) -> web.Response:
        for number in range(REMEMBERED + 1):
            owners.note({"prompt_id": str(number)})
        return web.Response()

    app = web.Application(middlewares=[owners.middleware()])
    app.add_routes([web.post("/prompt", post)])
    async with TestClient(TestServer(app)) as client, client.post("/prompt", headers={"comfy-user": "ann"}) as response:
        assert response.status == 200
    assert (owners.of("0"), owners.of(str(REMEMBERED))) == (None, "ann")
