"""Parsing JSON from strangers: bounded in size, depth, memory and in the numbers it may hold."""

from __future__ import annotations

import json
import math
import re
import sys
from typing import Any, NoReturn

from ..errors import InvalidDocument

MAX_TEXT_BYTES = 12 * 2**20
"""The largest JSON text; the largest published workflows have about a megabyte."""

MAX_MEMORY_BYTES = 80 * 2**20
"""What the text and what is made of it may take; two texts of one file and their bytes stay below 200 MB."""

MAX_DEPTH = 64
MAX_DIGITS = 400

_OBJECT_BYTES = 240
_LIST_BYTES = 88
_KEY_BYTES = 140
_ITEM_BYTES = 72
_SURROGATE = re.compile(r"[\ud800-\udfff]")
_KEYS_WITH_NAN = frozenset({"is_changed"})


def parse(data: bytes, what: str) -> Any:
    """Parse a JSON text.

    ComfyUI writes ``NaN`` into the prompts that it embeds, as the ``is_changed`` of a node; that entry is left out.
    Anywhere else such a number is refused, like one beyond the range of a double.

    Args:
        data: the text in UTF-8.
        what: what the text is, for messages.

    Returns:
        The value: dicts, lists, str, int, float, bool and None.

    Raises:
        InvalidDocument: the text is no JSON, or larger, deeper or stranger than any workflow.
    """
    text = _decode(data, what)
    _check_memory(data, text, what)
    try:
        value = json.loads(text, parse_int=_integer)
    except RecursionError:
        raise _too_deep(what) from None
    except _TooLong:
        raise InvalidDocument(f"{what} holds a number of more than {MAX_DIGITS} digits.") from None
    except ValueError as error:
        raise InvalidDocument(f"{what} is not JSON: {error}.") from None
    _check(value, what, surrogates=b"\\u" in data or not text.isascii())
    return value


class _TooLong(Exception):
    """An integer of more digits than are parsed."""


def _integer(digits: str) -> int:
    if len(digits) > MAX_DIGITS:
        raise _TooLong
    return int(digits)


def _decode(data: bytes, what: str) -> str:
    if len(data) > MAX_TEXT_BYTES:
        raise InvalidDocument(f"{what} has {len(data)} bytes; the most that is read is {MAX_TEXT_BYTES}.")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InvalidDocument(f"{what} is not UTF-8 text: byte {error.start} is not valid.") from None


def _check_memory(data: bytes, text: str, what: str) -> None:
    """Refuse a text whose values might not fit, judged by its punctuation before anything is made of it."""
    estimate = (
        2 * sys.getsizeof(text)
        + _OBJECT_BYTES * data.count(b"{")
        + _LIST_BYTES * data.count(b"[")
        + _KEY_BYTES * data.count(b":")
        + _ITEM_BYTES * data.count(b",")
    )
    if estimate > MAX_MEMORY_BYTES:
        raise InvalidDocument(f"{what} holds more values than any workflow; parsing it would take too much memory.")


def _check(root: Any, what: str, *, surrogates: bool) -> None:
    """Walk over all values without recursion: depth, numbers, and text that is no Unicode."""
    level = [root]
    for _ in range(MAX_DEPTH):
        deeper: list[Any] = []
        for container in level:
            if isinstance(container, dict):
                _drop_known_nan(container)
                if surrogates:
                    _check_texts(container, what)
                deeper.extend(_checked(container.values(), what, surrogates))
            elif isinstance(container, list):
                deeper.extend(_checked(container, what, surrogates))
            else:
                _checked([container], what, surrogates)
        if not deeper:
            return
        level = deeper
    raise _too_deep(what)


def _checked(values: Any, what: str, surrogates: bool) -> list[Any]:
    containers = []
    for value in values:
        if isinstance(value, (dict, list)):
            containers.append(value)
        elif isinstance(value, float):
            if not math.isfinite(value):
                _refuse_number(value, what)
        elif surrogates and isinstance(value, str) and not value.isascii():
            _check_texts((value,), what)
    return containers


def _drop_known_nan(container: dict[str, Any]) -> None:
    for key in _KEYS_WITH_NAN & container.keys():
        value = container[key]
        numbers = value if isinstance(value, list) else [value]
        if any(isinstance(number, float) and not math.isfinite(number) for number in numbers):
            del container[key]


def _check_texts(texts: Any, what: str) -> None:
    for text in texts:
        if not text.isascii() and _SURROGATE.search(text):
            raise InvalidDocument(f"{what} holds text that is no Unicode: half of a character.")


def _refuse_number(value: float, what: str) -> NoReturn:
    name = "NaN" if math.isnan(value) else "a number that is too large"
    raise InvalidDocument(f"{what} holds {name}, which no workflow can use.")


def _too_deep(what: str) -> InvalidDocument:
    return InvalidDocument(f"{what} is nested deeper than {MAX_DEPTH} levels.")
