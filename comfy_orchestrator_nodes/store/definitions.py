"""The library: definitions with all their versions. What an entry does is versioned, what it is called is not."""

from __future__ import annotations

import re
import sqlite3
import unicodedata
from dataclasses import replace
from typing import Any

from ..domain import Definition, JobStatus, Knobs, Output, Parameter
from ..errors import Conflict, NotFound
from . import codec
from .database import Database
from .jobs import like_pattern

_COLUMNS = (
    "d.id, v.version, d.name, v.prompt, v.parameters, v.outputs, d.description, d.tags, d.knobs, v.created_at, "
    "v.workflow"
)
_COLUMNS_WITHOUT_WORKFLOW = _COLUMNS.replace("v.workflow", "NULL")
_FROM = "FROM definition d JOIN definition_version v ON v.definition_id = d.id"
_UNFINISHED = tuple(status.value for status in JobStatus if not status.final)


class DefinitionRepository:
    """Stores definitions. An id never changes; a version, once stored, never changes either."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def create(self, definition: Definition) -> Definition:
        """Store a new definition as version 1 and return it so.

        Raises:
            Conflict: its id is taken.
        """
        first = replace(definition, version=1)

        def work(connection: sqlite3.Connection) -> None:
            if _latest_version(connection, first.id) is not None:
                raise Conflict(f"There is already a definition with the id {first.id!r}.", id=first.id)
            _insert(connection, first)

        await self._database.write(work)
        return first

    async def save(self, definition: Definition) -> Definition:
        """Store the next version of a definition, its name, description and tags included, and return it.

        Raises:
            NotFound: there is no definition of that id.
        """

        def work(connection: sqlite3.Connection) -> Definition:
            return _insert_next(connection, definition)

        return await self._database.write(work)

    async def get(self, definition_id: str, version: int | None = None) -> Definition:
        """Return one version of a definition, the latest if none is given.

        Raises:
            NotFound: there is no such definition, or no such version of it.
        """
        return await self._database.read(lambda connection: _get(connection, definition_id, version))

    async def list(
        self, *, search: str = "", tag: str | None = None, workflows: bool = False
    ) -> tuple[Definition, ...]:
        """Return the latest version of each definition, by name.

        Args:
            search: Looked for, without regard to ASCII case, in id, name and description.
            tag: Only definitions that carry this tag.
            workflows: Whether to read the workflow documents too. Without them, which are by far the largest part,
                ``workflow`` is None in what is returned, and the list is quick enough for node menus.
        """
        columns = _COLUMNS if workflows else _COLUMNS_WITHOUT_WORKFLOW
        condition, values = "v.version = d.latest_version", []
        if search:
            condition += (
                " AND (" + " OR ".join(f"d.{c} LIKE ? ESCAPE '\\'" for c in ("id", "name", "description")) + ")"
            )
            values.extend([like_pattern(search)] * 3)

        def work(connection: sqlite3.Connection) -> tuple[Definition, ...]:
            rows = connection.execute(
                f"SELECT {columns} {_FROM} WHERE {condition} ORDER BY d.name COLLATE NOCASE, d.id", values
            )
            found = self._database.readable(rows, _decode)
            return found if tag is None else tuple(definition for definition in found if tag in definition.tags)

        return await self._database.read(work)

    async def versions(self, definition_id: str) -> tuple[Definition, ...]:
        """Return all versions of a definition, the newest first.

        Raises:
            NotFound: there is none of that id.
        """

        def work(connection: sqlite3.Connection) -> tuple[Definition, ...]:
            rows = connection.execute(
                f"SELECT {_COLUMNS} {_FROM} WHERE d.id = ? ORDER BY v.version DESC", (definition_id,)
            )
            return self._database.readable(rows, _decode)

        found = await self._database.read(work)
        if not found:
            raise NotFound("definition", definition_id)
        return found

    async def describe(
        self,
        definition_id: str,
        *,
        name: str | None = None,
        description: str | None = None,
        tags: tuple[str, ...] | None = None,
        knobs: Knobs | None = None,
    ) -> Definition:
        """Change what a definition is called and how it is run by default, without a new version.

        Returns:
            Its latest version.

        Raises:
            NotFound: there is none of that id.
        """

        def work(connection: sqlite3.Connection) -> Definition:
            changed = connection.execute(
                "UPDATE definition SET name = coalesce(?, name), description = coalesce(?, description), "
                "tags = coalesce(?, tags), knobs = coalesce(?, knobs) WHERE id = ?",
                (name, description, codec.optional(codec.dump, tags), codec.optional(codec.dump, knobs), definition_id),
            )
            if changed.rowcount == 0:
                raise NotFound("definition", definition_id)
            return _get(connection, definition_id, None)

        return await self._database.write(work)

    async def duplicate(self, definition_id: str, *, name: str | None = None) -> Definition:
        """Copy the latest version as version 1 of a new definition under a new id and return that.

        Raises:
            NotFound: there is none of that id.
        """
        now = self._database.clock()

        def work(connection: sqlite3.Connection) -> Definition:
            source = _get(connection, definition_id, None)
            new_name = name if name is not None else f"{source.name} (copy)"
            copy = replace(source, id=_free_id(connection, new_name), name=new_name, version=1, created_at=now)
            _insert(connection, copy)
            return copy

        return await self._database.write(work)

    async def free_id(self, name: str) -> str:
        """Return a readable id made from a name that no definition has."""
        return await self._database.read(lambda connection: _free_id(connection, name))

    async def roll_back(self, definition_id: str, version: int) -> Definition:
        """Make an old version the latest again by storing it as the next one, and return that.

        Raises:
            NotFound: there is no such definition, or no such version of it.
        """
        now = self._database.clock()

        def work(connection: sqlite3.Connection) -> Definition:
            old = _get(connection, definition_id, version)
            return _insert_next(connection, replace(old, created_at=now))

        return await self._database.write(work)

    async def remove(self, definition_id: str) -> None:
        """Forget a definition with all its versions. Jobs that are over keep their record.

        Raises:
            NotFound: there is none of that id.
            Conflict: a job of it is not over yet.
        """

        def work(connection: sqlite3.Connection) -> None:
            if _latest_version(connection, definition_id) is None:
                raise NotFound("definition", definition_id)
            marks = ", ".join("?" * len(_UNFINISHED))
            busy = connection.execute(
                f"SELECT count(*) FROM job WHERE definition_id = ? AND status IN ({marks})",
                (definition_id, *_UNFINISHED),
            ).fetchone()[0]
            if busy:
                raise Conflict(
                    f"{busy} unfinished job(s) use the definition {definition_id!r}. Cancel them or wait for them.",
                    id=definition_id,
                    unfinished=busy,
                )
            connection.execute("DELETE FROM definition WHERE id = ?", (definition_id,))

        await self._database.write(work)


def slug(name: str) -> str:
    """Return a readable id for a name: ASCII letters and digits in lower case, joined by single hyphens."""
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode().lower()
    return re.sub(r"[^a-z0-9]+", "-", plain).strip("-")[:60].rstrip("-") or "workflow"


def _free_id(connection: sqlite3.Connection, name: str) -> str:
    base = slug(name)
    candidate, number = base, 1
    while _latest_version(connection, candidate) is not None:
        number += 1
        candidate = f"{base}-{number}"
    return candidate


def _latest_version(connection: sqlite3.Connection, definition_id: str) -> int | None:
    row = connection.execute("SELECT latest_version FROM definition WHERE id = ?", (definition_id,)).fetchone()
    return None if row is None else int(row[0])


def _get(connection: sqlite3.Connection, definition_id: str, version: int | None) -> Definition:
    latest = _latest_version(connection, definition_id)
    if latest is None:
        raise NotFound("definition", definition_id)
    row = connection.execute(
        f"SELECT {_COLUMNS} {_FROM} WHERE d.id = ? AND v.version = ?",
        (definition_id, latest if version is None else version),
    ).fetchone()
    if row is None:
        raise NotFound("definition version", f"{definition_id} v{version}")
    return _decode(row)


def _insert(connection: sqlite3.Connection, definition: Definition) -> None:
    connection.execute(
        "INSERT INTO definition (id, name, description, tags, knobs, latest_version) VALUES (?, ?, ?, ?, ?, ?)",
        (
            definition.id,
            definition.name,
            definition.description,
            codec.dump(definition.tags),
            codec.dump(definition.knobs),
            definition.version,
        ),
    )
    _insert_version(connection, definition)


def _insert_next(connection: sqlite3.Connection, definition: Definition) -> Definition:
    latest = _latest_version(connection, definition.id)
    if latest is None:
        raise NotFound("definition", definition.id)
    # How it is run belongs to no version: a new one changes nothing about it.
    following = replace(definition, version=latest + 1, knobs=_get(connection, definition.id, None).knobs)
    connection.execute(
        "UPDATE definition SET name = ?, description = ?, tags = ?, latest_version = ? WHERE id = ?",
        (
            following.name,
            following.description,
            codec.dump(following.tags),
            following.version,
            following.id,
        ),
    )
    _insert_version(connection, following)
    return following


def _insert_version(connection: sqlite3.Connection, definition: Definition) -> None:
    connection.execute(
        "INSERT INTO definition_version (definition_id, version, prompt, parameters, outputs, workflow, created_at) "
        "VALUES (?, ?, ?, ?, ?, ?, ?)",
        (
            definition.id,
            definition.version,
            codec.dump(definition.prompt),
            codec.dump(definition.parameters),
            codec.dump(definition.outputs),
            None if definition.workflow is None else codec.dump(definition.workflow),
            definition.created_at,
        ),
    )


def _decode(row: tuple[Any, ...]) -> Definition:
    with codec.row("definition", f"{row[0]} v{row[1]}"):
        return Definition(
            id=codec.text(row[0]),
            version=codec.integer(row[1]),
            name=codec.text(row[2]),
            prompt=codec.load(dict[str, dict[str, Any]], row[3]),
            parameters=codec.load(tuple[Parameter, ...], row[4]),
            outputs=codec.load(tuple[Output, ...], row[5]),
            description=codec.text(row[6]),
            tags=codec.load(tuple[str, ...], row[7]),
            knobs=codec.load(Knobs, row[8]),
            created_at=codec.number(row[9]),
            workflow=None if row[10] is None else codec.load(dict[str, Any], row[10]),
        )
