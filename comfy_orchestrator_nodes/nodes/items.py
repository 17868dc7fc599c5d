"""ComfyUI lists as items: which values belong to which item. Pure.

ComfyUI itself repeats the last element of a shorter list without a word; here lists must fit: one element serves all
items, any other number must be the same for all.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ..errors import InvalidRequest


def item_count(lists: Mapping[str, Sequence[Any]]) -> int:
    """Return how many items these inputs make: 1 when every list has one element, 0 when one is empty.

    Raises:
        InvalidRequest: lists of different lengths meet.
    """
    if any(len(values) == 0 for values in lists.values()):
        return 0
    lengths = {name: len(values) for name, values in lists.items() if len(values) != 1}
    if len(set(lengths.values())) > 1:
        told = ", ".join(f"{name} has {length}" for name, length in lengths.items())
        raise InvalidRequest(
            f"The lists that come in have different lengths: {told}. Each must have one element or as many as the rest."
        )
    return next(iter(lengths.values()), 1)


def item(lists: Mapping[str, Sequence[Any]], index: int) -> dict[str, Any]:
    """Return the values of one item; a list of one element serves every item."""
    return {name: values[index] if len(values) > 1 else values[0] for name, values in lists.items()}
