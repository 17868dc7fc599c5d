"""Reading from a file of unknown size and intent: never past its end, never more than was agreed."""

from __future__ import annotations

import io
from typing import BinaryIO

from ...errors import InvalidDocument


class Stream:
    """A seekable file that counts what was taken from it and refuses to give more than a budget."""

    def __init__(self, file: BinaryIO, kind: str, budget_bytes: int) -> None:
        """Wrap a file.

        Args:
            file: opened for reading in binary mode, seekable; it stays the caller's.
            kind: what the file claims to be, for messages.
            budget_bytes: how many bytes may be read altogether.
        """
        self._file = file
        self._budget = budget_bytes
        self.kind = kind
        self.size = file.seek(0, io.SEEK_END)
        file.seek(0)

    @property
    def position(self) -> int:
        """Where the next byte comes from."""
        return self._file.tell()

    @property
    def left(self) -> int:
        """How many bytes follow."""
        return self.size - self._file.tell()

    def read(self, count: int) -> bytes:
        """Return exactly ``count`` bytes.

        Raises:
            InvalidDocument: the file ends before, or the budget does.
        """
        if count > self.left:
            raise self.broken("it is cut off")
        self._budget -= count
        if self._budget < 0:
            raise self.broken("its metadata is larger than any workflow")
        data = self._file.read(count)
        if len(data) != count:
            raise self.broken("it is cut off")
        return data

    def skip(self, count: int) -> None:
        """Move on without reading.

        Raises:
            InvalidDocument: the file ends before.
        """
        if count > self.left:
            raise self.broken("it is cut off")
        self._file.seek(count, io.SEEK_CUR)

    def seek(self, position: int) -> None:
        """Move to a place in the file.

        Raises:
            InvalidDocument: the file ends before.
        """
        if not 0 <= position <= self.size:
            raise self.broken("it points beyond its end")
        self._file.seek(position)

    def broken(self, what: str) -> InvalidDocument:
        """Return the error that says what is wrong with the file."""
        return InvalidDocument(
            f"This {self.kind} file cannot be read: {what}. Save it again from ComfyUI, or use the workflow as JSON.",
            container=self.kind,
        )
