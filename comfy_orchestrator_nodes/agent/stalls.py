"""Sparing the objects of the start from garbage collection, so that results are not held up by it.

After a prompt ComfyUI collects garbage once ten seconds have passed since it last did: a third of a second in which
nothing else in the process runs, and in which a finished result cannot be fetched. Nearly all objects it walks through
were made by the start: modules, classes, node definitions. ``gc.freeze`` takes them out of it for good. Done once,
before models are loaded, so that nothing is frozen that could become garbage (``docs/agent.md`` tells what it costs).
"""

from __future__ import annotations

import asyncio
import gc
import logging
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from enum import Enum

from aiohttp import web

from .errors import MalformedRequest
from .routing import PREFIX, Part, answer, read_object

log = logging.getLogger(__name__)

SETTLE_S = 1.0
"""How long after the start: custom nodes that are loaded after this one count, too."""


class State(Enum):
    """Where it stands."""

    OFF = "off"
    WAITING = "waiting"
    """The start is not over."""
    FROZEN = "frozen"
    TOO_LATE = "too late"
    """A prompt came before; what it loaded must stay collectable."""


@dataclass(frozen=True)
class Frozen:
    """What a freeze did."""

    objects: int = 0
    took_ms: float = 0.0


class Stalls:
    """Freezes once, or when asked. Lives on the server's loop."""

    def __init__(self, has_worked: Callable[[], bool], *, enabled: bool) -> None:
        """Take what tells whether a prompt has run or models are loaded, and whether to freeze at the start."""
        self._has_worked = has_worked
        self._enabled = enabled
        self.state = State.WAITING if enabled else State.OFF
        self._frozen = Frozen()
        self._task: asyncio.Task[None] | None = None

    def part(self) -> Part:
        """Return what this adds to the agent."""
        path = PREFIX + "/stalls"
        return Part(capabilities=("stalls",), routes=[web.get(path, self.get_stalls), web.post(path, self.post_stalls)])

    def start(self, loop: asyncio.AbstractEventLoop) -> None:
        """Freeze as soon as the server has started, if that is wanted."""
        if self._enabled:
            self._task = loop.create_task(self.settle(), name="orchestrator agent: freeze")

    async def settle(self, after_s: float = SETTLE_S) -> None:
        """Wait for the start to be over and freeze, unless work has begun."""
        await asyncio.sleep(after_s)
        if self._has_worked():
            self.state = State.TOO_LATE
            return
        self.freeze()

    def freeze(self) -> None:
        """Collect what is garbage now and take all that is left out of every later collection."""
        began = time.perf_counter()
        gc.collect()
        gc.freeze()
        self._frozen = Frozen(gc.get_freeze_count(), round((time.perf_counter() - began) * 1000, 1))
        self.state = State.FROZEN
        log.info("ComfyUI Orchestrator's agent keeps %d objects out of garbage collection", self._frozen.objects)

    def thaw(self) -> None:
        """Let collections walk through everything again."""
        gc.unfreeze()
        self._frozen = Frozen()
        self.state = State.OFF

    async def get_stalls(self, _request: web.Request) -> web.StreamResponse:
        """Answer where it stands."""
        return answer({"state": self.state.value, **asdict(self._frozen)})

    async def post_stalls(self, request: web.Request) -> web.StreamResponse:
        """Freeze or thaw now."""
        wanted = (await read_object(request)).get("freeze")
        if not isinstance(wanted, bool):
            raise MalformedRequest("'freeze' is true or false.")
        if wanted:
            self.freeze()
        else:
            self.thaw()
        return await self.get_stalls(request)
