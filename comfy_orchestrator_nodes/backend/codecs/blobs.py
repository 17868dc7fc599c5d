"""Native values as blobs, bit for bit, and blobs as the files that plain backends take. Blocks: run it in a thread."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import prod
from typing import Any, BinaryIO

import numpy as np

from ...agent import wire
from ...domain import BLOB_MEDIA_TYPE
from ...errors import UnsupportedValue, ValueLost
from . import audio, images, latents
from .arrays import ByteArray, SinkT, as_array

_FILE_WRITERS: dict[str, Callable[[Any, Callable[[str], Any]], list[Any]]] = {
    "IMAGE": images.write_image,
    "MASK": images.write_mask,
    "LATENT": latents.write_latent,
    "AUDIO": audio.write_audio,
}
_LATENT_KEYS = frozenset({"samples", "type"})
"""What ComfyUI's own nodes make anew or do without."""


def encode_blob(
    native: Any, type_: str, open_sink: Callable[[str], SinkT], *, arrays_are_tensors: bool = False
) -> SinkT:
    """Write a native value as one blob; the sink is left open. Arrays may stand for tensors where torch is not there.

    Raises:
        UnsupportedValue: it holds something that is neither tensor nor JSON.
    """
    try:
        encoded = wire.encode(native, type_, arrays_are_tensors=arrays_are_tensors)
    except wire.UnsupportedValue as error:
        raise UnsupportedValue(str(error), type=type_) from error
    sink = open_sink(BLOB_MEDIA_TYPE)
    for part in encoded.parts():
        sink.write(part)
    return sink


def decode_blobs(files: Sequence[BinaryIO], type_: str) -> Any:
    """Read blobs as one native value with tensors; images and masks of one size are joined to a batch.

    Raises:
        ValueLost: a blob is damaged.
        UnsupportedValue: they do not make one value.
    """
    values = [_decoded(file) for file in files]
    if len(values) == 1:
        return values[0]
    import torch  # only there inside ComfyUI

    shapes = {tuple(value.shape[1:]) for value in values if isinstance(value, torch.Tensor)}
    if type_ not in ("IMAGE", "MASK") or len(shapes) != 1 or not all(isinstance(v, torch.Tensor) for v in values):
        raise UnsupportedValue(
            f"{len(values)} values of type {type_} do not make one: their sizes differ, or their type has no batches.",
            type=type_,
        )
    return torch.cat(values, dim=0)


def write_files(files: Sequence[BinaryIO], type_: str, open_sink: Callable[[str], SinkT]) -> tuple[list[SinkT], str]:
    """Write blobs as the files that plain backends take.

    Returns:
        The sinks, left open, and what is lost in words; empty if nothing is.

    Raises:
        ValueLost: a blob is damaged.
        UnsupportedValue: there are no such files for this value.
    """
    writer = _FILE_WRITERS.get(type_)
    if writer is None:
        raise UnsupportedValue(f"Values of type {type_} are no files.", type=type_)
    native = decode_blobs(files, type_)
    return writer(native, open_sink), _lost(native, type_)


def first_image(file: BinaryIO, max_pixels: int) -> ByteArray:
    """Return the first image of a blob ``(H, W, 3 or 4)`` in 8 bits, for people to look at. Needs no torch.

    Raises:
        ValueError: all its images together have more pixels than are decoded, or it holds none.
        ValueLost: it is damaged.
    """
    try:
        shapes = [shape for _, shape in wire.inspect(file).tensors]
        if len(shapes) != 1 or len(shapes[0]) != 4 or shapes[0][3] not in (3, 4) or 0 in shapes[0]:
            raise ValueError("the value is no image")
        if prod(shapes[0][:3]) > max_pixels:
            raise ValueError(f"{prod(shapes[0][:3])} pixels are too many")
        image = as_array(wire.decode(file, wire.NUMPY), "An IMAGE")[0]
    except wire.WireError as error:
        raise ValueLost(f"A stored value cannot be read: {error}") from error
    with np.errstate(invalid="ignore"):
        pixels: ByteArray = np.rint(np.nan_to_num(np.clip(image, 0, 1)) * 255).astype(np.uint8)
    return pixels


def _decoded(file: BinaryIO) -> Any:
    try:
        return wire.decode(file, wire.TORCH)
    except wire.MalformedValue as error:
        raise ValueLost(f"A stored value cannot be read: {error}") from error
    except wire.UnsupportedValue as error:
        raise UnsupportedValue(str(error)) from error


def _lost(native: Any, type_: str) -> str:
    if type_ in ("IMAGE", "MASK"):
        return "" if _is_eight_bit(as_array(native, type_)) else "it was rounded to 8 bits a channel (PNG)"
    if type_ == "LATENT":
        more = sorted(native.keys() - _LATENT_KEYS)
        if more:
            return f"{', '.join(more)} did not go along"
        return "" if str(native["samples"].dtype) == "torch.float32" else "its samples became 32-bit floats"
    return ""


def _is_eight_bit(array: Any) -> bool:
    """Whether PNG keeps every value; in pieces, and the first that differs decides."""
    flat = array.reshape(-1)
    for start in range(0, flat.size, 1 << 18):
        piece = flat[start : start + (1 << 18)]
        with np.errstate(invalid="ignore"):
            levels = np.rint(np.clip(piece, 0, 1) * np.float32(255))
        if not np.array_equal(levels.astype(np.float32) / np.float32(255), piece):
            return False
    return True
