"""Combos whose choice decides which inputs follow (``COMFY_DYNAMICCOMBO_V3``).

Follows the front end's ``core/graph/widgets/dynamicWidgets.ts`` (1.58.1) in order of operations, because what a value
list means depends on which widgets stand when it is read.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from . import js
from .constructors import combo_default
from .graph import Link
from .layout import Layout, capture_layout, commit
from .node import Node, Slot, make_names_unique
from .specs import InputSpec, UnusableClass, parse_group
from .widgets import Widget


class DynamicCombo(Widget):
    """A combo whose choice decides which inputs follow it."""

    __slots__ = ("active", "inputs_before", "made", "options", "prefix", "removed")

    def __init__(self, spec: InputSpec, options: Mapping[str, Any]) -> None:
        chooser = InputSpec(spec.name, "COMBO", False, {}, tuple(js.keys(options)))
        super().__init__("combo", spec.name, combo_default(chooser), choices=chooser.choices)
        self.prefix = spec.name + "."
        self.options = options
        self.active: Any = self.value
        self.inputs_before = 0
        self.made = False
        """Whether the widget stands: before that, a saved value is only noted."""
        self.removed: dict[Any, dict[str, tuple[str, Any]]] = {}
        """Values of inputs that went away with their option."""

    def set(self, node: Node, value: Any) -> None:
        """Choose an option and exchange the inputs that follow."""
        self.value = value
        if not self.made:
            self.active = value
            return
        group = self.options.get(js.to_text(value)) if js.truthy(value) else None
        key = value if isinstance(value, str) else js.to_text(value)
        removed_option, self.active = self.active, key
        previous = capture_layout(node)
        links = dict(previous[1])
        gone = self._take_away(node, removed_option)
        if group is None:
            commit(node, previous, links)
            return
        names = self._lay_out(node, group)
        added = self._place_inputs(node, names)
        if not added:
            if commit(node, previous, links):
                self._bring_back(node, key, names)
            return
        self._hand_over(node, previous, links, gone, key, names)

    def _take_away(self, node: Node, option: Any) -> list[Slot]:
        gone = [slot for slot in node.inputs if slot.name.startswith(self.prefix)]
        node.inputs[:] = [slot for slot in node.inputs if not slot.name.startswith(self.prefix)]
        for widget in node.widgets:
            if widget.name.startswith(self.prefix):
                self.removed.setdefault(option, {})[widget.name] = (widget.type, widget.get())
        node.widgets[:] = [widget for widget in node.widgets if not widget.name.startswith(self.prefix)]
        return gone

    def _lay_out(self, node: Node, group: Any) -> list[str]:
        """Add the option's inputs and put its widgets after this one; return the widgets' names."""
        self.inputs_before = len(node.inputs)
        widgets_before = len(node.widgets)
        for spec in parse_group(group):
            node.session.add_input(node, spec.renamed(self.prefix + spec.name, optional=spec.optional))
        added = node.widgets[widgets_before:]
        del node.widgets[widgets_before:]
        at = node.widgets.index(self) + 1
        node.widgets[at:at] = added
        if node.graph is not None:
            make_names_unique(node.widgets)
        return [widget.name for widget in added]

    def _place_inputs(self, node: Node, names: list[str]) -> bool:
        """Put the new slots after this widget's own; False while it has none, as when the node is being made."""
        before = self.inputs_before
        at = next((index for index, slot in enumerate(node.inputs) if slot.name == self.name), -1) + 1
        if at == 0:
            if not names and len(node.inputs) != before:
                raise UnusableClass(f"{self.name}: the option {self.active!r} brings slots but no widget to hold them")
            return False
        fresh = node.inputs[before:]
        del node.inputs[before:]
        placed = []
        for slot in fresh:
            existing = next((index for index, other in enumerate(node.inputs) if other.name == slot.name), -1)
            placed.append(slot if existing == -1 else node.inputs.pop(existing))
        node.inputs[at:at] = placed
        return True

    def _hand_over(
        self,
        node: Node,
        previous: Layout,
        links: dict[Slot, Link],
        gone: list[Slot],
        key: Any,
        names: list[str],
    ) -> None:
        for slot in gone:
            heir = next((other for other in node.inputs if other.name == slot.name), None)
            if heir is not None and slot in links:
                links[heir] = links[slot]
        old = set(previous[0])
        inherited = [(slot, links[slot]) for slot in node.inputs if slot in links and slot not in old]
        if not commit(node, previous, links):
            return
        for slot, link in inherited:
            if slot in node.inputs:
                node.connection_changed(node.inputs.index(slot), True, link)
        self._bring_back(node, key, names)

    def _bring_back(self, node: Node, key: Any, names: list[str]) -> None:
        """Give returning inputs the values they had, unless the saved list speaks for them."""
        remembered = self.removed.get(key, {})
        for name in dict.fromkeys([*names, *remembered]):
            widget = node.widget_named(name)
            if widget is None or name not in remembered:
                continue
            kept = [other for other in node.widgets if other.keeps]
            index = kept.index(widget) if widget in kept else -1
            if node.restoration is not None and index >= 0 and node.restoration.lookup(name, index) is not None:
                continue
            type_, value = remembered[name]
            if type_ == widget.type:
                widget.set(node, value)


def make_dynamic_combo(node: Node, spec: InputSpec) -> Widget:
    """Make a dynamic combo and lay out its first option.

    Raises:
        UnusableClass: the definition is not one.
    """
    listed = spec.options.get("options")
    if not isinstance(listed, list):
        raise UnusableClass(f"{spec.name}: a dynamic combo without options")
    options: dict[str, Any] = {}
    for option in listed:
        if not isinstance(option, dict) or not isinstance(option.get("key"), str):
            raise UnusableClass(f"{spec.name}: an option of a dynamic combo without a key")
        options[option["key"]] = option.get("inputs")
    widget = DynamicCombo(spec, options)
    node.add_widget(widget)
    widget.made = True
    widget.set(node, widget.get())
    return widget
