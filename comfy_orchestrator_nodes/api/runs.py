"""Runs: the executions of meta-graphs, and of single jobs."""

from __future__ import annotations

import time
from typing import Annotated

from pydantic import Field

from ..domain import JobStatus, Run, RunStatus
from ..errors import NotFound
from ..store.jobs import JobFilter
from ..store.runs import RunTotals
from .job_schemas import ListedJob, PageQuery
from .schemas import Query, View
from .table import Call, Route


class RunsQuery(Query):
    """Which runs; what is left out does not restrict."""

    status: Annotated[list[RunStatus], Field(max_length=20)] = Field(default_factory=list)
    limit: Annotated[int, Field(ge=1, le=500)] = 100
    offset: Annotated[int, Field(ge=0, le=2**53)] = 0


class RunSummary(View):
    """A run without its jobs."""

    id: str
    status: RunStatus
    title: str = Field(description="What people call it: its workflow, or the definitions it runs; empty if unknown.")
    owner: str | None = Field(description="The user who started it, where ComfyUI knows several.")
    created_at: float
    ended_at: float | None
    jobs_total: int
    jobs_by_status: dict[JobStatus, int] = Field(description="What there is none of is left out.")
    busy_s: float = Field(description="How long backends ran its jobs, in all, attempts that failed included.")

    @classmethod
    def of(cls, run: Run, totals: RunTotals | None) -> RunSummary:
        """Return a run as lists show it."""
        jobs = dict(totals.jobs) if totals is not None else {}
        return cls(
            id=run.id,
            status=run.status,
            title=run.title,
            owner=run.owner,
            created_at=run.created_at,
            ended_at=run.ended_at,
            jobs_total=sum(jobs.values()),
            jobs_by_status=jobs,
            busy_s=totals.busy_s if totals is not None else 0.0,
        )


class RunList(View):
    """Some runs, newest first."""

    runs: list[RunSummary]


class RunView(RunSummary):
    """A run with a page of its jobs, newest first."""

    jobs: list[ListedJob]
    next: int | None = Field(description="The cursor for the jobs that follow; null after the last.")


class CancelledRunView(View):
    """How many of its jobs were under way and are asked to end."""

    cancelled_jobs: int


async def list_runs(call: Call, query: RunsQuery) -> RunList:
    """List runs, newest first, with what their jobs come to."""
    runs = call.service.runs
    found = await runs.list(statuses=query.status, limit=query.limit, offset=query.offset)
    totals = await runs.totals([run.id for run in found], now=time.time())
    return RunList(runs=[RunSummary.of(run, totals.get(run.id)) for run in found])


async def get_run(call: Call, run_id: str, query: PageQuery) -> RunView:
    """Return a run with its jobs."""
    totals = await call.service.runs.totals([run_id], now=time.time())
    run = RunSummary.of(await call.service.runs.get(run_id), totals.get(run_id))
    page = await call.service.jobs.list(JobFilter(run_id=run_id), limit=query.limit, before=query.cursor)
    used = await call.service.attempts.used_by([job.id for job in page.jobs])
    return RunView(**vars(run), jobs=ListedJob.all_of(page.jobs, used), next=page.next)


async def cancel_run(call: Call, run_id: str) -> CancelledRunView:
    """Cancel every job of a run that has not ended."""
    return CancelledRunView(cancelled_jobs=await call.service.orchestrator.cancel_run(run_id, call.by))


ROUTES = (
    Route("GET", "/runs", list_runs),
    Route("GET", "/runs/{run_id}", get_run, (NotFound,)),
    Route("POST", "/runs/{run_id}/cancel", cancel_run, (NotFound,)),
)
