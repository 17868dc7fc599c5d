"""What arrives at a Merge, in item order."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
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
    def of(cls, name: str, roots: Sequence[str], place: Place, values: Sequence[Any]) -> Arrival:
        """Return the arrival of an input whose guards all hold.

        Raises:
            InvalidRequest: the values do not fit the items that took this branch.
        """
        root, placed = place.of(values, name, roots)
        return cls(name, root, tuple(placed), place.failed)

    @classmethod
    def nothing(cls, name: str, place: Place) -> Arrival:
        """Return the arrival of a branch that was not taken."""
        return cls(name, None, (), place.failed)


def in_item_order(arrivals: Sequence[Arrival]) -> list[Any]:
    """Return all values: those of one root interleaved by position, the roots in the order of their first input."""
    groups: dict[str, list[tuple[int, int, Any]]] = {}
    for number, arrival in enumerate(arrivals):
        key = f"root {arrival.root}" if arrival.root is not None else f"input {arrival.name}"
        groups.setdefault(key, []).extend((position, number, value) for position, value in arrival.values)
    return [value for group in groups.values() for _, _, value in sorted(group, key=lambda entry: entry[:2])]


def all_failed(arrivals: Sequence[Arrival]) -> list[dict[str, Json]]:
    """Return what was dropped on the ways of all inputs, each item once: source after source, each by index."""
    found: dict[str, dict[str, Json]] = {}
    sources: dict[str, int] = {}
    for arrival in arrivals:
        for failure in arrival.failed:
            sources.setdefault(str(failure.get("source")), len(sources))
            found.setdefault(f"{failure.get('node')} {failure.get('index')}", dict(failure))
    return sorted(found.values(), key=lambda failure: (sources[str(failure.get("source"))], failure.get("index", 0)))


def joined_text(values: Sequence[Any], separator: str) -> str:
    r"""Return the values as one text; ``\n`` and ``\t`` in the separator are line break and tabulator."""
    return separator.replace("\\n", "\n").replace("\\t", "\t").join(str(value) for value in values)


def merged(values: Sequence[Any], mode: str, separator: str, batch: Callable[[Sequence[Any]], Any]) -> list[Any]:
    """Return the elements of what a Merge yields; none means that there is nothing to pass on.

    Args:
        values: in item order.
        mode: one of ``MODES``.
        separator: for ``TEXT``.
        batch: makes one tensor of several; called for ``BATCH`` only, with at least one value.
    """
    if mode == TEXT:
        return [joined_text(values, separator)]
    if mode == FIRST:
        return list(values[:1])
    if mode == BATCH:
        return [batch(values)] if values else []
    return list(values)
