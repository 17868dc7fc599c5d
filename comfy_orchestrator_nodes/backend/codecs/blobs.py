"""Native values as blobs, bit for bit, and blobs as the files that plain backends take. Blocks: run it in a thread."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import prod
from typing import Any, BinaryIO

import numpy as np

from ...agent import wire
from ...domain import BLOB_MEDIA_TYPE
from ...errors import NoPicture, NotFound, UnsupportedValue, ValueLost
from . import audio, images, latents, video
from .arrays import ByteArray, SinkT, as_array

_FILE_WRITERS: dict[str, Callable[[Any, Callable[[str], Any]], list[Any]]] = {
    "IMAGE": images.write_image,
    "MASK": images.write_mask,
    "LATENT": latents.write_latent,
    "AUDIO": audio.write_audio,
}
_LATENT_KEYS = frozenset({"samples", "type"})
"""What ComfyUI's own nodes make anew or do without."""
_BAND_ROWS = 256


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
    if type_ == "VIDEO":
        return [video.write_content(_file_of(file), open_sink) for file in files], ""
    writer = _FILE_WRITERS.get(type_)
    if writer is None:
        raise UnsupportedValue(f"Values of type {type_} are no files.", type=type_)
    native = decode_blobs(files, type_)
    return writer(native, open_sink), _lost(native, type_)


def image_of(file: BinaryIO, max_pixels: int, index: int = 0) -> ByteArray:
    """Return one image ``(H, W, 3 or 4)`` or mask ``(H, W)`` of a blob in 8 bits, for people to look at; without torch.

    Raises:
        NoPicture: it has more pixels than are decoded, or the blob holds something else.
        NotFound: the blob holds no image of that index.
        ValueLost: it is damaged.
    """
    try:
        shape, is_batch = _batch_shape(file)
        if prod(shape[1:3]) > max_pixels:
            raise NoPicture(f"The image has more than {max_pixels} pixels: too many for a small picture of it.")
        if index >= shape[0]:
            raise NotFound("image", str(index), repair=f"The value holds {shape[0]}, counted from 0.")
        native = wire.decode_item(file, index) if is_batch else wire.decode(file)
        image = as_array(native, "The value")
    except (UnsupportedValue, wire.UnsupportedValue) as error:
        raise NoPicture(str(error)) from error
    except wire.WireError as error:
        raise ValueLost(f"A stored value cannot be read: {error}") from error
    return _eight_bit(image[..., 0] if image.ndim == 3 and image.shape[2] == 1 else image)


def images_in(file: BinaryIO) -> int:
    """Return how many images or masks a blob holds; reads no more than its head.

    Raises:
        NoPicture: the blob holds something else.
        ValueLost: it is damaged.
    """
    try:
        return _batch_shape(file)[0][0]
    except wire.UnsupportedValue as error:
        raise NoPicture(str(error)) from error
    except wire.WireError as error:
        raise ValueLost(f"A stored value cannot be read: {error}") from error


def _batch_shape(file: BinaryIO) -> tuple[tuple[int, ...], bool]:
    """Return the shape of a batch of images or masks, and whether it is one: a mask may come without one around it."""
    shapes = [tuple(shape) for _, shape in wire.inspect(file).tensors]
    if len(shapes) != 1 or not _is_pictured(shapes[0]):
        raise NoPicture("The value is neither an image nor a mask: there is no picture of it.")
    return (shapes[0], True) if len(shapes[0]) > 2 else ((1, *shapes[0]), False)


def _is_pictured(shape: tuple[int, ...]) -> bool:
    """Whether a tensor of this shape is a batch of images, or a mask or several."""
    return 0 not in shape and (len(shape) in (2, 3) or (len(shape) == 4 and shape[3] in (1, 3, 4)))


def _eight_bit(image: Any) -> ByteArray:
    """Return floats from 0 to 1 as bytes; in bands of rows, because each step of it makes a copy."""
    pixels: ByteArray = np.empty(image.shape, np.uint8)
    for top in range(0, len(image), _BAND_ROWS):
        band = image[top : top + _BAND_ROWS]
        with np.errstate(invalid="ignore"):
            pixels[top : top + _BAND_ROWS] = np.rint(np.nan_to_num(np.clip(band, 0, 1)) * 255)
    return pixels


def _file_of(file: BinaryIO) -> bytes:
    """Return the file that a blob of a video holds."""
    parts = _decoded(file, wire.NUMPY)
    if not isinstance(parts, wire.Parts) or parts.kind != wire.VIDEO:
        raise ValueLost("A stored value should be a video, and is none.")
    content: bytes = parts.members["file"]
    return content


def _decoded(file: BinaryIO, native: wire.Native = wire.TORCH) -> Any:
    try:
        return wire.decode(file, native)
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
