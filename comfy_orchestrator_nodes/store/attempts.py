"""The attempts: one row for each dispatch of a job to a backend. They are written with their job, by ``jobs.py``."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ..domain import Attempt, AttemptStatus, Failure
from ..errors import StaleWrite
from . import codec
from .database import Database

_SAVED = (
    "id, job_id, number, backend_id, prompt_id, status, charged, failure, created_at, started_at, ended_at, "
    "uploaded_bytes, downloaded_bytes"
)
_COLUMNS = f"{_SAVED}, peak_vram_bytes, energy_j"
"""The last two are written by ``note_usage`` alone: whoever saves an attempt does not know what it took."""
_FINAL = tuple(status.value for status in AttemptStatus if status.final)
_FINAL_MARKS = ", ".join("?" * len(_FINAL))


@dataclass(frozen=True)
class Used:
    """What the attempts of a job took together, as far as it was measured, and which backend had the last one."""

    backend_id: str | None = None
    peak_vram_bytes: int | None = None
    energy_j: float | None = None


class AttemptRepository:
    """Reads attempts, and notes what they took."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def for_job(self, job_id: str) -> tuple[Attempt, ...]:
        """Return a job's attempts in the order they were made; none for an unknown job."""
        return await self._select("job_id = ? ORDER BY number", job_id)

    async def for_backend(self, backend_id: str) -> tuple[Attempt, ...]:
        """Return a backend's attempts that are not over."""
        return await self._select(
            f"backend_id = ? AND status NOT IN ({_FINAL_MARKS}) ORDER BY created_at, id", backend_id, *_FINAL
        )

    async def unfinished(self) -> tuple[Attempt, ...]:
        """Return all attempts that are not over, the oldest first."""
        return await self._select(f"status NOT IN ({_FINAL_MARKS}) ORDER BY created_at, id", *_FINAL)

    async def ended_since(self, at: float) -> tuple[Attempt, ...]:
        """Return all attempts that ended at that time or later, the oldest first."""
        return await self._select(f"status IN ({_FINAL_MARKS}) AND ended_at >= ? ORDER BY ended_at, id", *_FINAL, at)

    async def on_backend(
        self, backend_id: str, *, since: float, until: float, limit: int
    ) -> tuple[tuple[Attempt, str], ...]:
        """Return the attempts that a backend had between two moments, each with its definition, the newest first."""
        columns = ", ".join(f"attempt.{column}" for column in _COLUMNS.split(", "))
        rows = await self._database.read(
            lambda connection: connection.execute(
                f"SELECT {columns}, job.definition_id FROM attempt JOIN job ON job.id = attempt.job_id "
                "WHERE attempt.backend_id = ? AND attempt.created_at <= ? "
                "AND (attempt.ended_at IS NULL OR attempt.ended_at >= ?) ORDER BY attempt.created_at DESC LIMIT ?",
                (backend_id, until, since, limit),
            ).fetchall()
        )
        return tuple((_decode(row[:-1]), codec.text(row[-1])) for row in rows)

    async def by_prompt_id(self, prompt_id: str) -> Attempt | None:
        """Return the attempt that owns a prompt_id, or None if it is not one of ours."""
        found = await self._select("prompt_id = ?", prompt_id)
        return found[0] if found else None

    async def note_usage(self, attempt_id: str, peak_vram_bytes: int | None, energy_j: float | None) -> None:
        """Store what an attempt took of its backend; a no-op when it is not there any more."""

        def work(connection: sqlite3.Connection) -> None:
            connection.execute(
                "UPDATE attempt SET peak_vram_bytes = ?, energy_j = ? WHERE id = ?",
                (peak_vram_bytes, energy_j, attempt_id),
            )

        await self._database.write(work)

    async def used_by(self, job_ids: Sequence[str]) -> Mapping[str, Used]:
        """Return what jobs took: the last backend, the highest peak of their attempts, and the energy of all.

        Args:
            job_ids: at most some hundred.
        """
        marks = ", ".join("?" * len(job_ids))
        rows = await self._database.read(
            lambda connection: connection.execute(
                "SELECT job_id, (SELECT backend_id FROM attempt AS one WHERE one.job_id = attempt.job_id "
                "ORDER BY number DESC LIMIT 1), max(peak_vram_bytes), sum(energy_j) "
                f"FROM attempt WHERE job_id IN ({marks}) GROUP BY job_id",
                tuple(job_ids),
            ).fetchall()
        )
        return {job_id: Used(*found) for job_id, *found in rows}

    async def _select(self, condition: str, *values: str | float) -> tuple[Attempt, ...]:
        rows = await self._database.read(
            lambda connection: connection.execute(
                f"SELECT {_COLUMNS} FROM attempt WHERE {condition}", values
            ).fetchall()
        )
        return tuple(_decode(row) for row in rows)


def save_attempt(connection: sqlite3.Connection, attempt: Attempt) -> None:
    """Insert an attempt, or change the stored one, inside a transaction.

    A final status stays; only the transferred bytes may still be counted. Job, number, backend and prompt_id of an
    attempt never change.

    Raises:
        StaleWrite: the stored attempt ended with another status than the new one, or is another attempt altogether.
    """
    row = _encode(attempt)
    inserted = connection.execute(
        f"INSERT INTO attempt ({_SAVED}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (id) DO NOTHING",
        row,
    )
    if inserted.rowcount == 1:
        return
    updated = connection.execute(
        "UPDATE attempt SET status = ?, charged = ?, failure = ?, started_at = ?, ended_at = ?, uploaded_bytes = ?, "
        "downloaded_bytes = ? WHERE id = ? AND job_id = ? AND number = ? AND backend_id = ? AND prompt_id = ? "
        f"AND (status = ? OR status NOT IN ({_FINAL_MARKS}))",
        (*row[5:8], *row[9:], *row[:5], attempt.status.value, *_FINAL),
    )
    if updated.rowcount == 1:
        return
    found = connection.execute("SELECT status FROM attempt WHERE id = ?", (attempt.id,)).fetchone()
    raise StaleWrite("attempt", attempt.id, f"one that can become {attempt.status.value}", str(found[0]))


def load_failure(column: object) -> Failure | None:
    """Return the failure of a column that may be empty, or raise UnreadableError."""
    return None if column is None else codec.load(Failure, column)


def _encode(attempt: Attempt) -> tuple[Any, ...]:
    return (
        attempt.id,
        attempt.job_id,
        attempt.number,
        attempt.backend_id,
        attempt.prompt_id,
        attempt.status.value,
        attempt.charged,
        codec.optional(codec.dump, attempt.failure),
        attempt.created_at,
        attempt.started_at,
        attempt.ended_at,
        attempt.uploaded_bytes,
        attempt.downloaded_bytes,
    )


def _decode(row: tuple[Any, ...]) -> Attempt:
    with codec.row("attempt", row[0]):
        return Attempt(
            id=codec.text(row[0]),
            job_id=codec.text(row[1]),
            number=codec.integer(row[2]),
            backend_id=codec.text(row[3]),
            prompt_id=codec.text(row[4]),
            status=AttemptStatus(row[5]),
            charged=codec.flag(row[6]),
            failure=load_failure(row[7]),
            created_at=codec.number(row[8]),
            started_at=codec.optional(codec.number, row[9]),
            ended_at=codec.optional(codec.number, row[10]),
            uploaded_bytes=codec.integer(row[11]),
            downloaded_bytes=codec.integer(row[12]),
            peak_vram_bytes=codec.optional(codec.integer, row[13]),
            energy_j=codec.optional(codec.number, row[14]),
        )
