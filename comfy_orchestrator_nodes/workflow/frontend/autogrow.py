"""Lists of inputs that grow as they are linked (``COMFY_AUTOGROW_V3``)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from . import js
from .graph import Link
from .layout import capture_layout, commit, replace_inputs
from .node import Node, Slot
from .specs import InputSpec, UnusableClass, parse_group
from .widgets import Widget

_MAX_DIGITS = 15
_MAX_INPUTS = 1_000
"""How many inputs a list has at most, whatever its definition says."""


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
        return int(name[-min(digits, _MAX_DIGITS) :]) if digits else None


def apply_autogrow(node: Node, spec: InputSpec) -> None:
    """Add a growing list with its first inputs.

    Raises:
        UnusableClass: the definition is not one.
    """
    template = spec.options.get("template")
    if not isinstance(template, dict) or not isinstance(template.get("input"), dict):
        raise UnusableClass(f"{spec.name}: a growing list without a template")
    names = template.get("names")
    names = tuple(map(str, names)) if isinstance(names, list) else None
    prefix = template.get("prefix")
    group = Autogrow(
        specs=tuple(parse_group(template["input"])),
        minimum=min(js.whole(template.get("min"), 1), _MAX_INPUTS),
        maximum=len(names) if names is not None else min(js.whole(template.get("max"), 100), _MAX_INPUTS),
        prefix=prefix if isinstance(prefix, str) else "",
        names=names,
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
        node.session.add_input(node, spec.renamed(name, optional=ordinal >= group.minimum or spec.optional))
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
    commit(node, previous, links)


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
