"""What finished jobs teach."""

from __future__ import annotations

import json
import math
import random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from comfy_orchestrator_nodes.errors import InvalidRequest
from comfy_orchestrator_nodes.placement import Estimates, Outcome

NOTHING: dict[str, Any] = {"least": {}, "fits": []}


def _run(estimates: Estimates, definition: str, backend_id: str, run_s: float, switch_s: float, times: int = 5) -> None:
    estimates.observe(Outcome(definition, backend_id, run_s + switch_s, cold=True))
    for _ in range(times):
        estimates.observe(Outcome(definition, backend_id, run_s, cold=False))


def test_run_and_switch_are_told_apart_once_a_warm_run_was_seen() -> None:
    estimates = Estimates()
    _run(estimates, "x", "a", 10.0, 25.0)
    assert estimates.run("x", "a").run_s == pytest.approx(10.0, rel=0.03)
    assert estimates.switch_s("a") == pytest.approx(25.0, rel=0.05)


def test_what_a_switch_takes_is_believed_of_backends_that_were_not_seen_switching() -> None:
    dice, estimates = random.Random(1), Estimates()
    for i in range(60):
        run_s = dice.uniform(5, 40)
        estimates.observe(Outcome("x", f"b{i}", 18.0 + run_s * math.exp(dice.gauss(0, 0.15)), cold=True))
        for _ in range(3):
            estimates.observe(Outcome("x", f"b{i}", run_s * math.exp(dice.gauss(0, 0.15)), cold=False))
    assert estimates.switch_s("new") == pytest.approx(18.0, rel=0.1)
    for i in range(60):
        estimates.forget_backend(f"b{i}")
    assert estimates.switch_s("new") == pytest.approx(Estimates().switch_s("new"))


def test_a_cold_run_of_another_definition_is_corrected_by_the_known_switch() -> None:
    estimates = Estimates()
    _run(estimates, "x", "a", 10.0, 25.0)
    estimates.observe(Outcome("y", "a", 65.0, cold=True))
    assert estimates.run("y", "a").run_s == pytest.approx(40.0, rel=0.1)


def test_a_backend_known_from_one_definition_is_predicted_for_others() -> None:
    estimates = Estimates()
    for backend_id, factor in (("a", 1.0), ("b", 1.0), ("slow", 3.0)):
        _run(estimates, "x", backend_id, 10.0 * factor, 5.0, 20)
    for backend_id in ("a", "b"):
        _run(estimates, "y", backend_id, 40.0, 5.0, 20)
    expected = estimates.run("y", "slow")
    assert expected.runs == 0
    assert 80.0 < expected.run_s < 130.0
    assert expected.sigma > estimates.run("x", "slow").sigma


@pytest.mark.parametrize("hiccup_s", [0.3, 0.7])
def test_hiccups_in_runs_of_milliseconds_tell_nothing_of_a_backends_speed(hiccup_s: float) -> None:
    estimates = Estimates()
    for n in range(12):
        for _ in range(3):
            estimates.observe(Outcome(f"tiny-{n}", "a", 0.008, cold=False))
        estimates.observe(Outcome(f"tiny-{n}", "b", hiccup_s, cold=False))
    estimates.observe(Outcome("paint", "a", 2.0, cold=False))
    assert estimates.run("paint", "b").run_s < 1.5 * estimates.run("paint", "a").run_s
    assert estimates.run("tiny-0", "a").run_s == pytest.approx(0.008, rel=0.1)


def test_a_backend_that_became_slower_is_noticed() -> None:
    estimates = Estimates()
    _run(estimates, "x", "a", 10.0, 5.0, 100)
    for _ in range(40):
        estimates.observe(Outcome("x", "a", 20.0, cold=False))
    assert estimates.run("x", "a").run_s > 17.0


def test_noise_is_averaged_out() -> None:
    dice, estimates = random.Random(1), Estimates()
    for _ in range(200):
        estimates.observe(Outcome("x", "a", 10.0 * math.exp(dice.gauss(0, 0.25)), cold=False))
    assert estimates.run("x", "a").run_s == pytest.approx(10.0, rel=0.15)


def test_a_twin_of_a_known_device_is_believed_to_be_as_fast() -> None:
    estimates = Estimates()
    for backend_id in ("a", "b"):
        estimates.introduce(backend_id, "NVIDIA GeForce RTX 3060")
    estimates.introduce("fast", "Fast New Card")
    for backend_id, run_s in (("a", 40.0), ("b", 40.0), ("fast", 10.0)):
        _run(estimates, "x", backend_id, run_s, 0.0, 20)
    estimates.introduce("twin", "Fast New Card")
    estimates.introduce("other", "NVIDIA GeForce RTX 3060")
    assert estimates.run("x", "twin").run_s < 0.6 * estimates.run("x", "other").run_s


@pytest.mark.parametrize(
    ("faster", "slower"),
    [
        ("cuda:0 NVIDIA GeForce RTX 4090 : cudaMallocAsync", "cuda:0 NVIDIA GeForce RTX 3060 : cudaMallocAsync"),
        ("NVIDIA GeForce RTX 3080 Ti", "NVIDIA GeForce RTX 3080 Ti Laptop GPU"),
        ("NVIDIA GeForce RTX 2060", "cpu"),
        ("NVIDIA H100 80GB HBM3", "NVIDIA A10"),
    ],
)
def test_before_anything_ran_the_devices_name_says_which_is_faster(faster: str, slower: str) -> None:
    estimates = Estimates()
    estimates.introduce("f", faster)
    estimates.introduce("s", slower)
    assert estimates.run("x", "f").run_s < estimates.run("x", "s").run_s


def test_a_late_job_is_expected_to_need_a_tenth_of_its_time_more() -> None:
    estimates = Estimates()
    _run(estimates, "x", "a", 10.0, 0.0, 20)
    assert estimates.remaining_s("x", "a", cold=False, elapsed_s=4.0) == pytest.approx(6.0, rel=0.05)
    assert estimates.remaining_s("x", "a", cold=False, elapsed_s=100.0) == pytest.approx(10.0)


def test_a_forgotten_backend_is_as_unknown_as_a_new_one() -> None:
    estimates = Estimates()
    _run(estimates, "x", "a", 10.0, 5.0)
    _run(estimates, "x", "b", 50.0, 5.0)
    estimates.out_of_memory("x", "b", 2**30, 0.0)
    estimates.forget_backend("b")
    assert estimates.run("x", "b") == estimates.run("x", "never seen")
    assert not estimates.memory.ran_out_here("x", "b", 1.0)


_stories = st.lists(
    st.tuples(
        st.sampled_from("xyz"),
        st.sampled_from("abc"),
        st.floats(-1, 1e6, allow_nan=False),
        st.booleans(),
        st.booleans(),
    ),
    max_size=40,
)


@settings(deadline=None, max_examples=30)
@given(story=_stories)
def test_a_snapshot_restores_what_was_learned(story: list[tuple[str, str, float, bool, bool]]) -> None:
    estimates = Estimates()
    for definition, backend_id, elapsed_s, cold, fits in story:
        if fits:
            estimates.observe(Outcome(definition, backend_id, elapsed_s, cold, vram_bytes=2**33))
        else:
            estimates.out_of_memory(definition, backend_id, 2**32, 5.0)
    copy = Estimates.restore(json.loads(json.dumps(estimates.snapshot())))
    assert copy.snapshot() == estimates.snapshot()
    for definition in "xyz":
        for backend_id in "abc":
            assert copy.memory.ran_out_here(definition, backend_id, 6.0) == estimates.memory.ran_out_here(
                definition, backend_id, 6.0
            )
            expected = copy.run(definition, backend_id)
            assert expected.run_s > 0
            assert math.isfinite(expected.run_s)
            if expected.runs > 3:
                assert expected.run_s == pytest.approx(estimates.run(definition, backend_id).run_s, rel=0.25)


@pytest.mark.parametrize(
    "data",
    [
        None,
        3,
        [],
        {},
        {"format": 2},
        {"format": 1},
        {"format": 1, "noise": [1], "memory": NOTHING, "pairs": []},
    ]
    + [{"format": 1, "noise": [0.1, 1], "memory": NOTHING, "pairs": [p]} for p in ([], ["x"], "xy", [None] * 7)]
    + [{"format": 1, "noise": [0.1, 1], "memory": {"least": {}, "fits": [[1]]}, "pairs": []}]
    + [{"format": 1, "noise": [math.nan, 1], "memory": NOTHING, "pairs": []}]
    + [{"format": 1, "noise": [0.1, 1], "memory": NOTHING, "pairs": [["x", "a", 1, 1, 1e300, 0, 0]]}],
)
def test_a_damaged_snapshot_is_refused_in_words(data: Any) -> None:
    with pytest.raises(InvalidRequest, match="delete them to start anew"):
        Estimates.restore(data)
