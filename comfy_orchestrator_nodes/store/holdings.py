"""What the backends' agents keep of the values that jobs made, as far as the master has seen."""

from __future__ import annotations

import sqlite3
from collections.abc import Collection
from dataclasses import dataclass

from . import codec
from .database import Database

DEFAULT_LIMIT = 200_000
"""How many rows are kept, the newest; a row is about 150 bytes."""

_TRIM_EVERY = 256


@dataclass(frozen=True)
class Holding:
    """A value that an agent was seen to keep. It may have let go of it since."""

    sha256: str
    backend_id: str
    job_id: str
    """The job that made the value."""


class HoldingRepository:
    """Stores who keeps what, and which job made it."""

    def __init__(self, database: Database, *, limit: int = DEFAULT_LIMIT) -> None:
        self._database = database
        self._limit = limit
        self._notes = 0

    async def note(self, hashes: Collection[str], backend_id: str, job_id: str) -> None:
        """Note that a backend keeps what a job made; a later job that made the same takes the place of an earlier."""
        now = self._database.clock()
        rows = [(sha256, backend_id, job_id, now) for sha256 in hashes]
        self._notes += 1
        trim = self._notes % _TRIM_EVERY == 0

        def work(connection: sqlite3.Connection) -> None:
            connection.executemany(
                "INSERT INTO holding (sha256, backend_id, job_id, noted_at) VALUES (?, ?, ?, ?) ON CONFLICT DO UPDATE "
                "SET job_id = excluded.job_id, noted_at = excluded.noted_at",
                rows,
            )
            if trim:
                _drop_oldest(connection, self._limit)

        await self._database.write(work)

    async def of(self, sha256: str) -> tuple[Holding, ...]:
        """Return who was seen to keep a value, the latest first."""
        return await self._select("sha256 = ? ORDER BY noted_at DESC", sha256)

    async def recent(self, limit: int) -> tuple[Holding, ...]:
        """Return what was noted last."""
        return await self._select("true ORDER BY noted_at DESC LIMIT ?", limit)

    async def _select(self, condition: str, value: str | int) -> tuple[Holding, ...]:
        rows = await self._database.read(
            lambda connection: connection.execute(
                f"SELECT sha256, backend_id, job_id FROM holding WHERE {condition}", (value,)
            ).fetchall()
        )
        return tuple(Holding(codec.text(row[0]), codec.text(row[1]), codec.text(row[2])) for row in rows)


def _drop_oldest(connection: sqlite3.Connection, limit: int) -> None:
    surplus = connection.execute("SELECT count(*) FROM holding").fetchone()[0] - limit
    if surplus > 0:
        connection.execute(
            "DELETE FROM holding WHERE (sha256, backend_id) IN "
            "(SELECT sha256, backend_id FROM holding ORDER BY noted_at LIMIT ?)",
            (surplus,),
        )
