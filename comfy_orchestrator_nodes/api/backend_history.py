"""What a backend did for us: its attempts in a span of time, for charts and for the story of a backend."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from ..domain import Attempt, AttemptStatus, Cause
from ..errors import NotFound
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


ROUTES = (Route("GET", "/backends/{backend_id}/attempts", list_attempts, (NotFound,)),)
