"""A lock between processes: two dev.py at the same time must not install into one folder."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

if sys.platform == "win32":
    import msvcrt

    def _try_lock(descriptor: int) -> bool:
        try:
            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        except OSError:
            return False
        return True

else:
    import fcntl

    def _try_lock(descriptor: int) -> bool:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True


@contextmanager
def exclusive(path: Path, on_wait: Callable[[], None], poll_s: float = 0.2) -> Iterator[None]:
    """Hold an operating system lock on ``path``; the system releases it when this process dies.

    Args:
        path: a file of its own; it is created and never deleted.
        on_wait: called once if another process holds the lock.
        poll_s: how often to look again, seconds.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        if not _try_lock(descriptor):
            on_wait()
            while not _try_lock(descriptor):
                time.sleep(poll_s)
        yield
    finally:
        os.close(descriptor)
