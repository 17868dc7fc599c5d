"""Where jobs go, and when they rather wait."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from comfy_orchestrator_nodes.domain import BackendStatus
from comfy_orchestrator_nodes.placement import (
    AGING_S,
    BackendView,
    Backlog,
    Decision,
    Estimates,
    JobView,
    Outcome,
    Reason,
    Refusal,
    decide,
    explain,
    refusals,
)

SDXL, FLUX = frozenset({"sdxl.safetensors"}), frozenset({"flux.safetensors"})


def _knows(run_s: dict[str, float], definition: str = "def", switch_s: float = 0.0) -> Estimates:
    """Return estimates that have seen a definition often on some backends."""
    estimates = Estimates()
    for backend_id, seconds in run_s.items():
        estimates.observe(Outcome(definition, backend_id, seconds + switch_s, cold=True))
        for _ in range(20):
            estimates.observe(Outcome(definition, backend_id, seconds, cold=False))
    return estimates


def _where(decision: Decision) -> dict[str, str]:
    return {a.job_id: a.backend_id for a in decision.assignments}


def test_a_single_job_goes_where_it_is_done_earliest() -> None:
    estimates = _knows({"slow": 30.0, "fast": 10.0})
    backends = [BackendView("slow", "Slow"), BackendView("fast", "Fast")]
    assert _where(decide([JobView("1", "def")], backends, estimates, 0.0)) == {"1": "fast"}


def test_a_job_waits_for_a_busy_backend_that_is_still_earlier_and_says_when_to_look_again() -> None:
    estimates = _knows({"slow": 60.0, "fast": 10.0})
    slow = BackendView("slow", "Slow")
    busy = BackendView("fast", "Fast", slots_free=0, in_flight=1, busy_s=5.0)
    waiting = decide([JobView("1", "def")], [slow, busy], estimates, 0.0)
    assert waiting.assignments == ()
    assert waiting.again_in_s is not None
    late = replace(busy, busy_s=90.0)
    assert _where(decide([JobView("1", "def")], [slow, late], estimates, 0.0)) == {"1": "slow"}


def test_a_queue_of_somebody_else_counts() -> None:
    estimates = _knows({"a": 10.0, "b": 12.0})
    backends = [BackendView("a", "Anna", foreign_queue=3), BackendView("b", "Bert")]
    assert _where(decide([JobView("1", "def")], backends, estimates, 0.0)) == {"1": "b"}


def test_the_backend_that_has_the_models_loaded_is_taken() -> None:
    estimates = _knows({"a": 10.0, "b": 9.0}, switch_s=15.0)
    backends = [BackendView("a", "Anna", warm=SDXL), BackendView("b", "Bert", warm=FLUX)]
    assert _where(decide([JobView("1", "def", SDXL)], backends, estimates, 0.0)) == {"1": "a"}


def test_two_definitions_go_to_the_backends_that_are_warm_for_each() -> None:
    estimates = _knows({"a": 10.0, "b": 10.0}, "x", 15.0)
    for backend_id in ("a", "b"):
        estimates.observe(Outcome("y", backend_id, 10.0, cold=False))
    backends = [BackendView("a", "Anna", warm=SDXL), BackendView("b", "Bert", warm=FLUX)]
    jobs = [JobView(f"x{i}", "x", SDXL) for i in range(20)] + [JobView(f"y{i}", "y", FLUX) for i in range(20)]
    placed = _where(decide(Backlog(jobs), backends, estimates, 0.0))
    assert {job[0]: backend for job, backend in placed.items()} == {"x": "a", "y": "b"}


def test_a_large_input_keeps_the_job_where_it_already_lies() -> None:
    estimates = _knows({"a": 10.0, "b": 9.0})
    backends = [BackendView(b, b, bandwidth_bytes_per_s=10e6) for b in ("a", "b")]
    job = JobView("1", "def", transfer_bytes={"b": 200_000_000})
    assert _where(decide([job], backends, estimates, 0.0)) == {"1": "a"}


def test_of_jobs_alike_each_backend_gets_the_one_whose_input_it_has() -> None:
    estimates = _knows({"a": 10.0, "b": 10.0})
    jobs = [JobView("1", "def", transfer_bytes={"a": 10**8}), JobView("2", "def", transfer_bytes={"b": 10**8})]
    backends = [BackendView("a", "Anna"), BackendView("b", "Bert")]
    assert _where(decide(jobs, backends, estimates, 0.0)) == {"1": "b", "2": "a"}


def test_a_busy_backend_gets_a_second_job_only_to_hide_a_transfer_and_not_early() -> None:
    estimates = _knows({"a": 60.0})
    busy = BackendView("a", "Anna", slots_free=1, in_flight=1, busy_s=5.0, bandwidth_bytes_per_s=10e6)
    small, large = JobView("1", "def"), JobView("2", "def", transfer_bytes={"a": 50_000_000})
    assert decide([small], [busy], estimates, 0.0).assignments == ()
    assert _where(decide([large], [busy], estimates, 0.0)) == {"2": "a"}
    early = decide([large], [replace(busy, busy_s=50.0)], estimates, 0.0)
    assert early.assignments == ()
    assert early.again_in_s == 50.0 - 2 * 5.0 - 1.0


def test_jobs_shorter_than_their_transfer_get_the_second_place_too() -> None:
    estimates = _knows({"a": 1.0})
    busy = BackendView("a", "Anna", slots_free=1, in_flight=1, busy_s=5.0, bandwidth_bytes_per_s=10e6)
    job = JobView("1", "def", transfer_bytes={"a": 50_000_000})
    assert _where(decide([job], [busy], estimates, 0.0)) == {"1": "a"}


def test_a_degraded_backend_comes_last_but_is_used() -> None:
    estimates = _knows({"a": 10.0, "b": 20.0})
    degraded = BackendView("a", "Anna", status=BackendStatus.DEGRADED)
    assert _where(decide([JobView("1", "def")], [degraded, BackendView("b", "Bert")], estimates, 0.0)) == {"1": "b"}
    assert _where(decide([JobView("1", "def")], [degraded], estimates, 0.0)) == {"1": "a"}


def test_a_preferred_backend_is_taken_unless_it_is_much_later() -> None:
    estimates = _knows({"a": 10.0, "b": 20.0})
    job = JobView("1", "def", prefer=frozenset({"b"}))
    backends = [BackendView("a", "Anna"), BackendView("b", "Bert")]
    assert _where(decide([job], backends, estimates, 0.0)) == {"1": "b"}
    busy = [backends[0], BackendView("b", "Bert", slots_free=0, in_flight=1, busy_s=300.0)]
    assert _where(decide([job], busy, estimates, 0.0)) == {"1": "a"}


def test_a_pinned_job_waits_for_its_backend() -> None:
    pinned = {"a": Refusal(Reason.PINNED, "the job is pinned to Bert")}
    busy = BackendView("b", "Bert", slots_free=0, in_flight=1, busy_s=500.0)
    job = JobView("1", "def", refused=pinned)
    assert decide([job], [BackendView("a", "Anna"), busy], Estimates(), 0.0).assignments == ()


def test_the_last_long_job_is_not_given_to_a_backend_that_would_hold_everything_up() -> None:
    estimates = _knows({"slow": 200.0, "fast": 10.0})
    busy = BackendView("fast", "Fast", slots_free=0, in_flight=1, busy_s=4.0)
    slow = BackendView("slow", "Slow")
    backlog = Backlog(JobView(str(i), "def") for i in range(8))
    for now in (0.0, 1.0, 2.0):
        assert decide(backlog, [slow, busy], estimates, now).assignments == ()
    many = Backlog(JobView(str(i), "def") for i in range(200))
    assert [a.backend_id for a in decide(many, [slow, busy], estimates, 0.0).assignments] == ["slow"]


def test_urgent_jobs_go_first_and_older_ones_before_younger() -> None:
    jobs = [
        JobView("young", "def", queued_at=50.0),
        JobView("old", "def", queued_at=0.0),
        JobView("urgent", "def", queued_at=60.0, priority=1),
    ]
    backlog, order = Backlog(jobs), []
    while len(backlog):
        (assignment,) = decide(backlog, [BackendView("a", "Anna")], Estimates(), 100.0).assignments
        backlog.discard(assignment.job_id)
        order.append(assignment.job_id)
    assert order == ["urgent", "old", "young"]


def test_an_urgent_job_is_not_held_back_by_the_models_that_are_loaded() -> None:
    estimates = _knows({"a": 10.0}, "x", 20.0)
    jobs = [JobView(f"x{i}", "x", SDXL) for i in range(50)] + [JobView("y", "y", FLUX, priority=1)]
    assert _where(decide(jobs, [BackendView("a", "Anna", warm=SDXL)], estimates, 0.0)) == {"y": "a"}


@given(
    wait_s=st.floats(0, 7200),
    arrivals_s=st.lists(st.floats(0.1, 5.0), min_size=1, max_size=5),
    urgency=st.integers(0, 2),
    run_s=st.floats(0.5, 20.0),
)
@settings(deadline=None, max_examples=12)
def test_nothing_starves_however_many_better_fitting_or_more_urgent_jobs_arrive(
    wait_s: float, arrivals_s: list[float], urgency: int, run_s: float
) -> None:
    """The other definition's models are always loaded, and there is always more of it, all of it more urgent."""
    estimates = _knows({"a": run_s}, "x", 30.0)
    backlog = Backlog([JobView("patient", "y", FLUX, queued_at=0.0)])
    now, number, next_arrival = wait_s, 0, wait_s
    bound = 300.0 + urgency * AGING_S
    for _ in range(100_000):
        while next_arrival <= now:
            number += 1
            backlog.put(JobView(f"x{number}", "x", SDXL, urgency, queued_at=next_arrival))
            next_arrival += arrivals_s[number % len(arrivals_s)]
        for assignment in decide(backlog, [BackendView("a", "Anna", warm=SDXL)], estimates, now).assignments:
            backlog.discard(assignment.job_id)
        if "patient" not in backlog:
            break
        # Time that only repeats the same choice is left out: what decides is who may overtake whom.
        now += max(run_s, bound / 40)
        for job_id in [j for j in backlog.jobs if j != "patient"][:-3]:
            backlog.discard(job_id)
    assert "patient" not in backlog
    assert now <= max(wait_s, bound) + 5 * max(run_s, bound / 40, max(arrivals_s))


_backends = st.lists(
    st.builds(
        BackendView,
        id=st.sampled_from("abcdefgh"),
        name=st.just("B"),
        status=st.sampled_from(BackendStatus),
        slots_free=st.integers(0, 1),
        in_flight=st.integers(0, 2),
        busy_s=st.floats(0, 100),
        foreign_queue=st.integers(0, 3),
        warm=st.sampled_from([frozenset(), SDXL, FLUX]),
        vram_bytes=st.sampled_from([None, 8 * 2**30, 24 * 2**30]),
        busy_orchestrating=st.booleans(),
        last_resort=st.booleans(),
    ),
    max_size=8,
    unique_by=lambda b: b.id,
)
_jobs = st.lists(
    st.builds(
        JobView,
        id=st.uuids().map(str),
        definition_key=st.sampled_from(["x", "y", "z"]),
        models=st.sampled_from([frozenset(), SDXL, FLUX]),
        priority=st.integers(-2, 2),
        queued_at=st.floats(0, 1000),
        refused=st.dictionaries(st.sampled_from("abcdefgh"), st.just(Refusal(Reason.TAG, "no"))),
        prefer=st.none() | st.frozensets(st.sampled_from("abcdefgh")),
        transfer_bytes=st.dictionaries(st.sampled_from("abcdefgh"), st.integers(0, 10**9)),
        needs_vram_bytes=st.none() | st.just(12 * 2**30),
    ),
    max_size=40,
    unique_by=lambda j: j.id,
)
_outcomes = st.lists(
    st.tuples(st.sampled_from("xyz"), st.sampled_from("abcdefgh"), st.floats(0, 1e4), st.booleans()), max_size=20
)


def _taught(outcomes: list[tuple[str, str, float, bool]]) -> Estimates:
    estimates = Estimates()
    for definition, backend_id, elapsed_s, cold in outcomes:
        if elapsed_s > 9000:
            estimates.out_of_memory(definition, backend_id, 8 * 2**30, 900.0)
        else:
            estimates.observe(Outcome(definition, backend_id, elapsed_s, cold))
    return estimates


@given(jobs=_jobs, backends=_backends, outcomes=_outcomes)
@settings(deadline=None, max_examples=30)
def test_a_decision_never_uses_a_slot_or_a_job_twice_nor_a_backend_that_is_refused(
    jobs: list[JobView], backends: list[BackendView], outcomes: list[tuple[str, str, float, bool]]
) -> None:
    estimates = _taught(outcomes)
    decision = decide(Backlog(jobs), backends, estimates, 1000.0)
    by_id, views = {j.id: j for j in jobs}, {b.id: b for b in backends}
    assert len({a.job_id for a in decision.assignments}) == len(decision.assignments)
    for backend_id, backend in views.items():
        given_here = [a for a in decision.assignments if a.backend_id == backend_id]
        assert len(given_here) <= backend.slots_free
        for a in given_here:
            assert backend_id not in refusals(by_id[a.job_id], backends, estimates, 1000.0)


@given(jobs=_jobs, backends=_backends, outcomes=_outcomes)
@settings(deadline=None, max_examples=30)
def test_the_same_story_gives_the_same_decisions(
    jobs: list[JobView], backends: list[BackendView], outcomes: list[tuple[str, str, float, bool]]
) -> None:
    def story() -> list[Decision]:
        estimates, backlog, told = _taught(outcomes), Backlog(jobs), []
        for now in (1000.0, 1001.0, 1002.0):
            told.append(decide(backlog, backends, estimates, now))
            for assignment in told[-1].assignments:
                backlog.discard(assignment.job_id)
        return told

    assert story() == story()


@given(jobs=_jobs, backends=_backends)
@settings(deadline=None, max_examples=30)
def test_a_job_that_an_idle_farm_can_run_does_not_wait_for_ever(
    jobs: list[JobView], backends: list[BackendView]
) -> None:
    idle = [replace(b, slots_free=1, in_flight=0, busy_s=0.0, foreign_queue=0) for b in backends]
    estimates, backlog = Estimates(), Backlog(jobs)
    for round_ in range(len(jobs) + 1):
        decision = decide(backlog, idle, estimates, 1000.0 + round_)
        for assignment in decision.assignments:
            backlog.discard(assignment.job_id)
        if not decision.assignments:
            break
    assert not any(explain(job, idle, estimates, 2000.0).candidates for job in backlog.jobs.values())


@given(
    tagged=st.frozensets(st.sampled_from("abcd"), min_size=1),
    kinds=st.lists(st.tuples(st.sampled_from("xy"), st.booleans(), st.integers(-1, 1)), min_size=1, max_size=40),
    suspended=st.frozensets(st.sampled_from("abcd"), max_size=2),
)
@settings(deadline=None, max_examples=25)
def test_over_a_whole_backlog_a_required_tag_holds_a_suspended_backend_rests_and_all_gets_done(
    tagged: frozenset[str], kinds: list[tuple[str, bool, int]], suspended: frozenset[str]
) -> None:
    untagged = {b: Refusal(Reason.TAG, "it has no tag fast") for b in "abcd" if b not in tagged}
    jobs = [
        JobView(str(i), key, SDXL if key == "x" else FLUX, priority, float(i), untagged if needs_tag else {})
        for i, (key, needs_tag, priority) in enumerate(kinds)
    ]
    estimates, backlog, warm = Estimates(), Backlog(jobs), dict.fromkeys("abcd", frozenset[str]())
    for turn in range(200):
        # The suspended ones come back in the middle: a job may need one of them.
        resting = suspended if turn < 100 else frozenset()
        views = [
            BackendView(b, b, BackendStatus.SUSPENDED if b in resting else BackendStatus.ONLINE, warm=warm[b])
            for b in "abcd"
        ]
        for given_ in decide(backlog, views, estimates, 100.0 + 10.0 * turn).assignments:
            job = backlog.jobs[given_.job_id]
            assert given_.backend_id not in job.refused
            assert given_.backend_id not in resting
            estimates.observe(
                Outcome(job.definition_key, given_.backend_id, 10.0, not job.models <= warm[given_.backend_id])
            )
            warm[given_.backend_id] = job.models
            backlog.discard(job.id)
    assert not backlog.jobs
