"""Bytes into a value, with suspicion: all that they claim is checked before memory is taken for it."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from typing import Any, BinaryIO, Protocol

import numpy as np
import numpy.typing as npt

from . import eightbit, objects, skeleton
from .container import EIGHT_BIT, FORMAT, LENGTH_BYTES, VERSION, Entry, header_length, read_header
from .dtypes import BY_NAME, DType, RawArray, as_numpy, as_torch
from .errors import MalformedValue, UnsupportedValue
from .skeleton import Json, Nested

_PIECE_BYTES = 4 << 20


class Native(Protocol):
    """Makes what a value is built of: ``NUMPY`` or ``TORCH``."""

    def tensor(self, dtype: DType, content: RawArray, shape: tuple[int, ...]) -> Any:
        """Return a tensor of flat bytes."""
        ...

    def nested(self, tensors: list[Any]) -> Any:
        """Return tensors of different shapes that are treated as one."""
        ...

    def object(self, parts: objects.Parts) -> Any:
        """Return an object of one of ComfyUI's classes."""
        ...


class _Numpy:
    def tensor(self, dtype: DType, content: RawArray, shape: tuple[int, ...]) -> Any:
        return as_numpy(dtype, content, shape)

    def nested(self, tensors: list[Any]) -> Any:
        return Nested(tuple(tensors))

    def object(self, parts: objects.Parts) -> Any:
        return parts


class _Torch:
    def tensor(self, dtype: DType, content: RawArray, shape: tuple[int, ...]) -> Any:
        return as_torch(dtype, content, shape)

    def nested(self, tensors: list[Any]) -> Any:
        try:
            from comfy.nested_tensor import NestedTensor  # only inside a ComfyUI that has it
        except ImportError:
            raise UnsupportedValue(
                "The value is made of several tensors, which this ComfyUI does not know: update it.", path="value"
            ) from None
        return NestedTensor(tensors)

    def object(self, parts: objects.Parts) -> Any:
        return objects.made_of(parts)


NUMPY: Native = _Numpy()
"""Tensors become numpy arrays, or ``RawTensor`` where numpy lacks the type."""
TORCH: Native = _Torch()
"""Tensors become torch tensors. Needs torch when it is used."""


@dataclass(frozen=True)
class ValueInfo:
    """What an encoded value says of itself, without its content."""

    type: str
    version: int
    size_bytes: int
    tensors: tuple[tuple[str, tuple[int, ...]], ...]
    """Stored type and shape of each."""


@dataclass(frozen=True)
class Apart:
    """Where a part of an encoded value lies in its bytes."""

    stored: str
    """The type of its elements; empty where they are stored as something else."""
    shape: tuple[int, ...]
    begin: int
    end: int


def inspect(source: BinaryIO | memoryview) -> ValueInfo:
    """Return what an encoded value is, from its header alone.

    Raises:
        MalformedValue: it is none.
    """
    opened = _open(source)
    metadata, entries, _ = _head(opened)
    return ValueInfo(
        metadata["type"],
        int(metadata["version"]),
        opened.size_bytes,
        tuple((entry.stored, entry.shape) for entry in entries.values()),
    )


def decode(source: BinaryIO | memoryview, native: Native = NUMPY) -> Any:
    """Return a value.

    Args:
        source: A file, read from its beginning into new memory (best opened without buffering); or a buffer, whose
            memory the value shares where it can be written to.
        native: What tensors become.

    Raises:
        MalformedValue: it is no encoded value, is cut short, or comes from a newer version. Memory is only ever taken
            for content that is there.
        UnsupportedValue: it holds something that this ComfyUI does not have.
    """
    opened = _open(source)
    metadata, entries, start = _head(opened)
    reader = _Reader(opened, entries, start, native)
    value = skeleton.unpack(_form(metadata), reader)
    if reader.unused():
        raise MalformedValue("The value holds tensors that belong nowhere.")
    return value


def decode_item(source: BinaryIO | memoryview, index: int) -> Any:
    """Return item ``index`` of a value that is one tensor, as an array; nothing of its other items is read.

    Raises:
        IndexError: it has no such item.
        UnsupportedValue: it is not one tensor.
        MalformedValue: as ``decode``.
    """
    opened = _open(source)
    metadata, entries, start = _head(opened)
    form = _form(metadata)
    if not isinstance(form, dict) or form.get("$") != "tensor" or len(entries) != 1:
        raise UnsupportedValue("The value is not one tensor.", path="value")
    [(name, entry)] = entries.items()
    if not entry.shape or not 0 <= index < entry.shape[0]:
        raise IndexError(index)
    size = (entry.end - entry.begin) // entry.shape[0]
    begin = entry.begin + index * size
    item = replace(entry, shape=(1, *entry.shape[1:]), begin=begin, end=begin + size)
    return skeleton.unpack(form, _Reader(opened, {name: item}, start, NUMPY))[0]


def peek(source: BinaryIO | memoryview, *names: str) -> Json | Apart:
    """Return a part of a value, found by the names of members of dictionaries and objects; nothing else is read.

    Returns:
        The part's structure; of a tensor or bytes, which are stored apart, where they lie. None if there is none.

    Raises:
        MalformedValue: it is no encoded value.
    """
    metadata, entries, start = _head(_open(source))
    form = _form(metadata)
    for name in names:
        members = form.get("of") if isinstance(form, dict) and form.get("$") == "object" else form
        form = members.get(name) if isinstance(members, dict) else None
    if not isinstance(form, dict) or form.get("$") not in ("tensor", "bytes"):
        return form
    entry = entries.get(str(form.get("t")))
    if entry is None:
        raise MalformedValue("The value refers to a tensor that is not there.")
    # What is stored in another form than it has is told by the member that says how.
    stored = entry.stored if form.get("as") is None and form.get("dtype", entry.stored) == entry.stored else ""
    return Apart(stored, entry.shape, start + entry.begin, start + entry.end)


def _form(metadata: dict[str, str]) -> Json:
    try:
        return json.loads(metadata["skeleton"], parse_constant=_no_constant)
    except RecursionError:
        raise MalformedValue("The value is nested too deeply.") from None
    except ValueError as error:
        raise MalformedValue(f"The value's structure is no JSON: {error}.") from None


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is no JSON number")


def _head(source: _Source) -> tuple[dict[str, str], dict[str, Entry], int]:
    length = header_length(source.bytes(0, min(LENGTH_BYTES, source.size_bytes)), source.size_bytes)
    start = LENGTH_BYTES + length
    metadata, entries = read_header(source.bytes(LENGTH_BYTES, start), source.size_bytes - start)
    if metadata.get("format") != FORMAT:
        raise MalformedValue("This is a safetensors file, but not an encoded value.")
    if metadata.get("version") != str(VERSION):
        raise MalformedValue(
            f"The value is of format version {metadata.get('version', '?')[:10]}, and {VERSION} is known here: update."
        )
    if "type" not in metadata or "skeleton" not in metadata:
        raise MalformedValue("The value does not say what it is.")
    return metadata, entries, start


class _Source(Protocol):
    size_bytes: int

    def bytes(self, begin: int, end: int) -> bytes: ...

    def content(self, begin: int, end: int, itemsize: int) -> npt.NDArray[np.uint8]: ...


def _open(source: BinaryIO | memoryview) -> _Source:
    return _Buffer(source) if isinstance(source, memoryview) else _File(source)


class _Buffer:
    def __init__(self, view: memoryview) -> None:
        self._bytes: npt.NDArray[np.uint8] = np.frombuffer(view, np.uint8)
        self.size_bytes = self._bytes.size

    def bytes(self, begin: int, end: int) -> bytes:
        return self._bytes[begin:end].tobytes()

    def content(self, begin: int, end: int, itemsize: int) -> npt.NDArray[np.uint8]:
        part = self._bytes[begin:end]
        return part if part.ctypes.data % itemsize == 0 else part.copy()


class _File:
    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self.size_bytes = file.seek(0, 2)

    def bytes(self, begin: int, end: int) -> bytes:
        self._file.seek(begin)
        data = self._file.read(end - begin)
        # The system reads 2 GiB at most at a time; what is larger is copied once more.
        return data if len(data) == end - begin else self.content(begin, end, 1).tobytes()

    def content(self, begin: int, end: int, itemsize: int) -> npt.NDArray[np.uint8]:
        content = np.empty(end - begin, np.uint8)
        view = content.data
        self._file.seek(begin)
        filled = 0
        while filled < len(content):
            got = self._file.readinto(view[filled:])  # type: ignore[attr-defined]
            if not got:
                raise MalformedValue("The value was cut short while it was read.")
            filled += got
        return content


class _Reader:
    """Makes the tensors of one value, each once."""

    def __init__(self, source: _Source, entries: dict[str, Entry], start: int, native: Native) -> None:
        self._source = source
        self._entries = entries
        self._start = start
        self._native = native
        self._made: dict[tuple[str, str, str], Any] = {}

    def tensor(self, reference: dict[str, Json]) -> Any:
        return self._make("tensor", reference, self._native)

    def array(self, reference: dict[str, Json]) -> Any:
        array = self._make("array", reference, NUMPY)
        if not isinstance(array, np.ndarray):
            raise MalformedValue("The value holds an array of a type that numpy does not have.")
        return array

    def raw(self, reference: dict[str, Json]) -> bytes:
        name, entry = self._entry(reference)
        if entry.stored != "U8":
            raise MalformedValue("Bytes in the value are not stored as such.")
        self._made["raw", name, entry.stored] = None
        return self._source.bytes(self._start + entry.begin, self._start + entry.end)

    def unused(self) -> bool:
        return len({name for _, name, _ in self._made}) != len(self._entries)

    def _make(self, kind: str, reference: dict[str, Json], native: Native) -> Any:
        name, entry = self._entry(reference)
        dtype, eight_bit = self._dtype(reference, entry), reference.get("as") is not None
        place = (kind, name, dtype.name)
        if place not in self._made:
            shape = entry.shape[:-1] if dtype.pairs else entry.shape
            content = self._floats(entry) if eight_bit else self._content(entry, dtype)
            self._made[place] = native.tensor(dtype, content, shape)
        return self._made[place]

    def _entry(self, reference: dict[str, Json]) -> tuple[str, Entry]:
        name = str(reference.get("t"))
        entry = self._entries.get(name)
        if entry is None:
            raise MalformedValue(f"The value refers to a tensor {name[:20]!r} that is not there.")
        return name, entry

    def nested(self, tensors: list[Any]) -> Any:
        return self._native.nested(tensors)

    def object(self, parts: objects.Parts) -> Any:
        return self._native.object(parts)

    def _dtype(self, reference: dict[str, Json], entry: Entry) -> DType:
        told = reference.get("dtype", entry.stored)
        dtype = BY_NAME.get(told) if isinstance(told, str) else None
        as_ = reference.get("as")
        if dtype is None or as_ not in (None, EIGHT_BIT):
            raise MalformedValue("The value holds a tensor of an unknown type: update the agent here.")
        stored = "U8" if as_ == EIGHT_BIT and dtype.name == "F32" else dtype.stored
        if entry.stored != stored or (dtype.pairs and entry.shape[-1:] != (2,)) or (as_ and dtype.name != "F32"):
            raise MalformedValue("A tensor in the value is not stored as its type is.")
        return dtype

    def _content(self, entry: Entry, dtype: DType) -> npt.NDArray[np.uint8]:
        content = self._source.content(self._start + entry.begin, self._start + entry.end, dtype.itemsize)
        if dtype.name == "BOOL" and content.size and content.max() > 1:
            raise MalformedValue("A tensor of truth values in the value holds something else.")
        return content

    def _floats(self, entry: Entry) -> npt.NDArray[np.uint8]:
        floats = np.empty(entry.end - entry.begin, np.float32)
        for begin in range(entry.begin, entry.end, _PIECE_BYTES):
            end = min(begin + _PIECE_BYTES, entry.end)
            packed = self._source.content(self._start + begin, self._start + end, 1)
            eightbit.from_bytes(packed, floats[begin - entry.begin : end - entry.begin])
        return floats.view(np.uint8)
