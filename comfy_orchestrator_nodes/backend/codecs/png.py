"""Writing PNG files at the speed of memory.

Pillow needs 50 to 200 ms for one megapixel, whatever the compression level, because it weighs five filters a row.
Here rows are not filtered, and deflated only where a sample shows that it pays. That takes a few milliseconds, and the
larger file is sent in less time than compressing it would have taken, even at 200 Mbit/s.
"""

from __future__ import annotations

import struct
import zlib

from .arrays import ByteArray, Sink

MEDIA_TYPE = "image/png"
_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_COLOR_TYPES = {3: 2, 4: 6}
_SAMPLE_BYTES = 1 << 16
_PAYS_BELOW = 0.4
_PART_BYTES = 1 << 20


def write_png(sink: Sink, rows: ByteArray, width: int, channels: int) -> None:
    """Write one image.

    Args:
        sink: where to.
        rows: ``(H, 1 + width * channels)`` uint8: each row after a zero byte, which is PNG's mark of an unfiltered row.
        width: pixels in a row.
        channels: 3 (RGB) or 4 (RGBA).
    """
    header = struct.pack(">IIBBBBB", width, rows.shape[0], 8, _COLOR_TYPES[channels], 0, 0, 0)
    sink.write(_SIGNATURE)
    _write_chunk(sink, b"IHDR", header)
    data = rows.data.cast("B")
    deflate = zlib.compressobj(_level(data))
    for start in range(0, len(data), _PART_BYTES):
        _write_chunk(sink, b"IDAT", deflate.compress(data[start : start + _PART_BYTES]))
    _write_chunk(sink, b"IDAT", deflate.flush())
    _write_chunk(sink, b"IEND", b"")


def _level(data: memoryview) -> int:
    """Return 1 where a sample from the middle shrinks well (masks, flat drawings), else 0: stored."""
    middle = max(0, len(data) // 2 - _SAMPLE_BYTES // 2)
    sample = data[middle : middle + _SAMPLE_BYTES]
    return 1 if len(zlib.compress(sample, 1)) < _PAYS_BELOW * len(sample) else 0


def _write_chunk(sink: Sink, kind: bytes, data: bytes) -> None:
    if not data and kind == b"IDAT":
        return
    sink.write(struct.pack(">I", len(data)) + kind)
    sink.write(data)
    sink.write(struct.pack(">I", zlib.crc32(data, zlib.crc32(kind))))
