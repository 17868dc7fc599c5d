"""The past of a backend: what it did for us in a span of time, and what happened to itself."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from ..domain import Attempt, AttemptStatus, BackendEvent, BackendEventKind, Cause
from ..errors import NotFound
from ..store.backend_events import KEPT
from .schemas import Query, View
from .table import Call, Route

MAX_ATTEMPTS = 1000

_Time = Annotated[float, Field(ge=0, le=1e11)]


class SpanQuery(Query):
    """Which span of time, in seconds since the epoch."""

    since: _Time = 0.0
    until: _Time = 1e11
    limit: Annotated[int, Field(ge=1, le=MAX_ATTEMPTS)] = 200


class BackendAttemptView(View):
    """One dispatch to the backend. Times are seconds since the epoch."""

    id: str
    job_id: str
    definition: str
    number: int
    status: AttemptStatus
    cause: Cause | None = Field(description="Why it has no accepted result; null unless it ended so.")
    message: str = Field(description="The same in words, or empty.")
    created_at: float
    started_at: float | None
    ended_at: float | None
    peak_vram_bytes: int | None = Field(description="On its fullest GPU meanwhile, others' included; null: unknown.")
    energy_j: float | None = Field(description="What its GPUs drew meanwhile; null: unknown.")

    @classmethod
    def of(cls, attempt: Attempt, definition: str) -> BackendAttemptView:
        """Return an attempt as a backend's history shows it."""
        failure = attempt.failure
        return cls(
            id=attempt.id,
            job_id=attempt.job_id,
            definition=definition,
            number=attempt.number,
            status=attempt.status,
            cause=failure.cause if failure is not None else None,
            message=failure.message if failure is not None else "",
            created_at=attempt.created_at,
            started_at=attempt.started_at,
            ended_at=attempt.ended_at,
            peak_vram_bytes=attempt.peak_vram_bytes,
            energy_j=attempt.energy_j,
        )


class BackendAttemptList(View):
    """Attempts, the newest first."""

    attempts: list[BackendAttemptView]


async def list_attempts(call: Call, backend_id: str, query: SpanQuery) -> BackendAttemptList:
    """List the attempts that a backend had in a span of time, the newest first."""
    service = call.service
    service.registry.get(backend_id)
    found = await service.attempts.on_backend(backend_id, since=query.since, until=query.until, limit=query.limit)
    return BackendAttemptList(attempts=[BackendAttemptView.of(attempt, definition) for attempt, definition in found])


class EventsQuery(Query):
    """How many events at most."""

    limit: Annotated[int, Field(ge=1, le=KEPT)] = KEPT


class BackendEventView(View):
    """One thing that happened to the backend itself."""

    at: float = Field(description="When it was noticed, in seconds since the epoch.")
    kind: BackendEventKind
    reason: str = Field(
        description="Why, in words, or empty; of `agent_found` the agent's version, of `restarted` how it showed."
    )
    until: float | None = Field(description="When a suspension ends at the earliest; null otherwise.")

    @classmethod
    def of(cls, event: BackendEvent) -> BackendEventView:
        """Return an event as it is shown."""
        return cls(at=event.at, kind=event.kind, reason=event.reason, until=event.until)


class BackendEventList(View):
    """Events, the newest first."""

    events: list[BackendEventView]


async def list_backend_events(call: Call, backend_id: str, query: EventsQuery) -> BackendEventList:
    """List what last happened to a backend itself: its health, what was done to it, its agent. The newest first."""
    service = call.service
    service.registry.get(backend_id)
    return BackendEventList(
        events=[BackendEventView.of(event) for event in await service.story.of(backend_id, query.limit)]
    )


ROUTES = (
    Route("GET", "/backends/{backend_id}/attempts", list_attempts, (NotFound,)),
    Route("GET", "/backends/{backend_id}/events", list_backend_events, (NotFound,)),
)
