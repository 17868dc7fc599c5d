"""What running out of memory teaches: where a definition does not fit."""

from __future__ import annotations

import math
from dataclasses import dataclass

from ..domain import Json

OOM_MEMORY_S = 6 * 3600.0
"""An out-of-memory outcome is believed this long: somebody else may have held the memory."""

PEAK_MARGIN = 1.15
"""So much more than a measured peak is taken to be enough: samples are a second apart, and memory splinters."""


@dataclass
class _Fit:
    """How a definition went on one backend, as far as memory is concerned."""

    succeeded: bool = False
    failures: int = 0
    """In a row, since it last succeeded."""
    failed_at: float = 0.0
    vram_bytes: int | None = None
    """The backend's, when it ran out."""


class MemoryNeeds:
    """Which definitions ran out of memory where, and the least VRAM that each got by with."""

    def __init__(self) -> None:
        self._fits: dict[str, dict[str, _Fit]] = {}
        """Definition, backend."""
        self._least: dict[str, int] = {}
        """Definition to the least VRAM it ran with."""
        self._failed: set[str] = set()
        self._worst: dict[str, tuple[float, float, int]] = {}
        """Definition to what was found last: from when and until when it holds, and the VRAM."""

    def succeeded(self, definition_key: str, backend_id: str, vram_bytes: int | None) -> None:
        """Learn that a definition ran."""
        fit = self._fit(definition_key, backend_id)
        if fit.failures or not fit.succeeded:
            self._worst.pop(definition_key, None)
        fit.succeeded, fit.failures = True, 0
        if vram_bytes is not None:
            self._least[definition_key] = min(vram_bytes, self._least.get(definition_key, vram_bytes))

    def got_by_with(self, definition_key: str, peak_bytes: int) -> None:
        """Learn that a definition ran and no more than so much VRAM was in use, others' included."""
        enough = int(peak_bytes * PEAK_MARGIN)
        self._least[definition_key] = min(enough, self._least.get(definition_key, enough))
        self._worst.pop(definition_key, None)

    def failed(self, definition_key: str, backend_id: str, vram_bytes: int | None, at: float) -> None:
        """Learn that a definition ran out of memory."""
        fit = self._fit(definition_key, backend_id)
        fit.failures += 1
        fit.failed_at, fit.vram_bytes = at, vram_bytes
        self._failed.add(definition_key)
        self._worst.pop(definition_key, None)

    def forget_backend(self, backend_id: str) -> None:
        """Drop what was learned about a backend."""
        for fits in self._fits.values():
            fits.pop(backend_id, None)
        self._worst.clear()

    def ran_out(self, definition_key: str) -> bool:
        """Whether the definition ever ran out of memory: if not, nothing more need be asked."""
        return definition_key in self._failed

    def ran_out_here(self, definition_key: str, backend_id: str, now: float) -> bool:
        """Whether the definition does not fit into this backend's memory, as far as was seen.

        A backend that has run the definition is believed to be able to until it runs out of memory twice in a row.
        """
        fit = self._fits.get(definition_key, {}).get(backend_id)
        if fit is None or not fit.failures or now - fit.failed_at >= OOM_MEMORY_S:
            return False
        return fit.failures > 1 or not fit.succeeded

    def too_small_for(self, definition_key: str, backend_id: str, vram_bytes: int, now: float) -> int | None:
        """Return the VRAM of another backend, no smaller than this one, where the definition did not fit; or None.

        What ran here, or ran somewhere with as little, is not too large.
        """
        fits = self._fits.get(definition_key, {})
        here = fits.get(backend_id)
        if here is not None and here.succeeded:
            return None
        worst = self._worst_at(definition_key, now)
        if vram_bytes > worst:
            return None
        return worst

    def snapshot(self) -> Json:
        """Return the state as JSON."""
        return {
            "least": dict(self._least),
            "fits": [
                [key, backend_id, fit.succeeded, fit.failures, fit.failed_at, fit.vram_bytes]
                for key, fits in self._fits.items()
                for backend_id, fit in fits.items()
            ],
        }

    @classmethod
    def restore(cls, data: Json) -> MemoryNeeds:
        """Return the state of a snapshot.

        Raises:
            ValueError, TypeError, KeyError, AttributeError, OverflowError: the data is no snapshot.
        """
        needs = cls()
        needs._least = {str(key): int(value) for key, value in data["least"].items()}
        for key, backend_id, succeeded, failures, failed_at, vram in data["fits"]:
            fit = needs._fit(str(key), str(backend_id))
            fit.succeeded, fit.failures, fit.failed_at = bool(succeeded), int(failures), float(failed_at)
            fit.vram_bytes = None if vram is None else int(vram)
            if fit.failures:
                needs._failed.add(str(key))
        return needs

    def _worst_at(self, definition_key: str, now: float) -> int:
        """Return the most VRAM with which the definition is believed not to fit, 0 if none."""
        cached = self._worst.get(definition_key)
        if cached is not None and cached[0] <= now < cached[1]:
            return cached[2]
        least = self._least.get(definition_key)
        worst, until = 0, math.inf
        for backend_id, fit in self._fits.get(definition_key, {}).items():
            # A failure with more memory than it ran with elsewhere was for want of free memory: it tells no size.
            if fit.vram_bytes is None or (least is not None and fit.vram_bytes >= least):
                continue
            if self.ran_out_here(definition_key, backend_id, now):
                worst = max(worst, fit.vram_bytes)
                until = min(until, fit.failed_at + OOM_MEMORY_S)
        self._worst[definition_key] = now, until, worst
        return worst

    def _fit(self, definition_key: str, backend_id: str) -> _Fit:
        return self._fits.setdefault(definition_key, {}).setdefault(backend_id, _Fit())
