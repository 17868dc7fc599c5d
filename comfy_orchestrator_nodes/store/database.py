"""The database: one thread that writes, one that reads, and SQLite's troubles told in this package's errors."""

from __future__ import annotations

import logging
import os
import sqlite3
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from ..errors import Conflict, InvalidRequest, StoreBusy, StoreDamaged, StoreError, StoreFull
from .connection import ConnectionThread
from .folders import make_private_folder
from .schema import SCHEMA_FILE, load_migrations, upgrade

T = TypeVar("T")
Row = tuple[Any, ...]

logger = logging.getLogger(__name__)
Clock = Callable[[], float]

BUSY_TIMEOUT_S = 5.0
"""How long a statement waits for another program's lock before it fails with ``StoreBusy``."""

CHECKED_BYTES = 256 * 1024 * 1024
"""Up to this size a database is checked whole when it is opened (about 0.1 s for 50 MB); a larger one as it is read."""


class Database:
    """A file-backed SQLite database in WAL mode: writes are serialised, and reads never wait for them.

    ``write`` and ``read`` each run one function of the connection as one transaction in one trip to a thread. The
    repositories are built on these two.
    """

    def __init__(self, path: Path, *, clock: Clock, writer: ConnectionThread, reader: ConnectionThread) -> None:
        self.path = path
        self.clock = clock
        self._writer = writer
        self._reader = reader
        self._reported: set[str] = set()

    @classmethod
    async def open(cls, path: Path, *, clock: Clock = time.time) -> Database:
        """Open the database, making or upgrading it as needed. The caller holds the lock of ``lock.py``.

        Folders that are missing are made for the owner only; the file is readable by the owner only, since it holds
        the backends' credentials.

        Raises:
            StoreDamaged: the file is no sound database of this pack. It is left as it is.
            StoreNewer: a newer version of the pack wrote it. It is left as it is.
            StoreBusy: another program holds a lock on it.
            StoreFull: no space for it.
            StoreError: it cannot be opened for another reason, such as its permissions.
        """
        writer = ConnectionThread("orchestrator-store-writer")
        await writer.open(lambda: _open_for_writing(path))
        reader = ConnectionThread("orchestrator-store-reader")
        try:
            await reader.open(lambda: _open_for_reading(path))
        except BaseException:
            await writer.close()
            raise
        return cls(path, clock=clock, writer=writer, reader=reader)

    async def close(self) -> None:
        """Finish what was asked for and close. The last connection also empties the write-ahead log."""
        await self._reader.close()
        await self._writer.close()

    async def write(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Run ``work`` as one transaction: all of it is stored, or, if it raises, nothing of it.

        Raises:
            StoreFull: no space left; nothing of it was stored.
            StoreDamaged: the file turned out to be damaged.
            StoreBusy: another program holds a lock on the file.
            Conflict: a uniqueness rule of the schema was broken and ``work`` did not say it better.
            InvalidRequest: a value cannot be stored: not Unicode, or too large a number.
            StoreError: any other failure of SQLite.
        """
        return await self._writer.run(lambda connection: _in_transaction(connection, "IMMEDIATE", work, self.path))

    async def read(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Run ``work`` on one consistent snapshot that holds every write that was awaited before.

        Raises:
            StoreDamaged: the file turned out to be damaged.
            StoreError: any other failure of SQLite.
        """
        return await self._reader.run(lambda connection: _in_transaction(connection, "DEFERRED", work, self.path))

    def readable(self, rows: Iterable[Row], decode: Callable[[Row], T]) -> tuple[T, ...]:
        """Decode the rows of a list; a damaged one is left out and logged once, so that the others stay usable."""
        decoded: list[T] = []
        for row in rows:
            try:
                decoded.append(decode(row))
            except StoreDamaged as error:  # noqa: PERF203 - each row for itself
                if error.message not in self._reported:
                    self._reported.add(error.message)
                    # The message says it all; a traceback would only hide it.
                    logger.error("%s", error)  # noqa: TRY400
        return tuple(decoded)


def _in_transaction(
    connection: sqlite3.Connection, mode: str, work: Callable[[sqlite3.Connection], T], path: Path
) -> T:
    with translated_errors(path):
        connection.execute(f"BEGIN {mode}")
        try:
            result = work(connection)
            connection.execute("COMMIT")
        except BaseException:
            # A full disk makes SQLite roll back by itself (https://www.sqlite.org/lang_transaction.html).
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise
        return result


def _open_for_writing(path: Path) -> sqlite3.Connection:
    make_private_file(path)
    with translated_errors(path):
        connection = sqlite3.connect(path, timeout=BUSY_TIMEOUT_S, isolation_level=None)
        try:
            # First of all, so that a damaged file is left exactly as it was found.
            _check_whole(connection, path)
            upgrade(connection, path, load_migrations(), SCHEMA_FILE.read_text("utf-8"))
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = NORMAL")
            connection.execute("PRAGMA foreign_keys = ON")
            # A removed backend's credentials must not stay in a free page.
            connection.execute("PRAGMA secure_delete = ON")
            connection.execute(f"PRAGMA journal_size_limit = {16 * 1024 * 1024}")
        except BaseException:
            connection.close()
            raise
        return connection


def _open_for_reading(path: Path) -> sqlite3.Connection:
    with translated_errors(path):
        connection = sqlite3.connect(path, timeout=BUSY_TIMEOUT_S, isolation_level=None)
        connection.execute("PRAGMA query_only = ON")
        return connection


def _check_whole(connection: sqlite3.Connection, path: Path) -> None:
    if path.stat().st_size > CHECKED_BYTES:
        return
    finding = str(connection.execute("PRAGMA quick_check(1)").fetchone()[0])
    if finding != "ok":
        raise damaged(path, finding)


def make_private_file(path: Path) -> None:
    """Make a file for the owner only, if there is none.

    Raises:
        StoreError: it cannot be made or opened.
    """
    try:
        make_private_folder(path.parent)
        os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
        if os.name == "posix":
            # An older or copied file may be open to others; SQLite gives its log the mode of the database.
            path.chmod(0o600)
    except OSError as error:
        raise StoreError(
            f"The database {path} cannot be opened: {error.strerror}. Check that its folder can be written to.",
            path=str(path),
        ) from error


def damaged(path: Path, finding: str) -> StoreDamaged:
    """Return the error for a damaged file: where it lies, what was found, and what to do."""
    return StoreDamaged(
        f"The database {path} is damaged ({finding}). It was left as it is. Restore it from a copy, or start with an "
        f"empty one by moving it aside: rename it together with {path.name}-wal and {path.name}-shm.",
        path=str(path),
        finding=finding,
    )


@contextmanager
def translated_errors(path: Path) -> Iterator[None]:
    """Turn SQLite's exceptions into this package's; those of this package pass through."""
    try:
        yield
    except sqlite3.Error as error:
        raise _translate(error, path) from error
    except (UnicodeEncodeError, OverflowError) as error:
        raise InvalidRequest(f"A value cannot be stored: {error}") from error


def _translate(error: sqlite3.Error, path: Path) -> StoreError | Conflict:
    # By text, since Python 3.10 does not tell SQLite's codes; the texts are those of sqlite3ErrStr and do not change.
    text = str(error)
    if isinstance(error, sqlite3.IntegrityError):
        return Conflict(f"The change breaks a rule of the database: {text}.")
    if any(sign in text for sign in ("malformed", "not a database", "corrupt", "unsupported file format")):
        return damaged(path, text)
    if "is full" in text:
        return StoreFull(
            f"There is no space left for the database {path}. Nothing that was stored is lost: free some space and "
            "try again.",
            path=str(path),
        )
    if "locked" in text or "busy" in text:
        return StoreBusy(
            f"Another program has locked the database {path} for more than {BUSY_TIMEOUT_S:.0f} s. Close it there "
            "(a database browser, a backup or a sync program) and try again.",
            path=str(path),
        )
    return StoreError(f"The database {path} cannot be used: {text}.", path=str(path))


def set_aside(path: Path, *, now: float) -> Path:
    """Rename a closed database with its log so that the next ``open`` makes an empty one; return its new path.

    Only ever called because the user said so. The new name is ``<name>.<UTC time stamp>.bak``, and nothing that
    already has such a name is overwritten.

    Raises:
        StoreError: there is no such file, or it cannot be renamed (on Windows also while a program has it open).
    """
    stamp = time.strftime("%Y%m%d-%H%M%S", time.gmtime(now))
    target = path.with_name(f"{path.name}.{stamp}.bak")
    number = 1
    while target.exists():
        number += 1
        target = path.with_name(f"{path.name}.{stamp}-{number}.bak")
    try:
        path.rename(target)
        for suffix in ("-wal", "-shm"):
            neighbour = path.with_name(path.name + suffix)
            if neighbour.exists():
                # Under these names SQLite still finds the log of the renamed file.
                neighbour.rename(target.with_name(target.name + suffix))
    except OSError as error:
        raise StoreError(
            f"{path} cannot be moved aside to {target}: {error.strerror}. Close every program that has it open.",
            path=str(path),
        ) from error
    return target
