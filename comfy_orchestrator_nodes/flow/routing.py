"""What a Condition's inputs are called in its expression, and where its values go."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from typing import Any

from ..errors import InvalidRequest
from .words import EXPRESSION_INPUTS, ROUTED, routed_value

VALUES = tuple(routed_value(number) for number in range(1, ROUTED + 1))
"""The inputs that are routed, which an expression may use too."""

_NAME = re.compile(r"[^\W\d]\w*")


def inputs_by_name(names: str, connected: Collection[str]) -> dict[str, str]:
    """Return the names that an expression may use, each with the input it stands for.

    Args:
        names: the text of the Condition's ``names``: new names for ``a``, ``b``, … with commas between, some left out.
        connected: the inputs that have a value.

    Raises:
        InvalidRequest: the renaming is unusable.
    """
    given = [name.strip() for name in names.split(",")] if names.strip() else []
    if len(given) > len(EXPRESSION_INPUTS):
        raise InvalidRequest(f"There are {len(EXPRESSION_INPUTS)} inputs to name, not {len(given)}.")
    renamed = {slot: given[n] if n < len(given) and given[n] else slot for n, slot in enumerate(EXPRESSION_INPUTS)}
    unusable = [name for name in renamed.values() if not _NAME.fullmatch(name)]
    if unusable:
        raise InvalidRequest(f"{unusable[0]!r} is no name: use letters, digits and _, and begin with a letter.")
    if len(set(renamed.values())) < len(renamed) or any(name in VALUES for name in renamed.values()):
        raise InvalidRequest(f"The names {names!r} name two inputs alike.")
    by_name = {renamed[slot]: slot for slot in EXPRESSION_INPUTS if slot in connected}
    return {**by_name, **{slot: slot for slot in VALUES if slot in connected}}


def routed(values: Sequence[Any], result: Sequence[bool]) -> tuple[list[Any], list[Any]]:
    """Return the values of the true and of the false items, in order; one value serves every item."""
    if not result:
        return [], []
    spread = list(values) * len(result) if len(values) == 1 else list(values)
    pairs = list(zip(spread, result, strict=True))
    return [value for value, holds in pairs if holds], [value for value, holds in pairs if not holds]
