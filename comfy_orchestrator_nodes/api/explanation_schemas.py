"""How it is told why a job goes where it goes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pydantic import Field

from ..domain import JobEvent
from ..placement import Explanation
from .schemas import View


class CandidateView(View):
    """A backend that could run the job, and when it would be done there. Seconds from now."""

    backend_id: str
    backend: str
    completion_s: float
    queue_s: float
    transfer_s: float
    switch_s: float
    run_s: float
    penalty_s: float
    runs_seen: int = Field(description="How many runs there run_s rests on; 0: it comes from other backends.")
    run_range_s: tuple[float, float] | None = Field(
        default=None, description="Between what run_s lies in two of three cases; null where it has run nowhere yet."
    )
    free: bool


class RefusalView(View):
    """A backend that cannot run the job, and why."""

    backend_id: str
    backend: str
    reason: str
    message: str


class PlacementView(View):
    """Why a job went where it went, or nowhere, as things stood then."""

    at: float
    attempt_id: str | None
    backend_id: str | None = Field(description="The backend that got it; null where none could.")
    candidates: list[CandidateView]
    refusals: list[RefusalView]
    omitted: int = Field(description="How many more there were: of a large farm only the most telling are kept.")

    @classmethod
    def of(cls, event: JobEvent) -> PlacementView | None:
        """Return the placement that an event tells of, or None."""
        explanation = event.details.get("explanation")
        if event.kind not in ("placed", "unplaceable") or not isinstance(explanation, dict):
            return None
        kept = {"omitted": 0, **explanation}
        return cls(at=event.at, attempt_id=event.attempt_id, backend_id=event.details.get("backend"), **kept)


class ExplanationView(View):
    """Where a job could go now, in order of preference, why not elsewhere, and why it went where it did."""

    job_id: str
    live: bool = Field(description="Whether it is under way; if not, candidates and refusals are empty.")
    candidates: list[CandidateView]
    refusals: list[RefusalView]
    placements: list[PlacementView] = Field(description="One for each attempt, in order; kept with the job.")

    @classmethod
    def of(cls, job_id: str, now: Explanation | None, events: Sequence[JobEvent]) -> ExplanationView:
        """Return an explanation as it is shown."""
        told: dict[str, Any] = now.to_json() if now is not None else {"candidates": [], "refusals": []}
        placements = [placement for event in events if (placement := PlacementView.of(event)) is not None]
        return cls(**{**told, "job_id": job_id, "live": now is not None, "placements": placements})
