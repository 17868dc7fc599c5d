"""Whole farms under a virtual clock: how close placement comes to what no schedule can beat."""

from __future__ import annotations

import itertools
from collections import Counter

import pytest

from tests.sim.farms import FAMILIES, FarmSpec, lower_bound_s, make
from tests.sim.policies import Placement, Pull, RoundRobin
from tests.sim.simulator import Outage, simulate

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
    result = simulate(farm, Placement(), seed=seed, outages=outages)
    assert result.done == Counter(farm.jobs)
    assert result.lost


@pytest.mark.parametrize("seed", range(3))
def test_what_fits_where_is_learned_from_running_out_of_memory(seed: int) -> None:
    farm = make("memory", seed)
    pairs = sum(1 for d, b in itertools.product(farm.jobs, farm.vram_bytes) if b not in farm.run_s[d])
    result = simulate(farm, Placement(), seed=seed, knows_fit=False)
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
