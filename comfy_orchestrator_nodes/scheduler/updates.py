"""What the scheduler tells whoever watches: changes, progress and previews of jobs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

from ..domain import Attempt, Job, Json


@dataclass(frozen=True)
class JobChanged:
    """A job or one of its attempts changed, as stored. ``attempt`` is the one it was about, if any."""

    job: Job
    kind: str
    attempt: Attempt | None = None
    details: Mapping[str, Json] = field(default_factory=dict)


@dataclass(frozen=True)
class JobProgressed:
    """How far the running attempt is. ``done_ratio`` goes from 0 to 1 over the whole sub-workflow."""

    job_id: str
    backend_id: str
    done_ratio: float
    node_id: str | None
    class_type: str | None
    loading_s: float | None = None
    """How long it was in nodes that load models before the one that runs now; None: not known."""
    loading_since: float | None = None
    """When the node that runs now began to load, if it is one that does."""
    fetching_since: float | None = None
    """When the backend was done and its outputs began to be fetched."""


@dataclass(frozen=True)
class JobPreviewed:
    """A preview image of the running attempt, as the backend encoded it."""

    job_id: str
    backend_id: str
    image: bytes = field(repr=False)
    media_type: str


JobUpdate: TypeAlias = JobChanged | JobProgressed | JobPreviewed

Publish = Callable[[JobUpdate], None]
"""Called on the server loop with every update; must neither block nor raise."""
