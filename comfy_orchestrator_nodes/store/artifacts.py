"""The artifact folder: files named by the SHA-256 of their content, under a size limit, the longest unused go first.

The folder is its own index: a file's name is its hash, its size is its size, and its modification time is when it was
last used (``docs/adr/0032-the-artifact-folder-is-its-own-index.md``). Nothing here is asynchronous; every method may be
called from any thread.
"""

from __future__ import annotations

import os
import re
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from ..domain import FileRef
from ..errors import InvalidRequest, StoreError, StoreFull, ValueLost
from .folders import make_private_folder
from .sink import ArtifactWriter, hash_file
from .usage import Entry, UsageOrder

DEFAULT_LIMIT_BYTES = 20 * 1024**3
DEFAULT_LEASE_S = 3600.0

_SHA256 = re.compile(r"[0-9a-f]{64}")
_CHUNK_BYTES = 1 << 20
_ROOM_BYTES = 64 << 20
"""What is evicted at least when the disk is full, so that not every further write has to ask again."""
_TOUCH_EVERY_S = 60.0
"""A use is written to the disk at most this often; in memory the order of uses is exact."""


@dataclass(frozen=True)
class Usage:
    """How full the folder is."""

    files: int
    total_bytes: int
    leased_bytes: int
    limit_bytes: int


class ArtifactStore:
    """Content-addressed files: ``<root>/<aa>/<sha256>``, where ``aa`` are the first two digits.

    A lease keeps a file from being evicted until it ends or is released: what a job under way needs is leased by the
    job. Files are written without waiting for the disk; one from before the machine was last started is hashed when it
    is first used again, since a power cut may have left it with a size and no content.
    """

    def __init__(
        self,
        root: Path,
        *,
        limit_bytes: int = DEFAULT_LIMIT_BYTES,
        clock: Callable[[], float] = time.time,
        booted_at: float | None = None,
    ) -> None:
        """Take over a folder, made if it is missing; left-overs of writes that were cut off are deleted.

        Args:
            root: The folder; nothing else may be in it.
            limit_bytes: How much it may hold.
            clock: Seconds since the epoch.
            booted_at: When the machine was started; by default as the system tells.

        Raises:
            StoreError: the folder cannot be made or read.
        """
        self.root = root
        self._limit_bytes = limit_bytes
        self._clock = clock
        self._booted_at = clock() - time.monotonic() if booted_at is None else booted_at
        self._guard = threading.RLock()
        self._order = UsageOrder()
        self._unfinished = root / "tmp"
        try:
            make_private_folder(self._unfinished)
            if os.name == "posix":
                root.chmod(0o700)
            for leftover in self._unfinished.iterdir():
                leftover.unlink()
            self._load()
        except OSError as error:
            raise StoreError(
                f"The folder for results {root} cannot be used: {error.strerror}. Check that it can be written to.",
                path=str(root),
            ) from error
        self._evict(self._order.total_bytes - limit_bytes)

    # --- reading -----------------------------------------------------------------------------------------------------

    def path(self, ref: FileRef) -> Path:
        """Return where a file lies and count it as used now. It stays there as long as somebody leases it.

        Raises:
            ValueLost: it is gone, or it is damaged.
            InvalidRequest: the reference's hash is no SHA-256.
        """
        return self._use(ref)[1]

    def open(self, ref: FileRef) -> BinaryIO:
        """Open a file for reading and count it as used now.

        Raises:
            ValueLost: it is gone, or it is damaged.
            InvalidRequest: the reference's hash is no SHA-256.
        """
        entry, path = self._use(ref)
        try:
            return path.open("rb")
        except FileNotFoundError as error:
            self._forget(entry)
            raise _lost(ref, "it was deleted") from error

    def has(self, ref: FileRef) -> bool:
        """Whether ``path`` and ``open`` would succeed; counts as a use."""
        try:
            self.path(ref)
        except ValueLost:
            return False
        return True

    def find(self, sha256: str) -> int | None:
        """Return the size in bytes of the file with this content, or None if it is not stored.

        Raises:
            InvalidRequest: this is no SHA-256.
        """
        self._place(sha256)
        with self._guard:
            entry = self._order.get(sha256)
            return None if entry is None else entry.size_bytes

    def verify(self, ref: FileRef) -> None:
        """Check a file's whole content. One that is damaged is deleted, so that it can be stored anew.

        Raises:
            ValueLost: it is gone or damaged.
        """
        path = self._place(ref.sha256)
        self._check_content(ref, path, self._check_size(ref, path))

    # --- writing -----------------------------------------------------------------------------------------------------

    def writer(self, media_type: str, *, owner: str | None = None, lease_s: float = DEFAULT_LEASE_S) -> ArtifactWriter:
        """Return a file to write; its ``publish`` stores what was written and returns the reference.

        Args:
            media_type: MIME type for the reference.
            owner: If given, the file is leased to this owner from the moment it is stored.
            lease_s: How long that lease lasts.

        Raises:
            StoreFull: the disk is full.
            StoreError: the file cannot be made.
        """

        def store(temporary: Path, sha256: str, size_bytes: int) -> None:
            with self._guard:
                self._keep(temporary, sha256, size_bytes)
                if owner is not None:
                    self._order.lease(owner, sha256, self._clock() + lease_s)

        return ArtifactWriter(self._unfinished, media_type, make_room=self._make_room, store=store)

    def put(self, data: bytes, media_type: str, *, owner: str | None = None) -> FileRef:
        """Store bytes.

        Raises:
            StoreFull: there is no space for them.
        """
        with self.writer(media_type, owner=owner) as writer:
            writer.write(data)
            return writer.publish()

    def put_file(self, source: BinaryIO, media_type: str, *, owner: str | None = None) -> FileRef:
        """Store what is left to read of an open file.

        Raises:
            StoreFull: there is no space for it.
        """
        with self.writer(media_type, owner=owner) as writer:
            while chunk := source.read(_CHUNK_BYTES):
                writer.write(chunk)
            return writer.publish()

    # --- keeping and evicting ----------------------------------------------------------------------------------------

    def lease(self, owner: str, refs: Iterable[FileRef], *, seconds: float = DEFAULT_LEASE_S) -> None:
        """Keep files from being evicted for a time; leasing them again prolongs it.

        Raises:
            ValueLost: one of them is gone or damaged; then none of them is leased by this call.
        """
        wanted = list(refs)
        until = self._clock() + seconds
        with self._guard:
            for ref in wanted:
                self._check_size(ref, self._place(ref.sha256))
            for ref in wanted:
                self._order.lease(owner, ref.sha256, until)

    def release(self, owner: str) -> None:
        """End all leases of an owner; nothing happens if it has none."""
        with self._guard:
            self._order.release(owner)

    def set_limit(self, limit_bytes: int) -> None:
        """Change the size limit; what no longer fits and is not leased is evicted."""
        with self._guard:
            self._limit_bytes = limit_bytes
            self._evict(self._order.total_bytes - limit_bytes)

    def clear(self) -> int:
        """Delete everything that is not leased and return how many bytes that freed."""
        with self._guard:
            return self._evict(self._order.total_bytes)

    def usage(self) -> Usage:
        """Return how full the folder is."""
        with self._guard:
            leased = self._order.leased_bytes(self._clock())
            return Usage(len(self._order), self._order.total_bytes, leased, self._limit_bytes)

    # --- inside ------------------------------------------------------------------------------------------------------

    def _place(self, sha256: str) -> Path:
        if not _SHA256.fullmatch(sha256):
            raise InvalidRequest(f"{sha256!r} is not a SHA-256 in lower-case hex.")
        return self.root / sha256[:2] / sha256

    def _use(self, ref: FileRef) -> tuple[Entry, Path]:
        path = self._place(ref.sha256)
        entry = self._check_size(ref, path)
        if not entry.proven:
            self._check_content(ref, path, entry)
        self._touch(entry, path)
        return entry, path

    def _load(self) -> None:
        found: list[tuple[os.stat_result, str]] = []
        for folder in self.root.iterdir():
            if len(folder.name) != 2 or not folder.is_dir():
                continue
            with os.scandir(folder) as files:
                ours = (file for file in files if _SHA256.fullmatch(file.name) and file.is_file(follow_symlinks=False))
                found.extend((file.stat(), file.name) for file in ours)
        found.sort(key=lambda pair: pair[0].st_mtime)
        for status, name in found:
            self._order.add(Entry(name, status.st_size, status.st_mtime, proven=status.st_mtime >= self._booted_at))

    def _check_size(self, ref: FileRef, path: Path) -> Entry:
        with self._guard:
            entry = self._order.get(ref.sha256)
            if entry is None:
                raise _lost(ref, "it is not stored here, or it was evicted to keep within the size limit")
            if entry.size_bytes != ref.size_bytes:
                raise _lost(ref, f"{entry.size_bytes} bytes are stored where {ref.size_bytes} are expected")
            found = _size(path)
            if found is None:
                self._order.remove(ref.sha256)
                raise _lost(ref, "it was deleted")
            if found != entry.size_bytes:
                self._discard(entry)
                raise _lost(ref, f"{found} bytes are left of {entry.size_bytes}")
            return entry

    def _check_content(self, ref: FileRef, path: Path, entry: Entry) -> None:
        """Hash a file, without the guard: others go on meanwhile."""
        try:
            intact = hash_file(path) == ref.sha256
        except FileNotFoundError as error:
            self._forget(entry)
            raise _lost(ref, "it was deleted") from error
        if not intact:
            self._discard(entry)
            raise _lost(ref, "its content is damaged")
        entry.proven = True

    def _touch(self, entry: Entry, path: Path) -> None:
        now = self._clock()
        with self._guard:
            if self._order.get(entry.sha256) is not entry:
                return
            self._order.use(entry.sha256)
            if now - entry.touched_at < _TOUCH_EVERY_S:
                return
            entry.touched_at = now
        try:
            os.utime(path, (now, now))
        except FileNotFoundError:
            self._forget(entry)

    def _keep(self, temporary: Path, sha256: str, size_bytes: int) -> None:
        path = self._place(sha256)
        entry = self._order.get(sha256)
        if entry is not None and entry.proven and _size(path) == size_bytes:
            self._touch(entry, path)
            return
        self._make_fit(size_bytes)
        path.parent.mkdir(mode=0o700, exist_ok=True)
        try:
            temporary.replace(path)
        except PermissionError:
            # Windows does not replace a file that somebody reads; if that one is intact, there is no need to.
            if _size(path) != size_bytes or hash_file(path) != sha256:
                raise
        now = self._clock()
        os.utime(path, (now, now))
        self._order.add(Entry(sha256, size_bytes, now, proven=True))

    def _make_fit(self, size_bytes: int) -> None:
        over = self._order.total_bytes + size_bytes - self._limit_bytes
        if over <= 0:
            return
        leased = self._order.leased_bytes(self._clock())
        if leased + size_bytes > self._limit_bytes:
            needed = (
                f": jobs under way need {leased} of them. Run fewer jobs at once, or raise" if leased else ". Raise"
            )
            raise StoreFull(
                f"A result of {size_bytes} bytes does not fit into the {self._limit_bytes} bytes that results may take"
                f"{needed} the size limit of the results.",
                path=str(self.root),
                limit_bytes=self._limit_bytes,
            )
        # Some more than needed, so that a full folder is not searched again for every file.
        self._evict(over + self._limit_bytes // 20)

    def _make_room(self, wanted_bytes: int) -> bool:
        with self._guard:
            return self._evict(max(wanted_bytes, _ROOM_BYTES)) > 0

    def _evict(self, wanted_bytes: int) -> int:
        """Delete what is not leased, the least recently used first; return how many bytes that freed."""
        victims = self._order.victims(wanted_bytes, self._clock())
        return sum(entry.size_bytes for entry in victims if self._discard(entry))

    def _discard(self, entry: Entry) -> bool:
        """Delete a file if it is still this one; False where the system refuses since somebody reads it (Windows)."""
        with self._guard:
            if self._order.get(entry.sha256) is not entry:
                return False
            try:
                self._place(entry.sha256).unlink(missing_ok=True)
            except PermissionError:
                return False
            self._order.remove(entry.sha256)
            return True

    def _forget(self, entry: Entry) -> None:
        with self._guard:
            if self._order.get(entry.sha256) is entry:
                self._order.remove(entry.sha256)


def _size(path: Path) -> int | None:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return None


def _lost(ref: FileRef, reason: str) -> ValueLost:
    return ValueLost(
        f"The stored file {ref.sha256[:12]}… ({ref.media_type}, {ref.size_bytes} bytes) is lost: {reason}. "
        "Run what made it again.",
        sha256=ref.sha256,
    )
