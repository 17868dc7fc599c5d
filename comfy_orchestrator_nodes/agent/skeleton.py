"""The structure of a value as JSON, with references where tensors stand.

JSON has no tuples, no bytes, no infinity and only texts as keys; what it lacks is an object with the key ``$``. Types
are taken exactly: a subclass means something that its content does not tell, and is refused by name.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from . import objects
from .dtypes import RawTensor, is_tensor
from .errors import MalformedValue, UnsupportedValue

Json = Any
MAX_DEPTH = 100
INLINE_TEXT = 1 << 14
"""Longer texts are stored beside the tensors, out of the header."""
_INLINE_INT = 1 << 256
_TAG = "$"
_NON_FINITE = {"nan": math.nan, "inf": math.inf, "-inf": -math.inf}


@dataclass(frozen=True)
class Nested:
    """Tensors of different shapes that ComfyUI treats as one (``comfy.nested_tensor``), where ComfyUI is not there."""

    tensors: tuple[Any, ...]


class Writer(Protocol):
    """Stores what is not structure, and says how it is referred to: members for the object that stands for it."""

    def tensor(self, value: Any, path: str) -> dict[str, Json]:
        """Store a torch tensor, or a tensor of bits."""
        ...

    def array(self, value: Any, path: str) -> tuple[str, dict[str, Json]]:
        """Store a numpy array or number; the kind is ``tensor``, ``array`` or ``scalar``."""
        ...

    def raw(self, value: bytes | memoryview | objects.StoredFile) -> dict[str, Json]:
        """Store bytes, or the content of a file."""
        ...


class Reader(Protocol):
    """Gives back what a ``Writer`` stored."""

    def tensor(self, reference: dict[str, Json]) -> Any:
        """Return a tensor."""
        ...

    def array(self, reference: dict[str, Json]) -> Any:
        """Return a numpy array."""
        ...

    def raw(self, reference: dict[str, Json]) -> bytes:
        """Return bytes."""
        ...

    def nested(self, tensors: list[Any]) -> Any:
        """Return tensors that are treated as one."""
        ...

    def object(self, parts: objects.Parts) -> Any:
        """Return an object of one of ComfyUI's classes."""
        ...


def pack(value: Any, store: Writer, path: str = "value", depth: int = 0) -> Json:
    """Return the structure of a value.

    Raises:
        UnsupportedValue: a part of it is of a type that cannot travel, or it is nested too deeply (or in itself).
    """
    if value is None or type(value) is bool:
        return value
    kind = type(value)
    if depth > MAX_DEPTH:
        raise UnsupportedValue(f"The value is nested deeper than {MAX_DEPTH} levels, or contains itself.", path=path)
    if kind is int:
        return value if -_INLINE_INT < value < _INLINE_INT else {_TAG: "int", "hex": hex(value)}
    if kind is float:
        return value if math.isfinite(value) else {_TAG: "float", "is": repr(value)}
    if kind is str:
        return value if len(value) <= INLINE_TEXT else _reference("text", store.raw(_utf8(value)))
    if kind is list:
        return [pack(item, store, f"{path}[{place}]", depth + 1) for place, item in enumerate(value)]
    if kind is dict:
        return _pack_dict(value, store, path, depth)
    if kind is tuple:
        return {_TAG: "tuple", "of": [pack(v, store, f"{path}[{n}]", depth + 1) for n, v in enumerate(value)]}
    if kind in (bytes, memoryview, objects.StoredFile):
        return _reference("bytes", store.raw(value))
    if is_tensor(value) or kind is RawTensor:
        return _reference("tensor", store.tensor(value, path))
    if kind is np.ndarray or isinstance(value, np.generic):
        return _reference(*store.array(value, path))
    if kind is Nested or f"{kind.__module__}.{kind.__qualname__}" == "comfy.nested_tensor.NestedTensor":
        parts = [_reference("tensor", store.tensor(t, f"{path}.tensors[{n}]")) for n, t in enumerate(value.tensors)]
        return {_TAG: "nested", "of": parts}
    named = value.kind if kind is objects.Parts else objects.kind_of(value)
    if named is not None:
        members = objects.parts_of(value, named, path).members
        return {_TAG: "object", "kind": named, "of": _pack_dict(dict(members), store, path, depth)}
    raise UnsupportedValue(
        f"{path} is a {kind.__module__}.{kind.__qualname__}, which cannot travel to another server: only tensors, "
        "numbers, texts, and lists and dictionaries of these can. Make it in the workflow where it is used.",
        path=path,
        python_type=f"{kind.__module__}.{kind.__qualname__}",
    )


def _pack_dict(value: dict[Any, Any], store: Writer, path: str, depth: int) -> Json:
    if all(type(key) is str and len(key) <= INLINE_TEXT for key in value) and _TAG not in value:
        return {key: pack(item, store, f"{path}[{key!r}]", depth + 1) for key, item in value.items()}
    pairs = [
        [pack(key, store, f"a key of {path}", depth + 1), pack(item, store, f"{path}[{key!r}]", depth + 1)]
        for key, item in value.items()
    ]
    return {_TAG: "dict", "of": pairs}


def _reference(kind: str, members: dict[str, Json]) -> Json:
    return {_TAG: kind, **members}


def _utf8(text: str) -> bytes:
    # Half a surrogate pair is no character, but Python lets texts hold it.
    return text.encode("utf-8", "surrogatepass")


def unpack(form: Json, store: Reader, depth: int = 0) -> Any:
    """Return the value of a structure.

    Raises:
        MalformedValue: it is not one that ``pack`` makes.
    """
    if depth > MAX_DEPTH:
        raise MalformedValue(f"The value is nested deeper than {MAX_DEPTH} levels.")
    if isinstance(form, list):
        return [unpack(item, store, depth + 1) for item in form]
    if not isinstance(form, dict):
        return form
    if _TAG not in form:
        return {key: unpack(item, store, depth + 1) for key, item in form.items()}
    kind = form[_TAG]
    unpacker = _UNPACKERS.get(kind) if isinstance(kind, str) else None
    if unpacker is None:
        raise MalformedValue(f"The value holds a part of the unknown kind {str(kind)[:40]!r}: update the agent here.")
    return unpacker(form, store, depth)


def _items(form: dict[str, Json]) -> list[Json]:
    items = form.get("of")
    if not isinstance(items, list):
        raise MalformedValue("A part of the value should list its items, and does not.")
    return items


def _unpack_dict(form: dict[str, Json], store: Reader, depth: int) -> dict[Any, Any]:
    made = {}
    for pair in _items(form):
        if not isinstance(pair, list) or len(pair) != 2:
            raise MalformedValue("A dictionary in the value is not made of pairs.")
        try:
            made[unpack(pair[0], store, depth + 1)] = unpack(pair[1], store, depth + 1)
        except TypeError:
            raise MalformedValue("A dictionary in the value has a key that cannot be one.") from None
    return made


def _unpack_int(form: dict[str, Json], _store: Reader, _depth: int) -> int:
    try:
        return int(form["hex"], 16)
    except (KeyError, TypeError, ValueError):
        raise MalformedValue("A large whole number in the value is damaged.") from None


def _unpack_float(form: dict[str, Json], _store: Reader, _depth: int) -> float:
    name = form.get("is")
    if not isinstance(name, str) or name not in _NON_FINITE:
        raise MalformedValue("A number in the value is damaged.")
    return _NON_FINITE[name]


def _unpack_text(form: dict[str, Json], store: Reader, _depth: int) -> str:
    try:
        return store.raw(form).decode("utf-8", "surrogatepass")
    except UnicodeDecodeError:
        raise MalformedValue("A text in the value is not UTF-8.") from None


def _unpack_nested(form: dict[str, Json], store: Reader, _depth: int) -> Any:
    items = _items(form)
    if not all(isinstance(item, dict) and item.get(_TAG) == "tensor" for item in items):
        raise MalformedValue("A nested tensor in the value is not made of tensors.")
    return store.nested([store.tensor(item) for item in items])


def _unpack_object(form: dict[str, Json], store: Reader, depth: int) -> Any:
    named, members = form.get("kind"), form.get("of")
    if not isinstance(named, str) or not isinstance(members, dict) or _TAG in members:
        raise MalformedValue("An object in the value does not say what it is made of.")
    parts = objects.Parts(named, {name: unpack(member, store, depth + 1) for name, member in members.items()})
    objects.check(parts)
    return store.object(parts)


_UNPACKERS: dict[str, Callable[[dict[str, Json], Reader, int], Any]] = {
    "int": _unpack_int,
    "float": _unpack_float,
    "text": _unpack_text,
    "bytes": lambda form, store, _: store.raw(form),
    "tuple": lambda form, store, depth: tuple(unpack(item, store, depth + 1) for item in _items(form)),
    "dict": _unpack_dict,
    "tensor": lambda form, store, _: store.tensor(form),
    "array": lambda form, store, _: store.array(form),
    "scalar": lambda form, store, _: _scalar(store.array(form)),
    "nested": _unpack_nested,
    "object": _unpack_object,
}


def _scalar(array: Any) -> Any:
    if array.shape != ():
        raise MalformedValue("A number in the value is an array.")
    return array[()]
