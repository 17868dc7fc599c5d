"""Which saved value belongs to which widget."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from . import js
from .node import Node, Restoration


def read_values(info: Mapping[str, Any], fallback_names: tuple[str, ...] | None) -> Restoration:
    """Return the values saved with a node.

    Names are only trusted where the class says so: the front end keeps positions authoritative otherwise, although it
    writes ``widgets_values_named`` as well.
    """
    values = info.get("widgets_values")
    positional = values if isinstance(values, list) else []
    if fallback_names is None:
        return Restoration(positional)
    named = info.get("widgets_values_named")
    if isinstance(named, dict):
        return Restoration(positional, named)
    if "widgets_values" not in info or values is None:
        return Restoration(positional)
    return Restoration(positional, dict(zip(fallback_names, positional, strict=False)))


def migrate_values(node: Node, values: Any) -> Any:
    """Drop the entries that versions before 1.16 saved for inputs which have no widget any more.

    Args:
        node: a node of a class, with the widgets that its definition gives it.
        values: ``widgets_values`` as saved: a list, or an object whose values are taken in order.
    """
    if values is None:
        values = []
    if node.spec is None or not isinstance(values, (list, Mapping)):
        return values
    if node.spec.has_rows:
        return values
    keeping = sum(widget.keeps for widget in node.widgets)
    if isinstance(values, list) and not node.spec.forces_inputs and len(values) == keeping:
        return values
    forced = _forced_places(node, node.spec.inputs.values())
    if isinstance(values, list) and True not in forced and len(values) == keeping:
        return values
    compacted = _compacted(node, values)
    if len(compacted) == len(forced):
        aligned = compacted
    elif isinstance(values, list) and len(values) == len(forced):
        aligned = values
    else:
        return values
    return [value for value, force in zip(aligned, forced, strict=True) if not force]


def _forced_places(node: Node, specs: Any) -> list[bool]:
    names = {widget.name for widget in node.widgets}
    skipped = {widget.name for widget in node.widgets if not widget.keeps}
    places: list[bool] = []
    for spec in specs:
        if (spec.name in names or spec.force_input) and spec.name not in skipped:
            places.extend((spec.force_input, False) if spec.controlled else (spec.force_input,))
    return places


def _compacted(node: Node, values: Any) -> list[Any]:
    if isinstance(values, dict):
        return [value for _, value in js.entries(values)]
    widgets = node.widgets
    return [value for index, value in enumerate(values) if index >= len(widgets) or widgets[index].keeps]
