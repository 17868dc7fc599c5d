"""The job table: what each event means in each status."""

from __future__ import annotations

import dataclasses
import typing

import pytest
from hypothesis import given
from hypothesis import strategies as st

from comfy_orchestrator_nodes.domain import (
    AttemptStatus,
    Cause,
    Decision,
    Failure,
    Job,
    JobSpec,
    JobStatus,
    Value,
)
from comfy_orchestrator_nodes.errors import IllegalTransition
from comfy_orchestrator_nodes.machine import events as ev
from comfy_orchestrator_nodes.machine.jobs import JobState, Step, advance, restore
from comfy_orchestrator_nodes.machine.policy import exclusions, let_down

OUTPUTS = {"image": Value("INT", 1)}


def make_state(**spec: typing.Any) -> JobState:
    job_spec = JobSpec("d", 1, "hash", {}, ("image",), **spec)
    return JobState(Job("j", "r", job_spec.key(), job_spec, JobStatus.QUEUED, created_at=0.0))


def failure(cause: Cause) -> Failure:
    return Failure(cause, f"it was {cause.value}")


def run(state: JobState, *events: ev.Event) -> Step:
    step = Step(state, state.job.status)
    for at, event in enumerate(events, start=1):
        step = advance(step.state, event, float(at))
    return step


def placed(number: int, backend: str = "b1") -> ev.Placed:
    return ev.Placed(f"a{number}", f"prompt-{number}", backend)


def test_a_job_runs_from_the_backlog_to_its_result() -> None:
    step = run(make_state(), placed(1), ev.Accepted("a1"), ev.Started("a1"), ev.Succeeded("a1", OUTPUTS, 10, 20))
    assert step.state.job.status is JobStatus.SUCCEEDED
    assert step.state.job.outputs == OUTPUTS
    assert step.state.job.ended_at == 4.0
    (attempt,) = step.state.attempts
    assert attempt.status is AttemptStatus.SUCCEEDED
    assert (attempt.started_at, attempt.uploaded_bytes, attempt.downloaded_bytes) == (3.0, 10, 20)
    assert step.instructions == (ev.Settle(),)


def test_placing_executes_a_new_attempt_under_the_chosen_prompt_id() -> None:
    step = run(make_state(), placed(1, "b7"))
    (instruction,) = step.instructions
    assert isinstance(instruction, ev.Execute)
    assert instruction.attempt.backend_id == "b7"
    assert instruction.attempt.prompt_id == "prompt-1"
    assert step.changed == (instruction.attempt,)


def test_an_attempt_that_never_reached_its_backend_is_not_charged() -> None:
    state = make_state(max_attempts=1)
    step = run(state, placed(1), ev.Faulted("a1", failure(Cause.UNREACHABLE), sent=False))
    assert step.state.job.status is JobStatus.QUEUED
    assert step.instructions == (ev.Place(),)
    assert step.state.attempts[0].charged is False


def test_a_job_fails_with_the_last_cause_when_its_attempts_are_used_up() -> None:
    state = make_state(max_attempts=2)
    vanished = failure(Cause.VANISHED)
    step = run(state, placed(1), ev.Faulted("a1", vanished), placed(2), ev.Faulted("a2", vanished))
    assert step.state.job.status is JobStatus.FAILED
    assert step.state.job.failure == vanished
    assert ev.Settle() in step.instructions


def test_an_execution_error_is_tried_only_once_elsewhere() -> None:
    error = failure(Cause.EXECUTION_ERROR)
    first = run(make_state(max_attempts=9), placed(1, "b1"), ev.Faulted("a1", error))
    assert first.state.job.status is JobStatus.QUEUED
    assert set(exclusions(first.state.attempts)) == {"b1"}
    second = run(first.state, placed(2, "b2"), ev.Faulted("a2", error))
    assert second.state.job.status is JobStatus.FAILED


@pytest.mark.parametrize("cause", [Cause.REJECTED, Cause.REFUSED, Cause.TOO_LARGE, Cause.OUT_OF_MEMORY])
def test_a_backend_that_cannot_do_the_job_never_gets_it_again(cause: Cause) -> None:
    step = run(make_state(), placed(1, "b1"), ev.Faulted("a1", failure(cause)))
    assert set(exclusions(step.state.attempts)) == {"b1"}


@pytest.mark.parametrize("cause", [Cause.VANISHED, Cause.INTERRUPTED, Cause.STALLED, Cause.UNREACHABLE])
def test_a_passing_fault_does_not_exclude_the_backend(cause: Cause) -> None:
    step = run(make_state(), placed(1, "b1"), ev.Faulted("a1", failure(cause)))
    assert exclusions(step.state.attempts) == {}


def test_running_out_of_memory_frees_the_backend_before_the_next_placement() -> None:
    step = run(make_state(), placed(1, "b1"), ev.Faulted("a1", failure(Cause.OUT_OF_MEMORY)))
    assert step.instructions == (ev.FreeMemory("b1"), ev.Place())


@pytest.mark.parametrize("cause", [Cause.SUBMIT_UNANSWERED, Cause.VANISHED, Cause.STALLED])
def test_an_attempt_given_up_in_doubt_is_disowned_before_the_job_is_placed_again(cause: Cause) -> None:
    step = run(make_state(), placed(1), ev.Faulted("a1", failure(cause)))
    disown, place = step.instructions
    assert isinstance(disown, ev.Disown)
    assert disown.attempt.id == "a1"
    assert place == ev.Place()


def test_an_unanswered_submit_is_looked_up_not_sent_elsewhere() -> None:
    step = run(make_state(), placed(1), ev.Unanswered("a1"))
    assert step.state.job.status is JobStatus.DISPATCHED
    (locate,) = step.instructions
    assert isinstance(locate, ev.Locate)


def test_a_job_found_again_after_its_backend_vanished_goes_on_under_the_same_attempt() -> None:
    lost = run(make_state(), placed(1), ev.Started("a1"), ev.Vanished("a1"))
    assert lost.state.job.status is JobStatus.LOST
    found = run(lost.state, ev.Found("a1", running=True))
    assert found.state.job.status is JobStatus.RUNNING
    assert len(found.state.attempts) == 1
    assert run(found.state, ev.Succeeded("a1", OUTPUTS)).state.job.status is JobStatus.SUCCEEDED


def test_a_late_answer_about_an_old_attempt_changes_nothing() -> None:
    state = run(make_state(), placed(1), ev.Faulted("a1", failure(Cause.VANISHED)), placed(2, "b2")).state
    step = advance(state, ev.Succeeded("a1", OUTPUTS), 9.0)
    assert step.ignored
    assert step.state == state


def test_cancelling_a_queued_job_ends_it_at_once() -> None:
    step = run(make_state(), ev.CancelRequested("the user"))
    assert step.state.job.status is JobStatus.CANCELLED
    assert step.instructions == (ev.Settle(),)


def test_cancelling_a_dispatched_job_withdraws_its_prompt_and_waits_for_the_answer() -> None:
    step = run(make_state(), placed(1), ev.CancelRequested("the user"))
    assert step.state.job.status is JobStatus.CANCELLING
    (withdraw,) = step.instructions
    assert isinstance(withdraw, ev.Withdraw)
    done = run(step.state, ev.CancelConfirmed("a1"))
    assert done.state.job.status is JobStatus.CANCELLED
    assert done.state.attempts[0].status is AttemptStatus.CANCELLED


@pytest.mark.parametrize("late", [ev.Succeeded("a1", OUTPUTS), ev.Faulted("a1", failure(Cause.INTERRUPTED))])
def test_a_job_being_cancelled_ends_cancelled_whatever_its_attempt_comes_to(late: ev.Event) -> None:
    step = run(make_state(), placed(1), ev.Started("a1"), ev.CancelRequested("the user"), late)
    assert step.state.job.status is JobStatus.CANCELLED
    assert step.state.job.outputs == {}


@pytest.mark.parametrize(
    ("before", "certain", "watched"),
    [((), True, True), ((ev.Accepted("a1"),), True, False), ((ev.Accepted("a1"),), False, True)],
    ids=["submit under way", "confirmed", "backend silent"],
)
def test_a_cancelled_prompt_is_watched_where_it_may_still_appear(
    before: tuple[ev.Event, ...], certain: bool, watched: bool
) -> None:
    step = run(make_state(), placed(1), *before, ev.CancelRequested("me"), ev.CancelConfirmed("a1", certain=certain))
    assert step.state.job.status is JobStatus.CANCELLED
    assert any(isinstance(instruction, ev.Disown) for instruction in step.instructions) is watched
    assert step.instructions[-1] == ev.Settle()


@pytest.mark.parametrize("cause", [Cause.VANISHED, Cause.STALLED, Cause.SUBMIT_UNANSWERED])
def test_a_backend_that_lost_the_job_let_it_down(cause: Cause) -> None:
    assert let_down(run(make_state(), placed(1), ev.Faulted("a1", failure(cause))).state.attempts) == {"b1"}


def test_a_backend_that_was_busy_did_not_let_the_job_down() -> None:
    taken_back = ev.Faulted("a1", failure(Cause.BUSY), sent=False)
    assert let_down(run(make_state(), placed(1), ev.Accepted("a1"), taken_back).state.attempts) == set()


def test_cancelling_twice_is_harmless() -> None:
    step = run(make_state(), ev.CancelRequested("the user"), ev.CancelRequested("the user"))
    assert step.ignored


def test_a_cached_result_ends_the_job_without_an_attempt() -> None:
    step = run(make_state(), ev.Reused(OUTPUTS))
    assert step.state.job.status is JobStatus.SUCCEEDED
    assert step.state.attempts == ()


def test_a_job_that_no_backend_can_run_fails_and_still_names_the_earlier_failure() -> None:
    fresh = run(make_state(), ev.Unplaceable(failure(Cause.NO_BACKEND)))
    assert fresh.state.job.failure is not None
    assert fresh.state.job.failure.cause is Cause.NO_BACKEND
    tried = run(
        make_state(), placed(1), ev.Faulted("a1", failure(Cause.REJECTED)), ev.Unplaceable(failure(Cause.NO_BACKEND))
    )
    assert tried.state.job.failure is not None
    assert tried.state.job.failure.cause is Cause.REJECTED
    assert "no_backend" in tried.state.job.failure.message


def test_a_job_told_to_ask_waits_for_a_person_instead_of_failing() -> None:
    step = run(
        make_state(max_attempts=1, on_failure="ask"), placed(1), ev.Faulted("a1", failure(Cause.EXECUTION_ERROR))
    )
    assert step.state.job.status is JobStatus.WAITING
    assert step.instructions == (ev.Ask(failure(Cause.EXECUTION_ERROR)),)


def waiting() -> JobState:
    state = make_state(max_attempts=1, on_failure="ask")
    return run(state, placed(1), ev.Faulted("a1", failure(Cause.EXECUTION_ERROR))).state


def test_retrying_grants_a_fresh_allowance_and_every_backend() -> None:
    step = run(waiting(), ev.Decided(Decision.RETRY, "ann"))
    assert step.state.job.status is JobStatus.QUEUED
    assert step.state.job.failure is None
    assert exclusions(step.state.attempts) == {}
    again = run(step.state, placed(2), ev.Succeeded("a2", OUTPUTS))
    assert again.state.job.status is JobStatus.SUCCEEDED


def test_retrying_elsewhere_excludes_the_backends_that_had_it_until_the_next_answer() -> None:
    asking = make_state(max_attempts=1, on_failure="ask", excluded_backends=("local",))
    asked = run(asking, placed(1), ev.Faulted("a1", failure(Cause.EXECUTION_ERROR))).state
    step = run(asked, ev.Decided(Decision.RETRY_ELSEWHERE, "ann", ("b1",)))
    assert step.state.job.status is JobStatus.QUEUED
    assert step.state.job.failure is None
    assert step.state.job.spec.excluded_backends == ("local", "b1")
    assert step.details == {"decision": "retry_elsewhere", "by": "ann", "excluded": ["b1"]}

    again = run(step.state, placed(2), ev.Faulted("a2", failure(Cause.EXECUTION_ERROR)))
    assert again.state.job.status is JobStatus.WAITING
    assert run(again.state, ev.Decided(Decision.RETRY, "ann")).state.job.spec.excluded_backends == ("local",)


@pytest.mark.parametrize(("decision", "dropped"), [(Decision.DROP, True), (Decision.FAIL, False)])
def test_a_decision_against_a_retry_ends_the_job_with_its_failure(decision: Decision, dropped: bool) -> None:
    step = run(waiting(), ev.Decided(decision, "ann"))
    assert step.state.job.status is JobStatus.FAILED
    assert step.state.job.failure is not None
    assert step.state.job.failure.cause is Cause.EXECUTION_ERROR
    assert step.state.job.failure.dropped is dropped


def test_an_event_the_table_does_not_know_raises_with_the_story() -> None:
    state = run(make_state(), placed(1), ev.Succeeded("a1", OUTPUTS)).state
    with pytest.raises(IllegalTransition) as caught:
        advance(state, placed(2), 5.0)
    assert "placed on b1" in str(caught.value)
    assert "succeeded" in str(caught.value)


@pytest.mark.parametrize(
    ("events", "first"),
    [
        ((), ev.Place),
        ((placed(1),), ev.Locate),
        ((placed(1), ev.Started("a1")), ev.Locate),
        ((placed(1), ev.Faulted("a1", failure(Cause.INTERRUPTED))), ev.Place),
        ((placed(1), ev.CancelRequested("x")), ev.Withdraw),
    ],
)
def test_after_a_restart_nothing_is_repeated_before_its_backend_was_asked(
    events: tuple[ev.Event, ...], first: type
) -> None:
    state = run(make_state(), *events).state
    _, instructions = restore(state.job, state.attempts)
    assert [type(i) for i in instructions] == [first]


def test_a_finished_job_needs_nothing_after_a_restart() -> None:
    state = run(make_state(), placed(1), ev.Succeeded("a1", OUTPUTS)).state
    assert restore(state.job, state.attempts)[1] == ()


def test_a_waiting_job_asks_again_after_a_restart() -> None:
    state = waiting()
    assert restore(state.job, state.attempts)[1] == (ev.Ask(failure(Cause.EXECUTION_ERROR)),)


def events_for(attempt_id: str) -> st.SearchStrategy[ev.Event]:
    return st.one_of(
        st.sampled_from(
            [
                ev.Accepted(attempt_id),
                ev.Unanswered(attempt_id),
                ev.Started(attempt_id),
                ev.Vanished(attempt_id),
                ev.Found(attempt_id, running=True),
                ev.Found(attempt_id, running=False),
                ev.Succeeded(attempt_id, OUTPUTS),
                ev.CancelConfirmed(attempt_id),
                ev.CancelRequested("x"),
                ev.Unplaceable(failure(Cause.NO_BACKEND)),
                ev.Reused(OUTPUTS),
                ev.Decided(Decision.RETRY, "x"),
                ev.Decided(Decision.RETRY_ELSEWHERE, "x", ("b1",)),
                ev.Decided(Decision.FAIL, "x"),
            ]
        ),
        st.sampled_from(list(Cause)).map(lambda c: ev.Faulted(attempt_id, failure(c))),
        st.sampled_from(list(Cause)).map(lambda c: ev.Faulted(attempt_id, failure(c), sent=False)),
    )


@given(data=st.data(), on_failure=st.sampled_from(["fail", "ask"]))
def test_no_sequence_of_events_breaks_the_invariants(data: st.DataObject, on_failure: str) -> None:
    state = make_state(on_failure=on_failure)
    for turn in range(30):
        numbers = st.integers(0, len(state.attempts)).map(lambda n: f"a{n}")
        event = data.draw(st.one_of(numbers.flatmap(events_for), st.just(placed(len(state.attempts) + 1))))
        try:
            step = advance(state, event, float(turn))
        except IllegalTransition:
            continue
        if state.job.status.final:
            assert step.ignored, "a final job never changes"
        state = step.state
        open_attempts = [a for a in state.attempts if not a.status.final]
        assert open_attempts == ([state.current] if state.current else [])
        if state.job.status.final:
            assert state.current is None
            assert state.job.ended_at is not None
        if state.job.status in (JobStatus.DISPATCHED, JobStatus.RUNNING, JobStatus.LOST, JobStatus.CANCELLING):
            assert state.current is not None
        if state.job.status is JobStatus.SUCCEEDED:
            accepted = sum(1 for a in state.attempts if a.status is AttemptStatus.SUCCEEDED)
            assert accepted <= 1
        assert [a.number for a in state.attempts] == list(range(1, len(state.attempts) + 1))
        assert all(dataclasses.is_dataclass(i) for i in step.instructions)
