"""WebM and Matroska: the tags that SaveWEBM writes; FFmpeg spells their names in capitals."""

from __future__ import annotations

from collections.abc import Iterator

from .stream import Stream

SIGNATURE = b"\x1a\x45\xdf\xa3"
_SEGMENT = 0x18538067
_CLUSTER = 0x1F43B675
_TAGS = 0x1254C367
_TAG = 0x7373
_SIMPLE_TAG = 0x67C8
_TAG_NAME = 0x45A3
_TAG_STRING = 0x4487
_ENTERED = frozenset({_SEGMENT, _TAGS, _TAG, _SIMPLE_TAG})
_MAX_ELEMENTS = 1_000_000


def read(stream: Stream, limit_bytes: int) -> Iterator[tuple[str, bytes]]:
    """Yield name and text of each tag.

    Raises:
        InvalidDocument: the file is cut off, or a tag is larger than any workflow.
    """
    name: str | None = None
    for element, size in _elements(stream):
        if element not in (_TAG_NAME, _TAG_STRING):
            continue
        if size > limit_bytes:
            raise stream.broken("a tag in it is larger than any workflow")
        data = stream.read(size).rstrip(b"\0")
        if element == _TAG_NAME:
            name = data.decode("utf-8", "replace")
        elif name is not None:
            yield name.lower(), data
            name = None


def _elements(stream: Stream) -> Iterator[tuple[int, int]]:
    """Yield id and size of each element, its data next; those that hold others are entered, the rest skipped."""
    for _ in range(_MAX_ELEMENTS):
        if stream.left < 2:
            return
        element, _ = _number(stream, keep_marker=True)
        size, unknown = _number(stream, keep_marker=False)
        if element in _ENTERED or (unknown and element == _CLUSTER):
            continue
        if unknown:
            raise stream.broken("a part of it has no size")
        if size > stream.left:
            raise stream.broken("it is cut off")
        end = stream.position + size
        yield element, size
        stream.seek(end)
    raise stream.broken("it has more parts than any video")


def _number(stream: Stream, *, keep_marker: bool) -> tuple[int, bool]:
    """Read a variable-length number; tell whether all its bits are set, which stands for an unknown size."""
    first = stream.read(1)[0]
    length = 9 - first.bit_length()
    if length > 8:
        raise stream.broken("a part of it does not start where it should")
    data = bytes([first]) + stream.read(length - 1)
    value = int.from_bytes(data, "big")
    mask = (1 << 7 * length) - 1
    return (value, False) if keep_marker else (value & mask, value & mask == mask)
