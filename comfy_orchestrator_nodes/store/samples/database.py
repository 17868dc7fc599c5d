"""Opens the database of time series. It may be thrown away: a file that cannot be used is put aside and begun anew."""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Callable
from pathlib import Path

from ...errors import StoreDamaged
from ..connection import ConnectionThread
from ..database import BUSY_TIMEOUT_S, Database, make_private_file, set_aside, translated_errors
from .blocks import roll_up_days

log = logging.getLogger(__name__)

APPLICATION_ID = 0x434F7473
"""``COts``."""
VERSION = 2
"""1 had no ten minutes; it is upgraded. Any other is begun anew."""
SCHEMA_FILE = Path(__file__).with_name("schema.sql")


async def open_database(path: Path, *, clock: Callable[[], float]) -> Database:
    """Open it. A damaged file, or one of another version, is renamed beside it and an empty one made.

    Raises:
        StoreBusy, StoreFull, StoreError: it cannot be opened.
    """
    try:
        return await _open(path, clock)
    except StoreDamaged as error:
        aside = set_aside(path, now=clock())
        log.warning("The history of telemetry begins anew, and the old file is now %s: %s", aside.name, error)
        return await _open(path, clock)


async def _open(path: Path, clock: Callable[[], float]) -> Database:
    writer = ConnectionThread("orchestrator-samples-writer")
    await writer.open(lambda: _connect(path))
    reader = ConnectionThread("orchestrator-samples-reader")
    try:
        await reader.open(lambda: _reading(path))
    except BaseException:
        await writer.close()
        raise
    return Database(path, clock=clock, writer=writer, reader=reader)


def _connect(path: Path) -> sqlite3.Connection:
    make_private_file(path)
    with translated_errors(path):
        connection = sqlite3.connect(path, timeout=BUSY_TIMEOUT_S, isolation_level=None)
        try:
            _prepare(connection, path)
        except BaseException:
            connection.close()
            raise
        return connection


def _prepare(connection: sqlite3.Connection, path: Path) -> None:
    application_id = connection.execute("PRAGMA application_id").fetchone()[0]
    version = connection.execute("PRAGMA user_version").fetchone()[0]
    if (application_id, version) == (0, 0):
        connection.executescript("BEGIN IMMEDIATE;\n" + SCHEMA_FILE.read_text("utf-8") + "\nCOMMIT;")
        connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        connection.execute(f"PRAGMA user_version = {VERSION}")
    elif (application_id, version) == (APPLICATION_ID, 1):
        _upgrade(connection, path)
    elif (application_id, version) != (APPLICATION_ID, VERSION):
        raise StoreDamaged(f"{path} is a database of another version or program.", path=str(path))
    connection.execute("PRAGMA journal_mode = WAL")
    # A crash of the machine may cost the last minute, never the file.
    connection.execute("PRAGMA synchronous = NORMAL")
    connection.execute(f"PRAGMA journal_size_limit = {16 * 1024 * 1024}")
    connection.execute("SELECT until FROM closed").fetchone()


def _upgrade(connection: sqlite3.Connection, path: Path) -> None:
    log.info("The history of telemetry in %s is brought up to date: this may take some seconds, once", path.name)
    connection.execute("BEGIN IMMEDIATE")
    try:
        roll_up_days(connection)
        connection.execute(f"PRAGMA user_version = {VERSION}")
        connection.execute("COMMIT")
    except BaseException:
        connection.execute("ROLLBACK")
        raise


def _reading(path: Path) -> sqlite3.Connection:
    with translated_errors(path):
        connection = sqlite3.connect(path, timeout=BUSY_TIMEOUT_S, isolation_level=None)
        connection.execute("PRAGMA query_only = ON")
        return connection
