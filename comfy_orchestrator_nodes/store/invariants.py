"""What must be true of the database at any moment; tests ask for it after every scenario."""

from __future__ import annotations

import sqlite3

from ..domain import AttemptStatus, JobStatus, RunStatus
from . import codec
from .database import Database


def _listed(statuses: list[JobStatus] | list[AttemptStatus]) -> str:
    return ", ".join(f"'{status.value}'" for status in statuses)


_FINAL_JOB = _listed([status for status in JobStatus if status.final])
_FINAL_ATTEMPT = _listed([status for status in AttemptStatus if status.final])
_ATTEMPT_UNDER_WAY = _listed([JobStatus.DISPATCHED, JobStatus.RUNNING, JobStatus.LOST, JobStatus.CANCELLING])
_NOTHING_UNDER_WAY = _listed([JobStatus.QUEUED, JobStatus.WAITING])

_RULES = (
    (
        "job {0} is {1}, which no version of this pack knows",
        f"SELECT id, status FROM job WHERE status NOT IN ({_listed(list(JobStatus))})",
    ),
    (
        "attempt {0} is {1}, which no version of this pack knows",
        f"SELECT id, status FROM attempt WHERE status NOT IN ({_listed(list(AttemptStatus))})",
    ),
    ("job {0} has no run", "SELECT id FROM job WHERE run_id NOT IN (SELECT id FROM run)"),
    ("attempt {0} has no job", "SELECT id FROM attempt WHERE job_id NOT IN (SELECT id FROM job)"),
    ("event {0} has no job", "SELECT position FROM event WHERE job_id NOT IN (SELECT id FROM job)"),
    (
        "event {0} of job {1} names attempt {2}, which is not the job's",
        "SELECT sequence, job_id, attempt_id FROM event WHERE attempt_id IS NOT NULL AND attempt_id NOT IN "
        "(SELECT id FROM attempt WHERE attempt.job_id = event.job_id)",
    ),
    (
        "job {0} has {1} accepted results",
        "SELECT job_id, count(*) FROM attempt WHERE status = 'succeeded' GROUP BY job_id HAVING count(*) > 1",
    ),
    (
        "job {0} is {1}, but its attempt {2} succeeded",
        "SELECT job.id, job.status, attempt.id FROM job JOIN attempt ON job_id = job.id "
        "WHERE attempt.status = 'succeeded' AND job.status <> 'succeeded'",
    ),
    (
        "job {0} succeeded without an accepted attempt, and not by a stored result either",
        "SELECT id FROM job WHERE status = 'succeeded' "
        "AND NOT EXISTS (SELECT 1 FROM attempt WHERE job_id = job.id AND status = 'succeeded') "
        "AND NOT EXISTS (SELECT 1 FROM event WHERE job_id = job.id AND kind = 'reused')",
    ),
    (
        "job {0} is over, but its attempt {1} is {2}",
        "SELECT job.id, attempt.id, attempt.status FROM job JOIN attempt ON job_id = job.id "
        f"WHERE job.status IN ({_FINAL_JOB}) AND attempt.status NOT IN ({_FINAL_ATTEMPT})",
    ),
    (
        "job {0} is {1}, but has {2} attempts under way",
        "SELECT id, status, (SELECT count(*) FROM attempt WHERE job_id = job.id "
        f"AND attempt.status NOT IN ({_FINAL_ATTEMPT})) AS under_way FROM job "
        f"WHERE (status IN ({_ATTEMPT_UNDER_WAY}) AND under_way <> 1) "
        f"OR (status IN ({_NOTHING_UNDER_WAY}) AND under_way <> 0)",
    ),
    (
        "job {0} is {1}, but its time of ending is {2}",
        f"SELECT id, status, coalesce(ended_at, 'missing') FROM job WHERE (status IN ({_FINAL_JOB})) "
        "<> (ended_at IS NOT NULL)",
    ),
    (
        "attempt {0} is {1}, but its time of ending is {2}",
        f"SELECT id, status, coalesce(ended_at, 'missing') FROM attempt WHERE (status IN ({_FINAL_ATTEMPT})) "
        "<> (ended_at IS NOT NULL)",
    ),
    ("job {0} failed without a failure", "SELECT id FROM job WHERE status = 'failed' AND failure IS NULL"),
    ("attempt {0} failed without a failure", "SELECT id FROM attempt WHERE status = 'failed' AND failure IS NULL"),
    (
        "the attempts of job {0} are not numbered from 1 without gaps",
        "SELECT job_id FROM attempt GROUP BY job_id HAVING min(number) <> 1 OR max(number) <> count(*)",
    ),
    (
        "the events of job {0} are not numbered from 1 without gaps",
        "SELECT job_id FROM event GROUP BY job_id HAVING min(sequence) <> 1 OR max(sequence) <> count(*)",
    ),
    ("job {0} has no event", "SELECT id FROM job WHERE id NOT IN (SELECT job_id FROM event)"),
    (
        "run {0} is {1}, but its time of ending is {2}",
        f"SELECT id, status, coalesce(ended_at, 'missing') FROM run WHERE (status <> '{RunStatus.RUNNING.value}') "
        "<> (ended_at IS NOT NULL)",
    ),
    (
        "definition {0} has no latest version {1}",
        "SELECT id, latest_version FROM definition WHERE latest_version <> "
        "(SELECT coalesce(max(version), 0) FROM definition_version WHERE definition_id = definition.id)",
    ),
)
"""A sentence for each row that its query finds."""


async def check_invariants(database: Database) -> list[str]:
    """Return a sentence for each rule that the stored rows break; empty when all is well."""
    return await database.read(_check)


def _check(connection: sqlite3.Connection) -> list[str]:
    broken = [sentence.format(*row) for sentence, query in _RULES for row in connection.execute(query)]
    succeeded = connection.execute("SELECT id, spec, outputs FROM job WHERE status = 'succeeded'")
    return broken + [line for row in succeeded for line in _missing_outputs(*row)]


def _missing_outputs(job_id: str, spec: str, outputs: str) -> list[str]:
    with codec.row("job", job_id):
        found = codec.load_json(outputs)
        wanted = codec.load_json(spec)["outputs"]
    return [f"job {job_id} succeeded without its output {name!r}" for name in wanted if name not in found]
