"""The events: what happened to each job, in order. They are written with their job's change, by ``jobs.py``."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from ..domain import JobEvent, Json
from . import codec
from .database import Database

_COLUMNS = "position, job_id, sequence, at, kind, attempt_id, details"


class StoredEvent(NamedTuple):
    """An event with its place among the events of all jobs."""

    position: int
    event: JobEvent


class EventRepository:
    """Reads events."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def for_job(self, job_id: str, *, after: int = 0) -> tuple[JobEvent, ...]:
        """Return a job's events in order, from the one after sequence ``after``; none for an unknown job."""
        stored = await self._select("job_id = ? AND sequence > ? ORDER BY sequence", (job_id, after))
        return tuple(event for _, event in stored)

    async def since(self, position: int, *, limit: int = 1000) -> tuple[StoredEvent, ...]:
        """Return the events of all jobs after ``position`` (0 for all) in the order they were stored."""
        return await self._select("position > ? ORDER BY position LIMIT ?", (position, limit))

    async def _select(self, condition: str, values: Sequence[object]) -> tuple[StoredEvent, ...]:
        def work(connection: sqlite3.Connection) -> tuple[StoredEvent, ...]:
            rows = connection.execute(f"SELECT {_COLUMNS} FROM event WHERE {condition}", values)
            return self._database.readable(rows, _decode)

        return await self._database.read(work)


def append_events(
    connection: sqlite3.Connection,
    job_id: str,
    at: float,
    events: Sequence[tuple[str, str | None, Mapping[str, Json]]],
) -> None:
    """Append events (kind, attempt_id, details) to a job's story inside a transaction."""
    if not events:
        return
    last = connection.execute("SELECT max(sequence) FROM event WHERE job_id = ?", (job_id,)).fetchone()[0] or 0
    connection.executemany(
        "INSERT INTO event (job_id, sequence, at, kind, attempt_id, details) VALUES (?, ?, ?, ?, ?, ?)",
        [
            (job_id, sequence, at, kind, attempt_id, codec.dump(details))
            for sequence, (kind, attempt_id, details) in enumerate(events, last + 1)
        ],
    )


def _decode(row: tuple[Any, ...]) -> StoredEvent:
    with codec.row("event", row[0]):
        event = JobEvent(
            job_id=codec.text(row[1]),
            sequence=codec.integer(row[2]),
            at=codec.number(row[3]),
            kind=codec.text(row[4]),
            attempt_id=codec.optional(codec.text, row[5]),
            details=codec.load(dict[str, Any], row[6]),
        )
        return StoredEvent(codec.integer(row[0]), event)
