"""PNG and APNG: text chunks, and the private chunk that ComfyUI's animated images use.

SaveImage writes ``tEXt`` chunks ``prompt`` and ``workflow`` (``iTXt`` where the text is not Latin-1, ``zTXt`` by other
tools); SaveAnimatedPNG writes ``comf`` chunks of the same layout after the image data.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator

from .stream import Stream

SIGNATURE = b"\x89PNG\r\n\x1a\n"
_TEXT_CHUNKS = frozenset({b"tEXt", b"zTXt", b"iTXt", b"comf"})
_MAX_CHUNKS = 1_000_000


def read(stream: Stream, limit_bytes: int) -> Iterator[tuple[str, bytes]]:
    """Yield keyword and UTF-8 text of each text chunk.

    Args:
        stream: the file, at its start.
        limit_bytes: the largest text that is unpacked.

    Raises:
        InvalidDocument: the file is cut off or a chunk is larger than that.
    """
    stream.skip(len(SIGNATURE))
    for _ in range(_MAX_CHUNKS):
        header = stream.read(8)
        length, kind = int.from_bytes(header[:4], "big"), header[4:]
        if kind == b"IEND":
            return
        if kind not in _TEXT_CHUNKS or length > stream.left:
            stream.skip(length + 4)
            continue
        if length > limit_bytes:
            raise stream.broken("a text in it is larger than any workflow")
        data = stream.read(length)
        stream.skip(4)
        found = _text(stream, kind, data, limit_bytes)
        if found is not None:
            yield found
    raise stream.broken("it has more parts than any image")


def _text(stream: Stream, kind: bytes, data: bytes, limit_bytes: int) -> tuple[str, bytes] | None:
    keyword, separator, rest = data.partition(b"\0")
    if not separator:
        return None
    name = keyword.decode("latin-1")
    if kind in (b"tEXt", b"comf"):
        return name, _utf8(rest)
    if kind == b"zTXt":
        return name, _utf8(_inflate(stream, rest[1:], limit_bytes)) if rest[:1] == b"\0" else b""
    compressed, rest = rest[:1], rest[2:]
    text = rest.partition(b"\0")[2].partition(b"\0")[2]
    return name, _inflate(stream, text, limit_bytes) if compressed == b"\1" else text


def _utf8(data: bytes) -> bytes:
    """Return the text in UTF-8: PNG says Latin-1, but some tools write UTF-8 all the same."""
    if data.isascii():
        return data
    try:
        data.decode()
    except UnicodeDecodeError:
        return data.decode("latin-1").encode()
    return data


def _inflate(stream: Stream, data: bytes, limit_bytes: int) -> bytes:
    inflater = zlib.decompressobj()
    try:
        text = inflater.decompress(data, limit_bytes)
    except zlib.error:
        raise stream.broken("a compressed text in it is damaged") from None
    if inflater.unconsumed_tail:
        raise stream.broken("a compressed text in it unpacks to more than any workflow")
    if not inflater.eof:
        raise stream.broken("a compressed text in it is cut off")
    return text
