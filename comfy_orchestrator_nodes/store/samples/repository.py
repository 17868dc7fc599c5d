"""The time series of all backends: take samples, answer questions, keep within bounds. Lives on the server loop."""

from __future__ import annotations

import asyncio
import logging
import sqlite3
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from ...errors import StoreError
from ...metrics import METRICS
from ..database import Database
from . import blocks
from .blocks import Key, Unsaved, used_bytes
from .database import open_database
from .encoding import Floats
from .levels import COARSE, COARSEST, LATE_S, MIDDLE, RAW, Grid, Level, choose_grid
from .window import Window, mean

log = logging.getLogger(__name__)

LIMIT_BYTES = 576 << 20
"""How large the file may get: 50 backends of two GPUs each, all busy for a month, take less (ADR 102)."""

HOST_DEVICE = ""
"""The name under which a host's own values are kept."""

MOST_DEVICES = 100
"""Of how many devices of one backend samples are taken at the same time, its host included."""

STATS = ("avg", "min", "max")


@dataclass(frozen=True)
class Question:
    """Which series, over which time (seconds since the epoch), how finely (None: as fits a chart)."""

    backend_ids: tuple[str, ...]
    metrics: tuple[str, ...]
    start: float
    end: float
    step_s: int | None = None
    stats: tuple[str, ...] = ("avg",)


@dataclass(frozen=True)
class Series:
    """One metric of one device on an answer's grid: for each of the asked stats as many values as steps, or NaN."""

    backend_id: str
    device: str
    device_name: str
    metric: str
    values: Mapping[str, Floats]


@dataclass(frozen=True)
class Answer:
    """The series that have anything, on one grid."""

    grid: Grid
    series: tuple[Series, ...]


@dataclass(frozen=True)
class _Stored:
    """What a run before left: up to when hours are closed, the seconds since then, what devices are called."""

    closed_until: int
    seconds: list[tuple[Key, int, str, Floats]]
    names: dict[Key, str]


@dataclass(frozen=True)
class _Wanted:
    key: Key
    metric: str
    number: int | None
    """Its number in the database; None if it is in memory alone."""
    recent: tuple[tuple[int, Floats], ...]
    """What only memory has: start of a block, columns x buckets of the level."""


class SampleStore:
    """Takes samples into memory at once, and into the database by ``save``."""

    def __init__(self, database: Database, *, limit_bytes: int) -> None:
        self._database = database
        self._limit_bytes = limit_bytes
        self._windows: dict[Key, Window] = {}
        self._names: dict[Key, str] = {}
        self._unsaved_names: dict[Key, str] = {}
        self._closed_until = 0
        self._saving = False

    @classmethod
    async def open(cls, path: Path, *, clock: Callable[[], float], limit_bytes: int = LIMIT_BYTES) -> SampleStore:
        """Open the database in its own file and take up the hours that were not closed.

        Raises:
            StoreError: it cannot be opened.
        """
        store = cls(await open_database(path, clock=clock), limit_bytes=limit_bytes)
        await store._restore()
        return store

    async def close(self) -> None:
        """Save what is not saved and close."""
        await self.save()
        await self._database.close()

    def add(self, backend_id: str, device: str, name: str, at: float, values: Mapping[str, float]) -> None:
        """Take one sample of a device (or of the host, ``HOST_DEVICE``). Names that nobody knows are left out.

        Args:
            backend_id: whose.
            device: its id.
            name: what it is called.
            at: seconds since the epoch.
            values: metric to value; finite.
        """
        known = {metric: value for metric, value in values.items() if metric in METRICS}
        if not known or at < self._closed_until:
            # What is rolled up is not opened again for a clock that went back.
            return
        key = (backend_id, device)
        window = self._windows.get(key)
        if window is None:
            if sum(backend == backend_id for backend, _ in self._windows) >= MOST_DEVICES:
                # Each costs memory for an hour, and a machine that makes up new ones could go on for ever.
                return
            window = self._windows[key] = Window(known)
        window.add(at, known)
        if device and self._names.get(key) != name:
            self._names[key] = self._unsaved_names[key] = name

    async def save(self) -> None:
        """Store what came since the last time, close hours that are over, and prune.

        Where the database cannot take it (a full disk), memory keeps it for some minutes, and the log says so.
        """
        if self._saving:
            return
        self._saving = True
        try:
            await self._save(self._database.clock())
        except StoreError as error:
            log.warning("The history of telemetry could not be saved: %s", error)
        finally:
            self._saving = False

    async def forget(self, backend_id: str) -> None:
        """Drop all that there is of a backend that was removed.

        Raises:
            StoreError: the database cannot be written.
        """
        for key in [key for key in self._windows if key[0] == backend_id]:
            del self._windows[key]
        for key in [key for key in self._names if key[0] == backend_id]:
            self._names.pop(key)
            self._unsaved_names.pop(key, None)
        await self._database.write(lambda connection: blocks.forget(connection, backend_id))

    async def ask(self, question: Question) -> Answer:
        """Return the series of a question, in the order of its backends and metrics.

        Raises:
            StoreError: the database cannot be read.
        """
        grid = choose_grid(question.start, question.end, question.step_s, self._database.clock())
        recent = self._recent(question, grid)
        return await self._database.read(lambda connection: self._answer(connection, question, grid, recent))

    async def used_bytes(self) -> int:
        """Return how large the database is."""
        return await self._database.read(used_bytes)

    # --- saving

    async def _save(self, now: float) -> None:
        unsaved: list[Unsaved] = []
        hours: list[Unsaved] = []
        for key, window in list(self._windows.items()):
            hours += [Unsaved(key, hour, *rest) for hour, rest in window.take_closed(now).items()]
            unsaved += [Unsaved(key, block, *rest) for block, rest in window.take_unsaved().items()]
            # A tenth of a millisecond each: with many of them the loop must not stand still for all.
            await asyncio.sleep(0)
        names, self._unsaved_names = self._unsaved_names, {}
        try:
            # Closed hours one device at a time: other work gets its turn in between.
            await self._database.write(lambda connection: blocks.save_raw(connection, unsaved, names))
            for hour in hours:
                await self._database.write(partial(blocks.close_hour, hour=hour))
        except BaseException:
            for block in unsaved:
                if block.key in self._windows:
                    self._windows[block.key].keep_unsaved((block.start,))
            self._unsaved_names = names | self._unsaved_names
            raise
        for hour in hours:
            if hour.key in self._windows:
                self._windows[hour.key].forget((hour.start,), now)
        for key, window in list(self._windows.items()):
            window.forget((), now)
            if window.empty:
                del self._windows[key]
        await self._prune(now)

    async def _prune(self, now: float) -> None:
        closed = MIDDLE.block_of(now - LATE_S)
        if closed <= self._closed_until:
            return
        work = partial(blocks.prune, now=now, closed_until=closed, limit_bytes=self._limit_bytes)
        while await self._database.write(work):
            # In parts, so that no transaction takes long.
            pass
        self._closed_until = closed

    async def _restore(self) -> None:
        def work(connection: sqlite3.Connection) -> _Stored:
            until = int(connection.execute("SELECT until FROM closed").fetchone()[0])
            names = connection.execute("SELECT backend_id, device, name FROM device").fetchall()
            return _Stored(
                until, list(blocks.read_raw(connection, until)), {(b, device): name for b, device, name in names}
            )

        stored = await self._database.read(work)
        self._closed_until, self._names = stored.closed_until, stored.names
        for key, block, metric, seconds in stored.seconds:
            self._windows.setdefault(key, Window()).restore(block, {metric: seconds})

    # --- answering

    def _recent(self, question: Question, grid: Grid) -> dict[tuple[Key, str], tuple[tuple[int, Floats], ...]]:
        """Return what memory has of a question, copied: the answer is made on another thread."""
        wanted = frozenset(question.backend_ids)
        recent: dict[tuple[Key, str], tuple[tuple[int, Floats], ...]] = {}
        for key, window in self._windows.items():
            if key[0] not in wanted:
                continue
            if grid.level is not RAW:
                window.settle()
            for metric in question.metrics:
                found = window.raw(metric) if grid.level is RAW else window.rolled(metric)
                if found:
                    recent[key, metric] = tuple((b, c.astype(np.float64)) for b, c in found.items() if b < grid.end)
        return recent

    def _answer(
        self,
        connection: sqlite3.Connection,
        question: Question,
        grid: Grid,
        recent: Mapping[tuple[Key, str], tuple[tuple[int, Floats], ...]],
    ) -> Answer:
        stats = question.stats
        series: list[Series] = []
        for wanted in self._wanted(connection, question, recent):
            columns = _read(connection, wanted, grid, only_average=stats == ("avg",))
            if not np.isnan(columns[0]).all():
                name = self._names.get(wanted.key, "")
                values = _stepped(columns, grid, stats, METRICS[wanted.metric].quantum)
                series.append(Series(*wanted.key, name, wanted.metric, values))
        return Answer(grid, tuple(series))

    def _wanted(
        self,
        connection: sqlite3.Connection,
        question: Question,
        recent: Mapping[tuple[Key, str], tuple[tuple[int, Floats], ...]],
    ) -> list[_Wanted]:
        known: dict[tuple[Key, str], int | None] = dict.fromkeys(recent)
        for number, backend_id, device, metric in _series_of(connection, question.backend_ids, question.metrics):
            known[(backend_id, device), metric] = number
        metrics = {metric: place for place, metric in enumerate(question.metrics)}
        backends = {backend_id: place for place, backend_id in enumerate(question.backend_ids)}
        order = sorted(known, key=lambda k: (backends[k[0][0]], k[0][1], metrics[k[1]]))
        return [_Wanted(key, metric, known[key, metric], recent.get((key, metric), ())) for key, metric in order]


def _series_of(
    connection: sqlite3.Connection, backend_ids: Collection[str], metrics: Collection[str]
) -> Iterable[tuple[int, str, str, str]]:
    marks, names = ", ".join("?" * len(backend_ids)), ", ".join("?" * len(metrics))
    return connection.execute(
        f"SELECT number, backend_id, device, metric FROM series WHERE backend_id IN ({marks}) AND metric IN ({names})",
        (*backend_ids, *metrics),
    ).fetchall()


def _read(connection: sqlite3.Connection, wanted: _Wanted, grid: Grid, *, only_average: bool) -> Floats:
    """Return a series on its level's buckets over the grid: one column (averages), or average, minimum, maximum."""
    level = grid.level
    columns = np.full((1 if only_average else 3, (grid.end - grid.start) // level.bucket_s), np.nan)
    if wanted.number is not None:
        blocks.fill(connection, wanted.number, wanted.metric, level, grid.start, columns)
    for start, found in wanted.recent:
        blocks.put(columns, grid.start, _at_level(found, level), start, level.bucket_s)
    return columns


def _at_level(found: Floats, level: Level) -> Floats:
    """Return what memory has, seconds or ten seconds, as the level has it."""
    return blocks.coarser(found, level.bucket_s // MIDDLE.bucket_s) if level in (COARSE, COARSEST) else found


def _stepped(columns: Floats, grid: Grid, stats: tuple[str, ...], quantum: float) -> dict[str, Floats]:
    parts = columns.reshape(len(columns), grid.count, -1)
    digits = _digits(quantum)
    stepped: dict[str, Floats] = {}
    for stat in stats:
        part = parts[STATS.index(stat) % len(columns)]
        if part.shape[1] == 1:
            found = part[:, 0]
        elif stat == "avg":
            found = mean(part)
        else:
            found = (np.fmin if stat == "min" else np.fmax).reduce(part, axis=1)
        stepped[stat] = np.round(found, digits)
    return stepped


def _digits(quantum: float) -> int:
    """Return how many digits an average of such values deserves."""
    return 0 if quantum >= 1000 else 2 if quantum >= 0.1 else 3
