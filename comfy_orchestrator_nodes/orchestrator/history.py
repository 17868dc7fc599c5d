"""Keeps the history within what the user has set: old jobs and runs are deleted while nobody waits for it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from ..errors import OrchestratorError
from ..store.history import HistoryRepository
from ..waiting import nudged
from .preferences import Preferences

log = logging.getLogger(__name__)

DAY_S = 86_400.0

LOOK_S = 600.0
"""How often it is looked for what is old."""

SPARE_S = 3600.0
"""What ended this recently is never deleted: its prompt may still be looked for, and a node may still read it."""

BATCH = 200
"""How many are deleted in one transaction: no write of a job has to wait for more than that."""

PAUSE_S = 0.05
"""Between two transactions."""


class HistoryKeeper:
    """Deletes what is old. Lives on the server loop."""

    def __init__(
        self, history: HistoryRepository, preferences: Callable[[], Preferences], *, clock: Callable[[], float]
    ) -> None:
        self._history = history
        self._preferences = preferences
        self._clock = clock
        self._wake = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to look, at once and then regularly."""
        self._task = asyncio.create_task(self._run(), name="history")

    async def close(self) -> None:
        """Look no more."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    def look_soon(self) -> None:
        """Look again now: what is to be kept may have changed."""
        self._wake.set()

    async def prune(self) -> int:
        """Delete all that is too old or too much; return how much that was.

        Raises:
            StoreError: it could not be deleted.
        """
        wanted, now = self._preferences(), self._clock()
        aged = now - wanted.history_days * DAY_S
        before = min(await self._history.threshold(before=aged, keep=wanted.history_jobs), now - SPARE_S)
        total = 0
        while deleted := await self._history.prune(before, limit=BATCH):
            total += deleted
            await asyncio.sleep(PAUSE_S)
        return total

    async def _run(self) -> None:
        while True:
            self._wake.clear()
            try:
                deleted = await self.prune()
            except OrchestratorError as error:
                log.warning("Old jobs could not be deleted: %s", error)
            except Exception:
                # A task boundary: a fault of our own must not end the keeping for good.
                log.exception("Deleting old jobs failed unexpectedly")
            else:
                if deleted:
                    log.info("%d old jobs and runs were deleted", deleted)
            await nudged(self._wake, LOOK_S)
