"""Float images that are exactly 8-bit: told apart at once from those that are not, and back again without a difference.

ComfyUI's loaders compute ``np.float32(byte) / 255.0``. An array is exactly 8-bit when each of its numbers equals one of
those 256 in all its bits; then one byte says all that four did.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float32]
ByteArray = npt.NDArray[np.uint8]

_PART = 1 << 18
"""Elements worked on at once: what is written by one step is still in the processor's cache for the next."""
_SAMPLE = 4096


def to_bytes(array: FloatArray) -> ByteArray | None:
    """Return the bytes of an array that is exactly 8-bit, flat and in C order; None if it is not.

    An array that is not is almost always known by a few thousand of its numbers.
    """
    if not array.size:
        return None
    if not array.flags.c_contiguous:
        # A part of what a copy would have to hold decides first.
        if not _is_exact(np.ascontiguousarray(array[:1, ..., :_SAMPLE].reshape(-1)[:_SAMPLE])):
            return None
        array = np.ascontiguousarray(array)
    flat = array.reshape(-1)
    if not _is_exact(np.ascontiguousarray(flat[:: max(1, flat.size // _SAMPLE)])):
        return None
    packed = np.empty(flat.size, np.uint8)
    return packed if _pack(flat, packed) else None


def from_bytes(packed: ByteArray, out: FloatArray) -> None:
    """Write the floats that bytes stand for."""
    for start in range(0, packed.size, _PART):
        # With dtype, since old numpy would divide bytes by a small constant in half precision.
        np.divide(packed[start : start + _PART], 255, out=out[start : start + _PART], dtype=np.float32)


def _is_exact(sample: FloatArray) -> bool:
    return _pack(sample, np.empty(sample.size, np.uint8))


def _pack(flat: FloatArray, packed: ByteArray) -> bool:
    """Fill ``packed``; stop and return False at the first part that would not come back the same."""
    work = np.empty(min(flat.size, _PART), np.float32)
    with np.errstate(over="ignore", invalid="ignore"):
        for start in range(0, flat.size, _PART):
            part = flat[start : start + _PART]
            held, bytes_ = work[: part.size], packed[start : start + _PART]
            np.multiply(part, np.float32(255), out=held)
            np.rint(held, out=held)
            np.copyto(bytes_, held, casting="unsafe")
            from_bytes(bytes_, held)
            # By their bits: -0.0 equals 0.0 and NaN nothing.
            if not np.array_equal(held.view(np.uint32), part.view(np.uint32)):
                return False
    return True
