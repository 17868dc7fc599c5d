"""LATENT: ComfyUI's ``.latent`` file, which is a safetensors file with the samples as ``latent_tensor``.

Written and read here directly, because the format is a JSON header and raw numbers, and so the samples go from the file
into their final memory in one step. What else a latent holds (``noise_mask``, ``batch_index``) SaveLatent drops.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Callable, Mapping, Sequence
from math import prod
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt

from ...errors import UnsupportedValue, ValueLost
from .arrays import FloatArray, SinkT, as_array

MEDIA_TYPE = "application/x-comfyui-latent"
_HEADER_LIMIT = 100 << 20
_DTYPES = {
    "F64": "<f8",
    "F32": "<f4",
    "F16": "<f2",
    "BF16": "<u2",
    "I64": "<i8",
    "I32": "<i4",
    "I16": "<i2",
    "U8": "u1",
}
_NAMES = {"f8": "F64", "f4": "F32", "f2": "F16"}
_OLD_SCALE = 1.0 / 0.18215
"""Files without ``latent_format_version_0`` are scaled by this (LoadLatent in nodes.py)."""


def write_latent(native: Any, open_sink: Callable[[str], SinkT]) -> list[SinkT]:
    """Write ``{"samples": tensor}`` as SaveLatent does; see ``encode``."""
    if not isinstance(native, Mapping) or "samples" not in native:
        raise UnsupportedValue("A LATENT is a dictionary with 'samples'; this one has none.", type="LATENT")
    samples = as_array(native["samples"], "A LATENT")
    if samples.size == 0:
        raise UnsupportedValue(f"An empty LATENT {samples.shape} cannot be sent.", type="LATENT")
    samples = np.ascontiguousarray(samples, dtype=samples.dtype if samples.dtype.str[1:] in _NAMES else np.float32)
    dtype = samples.dtype.newbyteorder("<")
    header = {
        "latent_format_version_0": {"dtype": "F32", "shape": [0], "data_offsets": [0, 0]},
        "latent_tensor": {
            "dtype": _NAMES[dtype.str[1:]],
            "shape": list(samples.shape),
            "data_offsets": [0, samples.nbytes],
        },
    }
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    sink = open_sink(MEDIA_TYPE)
    sink.write(struct.pack("<Q", len(text)))
    sink.write(text)
    sink.write(samples.astype(dtype, copy=False).data.cast("B"))
    return [sink]


def read_latents(files: Sequence[BinaryIO]) -> list[dict[str, FloatArray]]:
    """Read each file as LoadLatent does: float32 samples."""
    return [{"samples": _read(file)} for file in files]


def _read(file: BinaryIO) -> FloatArray:
    file.seek(0)
    try:
        header, start = _read_header(file)
        entry = header["latent_tensor"]
        kind, shape, (begin, end) = entry["dtype"], entry["shape"], entry["data_offsets"]
        dtype = np.dtype(_DTYPES[kind])
        if not all(isinstance(side, int) and side >= 0 for side in shape) or begin < 0:
            raise ValueLost("A latent file's header is damaged.")
        if end - begin != prod(shape) * dtype.itemsize:
            raise ValueLost("A latent file's header does not fit its content.")
        _check_length(file, start + end)
        raw: npt.NDArray[Any] = np.empty(shape, dtype)
        file.seek(start + begin)
        _read_into(file, raw.reshape(-1).view(np.uint8).data)
    except (KeyError, TypeError, ValueError, struct.error) as error:
        raise ValueLost(f"A file that should hold a latent is none: {error!r}") from error
    samples = _as_float32(raw, kind)
    if "latent_format_version_0" not in header:
        samples *= np.float32(_OLD_SCALE)
    return samples


def _as_float32(raw: npt.NDArray[Any], kind: str) -> FloatArray:
    if kind == "BF16":
        return (raw.astype(np.uint32) << 16).view(np.float32)
    return raw.astype(np.float32, copy=False)


def _read_header(file: BinaryIO) -> tuple[dict[str, Any], int]:
    (size,) = struct.unpack("<Q", file.read(8))
    if size > _HEADER_LIMIT:
        raise ValueLost(f"A latent file's header claims {size} bytes: it is no safetensors file.")
    text = file.read(size)
    if len(text) != size:
        raise ValueLost("A latent file ends within its header.")
    header = json.loads(text)
    if not isinstance(header, dict):
        raise ValueLost("A latent file's header is no object.")
    return header, 8 + size


def _check_length(file: BinaryIO, wanted: int) -> None:
    """Refuse before memory is taken for samples that the file does not hold."""
    if file.seek(0, 2) < wanted:
        raise ValueLost("A latent file ends within its samples.")


def _read_into(file: BinaryIO, view: memoryview) -> None:
    filled = 0
    while filled < len(view):
        got = file.readinto(view[filled:])  # type: ignore[attr-defined]
        if not got:
            raise ValueLost("A latent file ends within its samples.")
        filled += got
