"""What arrives at a Merge, in item order."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ..domain import Json
from .guards import Place

BATCH, LIST, FIRST, TEXT = "batch", "list", "first", "text join"
MODES = (BATCH, LIST, FIRST, TEXT)


@dataclass(frozen=True)
class Arrival:
    """What one input of a Merge brought: values with their positions, and what was dropped on the way."""

    name: str
    root: str | None
    values: tuple[tuple[int, Any], ...]
    failed: tuple[Mapping[str, Json], ...] = ()

    @classmethod
    def of(cls, name: str, root: str | None, place: Place, values: Sequence[Any]) -> Arrival:
        """Return the arrival of an input whose guards all hold.

        Raises:
            InvalidRequest: the values do not fit the items that took this branch.
        """
        return cls(name, root, tuple(place.of(values, name)), place.failed)

    @classmethod
    def nothing(cls, name: str, root: str | None, place: Place) -> Arrival:
        """Return the arrival of a branch that was not taken."""
        return cls(name, root, (), place.failed)


def in_item_order(arrivals: Sequence[Arrival]) -> list[Any]:
    """Return all values: those of one root interleaved by position, the roots in the order of their first input."""
    groups: dict[str, list[tuple[int, int, Any]]] = {}
    for number, arrival in enumerate(arrivals):
        key = f"root {arrival.root}" if arrival.root is not None else f"input {arrival.name}"
        groups.setdefault(key, []).extend((position, number, value) for position, value in arrival.values)
    return [value for group in groups.values() for _, _, value in sorted(group, key=lambda entry: entry[:2])]


def all_failed(arrivals: Sequence[Arrival]) -> list[dict[str, Json]]:
    """Return what was dropped on the ways of all inputs, each item once, by index."""
    found: dict[str, dict[str, Json]] = {}
    for arrival in arrivals:
        for failure in arrival.failed:
            key = f"{failure.get('node')} {failure.get('index')}"
            found.setdefault(key, dict(failure))
    return sorted(found.values(), key=lambda failure: (failure.get("index", 0), str(failure.get("node"))))


def joined_text(values: Sequence[Any], separator: str) -> str:
    r"""Return the values as one text; ``\n`` and ``\t`` in the separator are line break and tabulator."""
    return separator.replace("\\n", "\n").replace("\\t", "\t").join(str(value) for value in values)
