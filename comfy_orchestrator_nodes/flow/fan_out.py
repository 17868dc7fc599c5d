"""What a FanOut makes items of, apart from tensors."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import product
from math import prod
from typing import Any

from ..domain import Json
from ..errors import InvalidRequest
from .words import WAYS

BATCH, LIST, LINES, JSON, SEEDS, GRID = "batch", "list", "lines", "json", "seeds", "grid"
SOURCES = (BATCH, LIST, LINES, JSON, SEEDS, GRID)
OF_TEXT = (LINES, JSON, GRID)

MAX_ITEMS = 10_000
SEEDS_END = 1 << 64
"""ComfyUI's seeds are 0 to 2**64 - 1; a range goes on at 0."""


@dataclass(frozen=True)
class Items:
    """What a FanOut yields: its items, and for a grid the column of each name."""

    values: Sequence[Any]
    columns: Mapping[str, Sequence[Any]] = field(default_factory=dict)


def made(source: str, value: Sequence[Any], text: Sequence[str], seed: int, seeds: int) -> Items:
    """Return the items of every source but batches.

    Raises:
        InvalidRequest: there are none to make of this, or too many.
    """
    if source == LIST:
        return from_list(value)
    if source == LINES:
        return from_lines(text)
    if source == JSON:
        return from_json(text)
    if source == SEEDS:
        return from_seeds(seed, seeds)
    return from_grid(text)


def from_list(values: Sequence[Any]) -> Items:
    """Return the elements of a list; lists in it are opened, one level deep."""
    opened: list[Any] = []
    for value in values:
        opened += value if isinstance(value, (list, tuple)) else [value]
    return Items(checked(opened))


def from_lines(texts: Sequence[str]) -> Items:
    """Return the lines of texts that are not empty, without the spaces around them."""
    lines = (line.strip() for text in texts for line in text.splitlines())
    return Items(checked([line for line in lines if line]))


def from_json(texts: Sequence[str]) -> Items:
    """Return the elements of JSON arrays.

    Raises:
        InvalidRequest: a text is no JSON array.
    """
    found: list[Json] = []
    for text in texts:
        data = _parsed(text)
        if not isinstance(data, list):
            raise InvalidRequest('FanOut needs a JSON array, such as ["a", "b"] or [1, 2, 3].')
        found += data
    return Items(checked(found))


def from_seeds(seed: int, count: int) -> Items:
    """Return ``count`` seeds from ``seed`` on."""
    refuse_size(count)
    return Items([(seed + index) % SEEDS_END for index in range(count)])


def from_grid(texts: Sequence[str]) -> Items:
    """Return every combination of named lists, the last name changing fastest.

    Args:
        texts: lines such as ``cfg: 4, 6.5, 8``, or a JSON object of arrays. Each item is the combination as JSON text.

    Raises:
        InvalidRequest: it is neither, a name is there twice, or there are too many names or combinations.
    """
    lists = _named_lists("\n".join(texts))
    if len(lists) > WAYS:
        raise InvalidRequest(f"A grid has at most {WAYS} names, this one has {len(lists)}.")
    refuse_size(prod(len(values) for values in lists.values()) if lists else 0)
    rows = list(product(*lists.values())) if lists else []
    columns = {name: [row[number] for row in rows] for number, name in enumerate(lists)}
    items = [json.dumps(dict(zip(lists, row, strict=True)), ensure_ascii=False) for row in rows]
    return Items(items, columns)


def checked(values: Sequence[Any]) -> Sequence[Any]:
    """Return the values if there are not too many."""
    refuse_size(len(values))
    return values


def refuse_size(count: int) -> None:
    """Refuse silly numbers of items.

    Raises:
        InvalidRequest: there are more than ``MAX_ITEMS``.
    """
    if count > MAX_ITEMS:
        raise InvalidRequest(
            f"That makes {count:,} items; FanOut makes at most {MAX_ITEMS:,}. Use larger chunks or less."
        )


def dealt(values: Sequence[Any], ways: int, way: int) -> list[Any]:
    """Return the share of one of several ways (from 0): items go round as cards do."""
    return list(values[way::ways])


def _named_lists(text: str) -> dict[str, list[Json]]:
    if text.lstrip().startswith("{"):
        data = _parsed(text)
        if not isinstance(data, dict) or not all(isinstance(values, list) for values in data.values()):
            raise InvalidRequest('A grid as JSON is an object of arrays: {"cfg": [4, 8], "sampler": ["euler"]}.')
        return data
    lists: dict[str, list[Json]] = {}
    for line in filter(str.strip, text.splitlines()):
        name, colon, values = line.partition(":")
        name = name.strip()
        if not colon or not name:
            raise InvalidRequest(f'A line of a grid is "name: value, value"; {line.strip()!r} is not.')
        if name in lists:
            raise InvalidRequest(f"The grid names {name!r} twice.")
        lists[name] = [_value(part) for part in values.split(",") if part.strip()]
    return lists


def _value(text: str) -> Json:
    """Return a number, truth value or null where a text is one in JSON, else the text itself."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text.strip()


def _parsed(text: str) -> Json:
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise InvalidRequest(f"FanOut's text is no valid JSON: {error}.") from None
