"""Registering backends, and the tokens of their agents, from the command line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from comfy_orchestrator_nodes.cli.arguments import TOKEN_VARIABLE
from comfy_orchestrator_nodes.cli.backends import read_token
from comfy_orchestrator_nodes.cli.failures import CommandFailed, Exit
from tests.fakes.fake_comfy import FakeComfy
from tests.unit.cli.conftest import Api, Cli

TOKEN = "orc-1234567890abcdef"


def token_file(folder: Path, text: str = TOKEN + "\n") -> str:
    path = folder / "token"
    path.write_text(text, "utf-8")
    return str(path)


async def test_a_backend_is_registered_with_its_token_which_is_shown_nowhere(
    api: Api, cli: Cli, tmp_path: Path
) -> None:
    async with FakeComfy() as fake:
        said = await cli.ok("add-backend", "attic", fake.url, "--tag", "big", "--agent-token", token_file(tmp_path))
        assert said.out.startswith(f"attic: {fake.url} with a token for its agent")
        shown = await cli.ok("backends", "--json")
    (attic,) = [b for b in json.loads(shown.out)["backends"] if b["name"] == "attic"]
    assert (attic["tags"], attic["credentials"]["has_agent_token"]) == (["big"], True)
    assert TOKEN not in said.out + said.err + shown.out + shown.err


async def test_a_backend_gets_its_token_later(api: Api, cli: Cli, tmp_path: Path) -> None:
    async with FakeComfy() as fake:
        assert "token" not in (await cli.ok("add-backend", "attic", fake.url)).out
        said = await cli.ok("edit-backend", "attic", "--agent-token", token_file(tmp_path))
    assert "with a token for its agent" in said.out


async def test_a_backend_that_is_not_there_is_told(api: Api, cli: Cli, tmp_path: Path) -> None:
    said = await cli.run("edit-backend", "nowhere", "--agent-token", token_file(tmp_path))
    assert said.exit == Exit.BAD_INPUT
    assert "There is no backend 'nowhere'" in said.err


def test_a_token_comes_from_a_file_or_the_environment(tmp_path: Path) -> None:
    assert read_token(token_file(tmp_path)) == TOKEN
    assert read_token("env", {TOKEN_VARIABLE: f" {TOKEN} "}) == TOKEN


@pytest.mark.parametrize("text", ["", "\n", "two words", "two\nlines", "x" * 9000, "\u00e9", "a\x00b"])
def test_what_is_no_token_is_refused_without_being_told(tmp_path: Path, text: str) -> None:
    with pytest.raises(CommandFailed, match="does not hold a token") as refused:
        read_token(token_file(tmp_path, text))
    assert not text.strip() or text not in str(refused.value)
    with pytest.raises(CommandFailed, match=f"{TOKEN_VARIABLE} does not hold"):
        read_token("env", {})
    with pytest.raises(CommandFailed, match="cannot be read"):
        read_token(str(tmp_path / "missing"))
