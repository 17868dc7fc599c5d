"""Groups of rows that all have the same widgets (``COMFY_DYNAMICGROUP_V3``)."""

from __future__ import annotations

import math
from typing import Any

from . import js
from .layout import capture_layout, replace_inputs
from .node import Node
from .specs import InputSpec, UnusableClass, parse_group
from .widgets import Widget

_MAX_ROWS = 500
"""How many rows are made at most; the front end's own limit is 20, unless more were saved."""


class DynamicGroup(Widget):
    """The hidden row count of a group whose rows all have the same widgets."""

    __slots__ = ("fields", "made", "maximum", "minimum", "rows")
    has_slot = False

    def __init__(self, spec: InputSpec, fields: tuple[InputSpec, ...], minimum: int, maximum: int) -> None:
        super().__init__("number", spec.name, minimum, sent=False)
        self.made = False
        self.fields = fields
        self.minimum = minimum
        self.maximum = maximum
        self.rows = 0

    def get(self) -> Any:
        """Return how many rows stand."""
        return self.rows if self.made else self.value

    def set(self, node: Node, value: Any) -> None:
        """Add or remove rows at the end.

        Raises:
            UnusableClass: a saved count is beyond what the group and its saved values can hold.
        """
        if not self.made:
            self.value = value
            return
        if not js.is_number(value) or not math.isfinite(value):
            return
        wanted = max(0, int(value))
        self._check_saved(node, value, wanted)
        count = max(self.minimum, wanted)
        while self.rows > count:
            self._remove_row(node)
        while self.rows < count and self._add_row(node):
            self.rows += 1

    def _check_saved(self, node: Node, value: float, wanted: int) -> None:
        if node.restoration is None:
            return
        kept = [widget for widget in node.widgets if widget.keeps]
        restored = node.restoration.lookup(self.name, kept.index(self)) if self in kept else None
        if wanted > _MAX_ROWS:
            raise UnusableClass(f"{self.name}: a saved row count of {wanted}, where {_MAX_ROWS} are the most")
        named = node.restoration.named
        saved = len(node.restoration.positional if named is None else named)
        if restored is not None and restored[0] == value and wanted > max(self.maximum, saved):
            raise UnusableClass(f"{self.name}: a saved row count of {wanted}, where {self.maximum} is the most")

    def _add_row(self, node: Node) -> bool:
        prefix = f"{self.name}.{self.rows}"
        widgets_before = len(node.widgets)
        previous = capture_layout(node)
        node.add_widget(Widget("dynamic_group_row", prefix, keeps=False, sent=False))
        for spec in self.fields:
            name = f"{prefix}.{spec.name}"
            first = len(node.widgets)
            node.session.add_input(node, spec.renamed(name, optional=spec.optional))
            extras = (widget for widget in node.widgets[first:] if widget.name != name)
            for number, widget in enumerate(extras):
                widget.name = f"{name}.{number}"
        added = node.inputs[len(previous[0]) :]
        del node.inputs[len(previous[0]) :]
        standing = {slot.name: slot for slot in previous[0]}
        final = [*previous[0], *(slot for slot in added if slot.name not in standing)]
        if not replace_inputs(node, previous, final, previous[1]):
            del node.widgets[widgets_before:]
            return False
        for slot in added:
            if slot.name in standing:
                standing[slot.name].widget = slot.widget
                standing[slot.name].spec = slot.spec
        row = node.widgets[widgets_before:]
        del node.widgets[widgets_before:]
        at = next(index for index, widget in enumerate(node.widgets) if widget.name == f"{self.name}.$add")
        node.widgets[at:at] = row
        return True

    def _remove_row(self, node: Node) -> None:
        self.rows -= 1
        prefix = f"{self.name}.{self.rows}"
        previous = capture_layout(node)
        final = [slot for slot in previous[0] if not slot.name.startswith(prefix + ".")]
        replace_inputs(node, previous, final, previous[1])
        node.widgets[:] = [
            widget for widget in node.widgets if widget.name != prefix and not widget.name.startswith(prefix + ".")
        ]


def make_dynamic_group(node: Node, spec: InputSpec) -> Widget:
    """Make the row count of a dynamic group and its first rows.

    Raises:
        UnusableClass: the definition is not one.
    """
    template = spec.options.get("template")
    if not isinstance(template, dict):
        raise UnusableClass(f"{spec.name}: a dynamic group without a template")
    widget = DynamicGroup(
        spec,
        tuple(parse_group(template)),
        min(js.whole(spec.options.get("min"), 0), _MAX_ROWS),
        js.whole(spec.options.get("max"), 20),
    )
    node.add_widget(widget)
    node.add_widget(Widget("dynamic_group_notice", f"{spec.name}.$notice", keeps=False, sent=False))
    rows = widget.get()
    node.add_widget(Widget("button", f"{spec.name}.$add", keeps=False, sent=False))
    widget.made = True
    widget.set(node, rows)
    return widget
