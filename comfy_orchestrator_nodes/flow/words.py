"""Names that the flow nodes, the prompt handler and executors share."""

from __future__ import annotations

CONDITION = "OrchestratorCondition"
FAN_OUT = "OrchestratorFanOut"
MERGE = "OrchestratorMerge"

EXPRESSION_INPUTS = ("a", "b", "c", "d", "e", "f", "g", "h")
"""A Condition's inputs for its expression, in slot order."""
ROUTED = 8
"""How many values a Condition routes: ``value_1``, …, each with an output ``true_1`` and ``false_1``."""
RESULT = 0
"""Where a Condition's ``result`` stands among its outputs; ``true_k`` and ``false_k`` follow in pairs."""

COUNT_OUT = 2
"""Where a FanOut's ``count`` stands, after ``item`` and ``index``."""
WAYS = 16
"""How many outputs a FanOut deals out to, or names of a grid it has outputs for: ``out_1``, …"""
FIRST_WAY = 3
LAYOUT = FIRST_WAY + WAYS
"""Where a FanOut's ``layout`` stands: ``{"count": items, "ways": outputs dealt out to, 0 for none}``. Never blocked."""

JOINED = 32
"""How many inputs a Merge has: ``in_1``, …"""
MERGED_COUNT = 1
"""Where a Merge's ``count`` stands, after ``merged``. Never blocked."""
MERGED_FAILED = 2
"""Where a Merge's ``failed`` stands: one list of what was dropped. Never blocked."""


def routed_value(number: int) -> str:
    """Return the name of a Condition's value input (from 1)."""
    return f"value_{number}"


def joined_input(number: int) -> str:
    """Return the name of a Merge's input (from 1)."""
    return f"in_{number}"
