"""The result cache: what each job's key came to, so that the same work is not done twice."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Awaitable, Callable, Mapping, Sequence

from ..domain import FileRef, Value
from ..errors import ValueLost
from . import codec
from .artifacts import ArtifactStore
from .database import Database

DEFAULT_LIMIT = 100_000
"""How many results are kept; a row is about 1 kB."""

_TRIM_EVERY = 256
"""After so many new results their number is checked, since counting them costs more than storing one."""
_TOUCH_EVERY_S = 60.0
"""A use is written at most this often."""


class ResultCache:
    """Stores outputs by job key. A result is only returned while every file of it is there, or can be fetched."""

    def __init__(
        self,
        database: Database,
        artifacts: ArtifactStore,
        *,
        limit: int = DEFAULT_LIMIT,
        elsewhere: Callable[[FileRef], Awaitable[bool]] | None = None,
    ) -> None:
        """Use a database and an artifact folder.

        Args:
            database: where results are stored.
            artifacts: where their files are.
            limit: how many results are kept.
            elsewhere: whether a file that is not there can be fetched from a backend, asked now.
        """
        self._elsewhere = elsewhere
        self._database = database
        self._artifacts = artifacts
        self._limit = limit
        self._puts = 0

    async def get(self, key: str, *, owner: str | None = None) -> Mapping[str, Value] | None:
        """Return the outputs stored for a key, or None if there are none or a file of them is gone.

        Args:
            key: ``JobSpec.key()``.
            owner: If given, the files are leased to this owner before they are returned.
        """
        row = await self._database.read(
            lambda connection: connection.execute(
                "SELECT outputs, used_at FROM result WHERE key = ?", (key,)
            ).fetchone()
        )
        if row is None:
            return None
        with codec.row("result", key):
            outputs, used_at = codec.load(dict[str, Value], row[0]), codec.number(row[1])
        # In a thread of its own, because a file from before the last start of the machine is hashed here.
        absent = await asyncio.to_thread(self._take, outputs, owner)
        if absent and not await self._are_elsewhere(absent):
            await self.forget(key)
            return None
        if self._database.clock() - used_at > _TOUCH_EVERY_S:
            await self._touch(key)
        return outputs

    async def put(self, key: str, job_id: str, outputs: Mapping[str, Value]) -> None:
        """Store what a job came to, in the place of what was stored for the key before."""
        text, now = codec.dump(outputs), self._database.clock()
        self._puts += 1
        trim = self._puts % _TRIM_EVERY == 0

        def work(connection: sqlite3.Connection) -> None:
            connection.execute(
                "INSERT INTO result (key, job_id, outputs, created_at, used_at) VALUES (?, ?, ?, ?, ?) "
                "ON CONFLICT (key) DO UPDATE SET job_id = excluded.job_id, outputs = excluded.outputs, "
                "created_at = excluded.created_at, used_at = excluded.used_at",
                (key, job_id, text, now, now),
            )
            if trim:
                _drop_longest_unused(connection, self._limit)

        await self._database.write(work)

    async def forget(self, key: str) -> None:
        """Forget the result of a key; nothing happens if there is none."""
        await self._database.write(lambda connection: connection.execute("DELETE FROM result WHERE key = ?", (key,)))

    async def clear(self) -> int:
        """Forget all results and return how many there were. Their files stay until they are evicted."""
        return await self._database.write(lambda connection: connection.execute("DELETE FROM result").rowcount)

    async def _touch(self, key: str) -> None:
        now = self._database.clock()
        await self._database.write(
            lambda connection: connection.execute("UPDATE result SET used_at = ? WHERE key = ?", (now, key))
        )

    async def _are_elsewhere(self, refs: Sequence[FileRef]) -> bool:
        if self._elsewhere is None:
            return False
        for ref in refs:
            if not await self._elsewhere(ref):
                return False
        return True

    def _take(self, outputs: Mapping[str, Value], owner: str | None) -> list[FileRef]:
        """Lease the files that are here; return the others."""
        return [
            ref
            for ref in files_of(outputs)
            if not self._artifacts.has(ref) or (owner is not None and not self._lease(owner, ref))
        ]

    def _lease(self, owner: str, ref: FileRef) -> bool:
        try:
            self._artifacts.lease(owner, [ref])
        except ValueLost:  # evicted in this moment
            return False
        return True


def _drop_longest_unused(connection: sqlite3.Connection, limit: int) -> None:
    surplus = connection.execute("SELECT count(*) FROM result").fetchone()[0] - limit
    if surplus > 0:
        connection.execute(
            "DELETE FROM result WHERE key IN (SELECT key FROM result ORDER BY used_at LIMIT ?)", (surplus,)
        )


def files_of(values: Mapping[str, Value]) -> tuple[FileRef, ...]:
    """Return all files of some named values."""
    return tuple(ref for value in values.values() for ref in value.files)
