"""The latest samples of one device, in memory: seconds of the last minutes, and the roll-up of the hours not closed.

A sample stands for the time since the one before, so averages are over time and energy is a sum; where none came for
longer than ``LONGEST_S`` there is a gap.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np
from numpy.typing import NDArray

from .levels import LATE_S, MIDDLE, RAW

Floats = NDArray[np.float64]
Small = NDArray[np.float32]

LONGEST_S = 25.0
"""For how long one sample may stand: two of a slow pace (10 s) may be missed."""

_PER_BLOCK = RAW.block_s // MIDDLE.bucket_s


class Window:
    """What is known of one device (or of a host) but not yet all in the database. Lives on the server loop."""

    def __init__(self, metrics: Iterable[str] = ()) -> None:
        self._rows: dict[str, int] = {name: row for row, name in enumerate(metrics)}
        self._raw: dict[int, Small] = {}
        """Start of a raw block to its seconds: metrics x seconds."""
        self._hours: dict[int, Small] = {}
        """Start of an hour to its roll-up: average, minimum, maximum x metrics x buckets."""
        self._dirty: set[int] = set()
        """Raw blocks that changed since they were rolled up."""
        self._unsaved: set[int] = set()
        """Raw blocks that changed since they were saved."""
        self._last_at: float | None = None

    @property
    def empty(self) -> bool:
        """Whether nothing is kept here any more: no sample came for long."""
        return not self._raw and not self._hours

    @property
    def metrics(self) -> tuple[str, ...]:
        """The names of what is measured here."""
        return tuple(self._rows)

    def add(self, at: float, values: Mapping[str, float]) -> None:
        """Take one sample. One that is older than ``LATE_S`` behind the newest is left out."""
        before = self._last_at
        if before is not None and at < before - LATE_S:
            return
        stands_s = 1.0
        if before is not None and 0 < at - before <= LONGEST_S:
            stands_s = at - before
        self._last_at = at if before is None else max(before, at)
        last = int(at)
        # A sample that comes a second after the one before fills one second, however the fractions fall.
        first = max(int(at - stands_s) + 1, last - int(LONGEST_S)) if stands_s > 1.0 else last
        for block in range(RAW.block_of(first), last + 1, RAW.block_s):
            seconds = self._block(block, values)
            begin, end = max(first, block) - block, min(last, block + RAW.block_s - 1) - block + 1
            for name, value in values.items():
                seconds[self._rows[name], begin:end] = value
            self._dirty.add(block)
            self._unsaved.add(block)

    def restore(self, block: int, values: Mapping[str, Floats]) -> None:
        """Take a raw block that was saved before."""
        seconds = self._block(block, values)
        for name, column in values.items():
            seconds[self._rows[name]] = column
        self._dirty.add(block)

    def settle(self) -> None:
        """Bring the roll-up up to date."""
        for block in self._dirty:
            seconds = self._raw.get(block)
            if seconds is None:
                continue
            hour = self._hour(MIDDLE.block_of(block))
            first = (block % MIDDLE.block_s) // MIDDLE.bucket_s
            hour[:, : len(seconds), first : first + _PER_BLOCK] = summarised(seconds, MIDDLE.bucket_s)
        self._dirty.clear()

    def take_unsaved(self) -> dict[int, tuple[tuple[str, ...], Small]]:
        """Return the raw blocks to be saved, and count them as saved."""
        unsaved = {block: (self.metrics, self._raw[block].copy()) for block in self._unsaved if block in self._raw}
        self._unsaved.clear()
        return unsaved

    def keep_unsaved(self, blocks: Iterable[int]) -> None:
        """Take back that blocks are saved: the database could not."""
        self._unsaved.update(blocks)

    def take_closed(self, now: float) -> dict[int, tuple[tuple[str, ...], Small]]:
        """Return the hours to which nothing can be added any more, without forgetting them."""
        self.settle()
        return {
            hour: (self.metrics, rolled.copy())
            for hour, rolled in self._hours.items()
            if hour + MIDDLE.block_s + LATE_S <= now
        }

    def forget(self, hours: Iterable[int], now: float) -> None:
        """Drop hours that are in the database, and seconds that can no longer change."""
        for hour in hours:
            self._hours.pop(hour, None)
        self._raw = {
            block: seconds
            for block, seconds in self._raw.items()
            if block + RAW.block_s + LATE_S > now and (block not in self._unsaved or block + MIDDLE.block_s > now)
        }
        self._unsaved &= self._raw.keys()

    def raw(self, name: str) -> dict[int, Small]:
        """Return the seconds of one metric, by block."""
        row = self._rows.get(name)
        return {} if row is None else {b: s[row : row + 1].copy() for b, s in self._raw.items() if row < len(s)}

    def rolled(self, name: str) -> dict[int, Small]:
        """Return the roll-up of one metric by hour: average, minimum, maximum x buckets."""
        row = self._rows.get(name)
        return {} if row is None else {h: r[:, row].copy() for h, r in self._hours.items() if row < r.shape[1]}

    def _block(self, block: int, names: Iterable[str]) -> Small:
        for name in names:
            self._rows.setdefault(name, len(self._rows))
        seconds = self._raw.get(block)
        if seconds is None or len(seconds) < len(self._rows):
            seconds = self._raw[block] = _grown(seconds, (len(self._rows), RAW.buckets), axis=0)
        return seconds

    def _hour(self, hour: int) -> Small:
        rolled = self._hours.get(hour)
        if rolled is None or rolled.shape[1] < len(self._rows):
            rolled = self._hours[hour] = _grown(rolled, (3, len(self._rows), MIDDLE.buckets), axis=1)
        return rolled


def summarised(values: NDArray[np.floating], bucket: int) -> Small:
    """Return average, minimum and maximum of each ``bucket`` values of the last axis; NaN where there is none."""
    parts = values.reshape(*values.shape[:-1], -1, bucket)
    return np.stack((mean(parts), np.fmin.reduce(parts, axis=-1), np.fmax.reduce(parts, axis=-1))).astype(np.float32)


def mean(parts: NDArray[np.floating]) -> Floats:
    """Return the average over the last axis of what was measured; NaN where nothing was."""
    present = ~np.isnan(parts)
    count = present.sum(axis=-1)
    total = np.where(present, parts, 0.0).sum(axis=-1, dtype=np.float64)
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)


def _grown(known: Small | None, shape: tuple[int, ...], *, axis: int) -> Small:
    grown = np.full(shape, np.nan, np.float32)
    if known is not None:
        index: list[slice] = [slice(None)] * len(shape)
        index[axis] = slice(known.shape[axis])
        grown[tuple(index)] = known
    return grown
