"""Keeps what was learned of run times and memory over a restart."""

from __future__ import annotations

import asyncio
import logging

from ..errors import OrchestratorError
from ..placement import Estimates
from ..store.settings import SettingRepository
from .occupancy import Occupancy

log = logging.getLogger(__name__)

KEY = "placement.estimates"
SAVE_S = 60.0


class Learned:
    """Stores the estimates of an occupancy every minute. Lives on the server loop."""

    def __init__(self, occupancy: Occupancy, settings: SettingRepository) -> None:
        self._occupancy = occupancy
        self._settings = settings
        self._saver: asyncio.Task[None] | None = None

    async def restore(self) -> None:
        """Go on with what was stored; begin anew where that cannot be read."""
        stored = await self._settings.get(KEY)
        if stored is None:
            return
        try:
            self._occupancy.estimates = Estimates.restore(stored)
        except OrchestratorError as error:
            log.warning("What was learned of run times cannot be read and is learned anew: %s", error)

    def start(self) -> None:
        """Begin to store it regularly."""
        self._saver = asyncio.create_task(self._save_regularly(), name="save estimates")

    async def close(self) -> None:
        """Store it a last time."""
        if self._saver is not None:
            self._saver.cancel()
            await asyncio.gather(self._saver, return_exceptions=True)
        await self._save()

    async def _save_regularly(self) -> None:
        while True:
            await asyncio.sleep(SAVE_S)
            await self._save()

    async def _save(self) -> None:
        try:
            await self._settings.put(KEY, self._occupancy.estimates.snapshot())
        except OrchestratorError as error:
            log.warning("What was learned of run times could not be saved: %s", error)
