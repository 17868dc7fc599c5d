"""The index of queued jobs holds what it was given, in order of service."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from comfy_orchestrator_nodes.placement import BackendView, Backlog, Estimates, JobView, decide

_jobs = st.builds(
    JobView,
    id=st.sampled_from([str(i) for i in range(12)]),
    definition_key=st.sampled_from("xyz"),
    priority=st.integers(-3, 3),
    queued_at=st.floats(0, 1e6),
)


def _held(backlog: Backlog) -> dict[str, list[tuple[float, str]]]:
    held: dict[str, list[tuple[float, str]]] = {}
    for group in backlog.groups.values():
        held.setdefault(group.definition_key, []).extend(group.jobs)
    return {key: sorted(jobs) for key, jobs in held.items()}


@settings(deadline=None, max_examples=30)
@given(steps=st.lists(st.tuples(st.booleans(), _jobs)))
def test_after_any_changes_the_index_holds_exactly_the_queued_jobs_by_rank(steps: list[tuple[bool, JobView]]) -> None:
    backlog, model = Backlog(), dict[str, JobView]()
    for adding, job in steps:
        if adding:
            backlog.put(job)
            model[job.id] = job
        else:
            backlog.discard(job.id)
            model.pop(job.id, None)
        assert len(backlog) == len(model)
        assert backlog.jobs == model
        assert all(group.jobs == sorted(group.jobs) and group.jobs for group in backlog.groups.values())
        expected: dict[str, list[tuple[float, str]]] = {}
        for known in model.values():
            expected.setdefault(known.definition_key, []).append((known.rank, known.id))
        assert _held(backlog) == {key: sorted(jobs) for key, jobs in expected.items()}


@settings(deadline=None, max_examples=30)
@given(first=st.lists(_jobs), second=st.lists(_jobs))
def test_sync_makes_the_index_equal_to_a_list(first: list[JobView], second: list[JobView]) -> None:
    backlog = Backlog(first)
    backlog.sync(second)
    assert backlog.jobs == Backlog(second).jobs
    assert _held(backlog) == _held(Backlog(second))


def test_backends_that_are_gone_leave_nothing_behind() -> None:
    backlog = Backlog(JobView(str(i), "x") for i in range(100))
    estimates = Estimates()
    decide(backlog, [BackendView(b, b) for b in "abcdef"], estimates, 0.0)
    decide(backlog, [BackendView(b, b) for b in "ab"], estimates, 1.0)
    assert set(backlog.lanes) <= {"a", "b"}
    supply = sum(group.supply for group in backlog.groups.values())
    assert supply <= 2.01 / estimates.run("x", "a").run_s


def test_what_is_put_again_replaces_what_was_known_and_keeps_the_plan() -> None:
    backlog = Backlog([JobView("1", "x", queued_at=1.0)])
    decide(backlog, [BackendView("a", "a")], Estimates(), 0.0)
    (group,) = backlog.groups.values()
    backlog.put(JobView("1", "x", queued_at=1.0, transfer_bytes={"a": 10**9}))
    assert backlog.jobs["1"].transfer_bytes == {"a": 10**9}
    assert list(backlog.groups.values()) == [group]
    (assignment,) = decide(backlog, [BackendView("a", "a", bandwidth_bytes_per_s=1e7)], Estimates(), 0.0).assignments
    assert assignment.expected_s > 100.0
    backlog.put(JobView("1", "y", queued_at=1.0))
    assert [g.definition_key for g in backlog.groups.values()] == ["y"]
