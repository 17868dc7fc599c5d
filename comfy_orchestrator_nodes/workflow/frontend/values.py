"""Which saved value belongs to which widget."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from . import js
from .node import Node, Restoration
from .specs import InputSpec, parse_group


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
    if any(_has_dynamic_group(spec) for spec in node.spec.inputs.values()):
        return values
    forced = _forced_places(node, node.spec.inputs.values())
    keeping = sum(1 for widget in node.widgets if widget.keeps)
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


def _has_dynamic_group(spec: InputSpec) -> bool:
    if spec.type == "COMFY_DYNAMICGROUP_V3":
        return True
    return any(_has_dynamic_group(inner) for inner in _nested(spec))


def _nested(spec: InputSpec) -> Iterator[InputSpec]:
    if spec.type == "COMFY_AUTOGROW_V3":
        template = spec.options.get("template")
        if isinstance(template, dict):
            yield from parse_group(template.get("input"))
    elif spec.type == "COMFY_DYNAMICCOMBO_V3":
        for option in spec.options.get("options") or ():
            if isinstance(option, dict):
                yield from parse_group(option.get("inputs"))
