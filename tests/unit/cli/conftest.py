"""Commands against a real master: its service, its routes on a socket, a fake ComfyUI behind them."""

from __future__ import annotations

import asyncio
import io
import json
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from comfy_orchestrator_nodes.cli.arguments import parse
from comfy_orchestrator_nodes.cli.console import Console
from comfy_orchestrator_nodes.cli.failures import Exit
from comfy_orchestrator_nodes.cli.main import perform
from tests.unit.api.conftest import Api, access, api, http, outbox

__all__ = ["Api", "access", "api", "http", "outbox"]

ROOT = Path(__file__).resolve().parents[3]
PATIENCE_S = 30.0


@dataclass
class Said:
    """What a command printed, and how it ended."""

    exit: int
    out: str
    err: str

    @property
    def document(self) -> Any:
        """What it printed with ``--json``."""
        return json.loads(self.out)


@dataclass
class Cli:
    """Commands to one master."""

    master: str
    processes: list[asyncio.subprocess.Process] = field(default_factory=list)

    async def run(self, *command: str) -> Said:
        """Perform a command within this process."""
        arguments = parse([*command, "--master", self.master], {})
        out, err = io.StringIO(), io.StringIO()
        ended = await asyncio.wait_for(perform(arguments, Console(out, err, as_json=arguments.json)), PATIENCE_S)
        return Said(ended, out.getvalue(), err.getvalue())

    async def ok(self, *command: str) -> Said:
        """Perform a command that must succeed."""
        said = await self.run(*command)
        assert said.exit == Exit.OK, said
        return said

    async def start(self, *command: str, stdout: int = asyncio.subprocess.PIPE) -> asyncio.subprocess.Process:
        """Start a command as the user does, from a clone."""
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "comfy_orchestrator_nodes",
            *command,
            "--master",
            self.master,
            cwd=ROOT,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=stdout,
            stderr=asyncio.subprocess.PIPE,
        )
        self.processes.append(process)
        return process


async def ended(process: asyncio.subprocess.Process) -> Said:
    """Wait for a process and return what it printed."""
    out, err = await asyncio.wait_for(process.communicate(), PATIENCE_S)
    assert process.returncode is not None
    return Said(process.returncode, (out or b"").decode(), err.decode())


@pytest.fixture
async def cli(api: Api) -> Any:
    made = Cli(str(api.http.make_url("/")))
    yield made
    for process in made.processes:
        if process.returncode is None:
            process.kill()
            await process.wait()
