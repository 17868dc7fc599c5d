"""Which values the prompts in a ComfyUI's queue are going to take: these stay, however long they wait."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

_PROMPT = 2
"""Where the prompt is in an entry of ComfyUI's queue: after its place and its id."""


def values_of(entries: Iterable[Any], class_type: str) -> frozenset[str]:
    """Return the hashes that the nodes of a class name in queue entries; whatever looks otherwise names none."""
    return frozenset(
        sha256
        for entry in entries
        for node in _nodes(entry)
        if isinstance(node, Mapping) and node.get("class_type") == class_type
        for sha256 in _named(node)
    )


def _nodes(entry: Any) -> Iterable[Any]:
    prompt = entry[_PROMPT] if isinstance(entry, (tuple, list)) and len(entry) > _PROMPT else None
    # A copy in one step: the prompt that runs may be growing.
    return list(prompt.values()) if isinstance(prompt, Mapping) else ()


def _named(node: Mapping[Any, Any]) -> Iterable[str]:
    inputs = node.get("inputs")
    named = inputs.get("sha256") if isinstance(inputs, Mapping) else None
    return (named,) if isinstance(named, str) else ()
