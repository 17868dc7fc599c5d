"""The rows of the time series: written, folded into the coarser levels, read and pruned, on SQLite's threads.

Functions take a connection inside of a transaction that ``Database`` opened.
"""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ...metrics import METRICS
from .encoding import Floats, UnreadableBlockError, decode, encode
from .levels import COARSE, COARSEST, LATE_S, MIDDLE, RAW, Level
from .window import summarised

log = logging.getLogger(__name__)

Key = tuple[str, str]
"""Backend, device."""

PAGE_BYTES = 4096
PRUNED_AT_ONCE = 20_000
"""Rows, so that no transaction takes long."""

_UPSERT = (
    "INSERT INTO block (series, level, start, data) VALUES (?, ?, ?, ?) "
    "ON CONFLICT (series, level, start) DO UPDATE SET data = excluded.data"
)


@dataclass(frozen=True)
class Unsaved:
    """One block of one device: ``values`` are metrics x seconds, or for an hour 3 x metrics x buckets."""

    key: Key
    start: int
    metrics: tuple[str, ...]
    values: NDArray[np.float32]


def number_of(connection: sqlite3.Connection, key: Key, metric: str) -> int:
    """Return the number of a series, making it if it is new."""
    row = connection.execute(
        "SELECT number FROM series WHERE backend_id = ? AND device = ? AND metric = ?", (*key, metric)
    ).fetchone()
    if row is not None:
        return int(row[0])
    cursor = connection.execute("INSERT INTO series (backend_id, device, metric) VALUES (?, ?, ?)", (*key, metric))
    return int(cursor.lastrowid or 0)


def save_raw(connection: sqlite3.Connection, unsaved: Iterable[Unsaved], names: Mapping[Key, str]) -> None:
    """Store raw blocks, in the place of earlier states of them, and what devices are called."""
    for block in unsaved:
        for row, metric in enumerate(block.metrics[: len(block.values)]):
            column = block.values[row : row + 1].astype(np.float64)
            if np.isnan(column).all():
                continue
            data = encode(column, METRICS[metric].quantum)
            connection.execute(_UPSERT, (number_of(connection, block.key, metric), RAW.number, block.start, data))
    for key, name in names.items():
        connection.execute(
            "INSERT INTO device VALUES (?, ?, ?) ON CONFLICT DO UPDATE SET name = excluded.name", (*key, name)
        )


def close_hour(connection: sqlite3.Connection, hour: Unsaved) -> None:
    """Store an hour that is complete: as it is, by minutes in the block of its day, and by ten in its week's."""
    for row, metric in enumerate(hour.metrics[: hour.values.shape[1]]):
        columns = hour.values[:, row].astype(np.float64)
        if np.isnan(columns[0]).all():
            continue
        series, quantum = number_of(connection, hour.key, metric), METRICS[metric].quantum
        connection.execute(_UPSERT, (series, MIDDLE.number, hour.start, encode(columns, quantum)))
        for level in (COARSE, COARSEST):
            rolled = coarser(columns, level.bucket_s // MIDDLE.bucket_s)
            _merge(connection, series, level, hour.start, rolled, quantum)


def roll_up_days(connection: sqlite3.Connection) -> None:
    """Make the ten minutes of all the days of minutes: for a file from before there were any."""
    for series, metric in connection.execute("SELECT number, metric FROM series").fetchall():
        if metric not in METRICS:
            continue
        quantum = METRICS[metric].quantum
        weeks: dict[int, Floats] = {}
        days = connection.execute(
            "SELECT start, data FROM block WHERE series = ? AND level = ?", (series, COARSE.number)
        )
        for day, data in days:
            minutes = _decoded(series, data, COARSE, quantum)
            if minutes is None:
                continue
            week = COARSEST.block_of(day)
            target = weeks.setdefault(week, np.full((3, COARSEST.buckets), np.nan))
            put(target, week, coarser(minutes, COARSEST.bucket_s // COARSE.bucket_s), day, COARSEST.bucket_s)
        connection.executemany(
            _UPSERT, [(series, COARSEST.number, week, encode(found, quantum)) for week, found in weeks.items()]
        )


def _merge(
    connection: sqlite3.Connection, series: int, level: Level, start: int, columns: Floats, quantum: float
) -> None:
    """Write the buckets of an hour into the block of their level that they belong to."""
    block = level.block_of(start)
    row = connection.execute(
        "SELECT data FROM block WHERE series = ? AND level = ? AND start = ?", (series, level.number, block)
    ).fetchone()
    known = _decoded(series, row[0], level, quantum) if row is not None else None
    merged = np.full((3, level.buckets), np.nan) if known is None else known
    first = (start - block) // level.bucket_s
    merged[:, first : first + columns.shape[1]] = columns
    connection.execute(_UPSERT, (series, level.number, block, encode(merged, quantum)))


def coarser(columns: NDArray[np.floating], bucket: int) -> Floats:
    """Return the roll-up of a roll-up: 3 x buckets to 3 x fewer buckets."""
    average, least, most = columns
    rolled = summarised(average, bucket).astype(np.float64)
    rolled[1] = np.fmin.reduce(least.reshape(-1, bucket), axis=-1)
    rolled[2] = np.fmax.reduce(most.reshape(-1, bucket), axis=-1)
    return rolled


def read_raw(connection: sqlite3.Connection, since: int) -> Iterator[tuple[Key, int, str, Floats]]:
    """Yield the raw blocks from a time on: key, start, metric, seconds."""
    rows = connection.execute(
        "SELECT backend_id, device, metric, number, start, data FROM block JOIN series ON series = number "
        "WHERE level = ? AND start >= ?",
        (RAW.number, since),
    )
    for backend_id, device, metric, series, start, data in rows:
        if metric in METRICS:
            columns = _decoded(series, data, RAW, METRICS[metric].quantum)
            if columns is not None:
                yield (backend_id, device), start, metric, columns[0]


def fill(connection: sqlite3.Connection, series: int, metric: str, level: Level, start: int, target: Floats) -> None:
    """Write what a level has of a series into an array that begins at ``start``: columns x buckets.

    An array with one column takes averages alone.
    """
    end = start + target.shape[1] * level.bucket_s
    rows = connection.execute(
        "SELECT start, data FROM block WHERE series = ? AND level = ? AND start > ? AND start < ?",
        (series, level.number, start - level.block_s, end),
    )
    for block, data in rows:
        columns = _decoded(series, data, level, METRICS[metric].quantum, first_only=len(target) == 1)
        if columns is not None:
            put(target, start, columns, block, level.bucket_s)


def put(target: Floats, start: int, columns: NDArray[np.floating], block: int, bucket_s: int) -> None:
    """Copy the buckets of a block into an array, as far as they overlap; gaps leave what is there.

    Columns may be one (raw, which is average, minimum and maximum alike) or three.
    """
    begin = max(0, (block - start) // bucket_s)
    skip = max(0, (start - block) // bucket_s)
    count = min(target.shape[1] - begin, columns.shape[1] - skip)
    if count <= 0:
        return
    found = np.broadcast_to(columns[: len(target), skip : skip + count], (len(target), count))
    there = target[:, begin : begin + count]
    np.copyto(there, found, where=~np.isnan(found))


def prune(connection: sqlite3.Connection, now: float, closed_until: int, limit_bytes: int) -> bool:
    """Note up to when hours are closed; delete some of what is too old, or the oldest where that is still too much.

    Returns:
        Whether there may be more to delete.
    """
    connection.execute("UPDATE closed SET until = ?", (closed_until,))
    limits = (
        (RAW, min(now - RAW.keep_s - 2 * LATE_S, closed_until)),
        (MIDDLE, now - MIDDLE.keep_s - 2 * MIDDLE.block_s),
        (COARSE, now - COARSE.keep_s - COARSE.block_s),
        (COARSEST, now - COARSEST.keep_s - COARSEST.block_s),
    )
    deleted = max(_delete(connection, level, before) for level, before in limits)
    if deleted == PRUNED_AT_ONCE:
        return True
    if used_bytes(connection) > limit_bytes:
        return _delete_oldest(connection, limit_bytes)
    return False


def _delete_oldest(connection: sqlite3.Connection, limit_bytes: int) -> bool:
    """Delete the minutes of the oldest day, whose ten minutes stay; once there are no minutes, the oldest week."""
    for level, what in ((COARSE, "the minutes of its oldest day are"), (COARSEST, "its oldest week is")):
        oldest = connection.execute("SELECT min(start) FROM block WHERE level = ?", (level.number,)).fetchone()[0]
        if oldest is not None:
            log.warning("The history of telemetry is at its limit of %d MB: %s deleted", limit_bytes >> 20, what)
            return _delete(connection, level, oldest + 1) > 0
    return False


def forget(connection: sqlite3.Connection, backend_id: str) -> None:
    """Delete all that there is of a backend."""
    connection.execute(
        "DELETE FROM block WHERE series IN (SELECT number FROM series WHERE backend_id = ?)", (backend_id,)
    )
    connection.execute("DELETE FROM series WHERE backend_id = ?", (backend_id,))
    connection.execute("DELETE FROM device WHERE backend_id = ?", (backend_id,))


def used_bytes(connection: sqlite3.Connection) -> int:
    """Return how large the file is without its free pages."""
    pages = connection.execute("PRAGMA page_count").fetchone()[0]
    return int(pages - connection.execute("PRAGMA freelist_count").fetchone()[0]) * PAGE_BYTES


def _delete(connection: sqlite3.Connection, level: Level, before: float) -> int:
    """Delete blocks that begin before a time, at most so many at once; return how many. Their room is used again."""
    return connection.execute(
        "DELETE FROM block WHERE rowid IN (SELECT rowid FROM block WHERE level = ? AND start < ? LIMIT ?)",
        (level.number, before, PRUNED_AT_ONCE),
    ).rowcount


def _decoded(series: int, data: bytes, level: Level, quantum: float, *, first_only: bool = False) -> Floats | None:
    try:
        return decode(data, level.buckets, quantum, first_only=first_only)
    except UnreadableBlockError as error:
        # A gap in a chart: nothing depends on it, and the other blocks are whole.
        log.warning("A block of the time series %d is damaged and left out: %s", series, error)
        return None
