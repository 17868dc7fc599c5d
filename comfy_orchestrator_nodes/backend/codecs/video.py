"""VIDEO: the file it is. A video that was made of frames is encoded by ComfyUI first."""

from __future__ import annotations

import io
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, BinaryIO

from ...errors import UnsupportedValue, ValueLost
from .arrays import SinkT

_PART_BYTES = 1 << 20
_HEAD_BYTES = 16


def write_video(native: Any, open_sink: Callable[[str], SinkT]) -> list[SinkT]:
    """Copy a ComfyUI ``VideoInput`` to a file; see ``encode``."""
    if not hasattr(native, "save_to"):
        raise UnsupportedValue(
            f"A VIDEO is one of ComfyUI's video inputs; this is {type(native).__name__}.", type="VIDEO"
        )
    with _source(native) as source:
        head = source.read(_HEAD_BYTES)
        sink = open_sink(_media_type(head))
        sink.write(head)
        shutil.copyfileobj(source, sink, _PART_BYTES)
    return [sink]


def _source(native: Any) -> BinaryIO:
    """Open the file behind a video; one that is cut to a part of its file, or has none, is written anew."""
    cut = any(getattr(native, f"_VideoFromFile__{name}", 0) for name in ("start_time", "duration"))
    source = None if cut or not hasattr(native, "get_stream_source") else native.get_stream_source()
    if isinstance(source, str):
        return Path(source).open("rb")
    if isinstance(source, io.BytesIO):
        # A reader of its own: the video keeps using the position of its buffer.
        return io.BytesIO(source.getbuffer())
    buffer = io.BytesIO()
    native.save_to(buffer)
    buffer.seek(0)
    return buffer


def _media_type(head: bytes) -> str:
    if head[4:8] == b"ftyp":
        return "video/quicktime" if head[8:12] == b"qt  " else "video/mp4"
    if head[:4] == b"\x1a\x45\xdf\xa3":
        return "video/webm"
    return "video/mp4"


def read_videos(files: Sequence[BinaryIO]) -> list[Any]:
    """Return each file as ComfyUI's own ``VideoFromFile``, which holds a copy: the stored file may go before it."""
    from comfy_api.input_impl import VideoFromFile

    videos = []
    for file in files:
        file.seek(0)
        content = io.BytesIO(file.read())
        if not content.getbuffer().nbytes:
            raise ValueLost("A file that should hold a video is empty.")
        videos.append(VideoFromFile(content))
    return videos
