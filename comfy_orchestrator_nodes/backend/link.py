"""How fast bytes move to and from one backend, learned in passing, and whether packing them would pay."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

PAYS_BELOW = 60e6
"""Bytes a second. Packing takes a third to a half off float images, at several hundred megabytes a second on one core.
On half a gigabit a second the time saved is worth that core of the backend; above, it is better left to its work.
"""

_LEAST_BYTES = 1 << 20
"""Of less, the time says more about the answering than about the link."""
_NEWEST = 0.3
"""How much the newest measurement counts."""


@dataclass
class Moved:
    """Bytes that one transfer has put on the link or taken from it."""

    size_bytes: int = 0


class Link:
    """One backend's link. Transfers in several threads share it, so it is measured while any of them moves."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._guard = threading.Lock()
        self._moving = 0
        self._since = 0.0
        self._bytes = 0
        self.rate: float | None = None
        """Bytes a second, once enough has moved."""

    @property
    def is_slow(self) -> bool:
        """Whether packing pays."""
        return self.rate is not None and self.rate < PAYS_BELOW

    @contextmanager
    def moving(self) -> Iterator[Moved]:
        """Measure what moves inside; the transfer counts its bytes."""
        moved = Moved()
        with self._guard:
            if not self._moving:
                self._since, self._bytes = self._clock(), 0
            self._moving += 1
        try:
            yield moved
        finally:
            with self._guard:
                self._moving -= 1
                self._bytes += moved.size_bytes
                self._note(self._clock())

    def _note(self, now: float) -> None:
        """Take a measurement once enough has moved; what is under way then belongs to the next."""
        elapsed = now - self._since
        if self._bytes < _LEAST_BYTES or elapsed <= 0:
            return
        measured = self._bytes / elapsed
        self.rate = measured if self.rate is None else _NEWEST * measured + (1 - _NEWEST) * self.rate
        self._since, self._bytes = now, 0
