"""WebP and JPEG: ``name:text`` entries in EXIF.

SaveAnimatedWEBP writes ``prompt:{…}`` under the tag Model and ``workflow:{…}`` under Make (further entries under the
tags before that), so every ASCII entry of the first directory is looked at.
"""

from __future__ import annotations

from collections.abc import Iterator

from .stream import Stream

_ASCII = 2
_EXIF = b"Exif\0\0"
_MAX_PARTS = 100_000
_NO_PAYLOAD = frozenset({0x01, *range(0xD0, 0xD8)})


def read_webp(stream: Stream, limit_bytes: int) -> Iterator[tuple[str, bytes]]:
    """Yield the entries of a WebP file's EXIF chunk.

    Raises:
        InvalidDocument: the file is cut off, or the chunk is larger than any workflow.
    """
    header = stream.read(12)
    end = min(stream.size, int.from_bytes(header[4:8], "little") + 8)
    if end < int.from_bytes(header[4:8], "little") + 8:
        raise stream.broken("it is cut off")
    for _ in range(_MAX_PARTS):
        if stream.position + 8 > end:
            return
        head = stream.read(8)
        length = int.from_bytes(head[4:], "little")
        if head[:4] != b"EXIF":
            stream.skip(min(length + length % 2, stream.left) if length <= stream.left else length)
            continue
        if length > limit_bytes:
            raise stream.broken("its EXIF data is larger than any workflow")
        yield from entries(stream, stream.read(length))
        stream.skip(min(length % 2, stream.left))


def read_jpeg(stream: Stream, limit_bytes: int) -> Iterator[tuple[str, bytes]]:
    """Yield the entries of a JPEG file's EXIF segments, which come before the image.

    Raises:
        InvalidDocument: the file is cut off.
    """
    stream.skip(2)
    for _ in range(_MAX_PARTS):
        marker = stream.read(2)
        if marker[0] != 0xFF:
            raise stream.broken("a segment does not start where it should")
        while marker[1] == 0xFF:
            marker = b"\xff" + stream.read(1)
        if marker[1] in (0xDA, 0xD9):
            return
        if marker[1] in _NO_PAYLOAD:
            continue
        length = int.from_bytes(stream.read(2), "big")
        if length < 2:
            raise stream.broken("a segment has no length")
        if marker[1] != 0xE1:
            stream.skip(length - 2)
            continue
        data = stream.read(length - 2)
        if data.startswith(_EXIF):
            yield from entries(stream, data)


def entries(stream: Stream, data: bytes) -> Iterator[tuple[str, bytes]]:
    """Yield name and text of each ``name:text`` among the ASCII entries of the first directory.

    Raises:
        InvalidDocument: an entry points outside of the data.
    """
    data = data.removeprefix(_EXIF)
    if len(data) < 8 or data[:2] not in (b"II", b"MM"):
        return
    little = data[:2] == b"II"

    def integer(at: int, size: int) -> int:
        if at + size > len(data):
            raise stream.broken("its EXIF data is cut off")
        return int.from_bytes(data[at : at + size], "little" if little else "big")

    directory = integer(4, 4)
    for index in range(integer(directory, 2)):
        at = directory + 2 + index * 12
        if integer(at + 2, 2) != _ASCII:
            continue
        length = integer(at + 4, 4)
        start = integer(at + 8, 4) if length > 4 else at + 8
        if start + length > len(data):
            raise stream.broken("its EXIF data points outside of itself")
        name, colon, text = data[start : start + length].rstrip(b"\0").partition(b":")
        if colon:
            yield name.decode("latin-1"), text
