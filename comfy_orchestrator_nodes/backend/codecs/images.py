"""IMAGE and MASK: one PNG for each item of a batch on the way in, whatever Pillow reads on the way out.

ComfyUI saves with ``np.clip(255 * x, 0, 255).astype(np.uint8)`` and loads with ``np.float32 / 255`` (nodes.py). For
every 8-bit value k, ``255 * (k / 255)`` is exactly k in float32, so content that has 8 bits survives any number of
trips. What has more is rounded to the nearest 8-bit value here, and cut off by ComfyUI.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator, Sequence
from typing import Any, BinaryIO

import numpy as np
from PIL import Image, ImageOps, ImageSequence, UnidentifiedImageError

from ...errors import UnsupportedValue, ValueLost
from .arrays import FloatArray, SinkT, as_array
from .png import MEDIA_TYPE, write_png

_ORIENTATION = 0x0112
"""The EXIF tag that says how a photo is to be turned."""

_UNREADABLE = (OSError, SyntaxError, ValueError, IndexError, EOFError, struct.error, Image.DecompressionBombError)
"""What Pillow raises for damaged files."""


def write_image(native: Any, open_sink: Callable[[str], SinkT]) -> list[SinkT]:
    """Write a batch ``(B, H, W, C)`` as one PNG each; see ``encode``."""
    batch = as_array(native, "An IMAGE")
    if batch.ndim != 4 or batch.shape[3] not in (3, 4):
        raise UnsupportedValue(f"An IMAGE is a batch (B, H, W, 3 or 4); this one is {batch.shape}.", type="IMAGE")
    return _write(batch, "IMAGE", open_sink)


def write_mask(native: Any, open_sink: Callable[[str], SinkT]) -> list[SinkT]:
    """Write masks ``(B, H, W)``, ``(H, W)`` or ``(B, 1, H, W)`` as one PNG each; see ``encode``.

    In three equal channels: newer ComfyUIs load through FFmpeg, which reads 8-bit RGB exactly but gray in another way,
    up to 1/255 off.
    """
    batch = as_array(native, "A MASK")
    if batch.ndim == 4 and batch.shape[1] == 1:
        batch = batch[:, 0]
    if batch.ndim == 2:
        batch = batch[None]
    if batch.ndim != 3:
        raise UnsupportedValue(f"A MASK is (B, H, W) or (H, W); this one is {batch.shape}.", type="MASK")
    return _write(batch[..., None], "MASK", open_sink)


def _write(batch: Any, type_: str, open_sink: Callable[[str], SinkT]) -> list[SinkT]:
    count, height, width, channels = batch.shape
    if 0 in batch.shape:
        raise UnsupportedValue(f"An empty {type_} ({count} of {width} x {height}) cannot be sent.", type=type_)
    scaled = np.empty((height, width * channels), np.float32)
    repeat = 3 if channels == 1 else 1
    # PNG wants each row after a byte that names its filter: 0, none.
    rows = np.zeros((height, 1 + width * channels * repeat), np.uint8)
    sinks = []
    for item in batch:
        _quantise(item.reshape(height, width * channels), scaled)
        for start in range(repeat):
            rows[:, 1 + start :: repeat] = scaled
        sink = open_sink(MEDIA_TYPE)
        write_png(sink, rows, width, channels * repeat)
        sinks.append(sink)
    return sinks


def _quantise(values: Any, out: FloatArray) -> None:
    """Scale 0..1 to whole numbers from 0 to 255; what is below or above, infinite or no number is brought there."""
    with np.errstate(over="ignore", invalid="ignore"):
        np.multiply(values, 255, out=out, dtype=np.float32, casting="same_kind")
    np.rint(out, out=out)
    # fmax and fmin take the number of a number and a NaN, so a NaN becomes 0.
    np.fmax(out, 0, out=out)
    np.fmin(out, 255, out=out)


def read_images(files: Sequence[BinaryIO]) -> list[FloatArray]:
    """Read batches ``(B, H, W, C)``; C is 4 for files with a true alpha channel."""
    return _read(files, lambda frame: frame if frame.mode in ("RGB", "RGBA") else _convert(frame, "RGB"), "IMAGE")


def read_masks(files: Sequence[BinaryIO]) -> list[FloatArray]:
    """Read masks ``(B, H, W)`` from the red channel, or the only one."""
    return _read(files, _mask_channel, "MASK")


def _mask_channel(frame: Image.Image) -> Image.Image:
    if frame.mode in ("RGB", "RGBA"):
        return frame.getchannel(0)
    return frame if frame.mode == "L" else _convert(frame, "RGB").getchannel(0)


def _convert(frame: Image.Image, mode: str) -> Image.Image:
    if frame.mode == "I":
        # 16-bit gray; the scale is LoadImage's.
        frame = frame.point(lambda value: value * (1 / 255))
    return frame.convert(mode)


def _read(files: Sequence[BinaryIO], select: Callable[[Image.Image], Image.Image], type_: str) -> list[FloatArray]:
    """Read all frames of all files; neighbours of one size and mode share a batch, allocated once."""
    try:
        groups = _group([shape for file in files for shape in _shapes(file, select)])
        frames = (frame for file in files for frame in _frames(file, select))
        return [_fill(np.empty((count, *shape), np.float32), frames) for count, shape in groups]
    except _UNREADABLE as error:
        raise ValueLost(f"A file that should hold a value of type {type_} is no readable image: {error}") from error


def _fill(batch: FloatArray, frames: Iterator[Image.Image]) -> FloatArray:
    for item in batch:
        # dtype, because old numpy would divide bytes by a small constant in half precision.
        np.divide(np.asarray(next(frames)), 255, out=item, dtype=np.float32)
    return batch


def _shapes(file: BinaryIO, select: Callable[[Image.Image], Image.Image]) -> list[tuple[int, ...]]:
    """Return the array shape of each frame. A still image is only opened for this, not decoded."""
    file.seek(0)
    with _open(file) as image:
        if getattr(image, "n_frames", 1) == 1:
            sample = select(Image.new(image.mode, (1, 1)))
            width, height = _upright_size(image)
            return [(height, width) if len(sample.getbands()) == 1 else (height, width, len(sample.getbands()))]
        return [np.asarray(select(frame)).shape for frame in map(_upright, ImageSequence.Iterator(image))]


def _frames(file: BinaryIO, select: Callable[[Image.Image], Image.Image]) -> Iterator[Image.Image]:
    file.seek(0)
    with _open(file) as image:
        for frame in ImageSequence.Iterator(image):
            yield select(_upright(frame))


def _open(file: BinaryIO) -> Image.Image:
    try:
        return Image.open(file)
    except UnidentifiedImageError:
        raise OSError("its format is unknown") from None


def _upright(frame: Image.Image) -> Image.Image:
    """Turn a photo as its EXIF data says, as LoadImage does."""
    return ImageOps.exif_transpose(frame) if frame.getexif().get(_ORIENTATION, 1) != 1 else frame


def _upright_size(image: Image.Image) -> tuple[int, int]:
    width, height = image.size
    return (height, width) if image.getexif().get(_ORIENTATION, 1) in (5, 6, 7, 8) else (width, height)


def _group(shapes: Sequence[tuple[int, ...]]) -> list[tuple[int, tuple[int, ...]]]:
    groups: list[tuple[int, tuple[int, ...]]] = []
    for shape in shapes:
        if groups and groups[-1][1] == shape:
            groups[-1] = (groups[-1][0] + 1, shape)
        else:
            groups.append((1, shape))
    return groups
