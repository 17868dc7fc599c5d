"""Watches every registered backend: one cheap probe each few seconds, the table in ``machine.backends`` decides.

A probe costs a peer about 0.1 ms of CPU (``GET /prompt``), so a hundred cost the master well under one percent of a
core. Loss and recovery are logged once each. Exchanges that fail elsewhere are reported here too, so that a dead
backend is known before its next probe.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from .domain import BackendStatus
from .errors import BackendError, BackendRefused, BackendUnreachable
from .machine.backends import BackendHealth, HealthEvent, ProbeAnswered, ProbeFailed, advance

log = logging.getLogger(__name__)

Probe = Callable[[str], Awaitable[float]]
"""Ask the backend of this id something cheap and return how long that took, in seconds.

Raises BackendError when it does not answer as it should."""

Changed = Callable[[str, BackendHealth, BackendHealth], None]
"""Called as ``changed(backend_id, before, after)`` whenever a status changed; must not raise."""


@dataclass(frozen=True)
class ProbeTimes:
    """How often backends are asked, in seconds. ``jitter_ratio`` spreads probes so that they never come in step."""

    interval_s: float = 5.0
    retry_s: float = 1.0
    offline_interval_s: float = 5.0
    jitter_ratio: float = 0.2


class HealthMonitor:
    """Knows the health of every backend it watches. Lives on the server loop."""

    def __init__(
        self,
        probe: Probe,
        *,
        clock: Callable[[], float],
        changed: Changed,
        name_of: Callable[[str], str],
        times: ProbeTimes | None = None,
    ) -> None:
        self._probe = probe
        self._clock = clock
        self._changed = changed
        self._name_of = name_of
        self._times = times or ProbeTimes()
        self._health: dict[str, BackendHealth] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._nudges: dict[str, asyncio.Event] = {}

    def watch(self, backend_id: str) -> None:
        """Start to probe a backend, at once and then regularly; a no-op if it is watched already."""
        if backend_id in self._tasks:
            return
        self._health[backend_id] = BackendHealth(since=self._clock())
        self._nudges[backend_id] = asyncio.Event()
        self._tasks[backend_id] = asyncio.create_task(self._watch(backend_id), name=f"health of {backend_id}")

    async def forget(self, backend_id: str) -> None:
        """Stop to probe a backend and drop what is known of it."""
        task = self._tasks.pop(backend_id, None)
        self._nudges.pop(backend_id, None)
        self._health.pop(backend_id, None)
        if task is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def close(self) -> None:
        """Stop every probe."""
        for backend_id in list(self._tasks):
            await self.forget(backend_id)

    def of(self, backend_id: str) -> BackendHealth:
        """Return what is known of a backend; ``unknown`` for one that is not watched."""
        return self._health.get(backend_id) or BackendHealth()

    def report(self, backend_id: str, event: HealthEvent) -> None:
        """Feed in what happened in an exchange elsewhere, and probe soon when it went wrong."""
        self._apply(backend_id, event)
        if isinstance(event, ProbeFailed):
            self.probe_soon(backend_id)

    def probe_soon(self, backend_id: str) -> None:
        """Bring the next probe forward to now."""
        nudge = self._nudges.get(backend_id)
        if nudge is not None:
            nudge.set()

    async def _watch(self, backend_id: str) -> None:
        nudge = self._nudges[backend_id]
        while True:
            await self._probe_once(backend_id)
            wait_s = self._pause_s(self.of(backend_id))
            due = asyncio.get_running_loop().time() + wait_s
            # Not wait_for: before Python 3.12 it swallows a cancel that comes together with the nudge, and whoever
            # forgets the backend would wait for this task for ever.
            alarm = asyncio.get_running_loop().call_at(due, nudge.set)
            try:
                await nudge.wait()
            finally:
                alarm.cancel()
            nudge.clear()
            if asyncio.get_running_loop().time() < due:
                # A nudge brings one probe forward; a storm of failing exchanges must not become a storm of probes.
                await asyncio.sleep(min(0.2, self._times.retry_s))

    def _pause_s(self, health: BackendHealth) -> float:
        if health.status is BackendStatus.DEGRADED:
            base = self._times.retry_s
        elif health.status is BackendStatus.OFFLINE:
            base = self._times.offline_interval_s
        else:
            base = self._times.interval_s
        return base * (1 + self._times.jitter_ratio * (2 * random.random() - 1))

    async def _probe_once(self, backend_id: str) -> None:
        try:
            latency_s = await self._probe(backend_id)
        except BackendError as error:
            gone = isinstance(error, BackendUnreachable | BackendRefused)
            self._apply(backend_id, ProbeFailed(str(error), refused=gone))
        except Exception:
            # The watch must outlive a fault of our own: without it the backend would keep its last status for ever.
            log.exception("Probing %s failed unexpectedly", self._name_of(backend_id))
        else:
            self._apply(backend_id, ProbeAnswered(latency_s))

    def _apply(self, backend_id: str, event: HealthEvent) -> None:
        before = self._health.get(backend_id)
        if before is None:  # removed while the exchange was under way
            return
        after = advance(before, event, self._clock())
        self._health[backend_id] = after
        if after.status is before.status:
            return
        self._log(backend_id, before, after)
        self._changed(backend_id, before, after)

    def _log(self, backend_id: str, before: BackendHealth, after: BackendHealth) -> None:
        name = self._name_of(backend_id)
        if after.status is BackendStatus.OFFLINE:
            log.warning("Backend %s is offline: %s", name, after.last_error)
        elif after.status is BackendStatus.SUSPENDED:
            log.warning("Backend %s is suspended after repeated failures: %s", name, after.last_error)
        elif after.status is BackendStatus.ONLINE and before.status in (BackendStatus.OFFLINE, BackendStatus.SUSPENDED):
            log.info("Backend %s is back online", name)
