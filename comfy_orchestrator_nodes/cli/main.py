"""From a command line to an exit code."""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import TypeAlias

from ..errors import InvalidRequest, OrchestratorError
from . import backends, farm, local, running
from .arguments import parse
from .console import Console
from .failures import CommandFailed, Exit
from .master import Master

_Local: TypeAlias = Callable[[argparse.Namespace, Console], Awaitable[Exit]]
_Remote: TypeAlias = Callable[[argparse.Namespace, Console, Master], Awaitable[Exit]]

LOCAL: Mapping[str, _Local] = {"convert": local.convert, "inspect": local.inspect_file}
REMOTE: Mapping[str, _Remote] = {
    "backends": farm.backends,
    "add-backend": backends.add_backend,
    "edit-backend": backends.edit_backend,
    "definitions": farm.definitions,
    "run": running.run,
    "jobs": farm.jobs,
    "cancel": farm.cancel,
    "import": farm.import_file,
    "export": farm.export,
}


def main(command_line: Sequence[str]) -> int:
    """Run one command and return its exit code; argparse exits by itself with 2, or 0 for ``--help``."""
    for stream in (sys.stdout, sys.stderr):
        # A name in a script that the terminal cannot show must not end the command.
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
    arguments = parse(command_line)
    console = Console(sys.stdout, sys.stderr, as_json=arguments.json)
    try:
        return asyncio.run(perform(arguments, console))
    except KeyboardInterrupt:
        console.note("Interrupted.")
        return Exit.INTERRUPTED
    except BrokenPipeError:
        # Whoever read the output has enough. Python would complain once more when it closes the stream at its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return Exit.OUTPUT_CLOSED


async def perform(arguments: argparse.Namespace, console: Console) -> Exit:
    """Run one command; what it fails with becomes a message and an exit code."""
    try:
        if arguments.command in LOCAL:
            return await LOCAL[arguments.command](arguments, console)
        async with Master(arguments.master) as master:
            return await REMOTE[arguments.command](arguments, console, master)
    except CommandFailed as error:
        _tell(console, error.kind, error)
        return error.exit
    except InvalidRequest as error:
        _tell(console, error.code, error)
        return Exit.BAD_INPUT


def _tell(console: Console, code: str, error: OrchestratorError) -> None:
    console.document({"error": {"code": code, "message": str(error), "details": error.details()}})
    if not console.as_json:
        console.note(f"Error: {error}")
    else:
        console.clear()
