"""The one way from a node, which runs on a loop of its own in ComfyUI's worker thread, to the server loop."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

T = TypeVar("T")

POLL_S = 0.1
"""How often an awaiting node looks whether it was interrupted: ComfyUI only sets a flag and wakes nobody."""


class Interrupted(Exception):
    """The user interrupted the master's prompt while the node waited."""


class Crossing:
    """Runs coroutines on the server loop for nodes."""

    def __init__(self, server_loop: asyncio.AbstractEventLoop, interrupted: Callable[[], bool]) -> None:
        self._server_loop = server_loop
        self._interrupted = interrupted

    async def run(self, work: Coroutine[Any, Any, T], *, meanwhile: Callable[[], None] = lambda: None) -> T:
        """Run ``work`` on the server loop and wait for it.

        Args:
            work: cancelled there, without waiting for its clean-up, when the node is interrupted or cancelled. ComfyUI
                holds its whole queue until a node returns, so cleaning up must go on behind it.
            meanwhile: called on the node's own loop every ``POLL_S`` while waiting.

        Raises:
            Interrupted: the user pressed stop.
        """
        future = asyncio.wrap_future(asyncio.run_coroutine_threadsafe(work, self._server_loop))
        try:
            while not future.done():
                await asyncio.wait({future}, timeout=POLL_S)
                meanwhile()
                if not future.done() and self._interrupted():
                    raise Interrupted
            return future.result()
        finally:
            # Wakes the server loop to cancel the coroutine there; a no-op when it is done.
            future.cancel()
