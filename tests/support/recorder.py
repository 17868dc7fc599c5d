"""Listens to a backend in the background and lets a test wait for what it said."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import aclosing
from types import TracebackType
from typing import TypeVar

from comfy_orchestrator_nodes.backend.client import ComfyClient
from comfy_orchestrator_nodes.backend.messages import Connected, Executing, Message

M = TypeVar("M")

PATIENCE_S = 60.0
"""How long a message may take before the test fails; nothing waits this long when all is well."""


class Recorder:
    """All messages of one client since it was entered; entering waits until the socket stands."""

    def __init__(self, client: ComfyClient) -> None:
        self._client = client
        self.messages: list[Message] = []
        self._came = asyncio.Condition()
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Recorder:
        self._task = asyncio.create_task(self._listen())
        await self.wait_for(Connected)
        return self

    async def __aexit__(
        self, _type: type[BaseException] | None, _error: BaseException | None, _traceback: TracebackType | None
    ) -> None:
        assert self._task is not None
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)

    async def wait_for(self, kind: type[M], where: Callable[[M], bool] = lambda _: True, *, after: int = 0) -> M:
        """Return the first message of this kind and condition, from index ``after`` on."""

        def found() -> M | None:
            return next((m for m in self.messages[after:] if isinstance(m, kind) and where(m)), None)

        async with self._came:
            await asyncio.wait_for(self._came.wait_for(lambda: found() is not None or self._over()), PATIENCE_S)
        message = found()
        assert message is not None, f"listening ended without {kind.__name__}: {self.messages}"
        return message

    async def wait_over(self, prompt_id: str) -> None:
        """Wait until the backend says that the prompt is over and its history written."""
        await self.wait_for(Executing, lambda m: m.prompt_id == prompt_id and m.node_id is None)

    def of(self, prompt_id: str) -> list[Message]:
        """Return the messages about one prompt."""
        return [m for m in self.messages if getattr(m, "prompt_id", None) == prompt_id]

    def _over(self) -> bool:
        return self._task is None or self._task.done()

    async def _listen(self) -> None:
        try:
            # Closed at once, also by a cancel between two messages: whoever listens next finds nobody listening.
            async with aclosing(self._client.listen()) as messages:
                async for message in messages:
                    async with self._came:
                        self.messages.append(message)
                        self._came.notify_all()
        finally:
            # Shielded by nothing: the lock is free here, and whoever waits must see that nothing more comes.
            async with self._came:
                self._came.notify_all()
