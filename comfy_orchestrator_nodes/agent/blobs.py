"""The blobs of this peer: files named by the SHA-256 of their content, under a size limit, the longest unused go first.

They live as long as the process (``docs/adr/0110-blobs-die-with-their-process.md``), so the index is in memory. Every
method may be called from any thread.
"""

from __future__ import annotations

import re
import secrets
import shutil
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

from .blob_writer import BlobWriter
from .errors import BlobLeased, BlobMissing, BlobsFull, BlobTooLarge, DiskFull, HashWrong, MalformedRequest, SetupFailed

FOLDER = "orchestrator-agent"
DEFAULT_LIMIT_BYTES = 20 << 30
DEFAULT_MAX_BLOB_BYTES = 16 << 30
LONGEST_LEASE_S = 24 * 3600.0
DISK_MARGIN_BYTES = 256 << 20
"""What is left free on the disk for ComfyUI itself."""

_SHA256 = re.compile(r"[0-9a-f]{64}")
_EVICT_BYTES = 64 << 20
"""What is evicted at least when the disk is full, so that not every further write has to ask again."""


def check_sha256(text: object) -> str:
    """Return a text that is a SHA-256 in lower-case hex.

    Raises:
        MalformedRequest: it is none.
    """
    if not isinstance(text, str) or not _SHA256.fullmatch(text):
        raise MalformedRequest(f"A blob is named by 64 lower-case hex digits, not {str(text)[:80]!r}.")
    return text


@dataclass(frozen=True)
class Usage:
    """How full the store is."""

    count: int
    total_bytes: int
    leased_bytes: int
    limit_bytes: int
    free_disk_bytes: int


@dataclass
class _Blob:
    size_bytes: int
    leases: dict[str, float] = field(default_factory=dict)
    """Until when, by owner."""


class Reservation:
    """Room that is kept for a blob that is being written; ``end`` gives back what was not used."""

    def __init__(self, store: BlobStore, size_bytes: int) -> None:
        self._store = store
        self.size_bytes = size_bytes

    def end(self) -> None:
        """Give the room back. A second call does nothing."""
        size_bytes, self.size_bytes = self.size_bytes, 0
        self._store._unreserve(size_bytes)


class BlobStore:
    """Content-addressed files in one folder that nobody else knows."""

    def __init__(
        self,
        parent: Path,
        *,
        limit_bytes: int = DEFAULT_LIMIT_BYTES,
        max_blob_bytes: int = DEFAULT_MAX_BLOB_BYTES,
        clock: Callable[[], float] = time.monotonic,
        free_disk: Callable[[Path], int] = lambda path: shutil.disk_usage(path).free,
        wanted: Callable[[], frozenset[str]] = frozenset,
    ) -> None:
        """Take a place for the folder, which is made when the first blob is written.

        Args:
            parent: ComfyUI's temp folder.
            limit_bytes: How much all blobs may take.
            max_blob_bytes: How large one may be.
            clock: Monotonic seconds.
            free_disk: How many bytes are free where a folder lies.
            wanted: Which blobs are needed though nobody leases them: by the prompts that wait or run here.
        """
        # ComfyUI's /view serves its temp folder to everybody: the name of ours must not be known.
        self.root = parent / f"{FOLDER}-{secrets.token_hex(16)}"
        self.limit_bytes = limit_bytes
        self.max_blob_bytes = min(max_blob_bytes, limit_bytes)
        self._clock = clock
        self._free_disk = free_disk
        self._wanted = wanted
        self._guard = threading.RLock()
        self._blobs: OrderedDict[str, _Blob] = OrderedDict()
        self._total_bytes = 0
        self._reserved_bytes = 0

    # --- reading -----------------------------------------------------------------------------------------------------

    def size(self, sha256: str) -> int:
        """Return a blob's size and count it as used now.

        Raises:
            BlobMissing: it is not there.
        """
        with self._guard:
            blob = self._use(sha256)
            if not self._place(sha256).is_file():
                self._forget(sha256)
                raise _missing(sha256)
            return blob.size_bytes

    def open(self, sha256: str) -> BinaryIO:
        """Open a blob for reading, without a buffer, and count it as used now.

        Raises:
            BlobMissing: it is not there.
        """
        with self._guard:
            self._use(sha256)
            try:
                return self._place(sha256).open("rb", buffering=0)
            except FileNotFoundError:
                # Somebody emptied ComfyUI's temp folder.
                self._forget(sha256)
                raise _missing(sha256) from None

    def path(self, sha256: str) -> Path:
        """Return where a blob lies and count it as used now; it stays there as long as it is leased.

        Raises:
            BlobMissing: it is not there.
        """
        self.size(sha256)
        return self._place(sha256)

    def missing(self, hashes: Iterable[str], owner: str = "", lease_s: float = 0.0) -> list[str]:
        """Return which blobs are not there, in order; the others are used now and leased for ``owner``."""
        return [sha256 for sha256 in dict.fromkeys(hashes) if not self.lease(sha256, owner, lease_s)]

    def lease(self, sha256: str, owner: str, lease_s: float) -> bool:
        """Count a blob as used now and lease it; return whether it is there."""
        with self._guard:
            try:
                self.size(sha256)
            except BlobMissing:
                return False
            self._lease(sha256, owner, lease_s)
            return True

    def usage(self) -> Usage:
        """Return how full the store is."""
        with self._guard:
            needed = self._needed()
            leased = sum(self._blobs[sha256].size_bytes for sha256 in needed)
            count, total = len(self._blobs), self._total_bytes
        return Usage(count, total, leased, self.limit_bytes, self._free())

    # --- leases and deleting -----------------------------------------------------------------------------------------

    def release(self, owner: str) -> None:
        """End every lease of an owner."""
        with self._guard:
            for blob in self._blobs.values():
                blob.leases.pop(owner, None)

    def delete(self, sha256: str) -> None:
        """Delete a blob if it is there.

        Raises:
            BlobLeased: somebody leases it.
        """
        with self._guard:
            blob = self._blobs.get(sha256)
            if blob is None:
                return
            if sha256 in self._needed():
                raise BlobLeased("The blob is needed: its leases must end first.", sha256=sha256)
            self._discard(sha256)

    # --- writing -----------------------------------------------------------------------------------------------------

    def reserve(self, size_bytes: int) -> Reservation:
        """Keep room for a blob of this size, evicting others.

        Raises:
            BlobTooLarge: none may be so large.
            BlobsFull: leased blobs and those being written leave too little of the limit.
            DiskFull: the disk has too little space, even without those that may go.
        """
        if size_bytes > self.max_blob_bytes:
            raise BlobTooLarge(
                f"A value of {size_bytes} bytes is larger than the {self.max_blob_bytes} that this peer takes.",
                max_blob_bytes=self.max_blob_bytes,
            )
        self._make_folder()
        with self._guard:
            over = self._total_bytes + self._reserved_bytes + size_bytes - self.limit_bytes
            if over > 0 and self._evict(over) < over:
                raise BlobsFull(
                    f"A value of {size_bytes} bytes does not fit: values in use take up this peer's limit of "
                    f"{self.limit_bytes} bytes. Run fewer jobs there at once, or raise the limit.",
                    limit_bytes=self.limit_bytes,
                )
            # What is being written has taken only a part of its room on the disk, but will take it all.
            wanted = size_bytes + self._reserved_bytes + DISK_MARGIN_BYTES
            lacking = wanted - self._free()
            if lacking > 0 and (self._evict(lacking) <= 0 or self._free() < wanted):
                raise DiskFull(
                    f"The peer's disk has no space for a value of {size_bytes} bytes: free some where its temp folder "
                    "lies."
                )
            self._reserved_bytes += size_bytes
            return Reservation(self, size_bytes)

    def scratch(self) -> Path:
        """Return the folder, for files that are about to become blobs.

        Raises:
            SetupFailed: it cannot be made.
        """
        self._make_folder()
        return self.root

    def writer(self) -> BlobWriter:
        """Begin a blob; ``publish`` or ``BlobWriter.discard`` ends it.

        Raises:
            DiskFull, SetupFailed: its file cannot be made.
        """
        self._make_folder()
        return BlobWriter(self.root, self._make_room)

    def publish(self, writer: BlobWriter, *, expected: str | None = None, owner: str = "", lease_s: float = 0.0) -> str:
        """Put what was written in its place, lease it, and return its hash.

        Raises:
            HashWrong: it is not what was expected. It was deleted.
            SetupFailed: it cannot be moved. It was deleted.
        """
        sha256 = writer.sha256
        if expected is not None and sha256 != expected:
            writer.discard()
            raise HashWrong(
                f"What came has the hash {sha256[:12]}…, not {expected[:12]}…: it was damaged on the way. Send it "
                "again.",
                sha256=sha256,
            )
        writer.close()
        with self._guard:
            known = sha256 in self._blobs and self._place(sha256).is_file()
            if not known:
                self._forget(sha256)
                try:
                    writer.path.replace(self._place(sha256))
                except OSError as error:
                    raise SetupFailed(f"A value cannot be kept in {self.root}: {error.strerror}.") from error
                finally:
                    writer.discard()
                self._blobs[sha256] = _Blob(writer.size_bytes)
                self._total_bytes += writer.size_bytes
            else:
                writer.discard()
                self._blobs.move_to_end(sha256)
            self._lease(sha256, owner, lease_s)
        return sha256

    # --- inside ------------------------------------------------------------------------------------------------------

    def _make_folder(self) -> None:
        try:
            self.root.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise SetupFailed(f"The folder for values {self.root} cannot be made: {error.strerror}.") from error

    def _place(self, sha256: str) -> Path:
        return self.root / sha256

    def _free(self) -> int:
        place = self.root if self.root.is_dir() else self.root.parent
        try:
            return self._free_disk(place)
        except OSError:
            return 0

    def _use(self, sha256: str) -> _Blob:
        blob = self._blobs.get(sha256)
        if blob is None:
            raise _missing(sha256)
        self._blobs.move_to_end(sha256)
        return blob

    def _lease(self, sha256: str, owner: str, lease_s: float) -> None:
        if lease_s > 0:
            until = self._clock() + min(lease_s, LONGEST_LEASE_S)
            leases = self._blobs[sha256].leases
            leases[owner] = max(until, leases.get(owner, until))

    def _needed(self) -> set[str]:
        """Return what may not go: what is leased, and what prompts here are going to take."""
        now, wanted = self._clock(), self._wanted()
        for blob in self._blobs.values():
            blob.leases = {owner: until for owner, until in blob.leases.items() if until > now}
        return {sha256 for sha256, blob in self._blobs.items() if blob.leases or sha256 in wanted}

    def _unreserve(self, size_bytes: int) -> None:
        with self._guard:
            self._reserved_bytes -= size_bytes

    def _make_room(self, wanted_bytes: int) -> bool:
        with self._guard:
            return self._evict(max(wanted_bytes, _EVICT_BYTES)) > 0

    def _evict(self, wanted_bytes: int) -> int:
        """Delete what is not leased, the longest unused first; return how many bytes that freed."""
        freed = 0
        needed = self._needed()
        for sha256 in [known for known in self._blobs if known not in needed]:
            if freed >= wanted_bytes:
                break
            freed += self._discard(sha256)
        return freed

    def _discard(self, sha256: str) -> int:
        """Delete a blob; return its size, or 0 where the system refuses because somebody reads it (Windows)."""
        try:
            self._place(sha256).unlink(missing_ok=True)
        except PermissionError:
            return 0
        return self._forget(sha256)

    def _forget(self, sha256: str) -> int:
        blob = self._blobs.pop(sha256, None)
        if blob is None:
            return 0
        self._total_bytes -= blob.size_bytes
        return blob.size_bytes


def _missing(sha256: str) -> BlobMissing:
    return BlobMissing(
        f"This peer does not have the value {sha256[:12]}… (any more): send it again, or run again what made it.",
        sha256=sha256,
    )
