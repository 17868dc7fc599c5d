"""The story of each backend: what happened to it, told in passing and written behind the back of whoever tells."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable
from dataclasses import replace

from ..domain import Backend, BackendEvent, BackendEventKind, BackendStatus, Capabilities
from ..errors import StoreError
from ..machine.backends import BackendHealth
from ..store.backend_events import BackendEventRepository

log = logging.getLogger(__name__)

WAITING = 1000
"""How many events wait for a store that cannot be written at most, the newest."""

REASON_LIMIT = 500
"""How many characters of a reason are kept: part of it may be what a backend said."""

_OF_STATUS = {
    BackendStatus.ONLINE: BackendEventKind.ONLINE,
    BackendStatus.DEGRADED: BackendEventKind.DEGRADED,
    BackendStatus.SUSPENDED: BackendEventKind.SUSPENDED,
    BackendStatus.OFFLINE: BackendEventKind.OFFLINE,
}


class BackendStory:
    """Takes note of changes at once and writes them soon. Lives on the server loop."""

    def __init__(self, events: BackendEventRepository, *, clock: Callable[[], float]) -> None:
        self._events = events
        self._clock = clock
        self._waiting: deque[BackendEvent] = deque(maxlen=WAITING)
        self._writing = asyncio.Lock()
        self._wake = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to write."""
        self._task = asyncio.create_task(self._run(), name="backend story")

    async def close(self) -> None:
        """Write what waits, and no more after that."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        await self._flush()

    async def of(self, backend_id: str, limit: int) -> tuple[BackendEvent, ...]:
        """Return what happened to a backend, the newest first; none for an unknown one."""
        await self._flush()
        return await self._events.newest(backend_id, limit)

    def health(self, backend_id: str, after: BackendHealth) -> None:
        """Take note of another status."""
        kind = _OF_STATUS.get(after.status)
        if kind is not None:
            reason = "" if kind is BackendEventKind.ONLINE else after.last_error
            until = after.suspended_until if kind is BackendEventKind.SUSPENDED else None
            self._note(BackendEvent(backend_id, after.since, kind, reason, until))

    def edited(self, before: Backend, after: Backend) -> None:
        """Take note of what somebody did to a backend."""
        if before.enabled != after.enabled:
            self._tell(after.id, BackendEventKind.ENABLED if after.enabled else BackendEventKind.DISABLED)
        if before.draining != after.draining:
            self._tell(after.id, BackendEventKind.DRAINING if after.draining else BackendEventKind.RESUMED)

    def introduced(self, backend_id: str, before: Capabilities | None, after: Capabilities) -> None:
        """Take note of what a backend now says it is."""
        if before is not None and (restart := _restart(before, after)) is not None:
            self._tell(backend_id, BackendEventKind.RESTARTED, restart)
        agent, known = after.agent, before.agent if before is not None else None
        if agent is None:
            if known is not None:
                self._tell(backend_id, BackendEventKind.AGENT_GONE)
        elif known is None or (known.version, known.trusted, known.problem) != (
            agent.version,
            agent.trusted,
            agent.problem,
        ):
            if agent.trusted:
                self._tell(backend_id, BackendEventKind.AGENT_FOUND, agent.version)
            else:
                self._tell(backend_id, BackendEventKind.AGENT_REFUSED, agent.problem)

    def _tell(self, backend_id: str, kind: BackendEventKind, reason: str = "") -> None:
        self._note(BackendEvent(backend_id, self._clock(), kind, reason))

    def _note(self, event: BackendEvent) -> None:
        self._waiting.append(replace(event, reason=event.reason[:REASON_LIMIT]))
        self._wake.set()

    async def _run(self) -> None:
        while True:
            await self._wake.wait()
            self._wake.clear()
            try:
                await self._flush()
            except Exception:
                # A task boundary: a fault of our own must not end the story for good.
                log.exception("The story of the backends could not be written")

    async def _flush(self) -> None:
        """Write what waits; what cannot be written waits for the next event."""
        async with self._writing:
            batch = tuple(self._waiting)
            if not batch:
                return
            # Before they are written: whoever is cancelled while he waits for that must not have them written again.
            self._waiting.clear()
            try:
                await self._events.append(batch)
            except StoreError as error:
                log.warning("What happened to the backends could not be stored yet: %s", error)
                self._waiting = deque((*batch, *self._waiting), maxlen=WAITING)


def _restart(before: Capabilities, after: Capabilities) -> str | None:
    """Return how it shows that the backend was started anew, or None where it does not."""
    if before.comfyui_version != after.comfyui_version:
        return f"ComfyUI {before.comfyui_version} became {after.comfyui_version}"
    known, agent = before.agent, after.agent
    lives = (known.instance_id, agent.instance_id) if known is not None and agent is not None else ("", "")
    return "" if all(lives) and lives[0] != lives[1] else None
