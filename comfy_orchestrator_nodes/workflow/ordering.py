"""Putting what contains other things after what it contains."""

from __future__ import annotations

from collections.abc import Iterable, Mapping


def innermost_first(contains: Mapping[str, Iterable[str]]) -> tuple[list[str], list[str]]:
    """Sort names so that each comes after all that it contains, in linear time.

    Args:
        contains: each name with the names in it; names that are no keys do not count.

    Returns:
        The sorted names, and those that contain themselves or what does: they cannot be sorted.
    """
    inside: dict[str, list[str]] = {name: [] for name in contains}
    waiting: dict[str, int] = {}
    for name, others in contains.items():
        parts = {other for other in others if other in contains}
        waiting[name] = len(parts)
        for part in parts:
            inside[part].append(name)
    ready = [name for name, count in waiting.items() if not count]
    for name in ready:
        for outer in inside[name]:
            waiting[outer] -= 1
            if not waiting[outer]:
                ready.append(outer)
    done = set(ready)
    return ready, [name for name in contains if name not in done]
