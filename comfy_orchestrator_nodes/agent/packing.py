"""Packing for slow links: blocks of bytes, each compressed by zstd on its own, bounded before it is unpacked.

Raw float images hardly shrink as they are; with the bytes of four-byte numbers sorted by place they lose 30 to 50 %.
Each block is ``<u32 stored size><u32 raw size><stored>``, little-endian; where both sizes are equal the block is stored
as it is. Needs Python 3.14 or the package ``zstandard``, which are asked for, never required.
"""

from __future__ import annotations

import importlib
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from .errors import MalformedValue

NAME = "zstd-blocks"
BLOCK_BYTES = 1 << 20
_HEAD = struct.Struct("<II")
_WIDTH = 4
_LEVEL = 1


@dataclass(frozen=True)
class Zstd:
    """What is there to compress with."""

    compress: Callable[[bytes], bytes]
    decompress: Callable[[bytes, int], bytes]
    """Takes the size that must come out, and makes no more."""


def find_zstd() -> Zstd | None:
    """Return zstd of this Python, or of the package; None where there is neither."""
    for name, make in (("compression.zstd", _of_python), ("zstandard", _of_package)):
        try:
            module = importlib.import_module(name)
        except ImportError:
            continue
        return make(module)
    return None


def _of_python(zstd: Any) -> Zstd:
    def decompress(data: bytes, size: int) -> bytes:
        try:
            unpacked: bytes = zstd.ZstdDecompressor().decompress(data, max_length=size)
        except zstd.ZstdError as error:
            raise MalformedValue(f"A packed block is damaged: {error}.") from None
        return unpacked

    return Zstd(lambda data: bytes(zstd.compress(data, _LEVEL)), decompress)


def _of_package(zstd: Any) -> Zstd:
    def decompress(data: bytes, size: int) -> bytes:
        try:
            # What a frame says of its size would be allocated whatever the limit.
            if zstd.frame_content_size(data) != size:
                raise MalformedValue("A packed block does not have the size that it tells.")
            unpacked: bytes = zstd.ZstdDecompressor().decompress(data, max_output_size=size)
        except zstd.ZstdError as error:
            raise MalformedValue(f"A packed block is damaged: {error}.") from None
        return unpacked

    return Zstd(lambda data: bytes(zstd.ZstdCompressor(level=_LEVEL).compress(data)), decompress)


def pack(zstd: Zstd, raw: bytes | memoryview) -> bytes:
    """Return at most ``BLOCK_BYTES`` as a block."""
    packed = zstd.compress(_sorted(raw))
    stored = packed if len(packed) < len(raw) else bytes(raw)
    return _HEAD.pack(len(stored), len(raw)) + stored


class Unpacker:
    """Blocks out of a stream, one at a time."""

    def __init__(self, zstd: Zstd, total: int) -> None:
        """Take how many bytes must come out in all."""
        self._zstd = zstd
        self._left = total
        self._held = bytearray()

    def feed(self, data: bytes | memoryview) -> Iterator[bytes]:
        """Take some of the stream; yield the blocks that are complete. Each is unpacked when it is asked for.

        Raises:
            MalformedValue: the stream is damaged, or longer than it should be.
        """
        self._held += data
        while len(self._held) >= _HEAD.size:
            stored, raw = _HEAD.unpack_from(self._held)
            if not 0 < raw <= min(BLOCK_BYTES, self._left) or stored > raw:
                raise MalformedValue("A packed block claims a size that it cannot have.")
            end = _HEAD.size + stored
            if len(self._held) < end:
                return
            content = bytes(self._held[_HEAD.size : end])
            del self._held[:end]
            self._left -= raw
            yield content if stored == raw else self._unpacked(content, raw)

    @property
    def complete(self) -> bool:
        """Whether all came out that should."""
        return not self._left and not self._held

    def _unpacked(self, content: bytes, size: int) -> bytes:
        unpacked = self._zstd.decompress(content, size)
        if len(unpacked) != size:
            raise MalformedValue("A packed block does not have the size that it tells.")
        return _unsorted(unpacked)


def _sorted(raw: bytes | memoryview) -> bytes:
    """Put the first bytes of all four-byte numbers first, then their second bytes, and so on."""
    whole = len(raw) - len(raw) % _WIDTH
    numbers = np.frombuffer(raw, np.uint8, whole).reshape(-1, _WIDTH)
    return bytes(numbers.T.tobytes()) + bytes(raw[whole:])


def _unsorted(data: bytes) -> bytes:
    whole = len(data) - len(data) % _WIDTH
    planes = np.frombuffer(data, np.uint8, whole).reshape(_WIDTH, -1)
    return bytes(planes.T.tobytes()) + data[whole:]
