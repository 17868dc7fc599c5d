"""What is over and old: jobs with their attempts and events, and runs, deleted a few at a time."""

from __future__ import annotations

import sqlite3

from ..domain import RunStatus
from .database import Database


class HistoryRepository:
    """Deletes what nobody needs any more."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def threshold(self, *, before: float, keep: int) -> float:
        """Return the time before which jobs must have ended to be deleted.

        Args:
            before: that time as far as age decides, in seconds since the epoch.
            keep: how many of the jobs that have ended are kept at most.
        """
        # Answered by the index alone, without reading a job.
        row = await self._database.read(
            lambda connection: connection.execute(
                "SELECT ended_at FROM job WHERE ended_at IS NOT NULL ORDER BY ended_at DESC LIMIT 1 OFFSET ?",
                (max(0, keep - 1),),
            ).fetchone()
        )
        return before if row is None else max(before, float(row[0]))

    async def prune(self, before: float, *, limit: int) -> int:
        """Delete some of the jobs and runs that ended before a time, in one transaction; return how many.

        A job whose run goes on stays, and so does a run that still has jobs. Files and cached results have lives of
        their own; a value that stayed on a backend and is lost there can no longer be made again by its job.
        """

        def work(connection: sqlite3.Connection) -> int:
            jobs = connection.execute(
                "DELETE FROM job WHERE number IN (SELECT number FROM job WHERE ended_at < ? AND NOT EXISTS "
                "(SELECT 1 FROM run WHERE run.id = job.run_id AND status = ?) ORDER BY ended_at LIMIT ?)",
                (before, RunStatus.RUNNING.value, limit),
            ).rowcount
            runs = connection.execute(
                "DELETE FROM run WHERE number IN (SELECT number FROM run WHERE ended_at < ? AND NOT EXISTS "
                "(SELECT 1 FROM job WHERE job.run_id = run.id) ORDER BY ended_at LIMIT ?)",
                (before, limit),
            ).rowcount
            return jobs + runs

        return await self._database.write(work)
