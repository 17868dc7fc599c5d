"""Brings a connection's database to the schema of this version: from nothing by ``schema.sql``, else by migrations.

The version of a database is SQLite's ``user_version``; its ``application_id`` says whose file it is.
"""

from __future__ import annotations

import re
import sqlite3
from dataclasses import dataclass
from pathlib import Path

from ..errors import StoreDamaged, StoreNewer

APPLICATION_ID = 0x434F7263
"""``COrc``, in every database of this pack (https://www.sqlite.org/fileformat2.html#application_id)."""

SCHEMA_FILE = Path(__file__).with_name("schema.sql")
MIGRATIONS_FOLDER = Path(__file__).with_name("migrations")

_MIGRATION_NAME = re.compile(r"(\d{4})_\w+\.sql")


@dataclass(frozen=True)
class Migration:
    """One step that turns a database of ``version - 1`` into one of ``version``."""

    version: int
    sql: str


def load_migrations(folder: Path = MIGRATIONS_FOLDER) -> tuple[Migration, ...]:
    """Return the migrations of a folder, ``0001_…`` first.

    Raises:
        ValueError: the numbers have a gap, which only a broken installation can bring about.
    """
    named = sorted((path.name, path) for path in folder.iterdir() if _MIGRATION_NAME.fullmatch(path.name))
    found = tuple(Migration(int(name[:4]), path.read_text("utf-8")) for name, path in named)
    versions = [migration.version for migration in found]
    if versions != list(range(1, len(found) + 1)) or not found:
        raise ValueError(f"The migrations in {folder} are numbered {versions}; reinstall the pack.")
    return found


def upgrade(connection: sqlite3.Connection, path: Path, migrations: tuple[Migration, ...], schema: str) -> None:
    """Bring the database to the newest version; one transaction a step, so a failed step leaves the version before.

    Raises:
        StoreNewer: a newer version of the pack wrote it. Nothing was changed.
        StoreDamaged: it belongs to another program. Nothing was changed.
    """
    newest = migrations[-1].version
    version = database_version(connection, path)
    if version > newest:
        raise StoreNewer(
            f"{path} was written by a newer version of this pack (schema {version}, this one knows {newest}). "
            "Update the pack, or move the file aside to start with an empty one.",
            path=str(path),
            version=version,
            known_version=newest,
        )
    if version == newest:
        return
    if version == 0:
        _run_step(connection, path, schema, newest)
        return
    for migration in migrations[version:]:
        _run_step(connection, path, migration.sql, migration.version)


def database_version(connection: sqlite3.Connection, path: Path) -> int:
    """Return the schema version, 0 for an empty file.

    Raises:
        StoreDamaged: the file is a database, but not one of this pack.
    """
    application_id = int(connection.execute("PRAGMA application_id").fetchone()[0])
    version = int(connection.execute("PRAGMA user_version").fetchone()[0])
    if application_id == APPLICATION_ID and version > 0:
        return version
    tables = int(connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0])
    if application_id == 0 and version == 0 and tables == 0:
        return 0
    raise StoreDamaged(
        f"{path} is a database of another program, or its header is damaged. Nothing in it was changed. "
        "Move it out of the way to start with an empty one.",
        path=str(path),
    )


def _run_step(connection: sqlite3.Connection, path: Path, sql: str, version: int) -> None:
    # Rebuilding a table needs foreign keys off, which SQLite only allows outside of a transaction
    # (https://www.sqlite.org/lang_altertable.html#otheralter); the check before the commit makes up for it.
    connection.execute("PRAGMA foreign_keys = OFF")
    try:
        connection.executescript("BEGIN IMMEDIATE;\n" + sql)
        _refuse_dangling_references(connection, path)
        connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        connection.execute(f"PRAGMA user_version = {version:d}")
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise
    finally:
        connection.execute("PRAGMA foreign_keys = ON")


def _refuse_dangling_references(connection: sqlite3.Connection, path: Path) -> None:
    dangling = connection.execute("PRAGMA foreign_key_check").fetchone()
    if dangling is not None:
        raise StoreDamaged(
            f"{path} cannot be upgraded: a row of {dangling[0]} refers to one of {dangling[2]} that is gone. It was "
            "left as it is. Restore it from a copy, or move it aside to start with an empty one.",
            path=str(path),
        )
