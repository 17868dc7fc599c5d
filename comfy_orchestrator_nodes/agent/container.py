"""The outer form of an encoded value: a safetensors file, read with suspicion and laid out so that nothing is copied.

``<u64 length of the header><header: JSON, padded with spaces><content of the tensors, without gaps>``. Everything that
the header claims is checked against the length of the file before memory is taken for it.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

from .dtypes import STORED
from .errors import MalformedValue

FORMAT = "comfyui-orchestrator/value"
VERSION = 1
EIGHT_BIT = "u8/255"
"""How a reference says that bytes stand for the floats ``byte / 255``."""

MAX_HEADER_BYTES = 32 << 20
MAX_TENSORS = 100_000
MAX_DIMENSIONS = 32
MAX_ELEMENTS = 1 << 60
"""Also of a tensor without elements, whose other sides could be anything."""
LENGTH_BYTES = 8
_ALIGNMENT = 64
_METADATA = "__metadata__"


@dataclass(frozen=True)
class Entry:
    """One stored tensor: its place is relative to the end of the header."""

    stored: str
    shape: tuple[int, ...]
    begin: int
    end: int


def write_header(metadata: Mapping[str, str], tensors: Sequence[tuple[str, str, tuple[int, ...], int]]) -> bytes:
    """Return length and header for tensors ``(name, stored type, shape, bytes)``.

    The content that follows must be in the same order. It begins at a multiple of 64 bytes.

    Raises:
        OverflowError: the header would be larger than a reader accepts.
    """
    header: dict[str, Any] = {_METADATA: dict(metadata)}
    place = 0
    for name, stored, shape, size_bytes in tensors:
        header[name] = {
            "dtype": stored,
            "shape": list(shape),
            "data_offsets": [place, place := place + size_bytes],
        }
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-(len(text) + LENGTH_BYTES) % _ALIGNMENT)
    if len(text) > MAX_HEADER_BYTES or len(tensors) > MAX_TENSORS:
        raise OverflowError
    return struct.pack("<Q", len(text)) + text


def header_length(prefix: bytes, total_bytes: int) -> int:
    """Return how long the header is, from the first eight bytes of something ``total_bytes`` long.

    Raises:
        MalformedValue: that cannot be.
    """
    if len(prefix) != LENGTH_BYTES:
        raise MalformedValue("The value ends within its first bytes.")
    length: int = struct.unpack("<Q", prefix)[0]
    if length > MAX_HEADER_BYTES or LENGTH_BYTES + length > total_bytes:
        raise MalformedValue(f"The value claims a header of {length} bytes: it is no encoded value, or cut short.")
    return length


def read_header(text: bytes, content_bytes: int) -> tuple[dict[str, str], dict[str, Entry]]:
    """Return the metadata and the tensors of a header that is followed by ``content_bytes``.

    Raises:
        MalformedValue: it is no such header, or what it claims does not fill the content exactly.
    """
    try:
        header = json.loads(text.decode("utf-8"), object_pairs_hook=_distinct)
    except RecursionError:
        raise MalformedValue("The value's header is nested too deeply.") from None
    except ValueError as error:
        raise MalformedValue(f"The value's header is no JSON: {error}.") from None
    if not isinstance(header, dict):
        raise MalformedValue("The value's header is no object.")
    metadata = header.pop(_METADATA, {})
    if not isinstance(metadata, dict) or not all(isinstance(text, str) for text in metadata.values()):
        raise MalformedValue("The value's metadata is not made of texts.")
    if len(header) > MAX_TENSORS:
        raise MalformedValue(f"The value holds more than {MAX_TENSORS} tensors.")
    entries = {name: _entry(name, described) for name, described in header.items()}
    place = 0
    for name, entry in sorted(entries.items(), key=lambda item: (item[1].begin, item[1].end)):
        if entry.begin != place:
            raise MalformedValue(f"Tensor {name!r} overlaps another, or leaves a gap.")
        place = entry.end
    if place != content_bytes:
        raise MalformedValue(f"The tensors take {place} bytes, and {content_bytes} are there.")
    return metadata, entries


def _distinct(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) != len(pairs):
        raise ValueError("a name occurs twice")
    return made


def _entry(name: str, described: Any) -> Entry:
    if not isinstance(described, dict) or described.keys() != {"dtype", "shape", "data_offsets"}:
        raise MalformedValue(f"Tensor {name!r} is not described by dtype, shape and data_offsets.")
    stored, shape, offsets = described["dtype"], described["shape"], described["data_offsets"]
    if not isinstance(stored, str) or stored not in STORED:
        raise MalformedValue(f"Tensor {name!r} has an unknown dtype.")
    if not _sizes(shape) or len(shape) > MAX_DIMENSIONS or not _sizes(offsets) or len(offsets) != 2:
        raise MalformedValue(f"Tensor {name!r} has sizes that are none.")
    if prod(side for side in shape if side) > MAX_ELEMENTS:
        raise MalformedValue(f"Tensor {name!r} is too large.")
    begin, end = offsets
    if end - begin != prod(shape) * STORED[stored].itemsize:
        raise MalformedValue(f"The shape of tensor {name!r} does not fit its content.")
    return Entry(stored, tuple(shape), begin, end)


def _sizes(value: Any) -> bool:
    # bool is an int for Python, and no size.
    return isinstance(value, list) and all(type(item) is int and item >= 0 for item in value)
