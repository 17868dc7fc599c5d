"""VIDEO: the file it is."""

from __future__ import annotations

import io
import shutil
from collections.abc import Callable, Sequence
from typing import Any, BinaryIO

from ...agent import wire
from ...errors import UnsupportedValue, ValueLost
from .arrays import SinkT

_PART_BYTES = 1 << 20
_HEAD_BYTES = 16


def write_content(content: bytes, open_sink: Callable[[str], SinkT]) -> SinkT:
    """Write the content of a video's file as it is."""
    return _copy(io.BytesIO(content), open_sink)


def _copy(source: BinaryIO, open_sink: Callable[[str], SinkT]) -> SinkT:
    head = source.read(_HEAD_BYTES)
    if not head:
        raise UnsupportedValue("An empty VIDEO cannot be sent.", type="VIDEO")
    sink = open_sink(media_type_of(head))
    sink.write(head)
    shutil.copyfileobj(source, sink, _PART_BYTES)
    return sink


def media_type_of(head: bytes) -> str:
    """Return what kind of video a file is, from its first bytes."""
    if head[4:8] == b"ftyp":
        return "video/quicktime" if head[8:12] == b"qt  " else "video/mp4"
    if head[:4] == b"\x1a\x45\xdf\xa3":
        return "video/webm"
    return "video/mp4"


def read_videos(files: Sequence[BinaryIO]) -> list[Any]:
    """Return each file as ComfyUI's own ``VideoFromFile``, which holds a copy: the stored file may go before it."""
    videos = []
    for file in files:
        file.seek(0)
        content = file.read()
        if not content:
            raise ValueLost("A file that should hold a video is empty.")
        videos.append(wire.TORCH.object(wire.Parts(wire.VIDEO, {"file": content})))
    return videos
