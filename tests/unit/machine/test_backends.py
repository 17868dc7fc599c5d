"""The health table: when a backend is used, used last, or left alone."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from comfy_orchestrator_nodes.domain import BackendStatus
from comfy_orchestrator_nodes.machine.backends import (
    BACKOFF_LIMIT_S,
    OFFLINE_AFTER,
    SUSPEND_AFTER,
    BackendHealth,
    HealthEvent,
    JobFaulted,
    JobSucceeded,
    ProbeAnswered,
    ProbeFailed,
    advance,
    suspension_s,
)

ANSWER = ProbeAnswered(0.01)
FAILED = ProbeFailed("timed out")


def run(*events: HealthEvent, at: float = 0.0, health: BackendHealth | None = None) -> BackendHealth:
    health = health or BackendHealth()
    for event in events:
        health = advance(health, event, at)
    return health


def test_the_first_answer_brings_a_backend_online() -> None:
    assert run(ANSWER).status is BackendStatus.ONLINE


def test_one_missed_probe_only_degrades_a_backend() -> None:
    health = run(ANSWER, FAILED)
    assert health.status is BackendStatus.DEGRADED
    assert health.usable


def test_a_backend_is_offline_after_repeated_missed_probes() -> None:
    assert run(ANSWER, *[FAILED] * OFFLINE_AFTER).status is BackendStatus.OFFLINE


def test_a_refused_connection_is_offline_at_once() -> None:
    assert run(ANSWER, ProbeFailed("refused", refused=True)).status is BackendStatus.OFFLINE


def test_a_backend_that_never_answered_is_offline_after_one_failure() -> None:
    assert run(FAILED).status is BackendStatus.OFFLINE


def test_one_answer_recovers_a_degraded_and_an_offline_backend() -> None:
    assert run(ANSWER, FAILED, ANSWER).status is BackendStatus.ONLINE
    assert run(FAILED, ANSWER).status is BackendStatus.ONLINE


def test_repeated_job_faults_suspend_a_backend_until_the_backoff_is_over() -> None:
    health = run(ANSWER, *[JobFaulted("boom")] * SUSPEND_AFTER, at=100.0)
    assert health.status is BackendStatus.SUSPENDED
    assert run(ANSWER, at=101.0, health=health).status is BackendStatus.SUSPENDED
    assert run(ANSWER, at=100.0 + suspension_s(1), health=health).status is BackendStatus.ONLINE


def test_a_success_between_faults_keeps_a_backend_in_use() -> None:
    fault = JobFaulted("boom")
    assert run(ANSWER, fault, fault, JobSucceeded(), fault, fault).status is BackendStatus.ONLINE


def test_each_suspension_in_a_row_lasts_longer_up_to_a_limit() -> None:
    lengths = [suspension_s(n) for n in range(1, 12)]
    assert lengths == sorted(lengths)
    assert lengths[1] == 2 * lengths[0]
    assert lengths[-1] == BACKOFF_LIMIT_S


def test_latency_follows_the_samples_smoothly() -> None:
    health = run(ProbeAnswered(0.1), ProbeAnswered(0.2))
    assert health.latency_s is not None
    assert 0.1 < health.latency_s < 0.2


def test_the_time_of_the_last_change_is_kept() -> None:
    health = run(ANSWER, at=5.0)
    health = run(ANSWER, at=9.0, health=health)
    assert health.since == 5.0


@given(
    st.lists(
        st.sampled_from([ANSWER, FAILED, ProbeFailed("no", refused=True), JobFaulted("x"), JobSucceeded()]), max_size=40
    )
)
def test_every_event_is_allowed_in_every_status(events: list[HealthEvent]) -> None:
    health = BackendHealth()
    for at, event in enumerate(events):
        health = advance(health, event, float(at))
        assert (health.suspended_until is not None) == (health.status is BackendStatus.SUSPENDED)
