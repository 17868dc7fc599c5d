"""VIDEO: the file it is. A video that was made of frames is encoded by ComfyUI first."""

from __future__ import annotations

import io
import shutil
import tempfile
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
    source = _own_file(native)
    if isinstance(source, io.BytesIO):
        # A reader of its own: the video keeps using the position of its buffer.
        return [_copy(io.BytesIO(source.getbuffer()), open_sink)]
    if source is not None:
        with source.open("rb") as file:
            return [_copy(file, open_sink)]
    with tempfile.TemporaryDirectory() as folder:
        # To a path, because ComfyUI (0.3.75) finds no format for a buffer.
        path = Path(folder, "video.mp4")
        native.save_to(str(path))
        with path.open("rb") as file:
            return [_copy(file, open_sink)]


def _own_file(native: Any) -> Path | io.BytesIO | None:
    """Return the file that a video is, or None if it is a part of one or made of frames."""
    own = getattr(type(native), "get_stream_source", None)
    if own is None or own.__qualname__.startswith("VideoInput."):
        return None
    if any(getattr(native, f"_VideoFromFile__{name}", 0) for name in ("start_time", "duration", "crop")):
        return None
    source = native.get_stream_source()
    if isinstance(source, io.BytesIO):
        return source
    return Path(source) if isinstance(source, str) else None


def _copy(source: BinaryIO, open_sink: Callable[[str], SinkT]) -> SinkT:
    head = source.read(_HEAD_BYTES)
    if not head:
        raise UnsupportedValue("An empty VIDEO cannot be sent.", type="VIDEO")
    sink = open_sink(_media_type(head))
    sink.write(head)
    shutil.copyfileobj(source, sink, _PART_BYTES)
    return sink


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
