"""What the backends' machines do, told to the tabs that show it: one message a second with all that is new.

Backends are read each second only while somebody is told, so a page that is closed or hidden costs nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from ..service import Service
from ..telemetry.latest import Latest
from .telemetry_schemas import MachineView

TICK_S = 1.0
LEASE_S = 3.0
"""For how long the backends are read often after a message."""

EVENT = "orchestrator.telemetry"

Send = Callable[[str, dict[str, Any], "str | None"], None]


class TelemetryEvents:
    """Tells listening tabs. Lives on the server loop."""

    def __init__(self, send: Send, *, clock: Callable[[], float]) -> None:
        """Make it without a service.

        Args:
            send: ``send(event, data, client_id)``; must not block.
            clock: seconds, never going back.
        """
        self._send = send
        self._clock = clock
        self._service: Service | None = None
        self._listeners: dict[str, float] = {}
        """Client to until when it is told."""
        self._told: dict[str, float] = {}
        """Backend to the time of the reading that was told last."""
        self._timer: asyncio.TimerHandle | None = None

    def attach(self, service: Service) -> None:
        """Begin to tell what a service reads."""
        self._service = service
        self._tick_soon(0.0)

    def detach(self) -> None:
        """Tell nothing more."""
        self._service = None
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def listen(self, client_id: str, for_s: float) -> None:
        """Tell a client for so long; the first message holds every backend."""
        if client_id not in self._listeners:
            self._told.clear()
        self._listeners[client_id] = self._clock() + for_s
        self._tick_soon(0.0)

    def stop(self, client_id: str) -> None:
        """Tell a client nothing more."""
        self._listeners.pop(client_id, None)

    def _tick_soon(self, wait_s: float) -> None:
        if self._timer is None and self._listeners and self._service is not None:
            self._timer = asyncio.get_running_loop().call_later(wait_s, self._tick)

    def _tick(self) -> None:
        self._timer = None
        service, now = self._service, self._clock()
        self._listeners = {client: until for client, until in self._listeners.items() if until > now}
        if service is None or not self._listeners:
            return
        service.telemetry.watch(LEASE_S)
        fresh = [latest for latest in service.telemetry.latest.values() if self._is_news(latest)]
        if fresh:
            data = {"machines": [MachineView.of(latest).model_dump(mode="json") for latest in fresh]}
            for client in self._listeners:
                self._send(EVENT, data, client)
        self._tick_soon(TICK_S)

    def _is_news(self, latest: Latest) -> bool:
        known = self._told.get(latest.backend_id)
        self._told[latest.backend_id] = latest.at
        return known is None or latest.at > known
