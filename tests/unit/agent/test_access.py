"""Who gets in: whoever has the token, and this machine's owner; no page in a browser, no proxy, nobody who guesses."""

from __future__ import annotations

import os
import stat
from io import StringIO
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from comfy_orchestrator_nodes.agent.errors import SetupFailed
from comfy_orchestrator_nodes.agent.token import Token, announce

from .conftest import Clock, Serve, Served

AGENT = "/orchestrator/agent"
TOKEN = "X-Orchestrator-Token"
FROM_ELSEWHERE = [
    {"X-Forwarded-For": "127.0.0.1"},
    {"Forwarded": "for=127.0.0.1"},
    {"X-Real-IP": "127.0.0.1"},
    {"Via": "1.1 proxy"},
    {"Host": "peer.example:8188"},
    {"Host": "127.0.0.1.evil.example"},
    {"Host": "192.168.1.5:8188"},
    {"Host": "[::1"},
]
FROM_A_PAGE = [
    {"Origin": "https://evil.example"},
    {"Origin": "null"},
    {"Sec-Fetch-Site": "cross-site"},
    {"Sec-Fetch-Site": "same-site"},
]


async def asked(agent: Served, headers: dict[str, str], method: str = "GET", path: str = "/blobs") -> tuple[int, Any]:
    async with (
        aiohttp.ClientSession(agent.url) as session,
        session.request(method, AGENT + path, headers=headers) as response,
    ):
        body = await response.json() if response.content_type == "application/json" else {}
        return response.status, body.get("error", {}).get("code")


def token_of(agent: Served) -> str:
    token = agent.token.read()
    assert token is not None
    return token


async def test_this_machine_needs_no_token(agent: Served) -> None:
    port = agent.url.rpartition(":")[2]
    for host in (f"127.0.0.1:{port}", "localhost", "[::1]:8188", "comfy.localhost"):
        assert await asked(agent, {"Host": host}) == (200, None)
    assert await asked(agent, {"Origin": agent.url, "Sec-Fetch-Site": "same-origin"}) == (200, None)


@pytest.mark.parametrize("headers", FROM_ELSEWHERE, ids=str)
async def test_a_request_that_may_come_from_elsewhere_needs_the_token(agent: Served, headers: dict[str, str]) -> None:
    assert await asked(agent, headers) == (401, "token_wanted")
    assert await asked(agent, {**headers, TOKEN: token_of(agent)}) == (200, None)


@pytest.mark.parametrize("headers", FROM_A_PAGE, ids=str)
async def test_a_page_of_another_origin_is_refused(agent: Served, headers: dict[str, str]) -> None:
    assert await asked(agent, headers) == (403, "foreign_page")


async def test_a_change_without_the_header_that_no_page_can_send_is_refused(agent: Served) -> None:
    assert await asked(agent, {}, "POST", "/blobs/release") == (403, "foreign_page")


async def test_a_proxy_of_the_old_kind_is_not_this_machine(agent: Served) -> None:
    async with (
        aiohttp.ClientSession(agent.url, version=aiohttp.HttpVersion10) as session,
        session.get(AGENT + "/blobs") as response,
    ):
        assert response.status == 401


async def test_this_machine_can_be_asked_for_the_token_too(serve: Serve) -> None:
    agent = await serve(trust_loopback=False)
    assert await asked(agent, {}) == (401, "token_wanted")
    assert await asked(agent, {TOKEN: token_of(agent)}) == (200, None)


@pytest.mark.parametrize("given", ["", "x", "ü", "a" * 5000])
async def test_a_wrong_token_is_refused_even_from_this_machine(agent: Served, given: str) -> None:
    assert await asked(agent, {TOKEN: given}) == (401, "token_wrong")
    assert (await asked(agent, {TOKEN: token_of(agent)[:-1]}))[1] == "token_wrong"


async def test_wrong_tokens_are_answered_less_and_less_but_the_right_one_always(agent: Served, clock: Clock) -> None:
    for _ in range(10):
        assert await asked(agent, {TOKEN: "wrong"}) == (401, "token_wrong")
    async with (
        aiohttp.ClientSession(agent.url) as session,
        session.get(AGENT + "/blobs", headers={TOKEN: "wrong"}) as response,
    ):
        assert (response.status, response.headers["Retry-After"]) == (429, "60")
    assert await asked(agent, {TOKEN: token_of(agent)}) == (200, None)
    clock.now += 61
    assert await asked(agent, {TOKEN: "wrong"}) == (401, "token_wrong")


async def test_a_token_whose_file_was_deleted_lets_nobody_in(agent: Served) -> None:
    token = token_of(agent)
    agent.token.path.unlink()
    assert await asked(agent, {TOKEN: token}) == (401, "token_wrong")
    assert await asked(agent, {TOKEN: "-"}) == (401, "token_wrong")


async def test_the_owner_sees_changes_and_ends_the_token(agent: Served) -> None:
    old = token_of(agent)
    async with agent.session.post(f"{AGENT}/token") as response:
        assert await response.json() == {"token": old}
        assert response.headers["Cache-Control"] == "no-store"
    async with agent.session.post(f"{AGENT}/token/rotate") as response:
        new = (await response.json())["token"]
    assert await asked(agent, {TOKEN: old}) == (401, "token_wrong")
    assert await asked(agent, {TOKEN: new}) == (200, None)
    async with agent.session.delete(f"{AGENT}/token") as response:
        assert await response.json() == {"token": None}
    assert await asked(agent, {TOKEN: new}) == (401, "token_wrong")


@pytest.mark.parametrize("headers", [*FROM_ELSEWHERE, *FROM_A_PAGE], ids=str)
async def test_nobody_else_sees_the_token_not_even_with_it(agent: Served, headers: dict[str, str]) -> None:
    told = {**headers, TOKEN: token_of(agent), "X-Orchestrator": "1"}
    assert (await asked(agent, told, "POST", "/token"))[0] in (401, 403)
    assert (await asked(agent, {}, "POST", "/token"))[0] == 403


async def test_the_introduction_tells_whether_the_caller_gets_in_and_why_not(agent: Served) -> None:
    async def access(**headers: str) -> Any:
        told = {name.replace("_", "-"): text for name, text in headers.items()}
        async with agent.session.get(AGENT, headers=told) as response:
            assert response.status == 200
            return (await response.json())["access"]

    assert await access() == {"header": TOKEN, "granted": True, "problem": None}
    assert (await access(Via="proxy"))["problem"] == "token_wanted"
    for _ in range(12):
        problem = (await access(**{TOKEN: "wrong"}))["problem"]
    assert problem == "too_many_failures"


# --- the token's file ------------------------------------------------------------------------------------------------


@pytest.mark.skipif(os.name == "nt", reason="Windows has no modes")
def test_the_token_is_for_its_owners_eyes_only(tmp_path: Path) -> None:
    token = Token(tmp_path / "user" / "agent")
    token.ensure()
    assert stat.S_IMODE(token.path.stat().st_mode) == 0o600
    assert stat.S_IMODE(token.path.parent.stat().st_mode) == 0o700
    token.rotate()
    assert stat.S_IMODE(token.path.stat().st_mode) == 0o600
    assert [path.name for path in token.path.parent.iterdir()] == ["token"]


def test_a_token_is_made_once_and_differs_everywhere(tmp_path: Path) -> None:
    first, second = Token(tmp_path / "a"), Token(tmp_path / "b")
    fresh = first.ensure()
    assert fresh is not None
    assert len(fresh) >= 43
    assert (first.ensure(), first.read()) == (None, fresh)
    assert second.ensure() != fresh


def test_a_folder_that_cannot_be_written_to_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(SetupFailed, match="answers only to its own machine"):
        Token(tmp_path / "file" / "agent").ensure()


class Terminal(StringIO):
    def isatty(self) -> bool:
        return True


def test_a_new_token_is_shown_on_a_terminal_and_never_in_a_log(tmp_path: Path) -> None:
    token = Token(tmp_path)
    fresh = token.ensure()
    assert fresh is not None
    terminal, pipe = Terminal(), StringIO()
    assert fresh not in announce(token, fresh, terminal)
    assert fresh in terminal.getvalue()
    logged = announce(token, fresh, pipe)
    assert fresh not in logged + pipe.getvalue()
    assert str(token.path) in logged
    assert fresh not in announce(token, fresh, None)
