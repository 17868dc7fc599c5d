"""What happened to each backend: the newest events of each, which go with it."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from typing import Any

from ..domain import BackendEvent, BackendEventKind
from . import codec
from .database import Database

KEPT = 200
"""How many events are kept of one backend, the newest."""

_HEALTH = (
    BackendEventKind.ONLINE,
    BackendEventKind.DEGRADED,
    BackendEventKind.SUSPENDED,
    BackendEventKind.OFFLINE,
)
_AGENT = (BackendEventKind.AGENT_FOUND, BackendEventKind.AGENT_REFUSED, BackendEventKind.AGENT_GONE)
_LASTING = {kind: group for group in (_HEALTH, _AGENT) for kind in group}
"""The kinds that begin a state, each with those that end it."""


class BackendEventRepository:
    """Stores what happened to backends."""

    def __init__(self, database: Database, *, kept: int = KEPT) -> None:
        self._database = database
        self._kept = kept

    async def append(self, events: Sequence[BackendEvent]) -> None:
        """Store events in this order.

        One that says what the last of its sort said, in the same words, is left out: a master that starts finds its
        backends as they were. So is one of a backend that was removed meanwhile.
        """

        def work(connection: sqlite3.Connection) -> None:
            for event in events:
                if not _repeats(connection, event):
                    _insert(connection, event)
            for backend_id in {event.backend_id for event in events}:
                connection.execute(
                    "DELETE FROM backend_event WHERE backend_id = ? AND position <= (SELECT position FROM backend_event"
                    " WHERE backend_id = ? ORDER BY position DESC LIMIT 1 OFFSET ?)",
                    (backend_id, backend_id, self._kept),
                )

        await self._database.write(work)

    async def newest(self, backend_id: str, limit: int) -> tuple[BackendEvent, ...]:
        """Return a backend's last events, the newest first; none for an unknown backend."""

        def work(connection: sqlite3.Connection) -> tuple[BackendEvent, ...]:
            rows = connection.execute(
                "SELECT position, backend_id, at, kind, reason, until FROM backend_event WHERE backend_id = ? "
                "ORDER BY position DESC LIMIT ?",
                (backend_id, limit),
            )
            return self._database.readable(rows, _decode)

        return await self._database.read(work)


def _repeats(connection: sqlite3.Connection, event: BackendEvent) -> bool:
    sort = _LASTING.get(event.kind)
    if sort is None:
        return False
    marks = ", ".join("?" * len(sort))
    last = connection.execute(
        f"SELECT kind, reason, until FROM backend_event WHERE backend_id = ? AND kind IN ({marks}) "
        "ORDER BY position DESC LIMIT 1",
        (event.backend_id, *(kind.value for kind in sort)),
    ).fetchone()
    return last is not None and tuple(last) == (event.kind.value, event.reason, event.until)


def _insert(connection: sqlite3.Connection, event: BackendEvent) -> None:
    connection.execute(
        "INSERT INTO backend_event (backend_id, at, kind, reason, until) "
        "SELECT id, ?, ?, ?, ? FROM backend WHERE id = ?",
        (event.at, event.kind.value, event.reason, event.until, event.backend_id),
    )


def _decode(row: tuple[Any, ...]) -> BackendEvent:
    with codec.row("backend_event", row[0]):
        return BackendEvent(
            backend_id=codec.text(row[1]),
            at=codec.number(row[2]),
            kind=BackendEventKind(row[3]),
            reason=codec.text(row[4]),
            until=codec.optional(codec.number, row[5]),
        )
