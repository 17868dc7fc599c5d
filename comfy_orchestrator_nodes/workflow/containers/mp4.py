"""MP4 and MOV: the ``mdta`` metadata that SaveVideo writes (FFmpeg's ``use_metadata_tags``)."""

from __future__ import annotations

from collections.abc import Iterator

from .stream import Stream

_MAX_BOXES = 100_000
_CONTAINERS = frozenset({b"moov", b"udta", b"meta"})
_HANDLERS = (b"keys", b"ilst", b"hdlr", b"free")


def read(stream: Stream, limit_bytes: int) -> Iterator[tuple[str, bytes]]:
    """Yield the named texts of a movie's metadata.

    Raises:
        InvalidDocument: the file is cut off, a box is larger than what holds it, or there are too many.
    """
    keys: list[str] = []
    values: dict[int, bytes] = {}
    for kind, start, end in _boxes(stream):
        if end - start > limit_bytes:
            raise stream.broken("its metadata is larger than any workflow")
        stream.seek(start)
        data = stream.read(end - start)
        if kind == b"keys":
            keys.extend(_keys(stream, data))
        else:
            values.update(_values(stream, data))
    for index, text in values.items():
        if 1 <= index <= len(keys):
            yield keys[index - 1], text


def _boxes(stream: Stream) -> Iterator[tuple[bytes, int, int]]:
    """Yield the ``keys`` and ``ilst`` boxes with where they start and end."""
    pending = [(0, stream.size)]
    budget = _MAX_BOXES
    while pending:
        at, end = pending.pop()
        while at + 8 <= end:
            budget -= 1
            if budget < 0:
                raise stream.broken("it has more parts than any video")
            stream.seek(at)
            size, kind, header = _box_header(stream, end - at)
            if size < header or at + size > end:
                raise stream.broken("it is cut off")
            if kind in (b"keys", b"ilst"):
                yield kind, at + header, at + size
            elif kind in _CONTAINERS:
                pending.append((at + header + _full_box_bytes(stream, kind, size - header), at + size))
            at += size


def _box_header(stream: Stream, room: int) -> tuple[int, bytes, int]:
    head = stream.read(8)
    size, kind = int.from_bytes(head[:4], "big"), head[4:]
    if size == 0:
        return room, kind, 8
    if size == 1:
        return int.from_bytes(stream.read(8), "big"), kind, 16
    return size, kind, 8


def _full_box_bytes(stream: Stream, kind: bytes, room: int) -> int:
    """Return how many bytes of version and flags open the box: ISO's ``meta`` has them, QuickTime's has not."""
    if kind != b"meta" or room < 8:
        return 0
    return 0 if stream.read(8)[4:] in _HANDLERS else 4


def _keys(stream: Stream, data: bytes) -> Iterator[str]:
    at = 8
    while at + 8 <= len(data):
        size = int.from_bytes(data[at : at + 4], "big")
        if size < 8 or at + size > len(data):
            raise stream.broken("its metadata keys are cut off")
        yield data[at + 8 : at + size].decode("utf-8", "replace")
        at += size


def _values(stream: Stream, data: bytes) -> Iterator[tuple[int, bytes]]:
    at = 0
    while at + 8 <= len(data):
        size = int.from_bytes(data[at : at + 4], "big")
        if size < 8 or at + size > len(data):
            raise stream.broken("its metadata values are cut off")
        index = int.from_bytes(data[at + 4 : at + 8], "big")
        inner = data[at + 8 : at + size]
        if inner[4:8] == b"data" and len(inner) >= 16:
            yield index, inner[16 : int.from_bytes(inner[:4], "big")]
        at += size
