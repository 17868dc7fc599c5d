"""The runs: one row for each execution of a meta-graph."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ..domain import JobStatus, Run, RunStatus
from ..errors import Conflict, NotFound, StaleWrite
from . import codec
from .database import Database

_COLUMNS = "id, status, title, client_id, owner, created_at, ended_at"


@dataclass(frozen=True)
class RunTotals:
    """What the jobs of a run come to: how many there are of each status, and how long backends were busy with them."""

    jobs: Mapping[JobStatus, int]
    busy_s: float


class RunRepository:
    """Stores runs and how they ended."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def create(self, run: Run) -> None:
        """Store a new run.

        Raises:
            Conflict: there is a run with this id.
        """

        def work(connection: sqlite3.Connection) -> None:
            if not insert_run(connection, run):
                raise Conflict(f"There is already a run with the id {run.id!r}.", id=run.id)

        await self._database.write(work)

    async def get(self, run_id: str) -> Run:
        """Return one run.

        Raises:
            NotFound: there is none of that id.
        """
        row = await self._database.read(
            lambda connection: connection.execute(f"SELECT {_COLUMNS} FROM run WHERE id = ?", (run_id,)).fetchone()
        )
        if row is None:
            raise NotFound("run", run_id)
        return _decode(row)

    async def list(self, *, statuses: Sequence[RunStatus] = (), limit: int = 100, offset: int = 0) -> tuple[Run, ...]:
        """Return runs, newest first; with ``statuses`` only those."""
        marks = ", ".join("?" * len(statuses))
        condition = f"WHERE status IN ({marks})" if statuses else ""
        values = [*(status.value for status in statuses), limit, offset]

        def work(connection: sqlite3.Connection) -> tuple[Run, ...]:
            rows = connection.execute(
                f"SELECT {_COLUMNS} FROM run {condition} ORDER BY number DESC LIMIT ? OFFSET ?", values
            )
            return self._database.readable(rows, _decode)

        return await self._database.read(work)

    async def totals(self, run_ids: Sequence[str], *, now: float) -> Mapping[str, RunTotals]:
        """Return what the jobs of some runs come to; a run without jobs is left out.

        Args:
            run_ids: of which runs.
            now: until when attempts under way are counted.
        """
        marks = ", ".join("?" * len(run_ids))

        def work(connection: sqlite3.Connection) -> dict[str, RunTotals]:
            jobs: dict[str, dict[JobStatus, int]] = {}
            for run_id, status, count in connection.execute(
                f"SELECT run_id, status, count(*) FROM job WHERE run_id IN ({marks}) GROUP BY run_id, status", run_ids
            ):
                with codec.row("job counts of run", run_id):
                    jobs.setdefault(run_id, {})[JobStatus(status)] = codec.integer(count)
            busy = dict(
                connection.execute(
                    "SELECT run_id, sum(coalesce(attempt.ended_at, ?) - attempt.started_at) FROM job "
                    f"JOIN attempt ON attempt.job_id = job.id WHERE run_id IN ({marks}) "
                    "AND attempt.started_at IS NOT NULL GROUP BY run_id",
                    (now, *run_ids),
                ).fetchall()
            )
            return {run_id: RunTotals(counts, float(busy.get(run_id, 0.0))) for run_id, counts in jobs.items()}

        return await self._database.read(work)

    async def finish(
        self, run_id: str, status: RunStatus, *, now: float, expected: RunStatus = RunStatus.RUNNING
    ) -> None:
        """Give a run its final status, if it still has the expected one.

        Raises:
            NotFound: there is none of that id.
            StaleWrite: it ended already.
        """

        def work(connection: sqlite3.Connection) -> None:
            changed = connection.execute(
                "UPDATE run SET status = ?, ended_at = ? WHERE id = ? AND status = ?",
                (status.value, now, run_id, expected.value),
            )
            if changed.rowcount == 1:
                return
            found = connection.execute("SELECT status FROM run WHERE id = ?", (run_id,)).fetchone()
            if found is None:
                raise NotFound("run", run_id)
            raise StaleWrite("run", run_id, expected.value, str(found[0]))

        await self._database.write(work)


def insert_run(connection: sqlite3.Connection, run: Run) -> bool:
    """Insert a run inside a transaction; return False, changing nothing, if its id is there already."""
    inserted = connection.execute(
        f"INSERT INTO run ({_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT (id) DO NOTHING",
        (run.id, run.status.value, run.title, run.client_id, run.owner, run.created_at, run.ended_at),
    )
    return inserted.rowcount == 1


def _decode(row: tuple[Any, ...]) -> Run:
    with codec.row("run", row[0]):
        return Run(
            id=codec.text(row[0]),
            status=RunStatus(row[1]),
            title=codec.text(row[2]),
            client_id=codec.optional(codec.text, row[3]),
            owner=codec.optional(codec.text, row[4]),
            created_at=codec.number(row[5]),
            ended_at=codec.optional(codec.number, row[6]),
        )
