"""Native ComfyUI values to files that plain backends read, and the files they write back to native values.

Everything here is heavy and blocks: run it in a thread. Torch is only touched at the edge, so arrays can be handled
where it is not installed.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, BinaryIO

from ...errors import UnsupportedValue
from . import audio, images, latents, video
from .arrays import Sink, SinkT, as_torch

__all__ = ["Sink", "decode", "decode_list", "encode", "read", "read_list"]

_WRITERS: dict[str, Callable[[Any, Callable[[str], Any]], list[Any]]] = {
    "IMAGE": images.write_image,
    "MASK": images.write_mask,
    "LATENT": latents.write_latent,
    "AUDIO": audio.write_audio,
}
_READERS: dict[str, Callable[[Sequence[BinaryIO]], list[Any]]] = {
    "IMAGE": images.read_images,
    "MASK": images.read_masks,
    "LATENT": latents.read_latents,
    "AUDIO": audio.read_audios,
    "VIDEO": video.read_videos,
}


def encode(native: Any, type_: str, open_sink: Callable[[str], SinkT]) -> list[SinkT]:
    """Write a native value to files that the carriers of a plain backend take in.

    Args:
        native: IMAGE: float tensor ``(B, H, W, C)`` in 0..1 with C 3 or 4; MASK: ``(B, H, W)`` or ``(H, W)``; LATENT:
            ``{"samples": tensor}``; AUDIO: ``{"waveform": (B, C, T), "sample_rate": int}``. Arrays will do for tensors.
        type_: its ComfyUI type.
        open_sink: makes a file to write to, for a media type.

    Returns:
        The sinks in the order of the value's files, written to the end and left open: one for each image, mask or
        audio of a batch, one for a latent.

    Raises:
        UnsupportedValue: the value is not what its type says, or has no files (an empty batch).
    """
    writer = _WRITERS.get(type_)
    if writer is None:
        raise UnsupportedValue(f"Values of type {type_} are no files.", type=type_)
    return writer(native, open_sink)


def decode(files: Sequence[BinaryIO], type_: str) -> Any:
    """Read files, in order, as one native value with tensors.

    Raises:
        ValueLost: a file is damaged or not what the type needs.
        UnsupportedValue: the files do not make one value (images of different sizes).
    """
    return as_torch(read(files, type_))


def decode_list(files: Sequence[BinaryIO], type_: str) -> list[Any]:
    """Read files as the native values they make: neighbours that fit together (images of one size) are one batch.

    Raises:
        ValueLost: a file is damaged or not what the type needs.
    """
    return [as_torch(value) for value in read_list(files, type_)]


def read(files: Sequence[BinaryIO], type_: str) -> Any:
    """Do what ``decode`` does, with numpy arrays in the place of tensors."""
    values = read_list(files, type_)
    if len(values) != 1:
        raise UnsupportedValue(
            f"{len(files)} files of type {type_} do not make one value: their sizes or formats differ. "
            "Take them as a list, or collect them one by one.",
            type=type_,
        )
    return values[0]


def read_list(files: Sequence[BinaryIO], type_: str) -> list[Any]:
    """Do what ``decode_list`` does, with numpy arrays in the place of tensors."""
    reader = _READERS.get(type_)
    if reader is None:
        raise UnsupportedValue(f"Values of type {type_} are no files.", type=type_)
    if not files:
        raise UnsupportedValue(f"There is no file to read a value of type {type_} from.", type=type_)
    return reader(files)
