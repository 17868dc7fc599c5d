"""Short, unique, readable names for what a workflow exposes, the same each time for the same workflow."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

_SEPARATORS = re.compile(r"[\W_]+")
_MAX_LENGTH = 48


@dataclass(frozen=True)
class Naming:
    """What one thing may be called: ``base`` alone where that tells it from the others, else with ``qualifier``."""

    base: str
    qualifier: str = ""
    prominent: bool = False
    """Has the first claim to the short name."""


def slug(text: str) -> str:
    """Return ``text`` in lower case with underscores for all that is neither letter nor digit, of any language."""
    return _SEPARATORS.sub("_", text.casefold()).strip("_")[:_MAX_LENGTH].strip("_")


def unique_names(namings: Sequence[Naming], taken: Iterable[str] = ()) -> list[str]:
    """Return a name for each, none of them twice and none of them in ``taken``.

    Prominent ones choose first. Several that share a base are told apart by their qualifiers where these differ, and
    numbered where they do not (``seed``, ``seed_2``).
    """
    used = set(taken)
    counters: Counter[str] = Counter()
    names = [""] * len(namings)
    for prominent in (True, False):
        group = [(i, naming) for i, naming in enumerate(namings) if naming.prominent is prominent]
        bases = Counter(naming.base for _, naming in group)
        pairs = Counter((naming.base, naming.qualifier) for _, naming in group)
        for index, naming in group:
            alone = bases[naming.base] == 1 and naming.base not in used
            distinct = naming.qualifier and pairs[naming.base, naming.qualifier] == 1
            wanted = naming.base if alone or not distinct else _qualified(naming)
            names[index] = _free(wanted, used, counters)
            used.add(names[index])
    return names


def _qualified(naming: Naming) -> str:
    if naming.base in naming.qualifier:
        return naming.qualifier
    return f"{naming.qualifier}_{naming.base}"


def _free(wanted: str, used: set[str], counters: Counter[str]) -> str:
    """Return a name not in ``used``. ``counters`` keeps the last number tried, so that many alike cost no more each."""
    if wanted not in used:
        return wanted
    while True:
        number = counters[wanted] = max(counters[wanted], 1) + 1
        candidate = f"{wanted}_{number}"
        if candidate not in used:
            return candidate
