"""When two slot types fit, by LiteGraph's rules."""

from __future__ import annotations

from typing import Any


def key(kind: Any) -> Any:
    """Return a slot's type in comparable form: a list of types is their comma-joined text."""
    return ",".join(map(str, kind)) if isinstance(kind, list) else kind


def compatible(first: Any, second: Any) -> bool:
    """Tell whether a link may join the two: equal up to case, any of a comma-separated list, or a wildcard."""
    first, second = key(first), key(second)
    if first in ("", "*", 0, None) or second in ("", "*", 0, None) or first == second:
        return True
    one, other = str(first).lower(), str(second).lower()
    if "," not in one and "," not in other:
        return one == other
    return any(compatible(a, b) for a in one.split(",") for b in other.split(","))


def common(kinds: list[Any]) -> Any:
    """Return the type that all of them allow: ``*`` for none but wildcards, None where they exclude each other."""
    named = [key(kind) for kind in kinds]
    if not all(isinstance(kind, str) for kind in named):
        return None
    lists = [kind.split(",") for kind in named if kind != "*"]
    if not lists:
        return "*"
    counts: dict[str, int] = {}
    for members in lists:
        for member in dict.fromkeys(members):
            counts[member] = counts.get(member, 0) + 1
    return ",".join(member for member, count in counts.items() if count == len(lists)) or None
