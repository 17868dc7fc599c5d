"""How a command can end. The codes are part of the documented interface (``docs/cli.md``)."""

from __future__ import annotations

from enum import IntEnum
from typing import Any

from ..errors import OrchestratorError


class Exit(IntEnum):
    """What the process returns to the shell."""

    OK = 0
    JOB_FAILED = 1
    """A job failed or was cancelled, or its result is lost."""
    BAD_INPUT = 2
    """The command line, a file or a value cannot be used; also what argparse itself exits with."""
    UNREACHABLE = 3
    """The master does not answer, is no orchestrator, or cannot work now."""
    INTERRUPTED = 130
    """Ctrl-C, as shells count it: 128 and the number of the signal."""
    OUTPUT_CLOSED = 141
    """Whoever read standard output stopped reading, as with ``| head``."""


class CommandFailed(OrchestratorError):
    """A command cannot do what it was asked to; ``exit`` is what the process returns."""

    code = "command_failed"

    def __init__(self, message: str, exit_: Exit, *, code: str = "command_failed", **details: Any) -> None:
        super().__init__(message, **details)
        self.exit = exit_
        self.kind = code
        """The master's own code for the error, where it is the master's."""


def bad_input(message: str) -> CommandFailed:
    """Return the error for something that the user has to change."""
    return CommandFailed(message, Exit.BAD_INPUT, code="bad_input")
