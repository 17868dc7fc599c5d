"""Whole farms under a virtual clock: how close placement comes to what no schedule can beat."""

from __future__ import annotations

import itertools
from collections import Counter
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from comfy_orchestrator_nodes.domain import Cause
from tests.sim.farms import FAMILIES, GIB, FarmSpec, lower_bound_s, make
from tests.sim.policies import Placement, Pull, RoundRobin
from tests.sim.simulator import simulate
from tests.sim.world import Faults, Outage

SMALL = ["pair", "equal", "speeds", "models", "memory"]


@pytest.mark.parametrize("seed", [1, 2])
@pytest.mark.parametrize("family", SMALL)
def test_placement_that_knew_nothing_ends_near_the_bound(family: str, seed: int) -> None:
    farm = make(family, seed)
    result = simulate(farm, Placement(), seed=seed)
    assert result.done == Counter(farm.jobs)
    assert 0.9 < result.ratio < 1.3


def test_placement_beats_dealing_out_in_turns_and_pulling() -> None:
    for family in ("models", "memory"):
        farm = make(family, 3)
        ours = simulate(farm, Placement()).makespan_s
        assert ours < 0.8 * simulate(farm, RoundRobin()).makespan_s
        assert ours < 0.9 * simulate(farm, Pull()).makespan_s


def test_a_second_run_of_the_same_work_profits_from_what_was_learned() -> None:
    farm = make("models", 4)
    policy = Placement()
    first = simulate(farm, policy).makespan_s
    assert simulate(farm, Placement(policy.estimates)).makespan_s < first


@pytest.mark.parametrize("seed", range(3))
def test_every_job_is_done_once_when_backends_come_and_go(seed: int) -> None:
    farm = make("memory", seed)
    outages = [Outage(b, 20.0 + 17 * i, 80.0 + 30 * i) for i, b in enumerate(farm.vram_bytes) if i % 2]
    result = simulate(farm, Placement(), seed=seed, outages=outages, attempts=10)
    assert result.done == Counter(farm.jobs)
    assert result.lost
    assert result.executed == sum(farm.jobs.values())


def test_an_answer_that_is_lost_costs_no_second_execution() -> None:
    farm = make("models", 1)
    result = simulate(farm, Placement(), seed=1, faults=Faults(unanswered=0.3))
    assert result.done == Counter(farm.jobs)
    assert result.attempts == result.executed == sum(farm.jobs.values())


def test_of_a_backend_that_was_only_cut_off_for_long_one_result_is_accepted_and_the_rest_is_removed() -> None:
    farm = make("pair", 1)
    outages = [Outage("b0", 5.0 + 200 * i, 5.0 + 200 * i + 60.0, cut=True) for i in range(20)]
    result = simulate(farm, Placement(), seed=1, outages=outages, attempts=10)
    assert result.done == Counter(farm.jobs)
    twice = result.executed - sum(farm.jobs.values())
    assert 0 < twice + result.withdrawn <= result.lost


def test_a_short_cut_repeats_nothing() -> None:
    farm = make("pair", 2)
    outages = [Outage("b0", 5.0 + 100 * i, 5.0 + 100 * i + 20.0, cut=True) for i in range(20)]
    result = simulate(farm, Placement(), seed=1, outages=outages)
    assert result.done == Counter(farm.jobs)
    assert result.lost
    assert result.attempts == result.executed == sum(farm.jobs.values())


def test_execution_errors_are_tried_once_elsewhere_and_then_told() -> None:
    farm = make("equal", 1)
    result = simulate(farm, Placement(), seed=1, faults=Faults(error=0.2))
    jobs = sum(farm.jobs.values())
    assert set(result.failed) == {Cause.EXECUTION_ERROR}
    assert sum(result.done.values()) + result.failed[Cause.EXECUTION_ERROR] == jobs
    assert 0 < result.failed[Cause.EXECUTION_ERROR] < 0.1 * jobs
    assert result.attempts <= 2 * jobs


def test_a_backend_that_spoils_its_outputs_is_suspended_again_and_again_and_little_is_lost() -> None:
    farm = make("equal", 2)
    result = simulate(farm, Placement(), seed=1, faults=Faults(broken=frozenset({"b1"})))
    jobs = sum(farm.jobs.values())
    assert result.done == Counter(farm.jobs)
    assert result.suspensions >= 2
    assert result.attempts < 1.15 * jobs
    assert result.ratio < 1.5


_moments = st.floats(0, 400)
_outages = st.lists(
    st.builds(
        lambda backend, at, length, cut: Outage(backend, at, at + length, cut=cut),
        st.sampled_from(["b0", "b1", "b2"]),
        _moments,
        st.floats(0.5, 120),
        st.booleans(),
    ),
    max_size=6,
).map(lambda outages: [o for o in outages if o is next(p for p in outages if p.backend_id == o.backend_id)])


@settings(deadline=None, max_examples=25)
@given(
    outages=_outages,
    unanswered=st.sampled_from([0.0, 0.3]),
    error=st.sampled_from([0.0, 0.2]),
    broken=st.frozensets(st.sampled_from(["b0", "b1"])),
    knows_fit=st.booleans(),
    attempts=st.integers(1, 5),
    seed=st.integers(0, 50),
)
def test_whatever_goes_wrong_every_job_ends_once_with_a_result_or_a_cause(
    outages: list[Outage],
    unanswered: float,
    error: float,
    broken: frozenset[str],
    knows_fit: bool,
    attempts: int,
    seed: int,
) -> None:
    farm = replace(make("memory", seed), jobs={"d0": 9, "d1": 9, "d2": 9, "d3": 9, "d4": 9})
    faults = Faults(unanswered, error, broken)
    result = simulate(
        farm, Placement(), seed=seed, outages=outages, faults=faults, attempts=attempts, knows_fit=knows_fit
    )
    assert sum(result.done.values()) + sum(result.failed.values()) == 45
    assert result.executed >= sum(result.done.values())


def test_a_thousand_backends_are_practicable() -> None:
    """Without noise much ends at the same moment, which keeps the number of decisions, and the test, small."""
    backends = [f"b{i}" for i in range(1000)]
    run_s = {d: {b: base * (1 + i % 3) for i, b in enumerate(backends)} for d, base in (("d0", 10.0), ("d1", 20.0))}
    vram, switch_s = dict.fromkeys(backends, 8 * GIB), dict.fromkeys(backends, 10.0)
    farm = FarmSpec("thousand", 1, vram, dict.fromkeys(run_s, 1500), run_s, switch_s, 0.0, 1.0)
    outages = [Outage(b, 15.0, 60.0) for b in backends[::20]]
    result = simulate(farm, Placement(), seed=1, outages=outages, faults=Faults(unanswered=0.05), attempts=5)
    assert result.done == Counter(farm.jobs)
    assert result.executed == 3000
    assert result.lost == len(outages)


@pytest.mark.parametrize("seed", range(3))
def test_what_fits_where_is_learned_from_running_out_of_memory(seed: int) -> None:
    farm = make("memory", seed)
    pairs = sum(1 for d, b in itertools.product(farm.jobs, farm.vram_bytes) if b not in farm.run_s[d])
    result = simulate(farm, Placement(), seed=seed, knows_fit=False, attempts=len(farm.vram_bytes))
    assert result.done == Counter(farm.jobs)
    assert 0 < result.out_of_memory <= pairs + 5


def test_the_bound_is_the_optimum_where_that_is_known() -> None:
    assert lower_bound_s({"x": 100}, {"x": {"a": 1.0, "b": 3.0}}) == pytest.approx(75.0, rel=0.001)
    crossed = {"x": {"a": 1.0, "b": 2.0}, "y": {"a": 2.0, "b": 1.0}}
    assert lower_bound_s({"x": 50, "y": 50}, crossed) == pytest.approx(50.0, rel=0.001)
    assert lower_bound_s({"x": 1}, {"x": {"a": 8.0, "b": 9.0}}) == pytest.approx(8.0)


def test_no_schedule_beats_the_bound_where_there_is_no_noise() -> None:
    farm: FarmSpec = make("models", 5)
    assert FAMILIES["models"].noise == 0.0
    for policy in (Placement(), Pull(), RoundRobin()):
        assert simulate(farm, policy).ratio >= 1.0
