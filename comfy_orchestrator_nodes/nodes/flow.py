"""The nodes that decide which parts of a meta-graph run, and for which items."""

from __future__ import annotations

from ..flow.words import CONDITION, FAN_OUT, MERGE
from . import condition, fan_out, merge
from .host import Host

NODE_DISPLAY_NAME_MAPPINGS = {
    CONDITION: "Condition",
    FAN_OUT: "Fan Out",
    MERGE: "Merge",
    merge.GATE: "Gate (internal)",
    merge.TAKE: "Take (internal)",
    merge.GATHER: "Gather (internal)",
}


def build(host: Host) -> dict[str, type]:
    """Return the node classes for one master, by the names that prompts use."""
    classes = merge.build(host)
    return {CONDITION: condition.build(host), FAN_OUT: fan_out.build(host), MERGE: classes.pop("Merge"), **classes}
