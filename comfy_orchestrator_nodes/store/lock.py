"""One master per user directory: an operating-system lock beside the database, held as long as the process lives.

The kernel drops the lock with the process, however that ends, so nothing is ever stale. The file itself stays; its text
only tells others who holds it.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

from ..errors import StoreError, StoreInUse
from .folders import make_private_folder

_LOCKED_BYTE = 1 << 30
"""Windows locks bytes and keeps others from reading them, so the locked one lies far behind the text."""

_TEXT_LIMIT_BYTES = 1000


class StoreLock:
    """The held lock. ``acquire`` makes one; dropping it without ``release`` keeps it until the process ends."""

    def __init__(self, path: Path, descriptor: int) -> None:
        self.path = path
        self._descriptor: int | None = descriptor

    @classmethod
    def acquire(cls, database: Path, *, port: int) -> StoreLock:
        """Take the lock that belongs to a database (``<name>.lock`` beside it).

        Args:
            database: Path of the database; its folder is made if it is missing.
            port: The port that this ComfyUI listens on, told to those who find the lock taken.

        Raises:
            StoreInUse: another process, or another lock of this one, holds it; the message tells which.
            StoreError: the lock file cannot be opened.
        """
        path = database.with_name(database.name + ".lock")
        try:
            make_private_folder(path.parent)
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        except OSError as error:
            raise StoreError(f"The lock file {path} cannot be opened: {error.strerror}.", path=str(path)) from error
        try:
            held = _try_lock(descriptor)
            if held:
                _write_holder(descriptor, port)
        except OSError as error:
            os.close(descriptor)
            raise StoreError(f"The lock file {path} cannot be used: {error.strerror}.", path=str(path)) from error
        if not held:
            os.close(descriptor)
            raise _in_use(path, database)
        return cls(path, descriptor)

    def release(self) -> None:
        """Let others have it. A second call does nothing."""
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is not None:
            os.close(descriptor)


if sys.platform == "win32":
    import msvcrt

    def _try_lock(descriptor: int) -> bool:
        os.lseek(descriptor, _LOCKED_BYTE, os.SEEK_SET)
        try:
            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        except PermissionError:
            return False
        return True

else:
    import fcntl

    def _try_lock(descriptor: int) -> bool:
        # flock and not lockf: a POSIX record lock is lost as soon as any part of the process closes the file.
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True


def _write_holder(descriptor: int, port: int) -> None:
    os.ftruncate(descriptor, 0)
    os.lseek(descriptor, 0, os.SEEK_SET)
    os.write(descriptor, json.dumps({"pid": os.getpid(), "port": port}).encode())


def _in_use(path: Path, database: Path) -> StoreInUse:
    holder = _read_holder(path)
    who = "another ComfyUI"
    if holder:
        who += f" (process {holder['pid']}, port {holder['port']})"
    return StoreInUse(
        f"The orchestrator's database {database} is in use by {who}. This ComfyUI works for others but orchestrates "
        "nothing itself. To change that, stop the other one, or start this one with a --user-directory of its own.",
        path=str(database),
        holder=holder,
    )


def _read_holder(path: Path) -> dict[str, int]:
    """Return pid and port of the holder, or nothing where it is just being written or is unreadable."""
    try:
        found = json.loads(path.read_bytes()[:_TEXT_LIMIT_BYTES])
        return {"pid": int(found["pid"]), "port": int(found["port"])}
    except (OSError, ValueError, TypeError, KeyError):
        return {}
