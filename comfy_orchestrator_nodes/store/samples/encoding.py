"""One block of one series as bytes: whole multiples of the metric's quantum, as differences, compressed.

A block is one column (raw) or three (average, how far the minimum lies below it, how far the maximum above it), each
with the same gaps. Idle and constant series take a few bytes, busy ones about one byte for each number.

    byte 0        version 1
    byte 1        number of columns
    byte 2        1 if there is no gap
    bytes 3 to 6  size of the first stream
    then two streams, each compressed with zlib; charts need the first alone:
      1st         presence (one bit for each bucket, nothing without a gap), then the averages
      2nd         minimum and maximum, where there are three columns
    a column is one byte of width (1, 2, 4, 8) and the numbers in little endian
"""

from __future__ import annotations

import struct
import zlib

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

_VERSION = 1
_HEADER = struct.Struct("<BB?I")
_WIDTHS = (np.dtype("<i1"), np.dtype("<i2"), np.dtype("<i4"), np.dtype("<i8"))
_MOST = float(1 << 53)


class UnreadableBlockError(ValueError):
    """The bytes are no block of this format and size."""


def encode(columns: Floats, quantum: float) -> bytes:
    """Return a block.

    Args:
        columns: of shape (1, buckets), or (3, buckets) as average, minimum, maximum; NaN where nothing was measured.
        quantum: what values are rounded to multiples of.
    """
    present = ~np.isnan(columns[0])
    whole = bool(present.all())
    numbers = np.rint(np.clip(columns[:, present] / quantum, -_MOST, _MOST)).astype(np.int64)
    if len(numbers) == 3:
        average = numbers[0]
        numbers = np.stack((average, average - numbers[1], numbers[2] - average))
    # Neighbours are alike: differences are small, and of a constant they are nothing.
    numbers[0] = np.diff(numbers[0], prepend=0)
    presence = b"" if whole else np.packbits(present).tobytes()
    first = zlib.compress(presence + _packed(numbers[0]), 6)
    rest = zlib.compress(b"".join(_packed(column) for column in numbers[1:]), 6) if len(numbers) > 1 else b""
    return _HEADER.pack(_VERSION, len(columns), whole, len(first)) + first + rest


def decode(data: bytes, buckets: int, quantum: float, *, first_only: bool = False) -> Floats:
    """Return the columns of a block, NaN in its gaps; only the first (the average) if that is enough.

    Raises:
        UnreadableBlockError: the bytes are damaged, or of another size.
    """
    try:
        version, count, whole, size = _HEADER.unpack_from(data)
        body = zlib.decompress(data[_HEADER.size : _HEADER.size + size])
        rest = zlib.decompress(data[_HEADER.size + size :]) if count == 3 and not first_only else b""
    except (struct.error, zlib.error) as error:
        raise UnreadableBlockError("it cannot be decompressed") from error
    if version != _VERSION or count not in (1, 3):
        raise UnreadableBlockError(f"it is of version {version} with {count} columns")
    position = 0
    present: NDArray[np.bool_] | None = None
    there = buckets
    if not whole:
        position = -(-buckets // 8)
        present = np.unpackbits(np.frombuffer(body[:position], np.uint8), count=buckets).astype(bool)
        there = int(present.sum())
    numbers = [_column(body, position, there)[0]]
    position = 0
    while position < len(rest):
        column, position = _column(rest, position, there)
        numbers.append(column)
    if len(numbers) != (1 if first_only else count):
        raise UnreadableBlockError("it has another number of columns than it says")
    numbers[0] = np.cumsum(numbers[0])
    if len(numbers) == 3:
        numbers = [numbers[0], numbers[0] - numbers[1], numbers[0] + numbers[2]]
    if present is None:
        return np.stack(numbers).astype(np.float64) * quantum
    columns = np.full((len(numbers), buckets), np.nan)
    for row, column in enumerate(numbers):
        columns[row, present] = column * quantum
    return columns


def _packed(column: NDArray[np.int64]) -> bytes:
    dtype = _narrowest(column)
    return bytes((dtype.itemsize,)) + column.astype(dtype).tobytes()


def _column(body: bytes, position: int, count: int) -> tuple[NDArray[np.int64], int]:
    width = body[position] if position < len(body) else 0
    dtype = next((dtype for dtype in _WIDTHS if dtype.itemsize == width), None)
    end = position + 1 + width * count
    if dtype is None or end > len(body):
        raise UnreadableBlockError("it is shorter than it says")
    return np.frombuffer(body, dtype, count, position + 1).astype(np.int64), end


def _narrowest(column: NDArray[np.int64]) -> np.dtype[np.signedinteger]:
    least, most = (int(column.min()), int(column.max())) if len(column) else (0, 0)
    return next(d for d in _WIDTHS if np.iinfo(d).min <= least and most <= np.iinfo(d).max)
