from __future__ import annotations

from dataclasses import replace

import pytest

from comfy_orchestrator_nodes.domain import Attempt, AttemptStatus, JobStatus
from comfy_orchestrator_nodes.errors import Conflict, NotFound, StaleWrite
from comfy_orchestrator_nodes.store.attempts import AttemptRepository
from comfy_orchestrator_nodes.store.database import Database
from comfy_orchestrator_nodes.store.events import EventRepository
from comfy_orchestrator_nodes.store.jobs import JobFilter, JobRepository
from comfy_orchestrator_nodes.store.runs import RunRepository
from tests.unit.store.samples import (
    NOW,
    a_failure,
    a_job,
    a_run,
    a_spec,
    an_attempt,
    dispatched,
    failed,
    some_outputs,
    succeeded,
)


@pytest.fixture
def jobs(database: Database) -> JobRepository:
    return JobRepository(database)


@pytest.fixture
def attempts(database: Database) -> AttemptRepository:
    return AttemptRepository(database)


@pytest.fixture
def events(database: Database) -> EventRepository:
    return EventRepository(database)


async def test_a_job_comes_back_as_it_was_stored(jobs: JobRepository) -> None:
    job = a_job(item_index=3, spec=a_spec(priority=-2, time_limit_s=1.5, use_cache=False))
    await jobs.create(job, run=a_run())
    assert await jobs.get("job") == job


async def test_a_job_needs_its_run(jobs: JobRepository) -> None:
    with pytest.raises(NotFound, match="no run 'run'"):
        await jobs.create(a_job())


async def test_a_run_given_with_each_of_its_jobs_is_stored_once(jobs: JobRepository, database: Database) -> None:
    await jobs.create(a_job("one"), run=a_run(title="first"))
    await jobs.create(a_job("two"), run=a_run(title="second"))
    assert [run.title for run in await RunRepository(database).list()] == ["first"]


async def test_a_job_id_is_taken_only_once(jobs: JobRepository) -> None:
    await jobs.create(a_job(), run=a_run())
    with pytest.raises(Conflict, match="already a job"):
        await jobs.create(a_job())


async def test_creating_a_job_begins_its_story(jobs: JobRepository, events: EventRepository) -> None:
    await jobs.create(a_job(), run=a_run(), details={"by": "test"})
    (event,) = await events.for_job("job")
    assert (event.kind, event.sequence, event.at, event.details) == ("created", 1, NOW, {"by": "test"})


async def test_an_unknown_job_is_told_so(jobs: JobRepository) -> None:
    with pytest.raises(NotFound, match="no job 'nowhere'"):
        await jobs.get("nowhere")
    with pytest.raises(NotFound, match="no job 'job'"):
        await jobs.apply(dispatched())


async def test_a_change_stores_status_attempt_and_event_together(
    jobs: JobRepository, attempts: AttemptRepository, events: EventRepository
) -> None:
    await jobs.create(a_job(), run=a_run())
    await jobs.apply(dispatched())
    assert (await jobs.get("job")).status is JobStatus.DISPATCHED
    assert await attempts.for_job("job") == (an_attempt(),)
    assert [event.kind for event in await events.for_job("job")] == ["created", "placed"]


async def test_a_succeeded_job_keeps_its_outputs_and_its_end(jobs: JobRepository) -> None:
    await jobs.create(a_job(), run=a_run())
    await jobs.apply(dispatched())
    await jobs.apply(succeeded())
    job = await jobs.get("job")
    assert (job.status, job.outputs, job.ended_at) == (JobStatus.SUCCEEDED, some_outputs(), NOW + 2)


async def test_a_failed_job_keeps_its_failure(jobs: JobRepository, attempts: AttemptRepository) -> None:
    await jobs.create(a_job(), run=a_run())
    await jobs.apply(dispatched())
    await jobs.apply(failed())
    assert (await jobs.get("job")).failure == a_failure()
    assert [attempt.failure for attempt in await attempts.for_job("job")] == [a_failure()]


async def test_a_failure_is_gone_when_the_job_goes_on(jobs: JobRepository) -> None:
    await jobs.create(a_job(), run=a_run())
    await jobs.apply(dispatched(status=JobStatus.WAITING, attempts=(), events=(), failure=a_failure()))
    await jobs.apply(dispatched(expected=JobStatus.WAITING, status=JobStatus.QUEUED, attempts=(), events=()))
    assert (await jobs.get("job")).failure is None


async def test_a_change_decided_on_an_older_status_stores_nothing(
    jobs: JobRepository, attempts: AttemptRepository, events: EventRepository
) -> None:
    await jobs.create(a_job(), run=a_run())
    await jobs.apply(dispatched())
    with pytest.raises(StaleWrite, match="job job is dispatched, not queued"):
        await jobs.apply(dispatched(attempts=(an_attempt(number=2),)))
    assert len(await attempts.for_job("job")) == 1
    assert len(await events.for_job("job")) == 2


async def test_of_two_answers_to_one_job_only_the_first_is_accepted(jobs: JobRepository) -> None:
    await jobs.create(a_job(), run=a_run())
    await jobs.apply(dispatched())
    await jobs.apply(succeeded())
    with pytest.raises(StaleWrite):
        await jobs.apply(succeeded())
    assert (await jobs.counts())[JobStatus.SUCCEEDED] == 1


async def test_the_database_itself_refuses_a_second_accepted_attempt(jobs: JobRepository) -> None:
    await jobs.create(a_job(), run=a_run())
    await jobs.apply(dispatched())
    await jobs.apply(succeeded())
    second = an_attempt(number=2, status=AttemptStatus.SUCCEEDED, ended_at=NOW)
    with pytest.raises(Conflict):
        await jobs.apply(succeeded(expected=JobStatus.SUCCEEDED, attempts=(second,)))


async def test_an_attempt_that_ended_does_not_come_back_to_life(
    jobs: JobRepository, attempts: AttemptRepository
) -> None:
    await jobs.create(a_job(), run=a_run())
    await jobs.apply(dispatched())
    await jobs.apply(failed(status=JobStatus.QUEUED))
    with pytest.raises(StaleWrite, match="attempt job/1 is failed"):
        await jobs.apply(dispatched(attempts=(an_attempt(status=AttemptStatus.RUNNING),)))
    assert (await jobs.get("job")).status is JobStatus.QUEUED
    assert [attempt.status for attempt in await attempts.for_job("job")] == [AttemptStatus.FAILED]


async def test_an_attempt_that_ended_can_still_be_pardoned(jobs: JobRepository, attempts: AttemptRepository) -> None:
    await jobs.create(a_job(), run=a_run())
    await jobs.apply(dispatched())
    await jobs.apply(failed(status=JobStatus.QUEUED))
    (charged,) = await attempts.for_job("job")
    pardoned = replace(charged, charged=False)
    await jobs.apply(dispatched(attempts=(pardoned, an_attempt(number=2))))
    assert [attempt.charged for attempt in await attempts.for_job("job")] == [False, True]


@pytest.mark.parametrize(
    "other",
    [
        an_attempt(id="job/1", number=7),
        an_attempt(prompt_id="another"),
        an_attempt(backend_id="cellar"),
        replace(an_attempt(), job_id="another"),
    ],
    ids=["number", "prompt_id", "backend", "job"],
)
async def test_an_attempt_stays_the_attempt_it_was(jobs: JobRepository, other: Attempt) -> None:
    await jobs.create(a_job(), run=a_run())
    await jobs.apply(dispatched())
    with pytest.raises(StaleWrite):
        await jobs.apply(dispatched(expected=JobStatus.DISPATCHED, attempts=(other,)))


async def test_a_prompt_id_belongs_to_one_attempt_only(jobs: JobRepository, attempts: AttemptRepository) -> None:
    await jobs.create(a_job("one"), run=a_run())
    await jobs.create(a_job("two"))
    await jobs.apply(dispatched("one"))
    with pytest.raises(Conflict):
        await jobs.apply(dispatched("two", attempts=(an_attempt("two", prompt_id="prompt-of-one-1"),)))
    assert await attempts.by_prompt_id("prompt-of-one-1") == an_attempt("one")
    assert await attempts.by_prompt_id("unheard of") is None


async def test_the_unfinished_are_found_after_a_restart(
    jobs: JobRepository, attempts: AttemptRepository, database: Database
) -> None:
    for number, name in enumerate(("waits", "runs", "done")):
        await jobs.create(a_job(name, created_at=NOW + number), run=a_run())
    await jobs.apply(dispatched("runs"))
    await jobs.apply(dispatched("done"))
    await jobs.apply(succeeded("done"))
    assert [job.id for job in await jobs.unfinished()] == ["waits", "runs"]
    assert [attempt.job_id for attempt in await attempts.unfinished()] == ["runs"]
    assert [attempt.job_id for attempt in await attempts.for_backend("attic")] == ["runs"]


async def test_jobs_that_do_the_same_work_are_found_by_their_key(jobs: JobRepository) -> None:
    for name in ("first", "second"):
        await jobs.create(a_job(name), run=a_run())
    await jobs.create(a_job("other", spec=a_spec(fidelity="exact")), run=a_run())
    assert [job.id for job in await jobs.by_key(a_spec().key())] == ["second", "first"]


async def test_pages_follow_each_other_newest_first_without_gaps(jobs: JobRepository) -> None:
    for number in range(7):
        await jobs.create(a_job(f"job-{number}"), run=a_run())
    seen: list[str] = []
    page = await jobs.list(limit=3)
    while True:
        seen += [job.id for job in page.jobs]
        if page.next is None:
            break
        await jobs.create(a_job(f"meanwhile-{len(seen)}"))
        page = await jobs.list(limit=3, before=page.next)
    assert seen == [f"job-{number}" for number in reversed(range(7))]


async def test_jobs_are_listed_by_what_is_asked_for(jobs: JobRepository) -> None:
    await jobs.create(a_job("one", run_id="first"), run=a_run(id="first"))
    await jobs.create(a_job("two", run_id="second"), run=a_run(id="second"))
    await jobs.create(a_job("three", run_id="second", spec=a_spec(definition_id="red")))
    await jobs.apply(dispatched("two"))

    async def found(**asked: object) -> list[str]:
        return [job.id for job in (await jobs.list(JobFilter(**asked))).jobs]  # type: ignore[arg-type]

    assert await found(run_id="second") == ["three", "two"]
    assert await found(definition_id="red") == ["three"]
    assert await found(statuses=(JobStatus.DISPATCHED, JobStatus.LOST)) == ["two"]
    assert await found(backend_id="attic") == ["two"]
    assert await found(run_id="second", definition_id="blue", backend_id="attic") == ["two"]
    assert await found(run_id="first", backend_id="attic") == []


async def test_searching_finds_text_in_ids_and_failures_literally(jobs: JobRepository) -> None:
    await jobs.create(a_job("one", node_id="100%_done"), run=a_run())
    await jobs.create(a_job("two", node_id="100 done"))
    await jobs.apply(dispatched("two"))
    await jobs.apply(failed("two"))
    assert [job.id for job in (await jobs.list(JobFilter(search="0%_D"))).jobs] == ["one"]
    assert [job.id for job in (await jobs.list(JobFilter(search="no such THING"))).jobs] == ["two"]
    await jobs.create(a_job("three"))
    await jobs.apply(dispatched("three"))
    await jobs.apply(failed("three", failure=a_failure(message='Knoten "Größe" fehlt\nund mehr')))
    assert [job.id for job in (await jobs.list(JobFilter(search='"Größe" fehlt\nund'))).jobs] == ["three"]
    assert (await jobs.list(JobFilter(search="'; DROP TABLE job; --"))).jobs == ()
    assert (await jobs.list(JobFilter(search="100"))).jobs != ()


async def test_jobs_are_counted_by_status(jobs: JobRepository) -> None:
    for name in ("one", "two", "three"):
        await jobs.create(a_job(name), run=a_run())
    await jobs.apply(dispatched("two"))
    assert await jobs.counts() == {JobStatus.QUEUED: 2, JobStatus.DISPATCHED: 1}
    assert await jobs.counts(JobFilter(backend_id="attic")) == {JobStatus.DISPATCHED: 1}


async def test_events_of_all_jobs_can_be_followed_from_any_point(jobs: JobRepository, events: EventRepository) -> None:
    await jobs.create(a_job("one"), run=a_run())
    await jobs.create(a_job("two"))
    seen = await events.since(0)
    await jobs.apply(dispatched("one"))
    (new,) = await events.since(seen[-1].position)
    assert (new.event.job_id, new.event.sequence, new.event.kind) == ("one", 2, "placed")
    assert await events.since(new.position) == ()


async def test_a_story_can_be_continued_where_one_stopped_reading(jobs: JobRepository, events: EventRepository) -> None:
    await jobs.create(a_job(), run=a_run())
    await jobs.apply(dispatched())
    await jobs.apply(succeeded())
    assert [event.sequence for event in await events.for_job("job", after=1)] == [2, 3]


async def test_attempts_that_ended_lately_are_found_without_those_under_way(
    jobs: JobRepository, attempts: AttemptRepository
) -> None:
    for job_id in ("over", "under way"):
        await jobs.create(a_job(job_id), run=a_run())
        await jobs.apply(dispatched(job_id))
    await jobs.apply(failed("over"))
    assert [attempt.job_id for attempt in await attempts.ended_since(NOW + 2)] == ["over"]
    assert await attempts.ended_since(NOW + 3) == ()
