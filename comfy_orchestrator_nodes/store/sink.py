"""A file that is being written into the artifact folder: hashed on the way, published whole or not at all."""

from __future__ import annotations

import errno
import hashlib
import io
import os
import tempfile
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

from ..domain import FileRef
from ..errors import StoreError, StoreFull, ValueLost

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

_NO_SPACE = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
"""Disk full, quota used up, and the limit on a file's size; Windows' ERROR_DISK_FULL arrives as ENOSPC."""

_CHUNK_BYTES = 1 << 20
_LARGE_BYTES = 256 << 10
"""From here on a second thread pays: hashing takes longer than writing, and neither holds Python's lock."""


class ArtifactWriter(io.RawIOBase):
    """A binary, writable, seekable file. ``publish`` stores it under its hash; closing it without that deletes it.

    Written from beginning to end, as transfers and most encoders do, the bytes are hashed in passing; an encoder that
    goes back costs one more reading at the end. One thread at a time.
    """

    def __init__(
        self,
        folder: Path,
        media_type: str,
        *,
        make_room: Callable[[int], bool],
        store: Callable[[Path, str, int], None],
    ) -> None:
        """Make the temporary file.

        Args:
            folder: Where it lies, on the same volume as its final place.
            media_type: MIME type for the reference.
            make_room: Called with a number of bytes when the disk is full; tells whether some space was freed.
            store: Called with the closed temporary file, its hash and its size; moves it away.

        Raises:
            StoreFull: the disk is full.
            StoreError: the file cannot be made.
        """
        self._media_type = media_type
        self._make_room = make_room
        self._store = store
        self._hash: hashlib._Hash | None = hashlib.sha256()
        self._thread: ThreadPoolExecutor | None = None
        self._hashing: Future[None] | None = None
        self._position = 0
        self.size_bytes = 0
        self._descriptor = -1
        try:
            self._descriptor, name = tempfile.mkstemp(suffix=".part", dir=folder)
        except OSError as error:
            raise store_error(error, folder) from error
        self._path = Path(name)

    def write(self, data: ReadableBuffer, /) -> int:
        """Append bytes (or overwrite, after ``seek``) and return their number; all of them are written.

        Raises:
            StoreFull: the disk is full and nothing could be evicted.
            StoreError: the write failed for another reason.
        """
        self.settle()
        return self._write(memoryview(data).cast("B"), beside=False)

    def append(self, data: ReadableBuffer, /) -> int:
        """As ``write``, but ``data`` may still be read until the next call, or ``settle``, has returned.

        A large part is hashed in a thread beside, and the next one may be received in other memory meanwhile. That pays
        for a value that travels alone; where several do, they keep the cores busy already.
        """
        self.settle()
        return self._write(memoryview(data).cast("B"), beside=True)

    def settle(self) -> None:
        """Return when nothing that was appended is read any more."""
        hashing, self._hashing = self._hashing, None
        if hashing is not None:
            hashing.result()

    def publish(self, expected_sha256: str | None = None) -> FileRef:
        """Close the file, move it to its place and return the reference to it.

        Args:
            expected_sha256: what its content must be; otherwise it is not stored.

        Raises:
            ValueLost: it is another content than the expected one. It is deleted.
            StoreFull: it does not fit under the size limit, or the disk is full. It is deleted.
            StoreError: it could not be moved. It is deleted.
        """
        self._refuse_closed()
        self.settle()
        sha256 = self._hash.hexdigest() if self._hash is not None else hash_file(self._path)
        self._close_descriptor()
        if expected_sha256 is not None and sha256 != expected_sha256:
            self.close()
            text = f"A value arrived damaged: its content is {sha256[:12]}…, and {expected_sha256[:12]}… was expected."
            raise ValueLost(text, sha256=expected_sha256)
        try:
            self._store(self._path, sha256, self.size_bytes)
        except OSError as error:
            raise store_error(error, self._path.parent) from error
        finally:
            self.close()
        return FileRef(sha256, self.size_bytes, self._media_type)

    def close(self) -> None:
        """Delete the file unless it was published. A second call does nothing."""
        if self.closed:
            return
        super().close()
        self.settle()
        if self._thread is not None:
            self._thread.shutdown()
        if self._descriptor >= 0 or hasattr(self, "_path"):
            self._close_descriptor()
            self._path.unlink(missing_ok=True)

    def writable(self) -> bool:
        """Return True."""
        return True

    def seekable(self) -> bool:
        """Return True."""
        return True

    def seek(self, offset: int, whence: int = os.SEEK_SET, /) -> int:
        """Move to where the next write goes and return that position."""
        self._refuse_closed()
        self._position = os.lseek(self._descriptor, offset, whence)
        return self._position

    def tell(self) -> int:
        """Return where the next write goes."""
        return self._position

    def _write(self, view: memoryview, *, beside: bool) -> int:
        if self._position != self.size_bytes:
            self._hash = None
        if self._hash is not None and beside and len(view) >= _LARGE_BYTES:
            self._hash_beside(self._hash, view)
        elif self._hash is not None:
            self._hash.update(view)
        written = 0
        try:
            while written < len(view):
                written += self._write_some(view[written:])
        except BaseException:
            self.settle()
            raise
        self._position += written
        self.size_bytes = max(self.size_bytes, self._position)
        return written

    def _hash_beside(self, digest: hashlib._Hash, view: memoryview) -> None:
        if self._thread is None:
            self._thread = ThreadPoolExecutor(1, thread_name_prefix="orchestrator-hash")
        self._hashing = self._thread.submit(digest.update, view)

    def _write_some(self, view: memoryview) -> int:
        self._refuse_closed()
        try:
            return os.write(self._descriptor, view)
        except OSError as error:
            if error.errno in _NO_SPACE and self._make_room(len(view)):
                return 0
            raise store_error(error, self._path.parent) from error

    def _refuse_closed(self) -> None:
        if self._descriptor < 0:
            raise ValueError("The artifact was published or discarded already.")

    def _close_descriptor(self) -> None:
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0:
            os.close(descriptor)


def store_error(error: OSError, folder: Path) -> StoreError:
    """Return this package's error for a failed write in the artifact folder."""
    if error.errno in _NO_SPACE:
        return StoreFull(
            f"There is no space left for results in {folder}. Nothing that was stored is lost: free some space on that "
            "disk, or lower the size limit of the results.",
            path=str(folder),
        )
    return StoreError(f"Results cannot be written to {folder}: {error.strerror}.", path=str(folder))


def hash_file(path: Path) -> str:
    """Return the SHA-256 of a file's content in lower-case hex.

    Raises:
        OSError: it cannot be read.
    """
    digest = hashlib.sha256()
    with path.open("rb", buffering=0) as file:
        while chunk := file.read(_CHUNK_BYTES):
            digest.update(chunk)
    return digest.hexdigest()
