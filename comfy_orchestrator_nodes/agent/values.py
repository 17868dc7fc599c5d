"""Values into blobs and back, and the handle that a history shows of them. Blocks: nodes run in the prompt's thread."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

from . import files
from .blobs import BlobStore
from .dtypes import is_tensor
from .errors import UnsupportedValue
from .objects import is_exact
from .wire import MEDIA_TYPE, TORCH, Encoded, Native, decode, encode

VALUE = "value"
FILE = "file"
FORMS = (VALUE, FILE)
LEASE_S = 3600.0
QUEUEING_S = 10.0
"""How long a prompt that was found sound may take to be in the queue, where it keeps its values itself."""
INLINE_BYTES = 2048
"""Values up to this size are told in their handle as well, so that a number costs no request of its own."""

_AT_ONCE = 4
"""How many items of a list are stored at the same time."""
_SMALL_BYTES = 256 << 20
"""Larger items are stored one after another: of what lies on a GPU, each takes memory for a copy."""

Handle = dict[str, Any]


class Values:
    """Moves values between a ComfyUI's links and its blobs."""

    def __init__(self, store: BlobStore, native: Native = TORCH) -> None:
        self._store = store
        self._native = native

    def has(self, sha256: str) -> bool:
        """Whether a blob is there; it stays until the prompt that asks is in the queue, and while it is."""
        return self._store.lease(sha256, "a prompt on its way into the queue", QUEUEING_S)

    def read(self, sha256: str, type_: str, form: str) -> Any:
        """Return a value.

        Raises:
            BlobMissing: it is not there.
            MalformedValue: it is no encoded value.
            UnsupportedValue: its type cannot be made here.
        """
        with self._store.open(sha256) as file:
            if form == VALUE:
                return decode(file, self._native)
            if type_ in files.FILE_TYPES:
                return files.video(file)
        raise UnsupportedValue(f"A {type_} cannot be made of a file here.", path="value", python_type=type_)

    def write(self, value: Any, type_: str, owner: str) -> Handle:
        """Store a value, leased for ``owner``, and return its handle.

        Raises:
            UnsupportedValue: it, or a part of it, cannot travel.
            BlobTooLarge, BlobsFull, DiskFull: there is no room for it.
        """
        encoded = encode(value, type_)
        handle = {
            "sha256": self._store_parts(encoded.parts(), encoded.size_bytes, owner),
            "size_bytes": encoded.size_bytes,
            "type": type_,
            "form": VALUE,
            "media_type": MEDIA_TYPE,
            "lossless": is_exact(value),
            "summary": summary(value),
        }
        if encoded.size_bytes <= INLINE_BYTES:
            handle["inline"] = _base64(encoded)
        return handle

    def write_all(self, items: Sequence[Any], type_: str, owner: str) -> list[Handle]:
        """Store the items of a list and return their handles in order; see ``write``."""
        write = partial(self.write, type_=type_, owner=owner)
        if len(items) < 2 or any(_size_bytes(item) > _SMALL_BYTES for item in items):
            return [write(item) for item in items]
        with ThreadPoolExecutor(min(_AT_ONCE, len(items)), "agent-values") as threads:
            return list(threads.map(write, items))

    def _store_parts(self, parts: Iterable[memoryview], size_bytes: int, owner: str) -> str:
        reservation = self._store.reserve(size_bytes)
        try:
            writer = self._store.writer()
            try:
                for part in parts:
                    writer.append(part)
                reservation.end()
                return self._store.publish(writer, owner=owner, lease_s=LEASE_S)
            finally:
                writer.discard()
        finally:
            reservation.end()


def summary(value: Any) -> str:
    """Say in a few words what a value is, for people."""
    if is_tensor(value):
        sides = " x ".join(map(str, value.shape)) or "one number"
        return f"{sides} {str(value.dtype).removeprefix('torch.')}"
    if isinstance(value, (list, tuple)):
        return f"{type(value).__name__} of {len(value)}"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{str(key)[:20]}: {summary(item)[:60]}" for key, item in list(value.items())[:4]) + "}"
    if isinstance(value, (str, int, float)):
        return f"{type(value).__name__} {str(value)[:60]}"
    return type(value).__name__


def _size_bytes(value: Any, depth: int = 2) -> int:
    """Return how much memory the tensors of a value take, as far as that is told without a walk through all of it."""
    if is_tensor(value):
        return int(value.numel() * value.element_size())
    parts = value.values() if isinstance(value, dict) else value if isinstance(value, (list, tuple)) else ()
    return sum(_size_bytes(part, depth - 1) for part in parts) if depth else 0


def _base64(encoded: Encoded) -> str:
    return base64.b64encode(b"".join(encoded.parts())).decode("ascii")
