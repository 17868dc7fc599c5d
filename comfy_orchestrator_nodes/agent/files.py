"""Blobs that are files as they are, and not encoded values: what a program sent that knows only files."""

from __future__ import annotations

import io
from typing import Any, BinaryIO

FILE_TYPES = frozenset({"VIDEO"})


def video(file: BinaryIO) -> Any:
    """Return a file as ComfyUI's ``VideoFromFile``, which holds a copy: the blob may go before it."""
    from comfy_api.input_impl import VideoFromFile  # only inside ComfyUI

    return VideoFromFile(io.BytesIO(file.read()))
