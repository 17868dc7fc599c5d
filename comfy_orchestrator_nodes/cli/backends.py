"""The commands that register a backend and give its agent's token, which is never shown."""

from __future__ import annotations

import argparse
import os
from collections.abc import Mapping
from typing import Any

from .arguments import TOKEN_VARIABLE
from .console import Console
from .failures import Exit, bad_input
from .local import open_file
from .master import Master, part

Json = Any

ENVIRONMENT = "env"
MOST_BYTES = 8192


async def add_backend(arguments: argparse.Namespace, console: Console, master: Master) -> Exit:
    """Register a backend."""
    body: dict[str, Json] = {"name": arguments.name, "base_url": arguments.url, "tags": arguments.tag}
    if arguments.agent_token is not None:
        body["credentials"] = {"agent_token": read_token(arguments.agent_token)}
    _tell(await master.post("/backends", body), console)
    return Exit.OK


async def edit_backend(arguments: argparse.Namespace, console: Console, master: Master) -> Exit:
    """Give another token of a backend's agent. Other credentials are not known here, so none may be lost."""
    found = (await master.get("/backends"))["backends"]
    named = [b for b in found if arguments.name in (b["id"], b["name"])]
    if len(named) != 1:
        names = ", ".join(b["name"] for b in found)
        raise bad_input(f"There is no backend {arguments.name!r}. There are: {names}.")
    (backend,) = named
    others = [name for name, there in backend["credentials"].items() if there and name != "has_agent_token"]
    if others:
        raise bad_input(
            f"{backend['name']} has other credentials, which are only replaced as a whole: change it in the sidebar, "
            "or with all of them over HTTP."
        )
    body = {"credentials": {"agent_token": read_token(arguments.agent_token)}}
    _tell(await master.patch(f"/backends/{part(backend['id'])}", body), console)
    return Exit.OK


def read_token(source: str, environment: Mapping[str, str] = os.environ) -> str:
    """Return a token from a file, standard input or the environment.

    Raises:
        CommandFailed: there is none. The message never holds what was found.
    """
    if source == ENVIRONMENT:
        text = environment.get(TOKEN_VARIABLE, "")
    else:
        with open_file(source) as file:
            text = file.read(MOST_BYTES + 1).decode("utf-8", "replace")
    token = text.strip()
    if not token or len(text) > MOST_BYTES or not token.isascii() or not token.isprintable() or " " in token:
        where = f"${TOKEN_VARIABLE}" if source == ENVIRONMENT else repr(source)
        raise bad_input(f"{where} does not hold a token: one line, as the agent prints it on its console.")
    return token


def _tell(backend: dict[str, Json], console: Console) -> None:
    console.document(backend)
    token = " with a token for its agent" if backend["credentials"]["has_agent_token"] else ""
    console.text(f"{backend['name']}: {backend['base_url']}{token}")
