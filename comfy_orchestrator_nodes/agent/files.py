"""Values that are files: a VIDEO keeps its container as it is."""

from __future__ import annotations

import io
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

from .errors import UnsupportedValue

FILE_TYPES = frozenset({"VIDEO"})
HEAD_BYTES = 16


@contextmanager
def opened(native: Any, scratch: Path) -> Iterator[tuple[BinaryIO, bool]]:
    """Open the file that a ComfyUI ``VideoInput`` is; tell whether it is its own, or was encoded for this.

    Args:
        native: The video.
        scratch: A folder for the encoded one.

    Raises:
        UnsupportedValue: it is no video.
    """
    if not hasattr(native, "save_to"):
        raise UnsupportedValue(
            f"A VIDEO is one of ComfyUI's video inputs; this is a {type(native).__name__}.",
            path="value",
            python_type=type(native).__name__,
        )
    source = _own_file(native)
    if isinstance(source, io.BytesIO):
        # A reader of its own: the video keeps using the position of its buffer.
        yield io.BytesIO(source.getbuffer()), True
    elif source is not None:
        with source.open("rb", buffering=0) as file:
            yield file, True
    else:
        with tempfile.TemporaryDirectory(dir=scratch) as folder:
            # To a path, because ComfyUI (0.3.75) finds no format for a buffer.
            path = Path(folder, "video.mp4")
            native.save_to(str(path))
            with path.open("rb", buffering=0) as file:
                yield file, False


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


def media_type(head: bytes) -> str:
    """Return what a video's first bytes say that it is."""
    if head[4:8] == b"ftyp":
        return "video/quicktime" if head[8:12] == b"qt  " else "video/mp4"
    if head[:4] == b"\x1a\x45\xdf\xa3":
        return "video/webm"
    return "application/octet-stream"


def video(file: BinaryIO) -> Any:
    """Return a file as ComfyUI's ``VideoFromFile``, which holds a copy: the blob may go before it."""
    from comfy_api.input_impl import VideoFromFile  # only inside ComfyUI

    return VideoFromFile(io.BytesIO(file.read()))
