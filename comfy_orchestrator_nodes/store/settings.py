"""Small things to remember under a name: what placement has learned, a choice of the user."""

from __future__ import annotations

from ..domain import Json
from . import codec
from .database import Database


class SettingRepository:
    """Stores one JSON value under each key."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def get(self, key: str) -> Json:
        """Return the value, or None if there is none."""
        row = await self._database.read(
            lambda connection: connection.execute("SELECT value FROM setting WHERE key = ?", (key,)).fetchone()
        )
        if row is None:
            return None
        with codec.row("setting", key):
            return codec.load_json(row[0])

    async def put(self, key: str, value: Json) -> None:
        """Store a value, replacing what was there.

        Raises:
            InvalidRequest: the value is not JSON.
        """
        text, now = codec.dump(value), self._database.clock()
        await self._database.write(
            lambda connection: connection.execute(
                "INSERT INTO setting (key, value, changed_at) VALUES (?, ?, ?)"
                " ON CONFLICT (key) DO UPDATE SET value = excluded.value, changed_at = excluded.changed_at",
                (key, text, now),
            )
        )

    async def remove(self, key: str) -> None:
        """Forget a value; nothing happens if there is none."""
        await self._database.write(lambda connection: connection.execute("DELETE FROM setting WHERE key = ?", (key,)))
