"""Inputs that come and go with a widget's value or with links: dynamic combos, growing groups, matched types.

Follows the front end's ``core/graph/widgets/dynamicWidgets.ts`` (1.58.1) in order of operations, because what a value
list means depends on which widgets stand when it is read.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from . import js, slot_types
from .model import Layout, Link, Node, Slot, capture_layout, make_names_unique, replace_inputs
from .specs import InputSpec, parse_group, parse_input
from .widgets import CONSTRUCTORS, Widget, add_slot, combo_default


class UnusableClass(Exception):
    """A class's definition that the front end itself refuses: no node of that class can be made."""


def add_input(node: Node, spec: InputSpec) -> None:
    """Add what one definition brings to a node: a slot, a widget with its slot, or a group of them."""
    if not add_socket(node, spec):
        add_widget(node, spec)


def add_socket(node: Node, spec: InputSpec) -> bool:
    """Add a slot without a widget, or a group of dynamic inputs.

    Returns:
        False where the definition asks for a widget instead.
    """
    if spec.widget_type in CONSTRUCTORS and not spec.force_input:
        return False
    if spec.type == "COMFY_AUTOGROW_V3":
        _apply_autogrow(node, spec)
    elif spec.type == "COMFY_MATCHTYPE_V3":
        _apply_match_type(node, spec)
    else:
        add_slot(node, spec, widget=False)
    return True


def add_widget(node: Node, spec: InputSpec) -> None:
    """Add a widget, and the slot that may replace it."""
    constructor = CONSTRUCTORS.get(spec.widget_type)
    if constructor is None or spec.force_input:
        return
    widget = constructor(node, spec)
    if widget is not None and widget.has_slot:
        add_slot(node, spec, widget=True)


def _commit(node: Node, previous: Layout, assignments: Mapping[Slot, Link]) -> bool:
    """Make the node's present inputs official, with these links."""
    final = list(node.inputs)
    node.inputs[:] = previous[0]
    return replace_inputs(node, previous, final, assignments)


# --- dynamic combos --------------------------------------------------------------------------------------------------


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
            _commit(node, previous, links)
            return
        names = self._lay_out(node, group)
        added = self._place_inputs(node, names)
        if not added:
            if _commit(node, previous, links):
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
            add_input(node, spec.renamed(self.prefix + spec.name, optional=spec.optional))
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
                raise UnusableClass(f"{self.name}: the option {self.active!r} brings slots but no widget to put them at")
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
        if not _commit(node, previous, links):
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
    if not isinstance(listed, (list, tuple)):
        raise UnusableClass(f"{spec.name}: a dynamic combo without options")
    options: dict[str, Any] = {}
    for option in listed:
        if not isinstance(option, Mapping) or not isinstance(option.get("key"), str):
            raise UnusableClass(f"{spec.name}: an option of a dynamic combo without a key")
        options[option["key"]] = option.get("inputs")
    widget = DynamicCombo(spec, options)
    node.add_widget(widget)
    widget.made = True
    widget.set(node, widget.get())
    return widget


# --- growing groups --------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Autogrow:
    """A list of inputs that always offers one more than is linked."""

    specs: tuple[InputSpec, ...]
    minimum: int
    maximum: int
    prefix: str
    names: tuple[str, ...] | None

    def base_name(self, ordinal: int, key: str) -> str:
        """Return the name of the ordinal's input without the group's."""
        if self.names is not None:
            return self.names[ordinal] if 0 <= ordinal < len(self.names) else "undefined"
        return f"{self.prefix if len(self.specs) == 1 else key}{ordinal}"

    def ordinal(self, name: str) -> int | None:
        """Return which input of the group a name without the group's is."""
        if self.names is not None:
            return self.names.index(name) if name in self.names else None
        digits = len(name) - len(name.rstrip("0123456789"))
        return int(name[-digits:]) if digits else None


def _apply_autogrow(node: Node, spec: InputSpec) -> None:
    template = spec.options.get("template")
    if not isinstance(template, Mapping) or not isinstance(template.get("input"), Mapping):
        raise UnusableClass(f"{spec.name}: a growing list without a template")
    names = template.get("names")
    minimum = template.get("min")
    maximum = template.get("max")
    prefix = template.get("prefix")
    group = Autogrow(
        specs=tuple(parse_group(template["input"])),
        minimum=int(minimum) if js.is_number(minimum) else 1,
        maximum=len(names) if names is not None else (int(maximum) if js.is_number(maximum) else 100),
        prefix=prefix if isinstance(prefix, str) else "",
        names=tuple(map(str, names)) if names is not None else None,
    )
    if not node.autogrow:
        node.handlers.append(_autogrow_changed)
    node.autogrow[spec.name] = group
    for ordinal in range(max(1, group.minimum + 1)):
        _grow(node, ordinal, spec.name)


def _grow(node: Node, ordinal: int, group_name: str) -> None:
    """Add the inputs of one ordinal, taking over those that stand already."""
    group = node.autogrow[group_name]
    if ordinal >= group.maximum or not group.specs:
        return
    previous = capture_layout(node)
    links = dict(previous[1])
    fresh: list[Slot] = []
    for spec in group.specs:
        name = f"{group_name}.{group.base_name(ordinal, spec.name)}"
        add_input(node, spec.renamed(name, optional=ordinal >= group.minimum or spec.optional))
        slot = node.inputs.pop()
        slot.localized = group.base_name(ordinal, spec.name)
        if len(group.specs) != 1:
            _give_shim(node, slot)
        fresh.append(slot)
    for slot in fresh:
        for existing in [other for other in node.inputs if other.name == slot.name]:
            node.inputs.remove(existing)
            if existing in links and slot not in links:
                links[slot] = links[existing]
            if existing.label:
                slot.label = existing.label
    before = f"{group_name}.{group.base_name(ordinal - 1, group.specs[-1].name)}"
    last = max((index for index, slot in enumerate(node.inputs) if slot.name.startswith(before)), default=-1)
    at = len(node.inputs) if last == -1 else last + 1
    node.inputs[at:at] = fresh
    _commit(node, previous, links)


def _give_shim(node: Node, slot: Slot) -> None:
    """Give a slot of a group of several a widget that only shows its name."""
    if slot.widget is not None and any(widget.name == slot.widget for widget in node.widgets):
        return
    node.add_widget(Widget("shim", slot.name, keeps=False))
    slot.widget = slot.name


def _autogrow_changed(node: Node, index: int, connected: bool, link: Link | None) -> None:
    if not 0 <= index < len(node.inputs):
        return
    slot = node.inputs[index]
    group_name = slot.name.rpartition(".")[0]
    if group_name not in node.autogrow:
        return
    if node.session.configuring and slot.widget is not None:
        _give_shim(node, slot)
    if not connected:
        node.session.frames.append(lambda: _shrink(node, index))
    elif link is not None:
        _grow_after(node, slot, group_name)


def _grow_after(node: Node, slot: Slot, group_name: str) -> None:
    group = node.autogrow[group_name]
    offset = len(group_name) + 1
    ordinal = group.ordinal(slot.name[offset:])
    last = next(other for other in reversed(node.inputs) if other.name.startswith(group_name + "."))
    if ordinal is None or (ordinal != group.ordinal(last.name[offset:]) and not node.session.configuring):
        return
    _grow(node, ordinal + 1, group_name)


def _shrink(node: Node, index: int) -> None:
    """Close the gap that an unlinked input leaves, and drop what is spare at the end."""
    if not 0 <= index < len(node.inputs) or node.input_link(index) is not None:
        return
    slot = node.inputs[index]
    group_name = slot.name.rpartition(".")[0]
    group = node.autogrow.get(group_name)
    if group is None:
        return
    ordinal = group.ordinal(slot.name[len(group_name) + 1 :])
    if ordinal is None or ordinal + 1 < group.minimum:
        return
    members = [other for other in node.inputs if other.name.rpartition(".")[0] == group_name]
    stride = len(group.specs)
    if stride + index >= len(node.inputs) or len(members) % stride:
        return
    previous = capture_layout(node)
    links = dict(previous[1])
    moved: list[tuple[Slot, Link]] = []
    for column in range(stride):
        for place in range(ordinal * stride + column, len(members) - stride, stride):
            taker, donor = members[place], members[place + stride]
            link = links.get(donor)
            links.pop(taker, None)
            links.pop(donor, None)
            if link is not None:
                links[taker] = link
                moved.append((taker, link))
    spare = _spare(members[group.minimum * stride :], stride, links)
    if not replace_inputs(node, previous, [other for other in node.inputs if other not in spare], links):
        return
    for taker, link in moved:
        if taker in node.inputs:
            node.connection_changed(node.inputs.index(taker), True, link)
    names = {other.widget for other in spare if other.widget is not None}
    node.widgets[:] = [widget for widget in node.widgets if widget.name not in names]


def _spare(members: list[Slot], stride: int, links: Mapping[Slot, Link]) -> set[Slot]:
    start = len(members) - stride
    while start >= 0 and not any(slot in links for slot in members[start : start + stride]):
        start -= stride
    return set(members[max(0, start + stride * 2) :])


# --- matched types ---------------------------------------------------------------------------------------------------


def _apply_match_type(node: Node, spec: InputSpec) -> None:
    template = spec.options.get("template")
    allowed = template.get("allowed_types") if isinstance(template, Mapping) else None
    template_id = template.get("template_id") if isinstance(template, Mapping) else None
    if not isinstance(allowed, str) or not isinstance(template_id, str):
        add_input(node, InputSpec(spec.name, "*", spec.optional, spec.options))
        return
    add_input(node, InputSpec(spec.name, allowed, spec.optional, spec.options))
    if not node.match_types:
        node.handlers.append(_match_types_changed)
    node.match_types.setdefault(template_id, {})[spec.name] = allowed
    index = len(node.inputs) - 1
    node.session.frames.append(lambda: _settle_types(node, index))


def _settle_types(node: Node, index: int) -> None:
    if node.graph is None or not 0 <= index < len(node.inputs):
        return
    link = node.input_link(index)
    node.connection_changed(index, link is not None, link)


def _match_types_changed(node: Node, index: int, connected: bool, link: Link | None) -> None:
    graph = node.graph
    if graph is None or node.session.configuring or not 0 <= index < len(node.inputs):
        return
    name = node.inputs[index].name
    found = next(((key, group) for key, group in node.match_types.items() if name in group), None)
    if found is None:
        return
    template_id, group = found
    members = [(at, slot) for at, slot in enumerate(node.inputs) if slot.name in group]
    connected_types = [_incoming_type(node, at) for at, _ in members]
    for place, (_, slot) in enumerate(members):
        others = connected_types[:place] + connected_types[place + 1 :]
        combined = slot_types.common([*others, group[slot.name]])
        if combined is None:
            return
        slot.type = combined
    result = slot_types.common(connected_types)
    if result is None or node.spec is None:
        return
    for at, template in enumerate(node.spec.output_matchtypes):
        if template == template_id and at < len(node.outputs):
            _change_output_type(node, at, result)


def _incoming_type(node: Node, index: int) -> Any:
    link = node.input_link(index)
    kind = node.graph.origin_type(link) if link is not None and node.graph is not None else None
    return "*" if kind is None else kind


def _change_output_type(node: Node, slot: int, kind: Any) -> None:
    """Set an output's type; cut links that it does not fit any more, and tell the nodes behind."""
    output = node.outputs[slot]
    if output.type == kind or node.graph is None:
        return
    output.type = kind
    graph = node.graph
    for link in graph.links_from(node.id, slot):
        target, target_slot = graph.target_of(link)
        if target is None or target_slot is None or not js.truthy(target_slot.type):
            continue
        keep = slot_types.compatible(kind, target_slot.type)
        if not keep:
            graph.remove_link(link)
            target.connection_changed(link.target_slot, False, link)
        target.connection_changed(link.target_slot, keep, link)


# --- repeated rows ---------------------------------------------------------------------------------------------------


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
        if not js.is_number(value):
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
            add_input(node, spec.renamed(name, optional=spec.optional))
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
    if not isinstance(template, Mapping):
        raise UnusableClass(f"{spec.name}: a dynamic group without a template")
    minimum, maximum = spec.options.get("min"), spec.options.get("max")
    widget = DynamicGroup(
        spec,
        tuple(parse_group(template)),
        int(minimum) if js.is_number(minimum) else 0,
        int(maximum) if js.is_number(maximum) else 20,
    )
    node.add_widget(widget)
    node.add_widget(Widget("dynamic_group_notice", f"{spec.name}.$notice", keeps=False, sent=False))
    rows = widget.get()
    node.add_widget(Widget("button", f"{spec.name}.$add", keeps=False, sent=False))
    widget.made = True
    widget.set(node, rows)
    return widget


CONSTRUCTORS["COMFY_DYNAMICCOMBO_V3"] = make_dynamic_combo
CONSTRUCTORS["COMFY_DYNAMICGROUP_V3"] = make_dynamic_group
