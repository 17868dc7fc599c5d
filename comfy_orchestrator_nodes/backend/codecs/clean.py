"""Takes out of a result what tells how it was made, so that equal results are equal files.

ComfyUI writes the whole prompt into each PNG, FLAC and latent file. The prompt holds the attempt's id, so without this
the same image would have another hash after each attempt: nothing would be found in the result cache of the jobs behind
it, and every backend would be sent it again. What is left out decides nothing that a loader reads.

Works on a stream, part by part as it arrives. A file that is not what its media type says passes unchanged: whether it
is damaged is found out when it is read.
"""

from __future__ import annotations

import json
import struct
from abc import abstractmethod
from collections.abc import Callable

_PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_PNG_DROPPED = frozenset({b"tEXt", b"zTXt", b"iTXt", b"tIME"})
_FLAC_DROPPED = frozenset({1, 4, 6})
"""Block types of padding, comments and pictures (FLAC format specification)."""
_FLAC_LAST = 0x80
_HEADER_LIMIT = 64 << 20
"""More of a header than this is not held back."""

Write = Callable[[bytes], object]


class Cleaner:
    """Passes a file on to ``write``. Call ``finish`` after the last part."""

    def __init__(self, write: Write) -> None:
        self._write = write

    def write(self, data: bytes) -> None:
        """Take the next part."""
        self._write(data)

    def finish(self) -> None:
        """Pass on what was held back."""


def cleaner(media_type: str, write: Write) -> Cleaner:
    """Return the cleaner for files of a media type; for most types it changes nothing."""
    kind = media_type.split(";")[0].strip().lower()
    return _CLEANERS.get(kind, Cleaner)(write)


class _Parsing(Cleaner):
    """Holds back bytes until ``_step`` can decide about them; ``_step`` returns False when it needs more."""

    def __init__(self, write: Write) -> None:
        super().__init__(write)
        self._held = bytearray()
        self._passing = False
        """Whether the rest of the file is of no interest."""

    def write(self, data: bytes) -> None:
        """Take the next part."""
        if self._passing:
            self._write(data)
            return
        self._held += data
        while not self._passing and self._step():
            pass
        if self._passing or len(self._held) > _HEADER_LIMIT:
            self._pass_on()

    def finish(self) -> None:
        """Pass on what was held back."""
        self._pass_on()

    def _pass_on(self) -> None:
        self._passing = True
        if self._held:
            self._write(bytes(self._held))
            self._held.clear()

    def _emit(self, count: int) -> None:
        if count:
            self._write(bytes(self._held[:count]))
            del self._held[:count]

    @abstractmethod
    def _step(self) -> bool:
        """Decide about the bytes at the front, and return whether there may be more to decide."""


class _PngCleaner(_Parsing):
    """Drops text and time chunks; the image's own chunks pass as they come, without being held back whole."""

    def __init__(self, write: Write) -> None:
        super().__init__(write)
        self._started = False
        self._left = 0
        self._dropping = False

    def _step(self) -> bool:
        if not self._started:
            return self._start()
        if self._left:
            return self._go_on()
        if len(self._held) < 8:
            return False
        length, kind = struct.unpack_from(">I4s", self._held)
        self._dropping = kind in _PNG_DROPPED
        self._left = 8 + length + 4
        return True

    def _start(self) -> bool:
        if len(self._held) < len(_PNG_SIGNATURE):
            return False
        self._passing = not self._held.startswith(_PNG_SIGNATURE)
        if not self._passing:
            self._emit(len(_PNG_SIGNATURE))
            self._started = True
        return True

    def _go_on(self) -> bool:
        count = min(self._left, len(self._held))
        if self._dropping:
            del self._held[:count]
        else:
            self._emit(count)
        self._left -= count
        return count > 0


class _LatentCleaner(_Parsing):
    """Drops the metadata from a safetensors header; the offsets in it count from its end and stay right."""

    def _step(self) -> bool:
        if len(self._held) < 8:
            return False
        (size,) = struct.unpack_from("<Q", self._held)
        if size > _HEADER_LIMIT:
            self._passing = True
            return False
        if len(self._held) < 8 + size:
            return False
        self._passing = True
        header = _without_metadata(bytes(self._held[8 : 8 + size]))
        if header is not None:
            del self._held[: 8 + size]
            self._write(struct.pack("<Q", len(header)) + header)
        return False


def _without_metadata(text: bytes) -> bytes | None:
    """Return the header anew, padded as safetensors pads it, or None if it is no header or has no metadata."""
    try:
        header = json.loads(text)
    except (ValueError, RecursionError):
        return None
    if not isinstance(header, dict) or header.pop("__metadata__", None) is None:
        return None
    clean = json.dumps(header, separators=(",", ":")).encode()
    return clean + b" " * (-len(clean) % 8)


class _FlacCleaner(_Parsing):
    """Drops comments, pictures and padding. The blocks are held back, because the last of them is marked as such."""

    def __init__(self, write: Write) -> None:
        super().__init__(write)
        self._position = 4
        self._kept: list[bytes] = []

    def _step(self) -> bool:
        if len(self._held) < 4:
            return False
        if self._held[:4] != b"fLaC":
            self._passing = True
            return False
        if len(self._held) < self._position + 4:
            return False
        (mark,) = struct.unpack_from(">I", self._held, self._position)
        end = self._position + 4 + (mark & 0xFFFFFF)
        if len(self._held) < end:
            return False
        if (mark >> 24) & ~_FLAC_LAST not in _FLAC_DROPPED:
            self._kept.append(bytes(self._held[self._position : end]))
        self._position = end
        if mark >> 24 & _FLAC_LAST:
            self._passing = True
            if self._kept:
                self._rewrite()
            return False
        return True

    def _rewrite(self) -> None:
        del self._held[: self._position]
        self._write(b"fLaC")
        for number, block in enumerate(self._kept, 1):
            last = _FLAC_LAST if number == len(self._kept) else 0
            self._write(bytes([block[0] & ~_FLAC_LAST | last]) + block[1:])


_CLEANERS: dict[str, type[Cleaner]] = {
    "image/png": _PngCleaner,
    "audio/flac": _FlacCleaner,
    "audio/x-flac": _FlacCleaner,
    "application/x-comfyui-latent": _LatentCleaner,
}
