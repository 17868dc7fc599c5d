"""Which of the user's choices keeps a job from a backend, as it is told."""

from __future__ import annotations

import pytest

from comfy_orchestrator_nodes.domain import LOCAL_BACKEND_ID, Backend, JobSpec
from comfy_orchestrator_nodes.placement import Reason
from comfy_orchestrator_nodes.scheduler.eligibility import by_choice

HERE = Backend(LOCAL_BACKEND_ID, "This server", "http://127.0.0.1:1")
THERE = Backend("b", "Bert", "http://127.0.0.1:2", tags=("fast",))


def spec(**choices: object) -> JobSpec:
    return JobSpec("d", 1, "h", {}, ("image",), **choices)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("backend", "choices", "reason"),
    [
        (HERE, {}, None),
        (HERE, {"from_queue": True}, Reason.LOCAL),
        (THERE, {"from_queue": True}, None),
        (HERE, {"excluded_backends": (LOCAL_BACKEND_ID,)}, Reason.EXCLUDED),
        (HERE, {"excluded_backends": (LOCAL_BACKEND_ID,), "from_queue": True}, Reason.LOCAL),
        (HERE, {"selector": "Bert", "from_queue": True}, Reason.PINNED),
        (HERE, {"selector": "tag:fast", "from_queue": True}, Reason.TAG),
        (THERE, {"selector": "tag:fast", "excluded_backends": ("b",)}, Reason.EXCLUDED),
    ],
)
def test_it_is_told_which_choice_keeps_a_job_from_a_backend(
    backend: Backend, choices: dict[str, object], reason: Reason | None
) -> None:
    refusal = by_choice(backend, spec(**choices))
    assert (refusal.reason if refusal is not None else None) is reason


def test_only_of_a_job_that_the_queue_waits_for_it_is_said_so() -> None:
    waiting = by_choice(HERE, spec(from_queue=True))
    left_out = by_choice(HERE, spec(excluded_backends=(LOCAL_BACKEND_ID,)))
    assert waiting is not None
    assert left_out is not None
    assert "queue waits" in waiting.message
    assert left_out.message == "the job is not to run there"
