"""What a Remote Workflow node shows of its jobs while they run."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence

from ..domain import JobStatus
from ..scheduler.updates import JobChanged, JobPreviewed, JobProgressed, JobUpdate
from .host import Execution, Host

NAMED = 4
"""How many backends are named at once: the line has to fit the node."""
PREVIEWS_S = 0.4
"""How often previews are put together, decoded and encoded at most."""


class ProgressView:
    """Sums the jobs of one node execution up to a bar, a line of text and the previews of all that run."""

    def __init__(
        self, host: Host, execution: Execution, count: int, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """Make it with nothing to show.

        Args:
            host: where it is shown.
            execution: whose jobs they are.
            count: how many there are.
            clock: seconds that never go back.
        """
        self._host = host
        self._clock = clock
        self._execution = execution
        self._count = count
        self._done: dict[str, float] = {}
        self._where: dict[str, str] = {}
        self._last = ""
        """Where the last attempt was begun."""
        self._finished: set[str] = set()
        self._failed: set[str] = set()
        self._began_at: float | None = None
        self._last_end_at = 0.0
        self._previews: dict[str, bytes] = {}
        self._items: dict[str, int] = {}
        self._previewed = False
        self._previews_at = -math.inf
        self._shown = ""
        self._names = {backend.id: backend.name for backend in host.snapshot().backends}

    def show(self, updates: Sequence[JobUpdate]) -> None:
        """Take updates in and show what they come to; nothing is sent when nothing changed."""
        if not updates:
            return
        for update in updates:
            self._take(update)
        total = sum(self._done.values())
        self._host.show_progress(self._execution, total, float(self._count), self._new_previews())
        line = self._line()
        if line != self._shown:
            self._shown = line
            self._host.show_text(self._execution, line)

    def _new_previews(self) -> list[bytes]:
        """Return the newest preview of each running job in item order; none if there is no news or it is too soon."""
        now = self._clock()
        if not self._previewed or now - self._previews_at < PREVIEWS_S:
            return []
        self._previewed, self._previews_at = False, now
        return [self._previews[job_id] for job_id in sorted(self._previews, key=lambda id_: self._items.get(id_, 0))]

    def _take(self, update: JobUpdate) -> None:
        if isinstance(update, JobPreviewed):
            self._previews[update.job_id] = update.image
            self._previewed = True
        elif isinstance(update, JobProgressed):
            self._done[update.job_id] = update.done_ratio
        elif isinstance(update, JobChanged):
            self._change(update)

    def _change(self, update: JobChanged) -> None:
        job = update.job
        self._items[job.id] = job.item_index
        if update.kind == "placed" and update.attempt is not None:
            name = self._names.get(update.attempt.backend_id, update.attempt.backend_id)
            again = f" (attempt {update.attempt.number})" if update.attempt.number > 1 else ""
            self._last = self._where[job.id] = name + again
        if update.kind == "faulted":
            self._where.pop(job.id, None)
            self._previews.pop(job.id, None)
            self._done.pop(job.id, None)
        self._began_at = job.created_at if self._began_at is None else min(self._began_at, job.created_at)
        if job.status.final:
            self._finished.add(job.id)
            if job.status is not JobStatus.SUCCEEDED:
                self._failed.add(job.id)
            self._last_end_at = max(self._last_end_at, job.ended_at or job.created_at)
            self._where.pop(job.id, None)
            self._previews.pop(job.id, None)
            self._done[job.id] = 1.0

    def _line(self) -> str:
        running = _listed(sorted(set(self._where.values())))
        if self._count == 1:
            return running or (self._last if self._finished else "waiting for a backend")
        parts = [f"{len(self._finished)}/{self._count} done"]
        if self._failed:
            parts.append(f"{len(self._failed)} of them failed")
        if self._where:
            parts.append(f"{len(self._where)} running on {running}")
        left_s = self._left_s()
        if left_s is not None:
            parts.append(f"about {_span(left_s)} left")
        return ", ".join(parts)

    def _left_s(self) -> float | None:
        """Return how long the rest will take if it goes on as it went so far, or None before anything has ended."""
        left = self._count - len(self._finished)
        if not self._finished or not left or self._began_at is None:
            return None
        return (self._last_end_at - self._began_at) / len(self._finished) * left


def _listed(names: Sequence[str]) -> str:
    if len(names) <= NAMED:
        return ", ".join(names)
    return f"{', '.join(names[:NAMED])} and {len(names) - NAMED} more"


def _span(seconds: float) -> str:
    if seconds < 90:
        return f"{max(1, round(seconds))} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60:02d} min"
