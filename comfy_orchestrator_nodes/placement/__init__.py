"""Which backend for which job, and why not the others: pure, told all it needs, learning from outcomes."""

from __future__ import annotations

from .backlog import Backlog
from .decide import decide
from .estimates import Estimates, Expected, Outcome
from .qualify import explain, refusals
from .views import (
    AGING_S,
    Assignment,
    BackendView,
    Candidate,
    Decision,
    Explanation,
    JobView,
    Reason,
    Refusal,
)

__all__ = [
    "AGING_S",
    "Assignment",
    "BackendView",
    "Backlog",
    "Candidate",
    "Decision",
    "Estimates",
    "Expected",
    "Explanation",
    "JobView",
    "Outcome",
    "Reason",
    "Refusal",
    "decide",
    "explain",
    "refusals",
]
