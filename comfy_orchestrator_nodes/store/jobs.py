"""The jobs, and the one way they change: a guarded change of status with its attempts and events, all or nothing."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ..domain import Attempt, Failure, Job, JobSpec, JobStatus, Json, Run, Value
from ..errors import Conflict, NotFound, StaleWrite
from . import codec
from .attempts import load_failure, save_attempt
from .database import Database
from .events import append_events
from .runs import insert_run

_COLUMNS = (
    "id, run_id, key, spec, status, created_at, node_id, item_index, owner, queued_at, outputs, failure, ended_at"
)
_MARKS = ", ".join("?" * len(_COLUMNS.split(",")))
_UNFINISHED = tuple(status for status in JobStatus if not status.final)


@dataclass(frozen=True)
class JobChange:
    """What one step of the state machine did to a job; stored as one transaction.

    The job must still have the ``expected`` status. ``attempts`` are inserted or replaced, ``events`` (kind,
    attempt_id, details) are appended. ``outputs``, ``spec`` and ``queued_at`` of None leave the stored ones;
    ``failure`` is the job's failure from now on, None included.
    """

    job_id: str
    expected: JobStatus
    status: JobStatus
    now: float
    attempts: tuple[Attempt, ...] = ()
    events: tuple[tuple[str, str | None, Mapping[str, Json]], ...] = ()
    outputs: Mapping[str, Value] | None = None
    failure: Failure | None = None
    spec: JobSpec | None = None
    queued_at: float | None = None


@dataclass(frozen=True)
class JobFilter:
    """Which jobs to list; what is left empty does not restrict.

    ``search`` is looked for, without regard to ASCII case, in the ids of job, run, definition and node, and in the
    failure.
    """

    statuses: tuple[JobStatus, ...] = ()
    run_id: str | None = None
    definition_id: str | None = None
    backend_id: str | None = None
    search: str = ""


EVERY_JOB = JobFilter()


@dataclass(frozen=True)
class JobPage:
    """Some jobs, newest first, and the cursor for those that follow (None after the last)."""

    jobs: tuple[Job, ...]
    next: int | None


class JobRepository:
    """Stores jobs."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def create(
        self,
        job: Job,
        *,
        run: Run | None = None,
        details: Mapping[str, Json] | None = None,
    ) -> None:
        """Store a new job with the event ``created``, and its run too if that is given and not there yet.

        Raises:
            Conflict: there is a job with this id.
            NotFound: there is no such run.
        """
        row = _encode(job)

        def work(connection: sqlite3.Connection) -> None:
            if run is not None:
                insert_run(connection, run)
            _refuse_unfit(connection, job)
            connection.execute(
                f"INSERT INTO job ({_COLUMNS}, definition_id) VALUES ({_MARKS}, ?)",
                (*row, job.spec.definition_id),
            )
            append_events(connection, job.id, job.created_at, (("created", None, details or {}),))

        await self._database.write(work)

    async def apply(self, change: JobChange) -> None:
        """Store one step of a job: its status, attempts and events go together or not at all.

        Raises:
            StaleWrite: the job has another status than expected, or an attempt has already ended otherwise. Nothing
                was stored.
            NotFound: there is no such job.
        """
        outputs = codec.optional(codec.dump, change.outputs)
        failure = codec.optional(codec.dump, change.failure)
        spec = codec.optional(codec.dump, change.spec)

        def work(connection: sqlite3.Connection) -> None:
            changed = connection.execute(
                "UPDATE job SET status = ?, outputs = coalesce(?, outputs), failure = ?, "
                "spec = coalesce(?, spec), queued_at = coalesce(?, queued_at), "
                "ended_at = CASE WHEN ? THEN coalesce(ended_at, ?) END WHERE id = ? AND status = ?",
                (
                    change.status.value,
                    outputs,
                    failure,
                    spec,
                    change.queued_at,
                    change.status.final,
                    change.now,
                    change.job_id,
                    change.expected.value,
                ),
            )
            if changed.rowcount == 0:
                raise _stale(connection, change)
            for attempt in change.attempts:
                if attempt.job_id != change.job_id:
                    raise StaleWrite("attempt", attempt.id, f"of job {change.job_id}", f"of job {attempt.job_id}")
                save_attempt(connection, attempt)
            append_events(connection, change.job_id, change.now, change.events)

        await self._database.write(work)

    async def get(self, job_id: str) -> Job:
        """Return one job.

        Raises:
            NotFound: there is none of that id.
            StoreDamaged: its row cannot be read. Lists leave such a row out and log it.
        """
        row = await self._database.read(
            lambda connection: connection.execute(f"SELECT {_COLUMNS} FROM job WHERE id = ?", (job_id,)).fetchone()
        )
        if row is None:
            raise NotFound("job", job_id)
        return _decode(row)

    async def unfinished(self) -> tuple[Job, ...]:
        """Return all jobs that are not over, the oldest first: what a start of the master must reconcile."""
        return await self._select(
            f"WHERE status IN ({_marks(_UNFINISHED)}) ORDER BY number", [status.value for status in _UNFINISHED]
        )

    async def by_key(self, key: str, *, limit: int = 20) -> tuple[Job, ...]:
        """Return the jobs that do the same work, newest first: the unfinished among them can be joined."""
        return await self._select("WHERE key = ? ORDER BY number DESC LIMIT ?", (key, limit))

    async def list(self, where: JobFilter = EVERY_JOB, *, limit: int = 100, before: int | None = None) -> JobPage:
        """Return a page of jobs, newest first. ``before`` is the ``next`` of the page that came before."""
        condition, values = _condition(where)
        if before is not None:
            condition += " AND number < ?"
            values.append(before)

        def work(connection: sqlite3.Connection) -> JobPage:
            rows = connection.execute(
                f"SELECT {_COLUMNS}, number FROM job WHERE {condition} ORDER BY number DESC LIMIT ?",
                (*values, limit + 1),
            ).fetchall()
            shown = rows[:limit]
            more = len(rows) > limit and bool(shown)
            return JobPage(self._database.readable(shown, _decode), int(shown[-1][-1]) if more else None)

        return await self._database.read(work)

    async def counts(self, where: JobFilter = EVERY_JOB) -> Mapping[JobStatus, int]:
        """Return how many jobs there are of each status, those with none left out."""
        condition, values = _condition(where)
        rows = await self._database.read(
            lambda connection: connection.execute(
                f"SELECT status, count(*) FROM job WHERE {condition} GROUP BY status", values
            ).fetchall()
        )
        with codec.row("job counts", ""):
            return {JobStatus(status): codec.integer(count) for status, count in rows}

    async def _select(self, rest: str, values: Sequence[Any]) -> tuple[Job, ...]:
        def work(connection: sqlite3.Connection) -> tuple[Job, ...]:
            rows = connection.execute(f"SELECT {_COLUMNS} FROM job {rest}", values)
            return self._database.readable(rows, _decode)

        return await self._database.read(work)


def _marks(values: Sequence[object]) -> str:
    return ", ".join("?" * len(values))


def _condition(where: JobFilter) -> tuple[str, list[Any]]:
    parts: list[str] = ["1"]
    values: list[Any] = []
    if where.statuses:
        parts.append(f"status IN ({_marks(where.statuses)})")
        values.extend(status.value for status in where.statuses)
    if where.run_id is not None:
        parts.append("run_id = ?")
        values.append(where.run_id)
    if where.definition_id is not None:
        parts.append("definition_id = ?")
        values.append(where.definition_id)
    if where.backend_id is not None:
        parts.append("EXISTS (SELECT 1 FROM attempt WHERE backend_id = ? AND job_id = job.id)")
        values.append(where.backend_id)
    if where.search:
        columns = ("id", "run_id", "definition_id", "node_id", "failure")
        parts.append("(" + " OR ".join(f"{column} LIKE ? ESCAPE '\\'" for column in columns) + ")")
        # A failure is JSON, in which quotes and line breaks look different.
        in_json = codec.dump(where.search)[1:-1]
        values.extend([*[like_pattern(where.search)] * 4, like_pattern(in_json)])
    return " AND ".join(parts), values


def like_pattern(searched: str) -> str:
    r"""Return the LIKE pattern (escape character ``\``) that finds a text anywhere, taken literally."""
    literal = searched.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
    return f"%{literal}%"


def _refuse_unfit(connection: sqlite3.Connection, job: Job) -> None:
    if connection.execute("SELECT 1 FROM job WHERE id = ?", (job.id,)).fetchone() is not None:
        raise Conflict(f"There is already a job with the id {job.id!r}.", id=job.id)
    if connection.execute("SELECT 1 FROM run WHERE id = ?", (job.run_id,)).fetchone() is None:
        raise NotFound("run", job.run_id)


def _stale(connection: sqlite3.Connection, change: JobChange) -> StaleWrite | NotFound:
    found = connection.execute("SELECT status FROM job WHERE id = ?", (change.job_id,)).fetchone()
    if found is None:
        return NotFound("job", change.job_id)
    return StaleWrite("job", change.job_id, change.expected.value, str(found[0]))


def _encode(job: Job) -> tuple[Any, ...]:
    return (
        job.id,
        job.run_id,
        job.key,
        codec.dump(job.spec),
        job.status.value,
        job.created_at,
        job.node_id,
        job.item_index,
        job.owner,
        job.queued_at,
        codec.dump(job.outputs),
        codec.optional(codec.dump, job.failure),
        job.ended_at,
    )


def _decode(row: tuple[Any, ...]) -> Job:
    with codec.row("job", row[0]):
        return Job(
            id=codec.text(row[0]),
            run_id=codec.text(row[1]),
            key=codec.text(row[2]),
            spec=codec.load(JobSpec, row[3]),
            status=JobStatus(row[4]),
            created_at=codec.number(row[5]),
            node_id=codec.optional(codec.text, row[6]),
            item_index=codec.integer(row[7]),
            owner=codec.optional(codec.text, row[8]),
            queued_at=codec.optional(codec.number, row[9]),
            outputs=codec.load(dict[str, Value], row[10]),
            failure=load_failure(row[11]),
            ended_at=codec.optional(codec.number, row[12]),
        )
