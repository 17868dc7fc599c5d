"""FLAC, Ogg and MP3: the comments that SaveAudio, SaveAudioOpus and SaveAudioMP3 write through FFmpeg."""

from __future__ import annotations

from collections.abc import Iterator

from .stream import Stream

_VORBIS_COMMENT = 4
_MAX_PARTS = 100_000
_COMMENT_HEADERS = (b"OpusTags", b"\x03vorbis")


def read_flac(stream: Stream, limit_bytes: int) -> Iterator[tuple[str, bytes]]:
    """Yield the comments of a FLAC file.

    Raises:
        InvalidDocument: the file is cut off or its comments are larger than any workflow.
    """
    stream.skip(4)
    for _ in range(_MAX_PARTS):
        header = stream.read(4)
        length = int.from_bytes(header[1:], "big")
        if header[0] & 0x7F == _VORBIS_COMMENT:
            if length > limit_bytes:
                raise stream.broken("its comments are larger than any workflow")
            yield from comments(stream, stream.read(length))
        else:
            stream.skip(length)
        if header[0] & 0x80:
            return


def comments(stream: Stream, data: bytes) -> Iterator[tuple[str, bytes]]:
    """Yield name and text of each Vorbis comment.

    Raises:
        InvalidDocument: a comment is longer than the data.
    """
    at = 0

    def take(count: int) -> bytes:
        nonlocal at
        if at + count > len(data):
            raise stream.broken("its comments are cut off")
        at += count
        return data[at - count : at]

    take(int.from_bytes(take(4), "little"))
    for _ in range(min(int.from_bytes(take(4), "little"), _MAX_PARTS)):
        name, equals, text = take(int.from_bytes(take(4), "little")).partition(b"=")
        if equals:
            yield name.decode("latin-1"), text


def read_ogg(stream: Stream, limit_bytes: int) -> Iterator[tuple[str, bytes]]:
    """Yield the comments of an Ogg file with Opus or Vorbis: the second packet of its stream.

    Raises:
        InvalidDocument: the file is cut off or its comments are larger than any workflow.
    """
    packets: dict[bytes, bytearray] = {}
    for _ in range(_MAX_PARTS):
        if stream.left < 27:
            return
        header = stream.read(27)
        if header[:4] != b"OggS":
            raise stream.broken("a page does not start where it should")
        serial = header[14:18]
        lacing = stream.read(header[26])
        body = stream.read(sum(lacing))
        packet = packets.setdefault(serial, bytearray())
        at = 0
        for size in lacing:
            packet += body[at : at + size]
            at += size
            if len(packet) > limit_bytes:
                raise stream.broken("its comments are larger than any workflow")
            if size == 255:
                continue
            for magic in _COMMENT_HEADERS:
                if packet.startswith(magic):
                    yield from comments(stream, bytes(packet[len(magic) :]))
                    return
            packet.clear()


def read_mp3(stream: Stream, limit_bytes: int) -> Iterator[tuple[str, bytes]]:
    """Yield the user texts (``TXXX``) of an ID3v2 tag.

    Raises:
        InvalidDocument: the file is cut off or the tag is larger than any workflow.
    """
    header = stream.read(10)
    version, flags = header[3], header[5]
    length = _syncsafe(header[6:10])
    if length > limit_bytes:
        raise stream.broken("its ID3 tag is larger than any workflow")
    data = stream.read(length)
    if flags & 0x80:
        data = data.replace(b"\xff\x00", b"\xff")
    at = 0
    if flags & 0x40 and len(data) >= 4:
        at = _syncsafe(data[:4]) if version == 4 else int.from_bytes(data[:4], "big") + 4
    name_size, head_size = (3, 6) if version == 2 else (4, 10)
    while at + head_size <= len(data) and data[at] != 0:
        name = data[at : at + name_size]
        size_bytes = data[at + name_size : at + 2 * name_size]
        size = _syncsafe(size_bytes) if version == 4 else int.from_bytes(size_bytes, "big")
        at += head_size
        if at + size > len(data):
            raise stream.broken("its ID3 tag is cut off")
        if name in (b"TXXX", b"TXX"):
            found = _user_text(data[at : at + size])
            if found is not None:
                yield found
        at += size


def _syncsafe(data: bytes) -> int:
    value = 0
    for byte in data:
        value = value << 7 | byte & 0x7F
    return value


def _user_text(data: bytes) -> tuple[str, bytes] | None:
    encoding = {0: "latin-1", 1: "utf-16", 2: "utf-16-be", 3: "utf-8"}.get(data[0] if data else 9)
    if encoding is None:
        return None
    text = data[1:].decode(encoding, "replace")
    name, separator, value = text.partition("\0")
    return (name, value.lstrip("\ufeff").rstrip("\0").encode("utf-8", "replace")) if separator else None
