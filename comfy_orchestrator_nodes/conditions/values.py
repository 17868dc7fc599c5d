"""The values of the language: plain ones, and inputs that are measured field by field."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import TypeAlias, Union

Plain: TypeAlias = Union[None, bool, int, float, str, "list[Plain]"]
"""What an expression computes with. Lists may hold fields of inputs too, as ``failed`` of a Merge does."""

MAX_BITS = 256
"""Size of a whole number."""
MAX_TEXT = 100_000
"""Characters of a text."""
MAX_LIST = 10_000
"""Elements of a list, nested ones counted."""
MAX_NESTING = 8
"""How deep lists may be nested."""

INFO = "JOB_INFO"

FIELDS: Mapping[str, Mapping[str, str]] = {
    "IMAGE": {
        "width": "in pixels",
        "height": "in pixels",
        "count": "images in the batch",
        "channels": "3, or 4 with alpha",
        "mean": "of all channels, 0 to 1",
        "std": "standard deviation of all channels",
        "brightness": "as seen (BT.709), 0 to 1",
        "sharpness": "variance of the Laplacian; below about 100 looks soft",
        "is_blank": "no two values differ by more than 1/255",
    },
    "MASK": {
        "width": "in pixels",
        "height": "in pixels",
        "count": "masks in the batch",
        "coverage": "the part that is masked, 0 to 1",
    },
    "LATENT": {
        "width": "in cells, 8 pixels each for most models",
        "height": "in cells, 8 pixels each for most models",
        "count": "latents in the batch",
    },
    "AUDIO": {"duration_s": "in seconds", "rms": "loudness; 0 is silence"},
    INFO: {
        "elapsed_s": "seconds from submit to end",
        "backend": "the name of the server",
        "attempts": "how many were needed",
        "failed": "whether there is no result",
        "cached": "whether an earlier result was reused",
        "cause": "why it failed",
        "index": "which item was dropped, from 0",
        "node": "the id of the node that dropped the item",
        "source": "the id of the node whose items index counts",
    },
}
"""What can be asked of a value, by its type, and what it is."""


class Fields(ABC):
    """A value that is not plain. Its fields are computed when they are asked for, which may take time."""

    kind: str
    """The type, a key of ``FIELDS`` or another name."""

    @abstractmethod
    def field(self, name: str) -> Plain:
        """Return one of ``FIELDS[kind]``."""


Item: TypeAlias = Plain | Fields


class Unusable(Exception):
    """A value from outside is too large or of a type that the language does not have."""


class InfoFields(Fields):
    """One element of Remote Workflow's ``info``, or of a Merge's ``failed``."""

    kind = INFO

    def __init__(self, info: Mapping[str, object]) -> None:
        self._info = info

    def field(self, name: str) -> Plain:
        """Return the fact, or None where this one does not tell it."""
        return plain(self._info.get(name))


def admit(value: object) -> Item:
    """Return a value from outside as one of the language.

    Raises:
        Unusable: it is too large, or nothing that the language knows.
    """
    if isinstance(value, Mapping):
        return InfoFields(value)
    if isinstance(value, (list, tuple)) and any(isinstance(element, Mapping) for element in value):
        _check_size(len(value))
        return [admit(element) for element in value]  # type: ignore[misc]
    return value if isinstance(value, Fields) else plain(value)


def plain(value: object) -> Plain:
    """Return a plain value of exactly the language's types, so that no foreign method is ever called later.

    Raises:
        Unusable: it is too large, or no plain value.
    """
    return _plain(value, MAX_NESTING, [0])


def _plain(value: object, depth: int, count: list[int]) -> Plain:
    if value is None or value is True or value is False:
        return value
    if isinstance(value, int):
        whole = int.__add__(value, 0)
        if whole.bit_length() > MAX_BITS:
            raise Unusable(f"a whole number has at most {MAX_BITS} bits")
        return whole
    if isinstance(value, float):
        return float.__add__(value, 0.0)
    if isinstance(value, str):
        if len(value) > MAX_TEXT:
            raise Unusable(f"a text has at most {MAX_TEXT:,} characters")
        return str.__str__(value)
    if isinstance(value, (list, tuple)):
        return _plain_list(value, depth, count)
    raise Unusable(f"a {type(value).__name__} is neither number, text, truth value nor list")


def _plain_list(values: Sequence[object], depth: int, count: list[int]) -> Plain:
    if depth == 0:
        raise Unusable(f"lists are nested at most {MAX_NESTING} deep")
    count[0] += len(values)
    _check_size(count[0])
    return [_plain(element, depth - 1, count) for element in values]


def _check_size(size: int) -> None:
    if size > MAX_LIST:
        raise Unusable(f"a list has at most {MAX_LIST:,} elements")
