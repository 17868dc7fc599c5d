"""A blob that is being written: hashed on the way, published whole or not at all."""

from __future__ import annotations

import errno
import hashlib
import os
import secrets
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

from .errors import BlobError, DiskFull, SetupFailed

NO_SPACE = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
"""Disk full, quota used up, and the limit on a file's size; Windows' ERROR_DISK_FULL arrives as ENOSPC."""

_LARGE_BYTES = 1 << 20
"""From here on a second thread pays."""
_OPEN_FLAGS = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)


class BlobWriter:
    """A file under a name of its own in the store's folder, which ``BlobStore`` publishes.

    The same bytes are given to ``hash`` and to ``write``, in order; one thread may do the one while another does the
    other, since both leave Python meanwhile.
    """

    def __init__(self, folder: Path, make_room: Callable[[int], bool]) -> None:
        """Make the file.

        Args:
            folder: Where it lies, on the same volume as its final place.
            make_room: Called with a number of bytes when the disk is full; tells whether some space was freed.

        Raises:
            DiskFull: there is no space for a name.
            SetupFailed: it cannot be made for another reason.
        """
        self.path = folder / f"{secrets.token_hex(8)}.part"
        self._make_room = make_room
        self._hash = hashlib.sha256()
        self.size_bytes = 0
        """How many bytes were written."""
        try:
            self._descriptor = os.open(self.path, _OPEN_FLAGS, 0o600)
        except OSError as error:
            raise _write_error(error, folder) from error

    @property
    def sha256(self) -> str:
        """The hash of what was written, in lower-case hex."""
        return self._hash.hexdigest()

    def hash(self, part: bytes | memoryview) -> None:
        """Take a buffer of bytes into the hash."""
        self._hash.update(part)

    def write(self, part: bytes | memoryview) -> None:
        """Append a buffer of bytes, all of it.

        Raises:
            DiskFull: the disk is full and nothing could be evicted.
            SetupFailed: the write failed for another reason.
        """
        view = memoryview(part)
        written = 0
        while written < len(view):
            written += self._write_some(view[written:])
        self.size_bytes += len(view)

    def append(self, part: memoryview) -> None:
        """Hash and write one buffer of bytes; a large one on two cores.

        Raises:
            DiskFull, SetupFailed: as ``write``.
        """
        if len(part) < _LARGE_BYTES:
            self.hash(part)
            self.write(part)
            return
        with ThreadPoolExecutor(1, "agent-hash") as pool:
            hashing: Future[None] = pool.submit(self.hash, part)
            self.write(part)
            hashing.result()

    def close(self) -> None:
        """Close the file, which stays."""
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0:
            os.close(descriptor)

    def discard(self) -> None:
        """Close and delete the file. Does nothing once it was published."""
        self.close()
        self.path.unlink(missing_ok=True)

    def _write_some(self, view: memoryview) -> int:
        try:
            return os.write(self._descriptor, view)
        except OSError as error:
            if error.errno in NO_SPACE and self._make_room(len(view)):
                return 0
            raise _write_error(error, self.path.parent) from error


def _write_error(error: OSError, folder: Path) -> BlobError | SetupFailed:
    if error.errno in NO_SPACE:
        return DiskFull(f"There is no space left for values in {folder}: free some on that disk.")
    return SetupFailed(f"Values cannot be written to {folder}: {error.strerror}.", path=str(folder))
