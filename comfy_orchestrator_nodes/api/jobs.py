"""Jobs: submit, list, wait, explain, cancel, run again, decide."""

from __future__ import annotations

import asyncio
from contextlib import suppress

from ..domain import Job, JobStatus
from ..errors import Conflict, InvalidRequest, NotFound, StoreError, ValueLost
from ..machine.jobs import JobState
from ..scheduler.updates import JobChanged, JobUpdate
from ..service import Service
from ..store.jobs import JobFilter
from .access import Access
from .backend_schemas import CancelledView
from .explanation_schemas import ExplanationView
from .job_schemas import (
    AttemptView,
    CancelBody,
    DecisionBody,
    EventList,
    EventsQuery,
    EventView,
    JobBody,
    JobKnobsView,
    JobList,
    JobsQuery,
    JobView,
    ListedJob,
    MoveBody,
    PriorityBody,
    ProgressView,
    RetryBody,
    SubmittedView,
    WaitQuery,
    shown_values,
    summary_fields,
)
from .table import Call, Route


async def submit_job(call: Call, body: JobBody) -> SubmittedView:
    """Run a definition once. It shares the run or the result of equal work unless `cache` is false."""
    service = call.service
    ticket = await service.orchestrator.submit(body.to_request(call.user))
    if body.client_id is not None and not ticket.done.done():
        call.access.events.claim(body.client_id, ticket.job_id)
    job = await _view(call.access, await service.jobs.get(ticket.job_id))
    return SubmittedView(**vars(job), cached=ticket.cached)


async def list_jobs(call: Call, query: JobsQuery) -> JobList:
    """List jobs, newest first."""
    where = JobFilter(tuple(query.status), query.run, query.definition, query.backend, query.search)
    page = await call.service.jobs.list(where, limit=query.limit, before=query.cursor)
    used = await call.service.attempts.used_by([job.id for job in page.jobs])
    return JobList(jobs=ListedJob.all_of(page.jobs, used), next=page.next)


async def get_job(call: Call, job_id: str, query: WaitQuery) -> JobView:
    """Return a job. With `wait_s` the answer comes when it has ended or needs a decision, or when the time is up."""
    return await _view(call.access, await _settled(call.service, job_id, query.wait_s))


async def list_events(call: Call, job_id: str, query: EventsQuery) -> EventList:
    """Return a job's story, in order."""
    await call.service.jobs.get(job_id)
    events = await call.service.events.for_job(job_id, after=query.after)
    return EventList(events=[EventView.of(event) for event in events])


async def explain_job(call: Call, job_id: str) -> ExplanationView:
    """Say where a job could go and why not elsewhere, if it has not ended, and why it went where it did."""
    service = call.service
    await service.jobs.get(job_id)
    now = await service.orchestrator.explain(job_id)
    return ExplanationView.of(job_id, now, await service.events.for_job(job_id))


async def cancel_job(call: Call, job_id: str) -> JobView:
    """Cancel a job, whoever waits for it. It ends once its backend has let go of it; one that has ended stays."""
    await call.service.orchestrator.cancel(job_id, call.by)
    return await _view(call.access, await call.service.jobs.get(job_id))


async def cancel_jobs(call: Call, body: CancelBody) -> CancelledView:
    """Cancel jobs that have not ended, whoever waits for them: all of them, or those that fit."""

    def wanted(state: JobState) -> bool:
        job, attempt = state.job, state.current
        return (
            (not body.status or job.status in body.status)
            and body.run in (None, job.run_id)
            and body.definition in (None, job.spec.definition_id)
            and (body.backend is None or (attempt is not None and attempt.backend_id == body.backend))
        )

    return CancelledView(job_ids=await call.service.orchestrator.cancel_where(wanted, call.by))


async def retry_job(call: Call, job_id: str, body: RetryBody) -> JobView:
    """Run the work of a job that has ended again, as a new job."""
    ticket = await call.service.orchestrator.retry(job_id, elsewhere=body.elsewhere)
    return await _view(call.access, await call.service.jobs.get(ticket.job_id))


async def prioritise_job(call: Call, job_id: str, body: PriorityBody) -> JobView:
    """Make a job that has not ended more or less urgent."""
    await call.service.order.prioritise(job_id, body.priority, call.by)
    return await _view(call.access, await call.service.jobs.get(job_id))


async def move_job(call: Call, job_id: str, body: MoveBody) -> JobView:
    """Let a job that waits for a backend be served before another one, or before all that wait."""
    await call.service.order.move(job_id, body.before, call.by)
    return await _view(call.access, await call.service.jobs.get(job_id))


async def decide_job(call: Call, job_id: str, body: DecisionBody) -> JobView:
    """Answer the question of a job that waits for a person."""
    await call.service.orchestrator.decide(job_id, body.decision, call.by)
    return await _view(call.access, await call.service.jobs.get(job_id))


async def _settled(service: Service, job_id: str, wait_s: float) -> Job:
    """Return the job once nothing more happens to it by itself, or as it is when the time is up."""
    settled = asyncio.Event()

    def watch(update: JobUpdate) -> None:
        if isinstance(update, JobChanged) and update.job.id == job_id and _is_settled(update.job):
            settled.set()

    stop = service.orchestrator.subscribe(watch)
    try:
        job = await service.jobs.get(job_id)
        if wait_s <= 0 or _is_settled(job):
            return job
        with suppress(asyncio.TimeoutError):
            await asyncio.wait_for(settled.wait(), wait_s)
        return await service.jobs.get(job_id)
    finally:
        stop()


def _is_settled(job: Job) -> bool:
    return job.status.final or job.status is JobStatus.WAITING


async def _view(access: Access, job: Job) -> JobView:
    service = access.service()
    attempts = await service.attempts.for_job(job.id)
    progress = access.events.progress_of(job.id)
    return JobView(
        **summary_fields(job),
        backend=job.spec.selector,
        knobs=JobKnobsView.of(job.spec),
        values=shown_values(job.spec.values),
        outputs=shown_values(job.outputs),
        attempts=[AttemptView.of(attempt, service.farm.name(attempt.backend_id)) for attempt in attempts],
        progress=ProgressView(**vars(progress)) if progress is not None else None,
    )


ROUTES = (
    Route("GET", "/jobs", list_jobs),
    Route("POST", "/jobs", submit_job, (InvalidRequest, NotFound, ValueLost, StoreError), status=201),
    Route("POST", "/jobs/cancel", cancel_jobs, (Conflict,)),
    Route("GET", "/jobs/{job_id}", get_job, (NotFound,)),
    Route("GET", "/jobs/{job_id}/events", list_events, (NotFound,)),
    Route("GET", "/jobs/{job_id}/explanation", explain_job, (NotFound,)),
    Route("POST", "/jobs/{job_id}/cancel", cancel_job, (NotFound, Conflict)),
    Route("POST", "/jobs/{job_id}/retry", retry_job, (NotFound, Conflict, ValueLost), status=201),
    Route("POST", "/jobs/{job_id}/priority", prioritise_job, (NotFound, Conflict)),
    Route("POST", "/jobs/{job_id}/move", move_job, (NotFound, Conflict)),
    Route("POST", "/jobs/{job_id}/decision", decide_job, (NotFound, Conflict)),
)
