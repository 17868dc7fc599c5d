"""A value into bytes: buffers that share the tensors' memory, behind a header that equal values share."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from . import eightbit, skeleton
from .container import EIGHT_BIT, FORMAT, VERSION, write_header
from .dtypes import BY_NAME, DType, RawArray, RawTensor, array_dtype, check_dense, tensor_bits
from .errors import UnsupportedValue
from .objects import StoredFile
from .skeleton import Json

EIGHT_BIT_TYPES = frozenset({"IMAGE", "MASK"})
"""Types whose float32 tensors are stored as bytes where that loses nothing."""

_PIECE_BYTES = 4 << 20


@dataclass(frozen=True)
class _Stored:
    """A tensor on its way out."""

    name: str
    stored: str
    shape: tuple[int, ...]
    itemsize: int
    content: RawArray | StoredFile

    @property
    def size_bytes(self) -> int:
        return self.content.size_bytes if isinstance(self.content, StoredFile) else self.content.nbytes


class Encoded:
    """A value as buffers. It shares memory with the value: do not change that before the buffers are written."""

    def __init__(self, type_: str, header: bytes, tensors: list[_Stored]) -> None:
        self.type = type_
        self._header = header
        self._tensors = tensors
        self.size_bytes = len(header) + sum(tensor.size_bytes for tensor in tensors)

    def parts(self) -> Iterator[memoryview]:
        """Yield the bytes in order, as read-only buffers; can be asked again.

        A part is at most as large as one tensor; what does not lie in one piece is brought together 4 MiB at a time.
        """
        yield memoryview(self._header)
        for tensor in self._tensors:
            if isinstance(tensor.content, StoredFile):
                yield from _read(tensor.content)
            else:
                yield from _pieces(tensor.content)

    def sha256(self) -> str:
        """Return the hash that names the value, in lower-case hex."""
        digest = hashlib.sha256()
        for part in self.parts():
            digest.update(part)
        return digest.hexdigest()


def encode(value: Any, type_: str, *, arrays_are_tensors: bool = False) -> Encoded:
    """Return a value as bytes.

    Args:
        value: Tensors, numpy arrays and numbers, None, booleans, numbers, texts, bytes, and lists, tuples and
            dictionaries of these.
        type_: The type of the link, such as ``IMAGE``; told to who decodes, and images that are exactly 8-bit become
            bytes.
        arrays_are_tensors: Whether numpy arrays stand for tensors, as they do where torch is not there.

    Raises:
        UnsupportedValue: a part of it cannot travel; the message names it.
    """
    writer = _Writer(type_ in EIGHT_BIT_TYPES, arrays_are_tensors=arrays_are_tensors)
    form = skeleton.pack(value, writer)
    # The largest elements first: so each tensor begins at a multiple of its element's size.
    tensors = sorted(writer.tensors, key=lambda tensor: -tensor.itemsize)
    metadata = {
        "format": FORMAT,
        "version": str(VERSION),
        "type": type_,
        "skeleton": json.dumps(form, separators=(",", ":"), allow_nan=False),
    }
    try:
        header = write_header(metadata, [(t.name, t.stored, t.shape, t.size_bytes) for t in tensors])
    except OverflowError:
        raise UnsupportedValue(
            "The value has too many parts to travel: put its numbers into tensors, or its data into a text.",
            path="value",
        ) from None
    return Encoded(type_, header, tensors)


class _Writer:
    """Collects the tensors of one value; one that is met twice is stored once."""

    def __init__(self, eight_bit: bool, *, arrays_are_tensors: bool) -> None:
        self.tensors: list[_Stored] = []
        self._eight_bit = eight_bit
        self._arrays_are_tensors = arrays_are_tensors
        self._known: dict[Any, dict[str, Json]] = {}

    def tensor(self, value: Any, path: str) -> dict[str, Json]:
        if isinstance(value, RawTensor):
            return self._add_known(value.dtype, value.bits)
        dtype = check_dense(value, path)
        place = (value.data_ptr(), value.dtype, tuple(value.shape), value.stride(), value.is_conj(), value.is_neg())
        if place not in self._known:
            self._known[place] = self._add(dtype, tensor_bits(value, dtype))
        return self._known[place]

    def array(self, value: Any, path: str) -> tuple[str, dict[str, Json]]:
        array = np.asarray(value)
        dtype = array_dtype(array, path)
        if isinstance(value, np.generic):
            return "scalar", self._add(dtype, array, may_shrink=False)
        return "tensor" if self._arrays_are_tensors else "array", self._add_known(dtype, array)

    def raw(self, value: bytes | memoryview | StoredFile) -> dict[str, Json]:
        if isinstance(value, StoredFile):
            self.tensors.append(_Stored(str(len(self.tensors)), "U8", (value.size_bytes,), 1, value))
            return {"t": len(self.tensors) - 1}
        return self._add(BY_NAME["U8"], np.frombuffer(value, np.uint8))

    def _add_known(self, dtype: DType, array: RawArray) -> dict[str, Json]:
        place = (array.__array_interface__["data"][0], dtype.name, array.shape, array.strides)
        if place not in self._known:
            self._known[place] = self._add(dtype, array)
        return self._known[place]

    def _add(self, dtype: DType, content: RawArray, *, may_shrink: bool = True) -> dict[str, Json]:
        reference: dict[str, Json] = {"t": len(self.tensors)}
        shape = content.shape
        stored, itemsize = dtype.stored, dtype.itemsize
        content = content.astype(content.dtype.newbyteorder("<"), copy=False)
        packed = eightbit.to_bytes(content) if self._eight_bit and may_shrink and dtype.name == "F32" else None
        if packed is not None:
            content, stored, itemsize = packed, "U8", 1
            reference["as"] = EIGHT_BIT
        if dtype.pairs:
            shape = (*shape, 2)
            itemsize //= 2
        if dtype.name != stored:
            reference["dtype"] = dtype.name
        self.tensors.append(_Stored(str(len(self.tensors)), stored, shape, itemsize, content))
        return reference


def _read(file: StoredFile) -> Iterator[memoryview]:
    """Yield a file's content as it was when its size was told.

    Raises:
        UnsupportedValue: it cannot be read any more, or became shorter.
    """
    left = file.size_bytes
    try:
        with file.path.open("rb", buffering=0) as opened:
            while left and (piece := opened.read(min(left, _PIECE_BYTES))):
                left -= len(piece)
                yield memoryview(piece)
    except OSError as error:
        raise UnsupportedValue(f"The file of the value cannot be read: {error.strerror}.", path="value") from error
    if left:
        raise UnsupportedValue("The file of the value became shorter while it was sent.", path="value")


def _pieces(array: RawArray) -> Iterator[memoryview]:
    """Yield the content in C order, a copy only of what does not lie in one piece."""
    if not array.size:
        return
    if array.flags.c_contiguous:
        yield array.reshape(-1).view(np.uint8).data.toreadonly()
        return
    rows = _PIECE_BYTES // max(1, array.nbytes // len(array))
    if not rows:
        for row in array:
            yield from _pieces(row)
        return
    for start in range(0, len(array), rows):
        yield from _pieces(np.ascontiguousarray(array[start : start + rows]))
