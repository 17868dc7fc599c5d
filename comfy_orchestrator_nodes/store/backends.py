"""The registered backends, credentials included."""

from __future__ import annotations

import sqlite3
from typing import Any

from ..domain import LOCAL_BACKEND_ID, Backend, Credentials, TlsOptions
from ..errors import Conflict, NotFound
from . import codec
from .database import Database

_COLUMNS = "id, name, base_url, enabled, tags, notes, tls, credentials, draining, created_at"
_MARKS = ", ".join("?" * len(_COLUMNS.split(",")))


class BackendRepository:
    """Stores which backends there are. Ids never change; names are unique without regard to case."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def add(self, backend: Backend) -> None:
        """Store a new backend.

        Raises:
            Conflict: its id or its name is taken.
        """

        def work(connection: sqlite3.Connection) -> None:
            _refuse_taken(connection, backend)
            if _exists(connection, backend.id):
                raise Conflict(f"There is already a backend with the id {backend.id!r}.", id=backend.id)
            connection.execute(f"INSERT INTO backend ({_COLUMNS}) VALUES ({_MARKS})", _encode(backend))

        await self._database.write(work)

    async def get(self, backend_id: str) -> Backend:
        """Return one backend.

        Raises:
            NotFound: there is none of that id.
        """
        row = await self._database.read(
            lambda connection: connection.execute(
                f"SELECT {_COLUMNS} FROM backend WHERE id = ?", (backend_id,)
            ).fetchone()
        )
        if row is None:
            raise NotFound("backend", backend_id)
        return _decode(row)

    async def list(self) -> tuple[Backend, ...]:
        """Return all backends, the oldest first."""

        def work(connection: sqlite3.Connection) -> tuple[Backend, ...]:
            rows = connection.execute(f"SELECT {_COLUMNS} FROM backend ORDER BY created_at, id")
            return self._database.readable(rows, _decode)

        return await self._database.read(work)

    async def update(self, backend: Backend) -> None:
        """Replace everything but the id and the time of creation.

        Raises:
            NotFound: there is none of that id.
            Conflict: another backend has the name.
        """

        def work(connection: sqlite3.Connection) -> None:
            _refuse_taken(connection, backend)
            id_, *changes, _created_at = _encode(backend)
            changed = connection.execute(
                "UPDATE backend SET name = ?, base_url = ?, enabled = ?, tags = ?, notes = ?, tls = ?, credentials = ?,"
                " draining = ? WHERE id = ?",
                (*changes, id_),
            )
            if changed.rowcount == 0:
                raise NotFound("backend", backend.id)

        await self._database.write(work)

    async def remove(self, backend_id: str) -> None:
        """Forget a backend with its credentials. Attempts that ran there keep its id.

        Raises:
            NotFound: there is none of that id.
            Conflict: it is the master itself, which is always registered.
        """
        if backend_id == LOCAL_BACKEND_ID:
            raise Conflict("The master itself cannot be removed; disable it instead.", id=backend_id)

        def work(connection: sqlite3.Connection) -> None:
            if connection.execute("DELETE FROM backend WHERE id = ?", (backend_id,)).rowcount == 0:
                raise NotFound("backend", backend_id)

        await self._database.write(work)


def _exists(connection: sqlite3.Connection, backend_id: str) -> bool:
    return connection.execute("SELECT 1 FROM backend WHERE id = ?", (backend_id,)).fetchone() is not None


def _refuse_taken(connection: sqlite3.Connection, backend: Backend) -> None:
    row = connection.execute("SELECT id FROM backend WHERE name = ? AND id <> ?", (backend.name, backend.id)).fetchone()
    if row is not None:
        raise Conflict(f"There is already a backend named {backend.name!r}. Choose another name.", id=row[0])


def _encode(backend: Backend) -> tuple[Any, ...]:
    return (
        backend.id,
        backend.name,
        backend.base_url,
        backend.enabled,
        codec.dump(backend.tags),
        backend.notes,
        codec.dump(backend.tls),
        codec.dump(backend.credentials),
        backend.draining,
        backend.created_at,
    )


def _decode(row: tuple[Any, ...]) -> Backend:
    with codec.row("backend", row[0]):
        return Backend(
            id=codec.text(row[0]),
            name=codec.text(row[1]),
            base_url=codec.text(row[2]),
            enabled=codec.flag(row[3]),
            tags=codec.load(tuple[str, ...], row[4]),
            notes=codec.text(row[5]),
            tls=codec.load(TlsOptions, row[6]),
            credentials=codec.load(Credentials, row[7]),
            draining=codec.flag(row[8]),
            created_at=codec.number(row[9]),
        )
