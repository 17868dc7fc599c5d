"""Why a backend is not taken, in words."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from comfy_orchestrator_nodes.domain import BackendStatus
from comfy_orchestrator_nodes.placement import (
    BackendView,
    Backlog,
    Estimates,
    JobView,
    Outcome,
    Reason,
    Refusal,
    decide,
    explain,
)

GIB = 2**30
JOB = JobView("job", "def")
NOW = 1000.0


def _plain(change: dict[str, Any]) -> Callable[[Estimates], BackendView]:
    return lambda _: replace(BackendView("b", "Bert", vram_bytes=8 * GIB), **change)


@pytest.mark.parametrize(
    ("change", "reason", "words"),
    [
        ({"status": BackendStatus.OFFLINE}, Reason.OFFLINE, "offline"),
        ({"status": BackendStatus.UNKNOWN}, Reason.UNKNOWN, "not reached yet"),
        ({"status": BackendStatus.SUSPENDED}, Reason.SUSPENDED, "failed too often"),
        ({"busy_orchestrating": True}, Reason.BUSY_ORCHESTRATING, "waits for remote jobs"),
    ],
)
def test_a_backend_that_cannot_take_anything_says_why(change: dict[str, Any], reason: Reason, words: str) -> None:
    backend = _plain(change)(Estimates())
    told = explain(JOB, [backend], Estimates(), NOW)
    assert told.refusals["b"].reason is reason
    assert words in told.by_name()["Bert"]
    assert decide([JOB], [backend], Estimates(), NOW).assignments == ()


@pytest.mark.parametrize("reason", [Reason.MISSING_CLASS, Reason.MISSING_MODEL, Reason.TAG, Reason.PINNED])
def test_what_the_caller_found_out_is_told_as_it_is(reason: Reason) -> None:
    refusal = Refusal(reason, "it lacks sdxl.safetensors")
    job = replace(JOB, refused={"b": refusal})
    backends = [BackendView("b", "Bert"), BackendView("c", "Carl")]
    assert explain(job, backends, Estimates(), NOW).refusals == {"b": refusal}
    assert [a.backend_id for a in decide([job], backends, Estimates(), NOW).assignments] == ["c"]


def test_a_job_that_needs_more_memory_is_kept_off_small_backends() -> None:
    job = replace(JOB, needs_vram_bytes=12 * GIB)
    backends = [BackendView("b", "Bert", vram_bytes=8 * GIB), BackendView("c", "Carl", vram_bytes=24 * GIB)]
    told = explain(job, backends, Estimates(), NOW)
    assert told.by_name() == {"Bert": "it has 8 GiB of VRAM and the job needs at least 12 GiB"}
    assert [a.backend_id for a in decide([job], backends, Estimates(), NOW).assignments] == ["c"]


def test_running_out_of_memory_rules_out_backends_that_are_no_larger() -> None:
    estimates = Estimates()
    estimates.out_of_memory("def", "b", 12 * GIB, NOW)
    backends = [
        BackendView("a", "Anna", vram_bytes=8 * GIB),
        BackendView("b", "Bert", vram_bytes=12 * GIB),
        BackendView("c", "Carl", vram_bytes=24 * GIB),
    ]
    told = explain(JOB, backends, estimates, NOW)
    assert told.by_name() == {
        "Anna": "its 8 GiB of VRAM are not enough: this workflow ran out of memory with 12 GiB",
        "Bert": "it ran out of memory on this workflow",
    }
    assert [c.name for c in told.candidates] == ["Carl"]


def test_a_workflow_that_ran_with_as_little_memory_is_not_ruled_out_by_another_backends_failure() -> None:
    estimates = Estimates()
    estimates.observe(Outcome("def", "small", 10.0, cold=True, vram_bytes=8 * GIB))
    estimates.out_of_memory("def", "b", 12 * GIB, NOW)
    backends = [BackendView("a", "Anna", vram_bytes=8 * GIB), BackendView("b", "Bert", vram_bytes=12 * GIB)]
    assert set(explain(JOB, backends, estimates, NOW).refusals) == {"b"}


def test_a_failure_with_more_memory_than_it_ran_with_elsewhere_rules_out_nobody_else() -> None:
    estimates = Estimates()
    estimates.out_of_memory("def", "b", 24 * GIB, NOW)
    estimates.observe(Outcome("def", "c", 10.0, cold=True, vram_bytes=12 * GIB))
    backends = [BackendView("a", "Anna", vram_bytes=8 * GIB), BackendView("b", "Bert", vram_bytes=24 * GIB)]
    assert set(explain(JOB, backends, estimates, NOW).refusals) == {"b"}
    estimates.out_of_memory("def", "a", 8 * GIB, NOW)
    backends.append(BackendView("d", "Dora", vram_bytes=6 * GIB))
    backends.append(BackendView("c", "Carl", vram_bytes=12 * GIB))
    assert set(explain(JOB, backends, estimates, NOW).refusals) == {"a", "b", "d"}


def test_a_backend_that_ran_the_workflow_is_forgiven_one_failure_of_memory_but_not_two() -> None:
    estimates = Estimates()
    estimates.observe(Outcome("def", "b", 10.0, cold=True, vram_bytes=8 * GIB))
    backends = [BackendView("b", "Bert", vram_bytes=8 * GIB), BackendView("c", "Carl", vram_bytes=24 * GIB)]
    estimates.out_of_memory("def", "b", 8 * GIB, NOW)
    assert not explain(JOB, backends, estimates, NOW).refusals
    estimates.out_of_memory("def", "b", 8 * GIB, NOW)
    assert set(explain(JOB, backends, estimates, NOW).refusals) == {"b"}


def test_a_failure_of_memory_is_forgotten_after_hours() -> None:
    estimates = Estimates()
    estimates.out_of_memory("def", "b", 8 * GIB, NOW)
    backends = [BackendView("b", "Bert", vram_bytes=8 * GIB), BackendView("c", "Carl", vram_bytes=24 * GIB)]
    assert not explain(JOB, backends, estimates, NOW + 7 * 3600).refusals


def test_what_was_learned_about_memory_never_leaves_a_job_without_any_backend() -> None:
    estimates = Estimates()
    estimates.out_of_memory("def", "b", 24 * GIB, NOW)
    small, large = BackendView("a", "Anna", vram_bytes=8 * GIB), BackendView("b", "Bert", vram_bytes=24 * GIB)
    assert [c.name for c in explain(JOB, [small, large], estimates, NOW).candidates] == ["Anna"]
    assert [c.name for c in explain(JOB, [large], estimates, NOW).candidates] == ["Bert"]
    assert [a.backend_id for a in decide([JOB], [large], estimates, NOW).assignments] == ["b"]


def test_the_last_resort_is_used_only_when_nothing_else_can_run_the_job() -> None:
    local, peer = BackendView("local", "This server", last_resort=True), BackendView("b", "Bert", slots_free=0)
    told = explain(JOB, [local, peer], Estimates(), NOW)
    assert told.refusals["local"].reason is Reason.LAST_RESORT
    assert decide([JOB], [local, peer], Estimates(), NOW).assignments == ()
    alone = replace(JOB, refused={"b": Refusal(Reason.TAG, "it has no tag gpu")})
    assert [a.backend_id for a in decide([alone], [local, peer], Estimates(), NOW).assignments] == ["local"]


def test_the_range_of_a_run_time_is_told_once_the_workflow_has_run_anywhere() -> None:
    slow, fast = BackendView("a", "Anna", gpu="cpu"), BackendView("b", "Bert", gpu="NVIDIA GeForce RTX 4090")
    estimates = Estimates()
    never = explain(JOB, [slow, fast], estimates, NOW)
    assert [c.run_range_s for c in never.candidates] == [None, None]
    estimates.observe(Outcome("def", "b", 10.0, cold=False))
    known = {c.backend_id: c for c in explain(JOB, [slow, fast], estimates, NOW).candidates}
    for candidate in known.values():
        assert candidate.run_range_s is not None
        least, most = candidate.run_range_s
        assert least < candidate.run_s < most
    assert (known["b"].runs_seen, known["a"].runs_seen) == (1, 0)
    assert known["b"].run_range_s[1] < known["a"].run_range_s[1]  # type: ignore[index]


def test_an_explanation_is_json_and_lists_candidates_by_expected_completion() -> None:
    backends = [
        BackendView("a", "Anna", busy_s=50.0, slots_free=0, in_flight=1),
        BackendView("b", "Bert"),
        BackendView("c", "Carl", status=BackendStatus.OFFLINE),
    ]
    told = json.loads(json.dumps(explain(JOB, backends, Estimates(), NOW).to_json()))
    assert [c["backend"] for c in told["candidates"]] == ["Bert", "Anna"]
    assert told["candidates"][1]["queue_s"] == 50.0
    assert told["candidates"][1]["free"] is False
    assert told["refusals"] == [{"backend_id": "c", "backend": "Carl", "reason": "offline", "message": "it is offline"}]


def test_a_backlog_that_nothing_can_run_is_left_alone() -> None:
    refused = {"b": Refusal(Reason.PINNED, "the job is pinned to another backend")}
    jobs = Backlog(replace(JOB, id=str(i), refused=refused) for i in range(50))
    assert decide(jobs, [BackendView("b", "Bert")], Estimates(), NOW).assignments == ()
