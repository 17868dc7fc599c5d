"""The store against the state machine: any life that the table allows is stored as the machine holds it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from comfy_orchestrator_nodes.domain import Cause, Decision
from comfy_orchestrator_nodes.errors import IllegalTransition
from comfy_orchestrator_nodes.machine import events
from comfy_orchestrator_nodes.machine.jobs import JobState, Step, advance
from comfy_orchestrator_nodes.store.attempts import AttemptRepository
from comfy_orchestrator_nodes.store.database import Database
from comfy_orchestrator_nodes.store.events import EventRepository
from comfy_orchestrator_nodes.store.invariants import check_invariants
from comfy_orchestrator_nodes.store.jobs import JobChange, JobRepository
from tests.unit.store.samples import NOW, a_failure, a_job, a_run, a_spec, some_outputs

MakeEvent = Callable[[str, int], events.Event]

EVENTS: dict[str, MakeEvent] = {
    "placed": lambda attempt, step: events.Placed(f"attempt {step}", f"prompt {step}", "attic", {"why": "free"}),
    "unplaceable": lambda attempt, step: events.Unplaceable(a_failure(cause=Cause.NO_BACKEND)),
    "reused": lambda attempt, step: events.Reused(some_outputs()),
    "accepted": lambda attempt, step: events.Accepted(attempt),
    "unanswered": lambda attempt, step: events.Unanswered(attempt),
    "started": lambda attempt, step: events.Started(attempt),
    "vanished": lambda attempt, step: events.Vanished(attempt),
    "found running": lambda attempt, step: events.Found(attempt, running=True),
    "found waiting": lambda attempt, step: events.Found(attempt, running=False),
    "succeeded": lambda attempt, step: events.Succeeded(attempt, some_outputs(), 5, 7),
    "out of memory": lambda attempt, step: events.Faulted(attempt, a_failure(cause=Cause.OUT_OF_MEMORY)),
    "failed": lambda attempt, step: events.Faulted(attempt, a_failure()),
    "not sent": lambda attempt, step: events.Faulted(attempt, a_failure(cause=Cause.UNREACHABLE), sent=False),
    "cancel": lambda attempt, step: events.CancelRequested("test"),
    "cancel confirmed": lambda attempt, step: events.CancelConfirmed(attempt),
    "retry": lambda attempt, step: events.Decided(Decision.RETRY, "test"),
    "retry elsewhere": lambda attempt, step: events.Decided(Decision.RETRY_ELSEWHERE, "test", ("attic",)),
    "reordered": lambda attempt, step: events.Reordered(step, NOW - step, "test"),
    "drop": lambda attempt, step: events.Decided(Decision.DROP, "test"),
}


def change_of(step: Step, now: float) -> JobChange:
    job = step.state.job
    return JobChange(
        job_id=job.id,
        expected=step.before,
        status=job.status,
        now=now,
        attempts=step.changed,
        events=((step.kind, step.attempt_id, step.details),),
        outputs=job.outputs or None,
        failure=job.failure,
        spec=job.spec,
        queued_at=job.queued_at,
    )


@settings(deadline=None, max_examples=40)
@given(
    happenings=st.lists(st.sampled_from(sorted(EVENTS)), min_size=1, max_size=30),
    on_failure=st.sampled_from(["fail", "ask"]),
)
async def test_every_life_is_stored_as_the_machine_holds_it(
    tmp_path_factory: pytest.TempPathFactory, happenings: list[str], on_failure: str
) -> None:
    database = await Database.open(tmp_path_factory.mktemp("life") / "store.sqlite3")
    try:
        jobs = JobRepository(database)
        job = a_job(spec=a_spec(on_failure=on_failure))
        await jobs.create(job, run=a_run())
        state = JobState(job)
        stored = 1
        for number, happening in enumerate(happenings):
            attempt_id = state.attempts[-1].id if state.attempts else "none"
            now = NOW + number
            try:
                step = advance(state, EVENTS[happening](attempt_id, number), now)
            except IllegalTransition:
                continue
            if step.ignored:
                continue
            await jobs.apply(change_of(step, now))
            state, stored = step.state, stored + 1
            assert await check_invariants(database) == []
        assert await jobs.get("job") == state.job
        assert await AttemptRepository(database).for_job("job") == state.attempts
        assert len(await EventRepository(database).for_job("job")) == stored
    finally:
        await database.close()


async def test_a_step_that_was_decided_twice_is_stored_once(database: Database) -> None:
    jobs = JobRepository(database)
    await jobs.create(a_job(), run=a_run())
    step = advance(JobState(a_job()), EVENTS["placed"]("", 1), NOW)
    await jobs.apply(change_of(step, NOW))
    with pytest.raises(Exception, match="job job is dispatched, not queued"):
        await jobs.apply(replace(change_of(step, NOW), attempts=()))
    assert len(await EventRepository(database).for_job("job")) == 2
