"""Instances of subgraphs and the values that they hold for widgets inside.

An instance has one input for each input of its definition. Where a widget inside is linked to that input, the instance
holds a value of its own for it, which beats the widget's. Versions 1.28 to 1.45 listed such values in
``properties.proxyWidgets`` instead; those lists are carried over here.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from . import js, virtual
from .custom import choices_of
from .graph import INPUT_BOUNDARY, BoundaryInput, Graph, Link
from .layout import announce_removal, connected_widgets
from .node import Node, OutputSlot, Slot
from .widgets import Widget

_PREVIEW_TYPES = frozenset({"preview", "video", "audioUI"})
_BYPASS_MARK = "proxyBypassedToSubgraphInput"


def open_instance(node: Node) -> None:
    """Give a new instance the slots of its definition, and the values that its widgets have inside."""
    graph = _definition(node)
    graph.hosts.append(node)
    node.inputs = []
    for boundary in graph.inputs:
        slot = Slot(boundary.name, boundary.type, label=boundary.label)
        slot.boundary = boundary
        node.inputs.append(slot)
    node.outputs = [OutputSlot(boundary.type, boundary.name) for boundary in graph.outputs]
    bind_slots(node)


def merge_slots(node: Node, info: dict[str, Any]) -> None:
    """Lay the saved inputs over those of the definition: order, names and types are the definition's."""
    graph = _definition(node)
    saved = {str(data.get("name")): data for data in info["inputs"]}
    merged: list[dict[str, Any]] = []
    slots: list[Slot] = []
    for boundary in graph.inputs:
        data = saved.get(boundary.name, {})
        merged.append(data)
        label = data.get("label", boundary.label)
        slot = Slot(boundary.name, boundary.type, label=label if isinstance(label, str) else None)
        slot.boundary = boundary
        slots.append(slot)
    names = {boundary.name for boundary in graph.inputs}
    info["inputs"] = merged + [data for data in info["inputs"] if str(data.get("name")) not in names]
    node.inputs[:] = slots
    for index, data in enumerate(info["outputs"]):
        if index >= len(node.outputs):
            node.outputs.append(OutputSlot(data.get("type", "*"), str(data.get("name", ""))))


def bind_slots(node: Node) -> None:
    """Find the widget behind each input and let the instance hold a value for it."""
    for slot in node.inputs:
        if slot.boundary is not None:
            _bind(node, slot, slot.boundary)


def _bind(node: Node, slot: Slot, boundary: BoundaryInput) -> None:
    inner = next(connected_widgets(_definition(node), boundary), None)
    if inner is None:
        return
    source, _, widget = inner
    held = node.promoted.get(boundary.name)
    if held is None or held.type != widget.type:
        held = Widget(widget.type, boundary.name, widget.get(), choices=choices_of(source, widget))
        node.promoted[boundary.name] = held
    slot.widget = boundary.name
    slot.promoted = held


def apply_values(node: Node, info: Mapping[str, Any]) -> None:
    """Take the saved values, one for each input that has a widget behind it, in the definition's order."""
    values = info.get("widgets_values")
    positional = values if isinstance(values, list) else []
    quarantined = _quarantined(node.properties.get("proxyWidgetErrorQuarantine"))
    index = 0
    for slot in node.inputs:
        if slot.promoted is None:
            continue
        if slot.name in quarantined:
            slot.promoted.value = quarantined[slot.name]
        elif index < len(positional):
            slot.promoted.value = positional[index]
        index += 1


def _quarantined(saved: Any) -> dict[str, Any]:
    """Return values that an earlier migration could not place, by the input that they were for."""
    values: dict[str, Any] = {}
    for entry in reversed(_parse_list(saved)):
        if not isinstance(entry, dict) or "hostValue" not in entry:
            continue
        original = entry.get("originalEntry")
        if isinstance(original, list) and len(original) >= 2 and original[0] == "-1":
            values[str(original[1])] = entry["hostValue"]
    return values


def _parse_list(saved: Any) -> list[Any]:
    if isinstance(saved, str):
        try:
            saved = json.loads(saved)
        except ValueError:
            return []
    return saved if isinstance(saved, list) else []


def _definition(node: Node) -> Graph:
    assert node.subgraph is not None
    return node.subgraph


# --- values of versions 1.28 to 1.45 ---------------------------------------------------------------------------------


class _Entry:
    """One ``[node id, widget name]`` of ``proxyWidgets`` with the value saved at its place."""

    __slots__ = ("name", "present", "source", "through", "value")

    def __init__(self, node: Node, raw: list[str], values: list[Any], index: int) -> None:
        self.source = raw[0]
        self.name = raw[1]
        self.through = raw[2] if len(raw) > 2 else None
        if not _resolves(node, self.source, self.name):
            self._strip_prefixes()
        self.present = index < len(values)
        self.value = values[index] if self.present else None

    def _strip_prefixes(self) -> None:
        """Take ``3: 5: seed`` apart: the last number says through which inner node the name is meant."""
        while True:
            head, colon, rest = self.name.partition(":")
            if not colon or not head.strip().isdigit() or not rest.strip():
                return
            self.through = head.strip()
            self.name = rest.lstrip()


def migrate_proxies(node: Node, info: Mapping[str, Any]) -> None:
    """Turn ``properties.proxyWidgets`` into inputs of the subgraph with values of the instance."""
    saved = node.properties.get("proxyWidgets")
    raw_entries = _parse_list(saved)
    if not raw_entries or not all(_is_tuple(raw) for raw in raw_entries):
        return
    values = info.get("widgets_values")
    positional = values if isinstance(values, list) else []
    entries = [_Entry(node, raw, positional, index) for index, raw in enumerate(raw_entries)]
    plans = [(entry, _input_for(node, entry), _source(node, entry)) for entry in entries]
    primitives: dict[str, list[_Entry]] = {}
    homeless: list[_Entry] = []
    for entry, linked, source in plans:
        if linked is not None:
            _hold(linked, entry)
        elif source is None:
            homeless.append(entry)
        elif source.kind == virtual.PRIMITIVE:
            if not _already_bypassed(node, source, entry):
                primitives.setdefault(source.id, []).append(entry)
        elif not _promote(node, source, entry):
            homeless.append(entry)
    for source_id, cohort in primitives.items():
        _replace_primitive(node, _definition(node).by_id[source_id], cohort)
    for entry in homeless:
        _quarantine(node, entry)


def _is_tuple(raw: Any) -> bool:
    return isinstance(raw, list) and len(raw) in (2, 3) and all(isinstance(part, str) for part in raw)


def _hold(slot: Slot, entry: _Entry) -> None:
    if slot.promoted is not None and entry.present:
        slot.promoted.value = entry.value


def _quarantine(node: Node, entry: _Entry) -> None:
    """Keep what can be kept of an entry without a source: ``-1`` means the instance's own input of that name."""
    if entry.source != "-1" or not entry.present:
        return
    slot = next((slot for slot in node.inputs if slot.name == entry.name), None)
    if slot is not None and slot.promoted is not None:
        slot.promoted.value = entry.value


def promotion_target(node: Node, boundary: BoundaryInput) -> tuple[str, str] | None:
    """Return the node id and widget name inside that an input of an instance stands for."""
    graph = _definition(node)
    for link_id in boundary.link_ids:
        link = graph.links.get(link_id)
        target, slot = graph.target_of(link) if link is not None else (None, None)
        if target is None or slot is None:
            continue
        if target.subgraph is not None:
            return target.id, slot.name
        widget = target.widget_of(slot)
        if widget is not None:
            return target.id, widget.name
    return None


def _input_for(node: Node, entry: _Entry) -> Slot | None:
    wanted = (entry.source, entry.name)
    return next(
        (slot for slot in node.inputs if slot.boundary and promotion_target(node, slot.boundary) == wanted), None
    )


def _resolves(node: Node, source: str, name: str) -> bool:
    """Tell whether the entry leads to a widget, through nested instances if need be."""
    current: Node | None = node
    for _ in range(100):
        if current is None or current.subgraph is None:
            return False
        inner = current.subgraph.by_id.get(source)
        if inner is None:
            return False
        if inner.subgraph is None:
            return inner.widget_named(name) is not None
        boundary = next((each for each in inner.subgraph.inputs if each.name == name), None)
        target = promotion_target(inner, boundary) if boundary is not None else None
        if target is None:
            return False
        current, (source, name) = inner, target
    return False


def _source(node: Node, entry: _Entry) -> Node | None:
    return _definition(node).by_id.get(entry.source)


def _already_bypassed(node: Node, source: Node, entry: _Entry) -> bool:
    name = source.properties.get(_BYPASS_MARK)
    matches = [slot for slot in node.inputs if slot.name == name] if isinstance(name, str) else []
    if len(matches) == 1:
        _hold(matches[0], entry)
    return bool(matches)


def _source_slot(source: Node, entry: _Entry) -> tuple[Slot, Widget] | None:
    """Return the input and the widget of an inner node that an entry means."""
    if source.subgraph is not None:
        for slot in source.inputs:
            if slot.boundary is None or slot.promoted is None:
                continue
            target = promotion_target(source, slot.boundary)
            if entry.through is not None:
                if target is not None and target == (entry.through, entry.name):
                    return slot, slot.promoted
            elif slot.name == entry.name or (target is not None and target[1] == entry.name):
                return slot, slot.promoted
    widget = source.widget_named(entry.name)
    slot_of = next((slot for slot in source.inputs if widget is not None and slot.widget == widget.name), None)
    return (slot_of, widget) if widget is not None and slot_of is not None else None


def _promote(node: Node, source: Node, entry: _Entry) -> bool:
    """Make a new input of the definition for the widget, and let this instance hold the saved value."""
    if entry.name.startswith("$$"):
        return True
    found = _source_slot(source, entry)
    if found is None:
        return False
    slot, widget = found
    if not (widget.keeps and widget.sent) and widget.type in _PREVIEW_TYPES:
        return True
    boundary = _add_boundary(_definition(node), entry.name, slot.type, slot.label)
    _connect(_definition(node), boundary, source, slot)
    _share(_definition(node), boundary)
    _hold_by_name(node, boundary, entry)
    return True


def _hold_by_name(node: Node, boundary: BoundaryInput, entry: _Entry) -> None:
    for slot in node.inputs:
        if slot.boundary is boundary:
            _hold(slot, entry)


def _add_boundary(graph: Graph, name: str, type_: Any, label: str | None) -> BoundaryInput:
    taken = {boundary.name for boundary in graph.inputs}
    unique, number = name, 1
    while unique in taken:
        unique, number = f"{name}_{number}", number + 1
    boundary = BoundaryInput(unique, type_, [], label)
    graph.inputs.append(boundary)
    return boundary


def _connect(graph: Graph, boundary: BoundaryInput, target: Node, slot: Slot) -> None:
    index = target.inputs.index(slot)
    existing = graph.by_target.get((target.id, index))
    if existing is not None:
        graph.remove_link(existing)
        announce_removal(target, index, existing)
    link = Link(max(graph.links, default=0) + 1, INPUT_BOUNDARY, graph.inputs.index(boundary), target.id, index)
    graph.add_link(link)
    boundary.link_ids.append(link.id)
    target.connection_changed(index, True, link)


def _share(graph: Graph, boundary: BoundaryInput) -> None:
    """Show a new input of the definition on all its instances."""
    for instance in graph.hosts:
        slot = Slot(boundary.name, boundary.type, label=boundary.label)
        slot.boundary = boundary
        instance.inputs.append(slot)
        _bind(instance, slot, boundary)


def _replace_primitive(node: Node, primitive: Node, cohort: list[_Entry]) -> None:
    """Let an input of the instance drive what a primitive node inside drove."""
    graph = _definition(node)
    if any(entry.name != cohort[0].name for entry in cohort) or not primitive.outputs:
        return
    targets = []
    for link in list(graph.by_origin.get((primitive.id, 0), {}).values()):
        target, slot = graph.target_of(link)
        if target is None or slot is None:
            return
        targets.append((target, slot))
    kind = primitive.outputs[0].type
    if not targets or any(kind not in ("*", slot.type) and slot.type != "*" for _, slot in targets):
        return
    named = js.truthy(primitive.title) and primitive.title not in (virtual.PRIMITIVE,)
    boundary = _add_boundary(graph, str(primitive.title) if named else cohort[0].name, kind, None)
    for target, slot in targets:
        _connect(graph, boundary, target, slot)
    _share(graph, boundary)
    for entry in cohort:
        if entry.present:
            _hold_by_name(node, boundary, entry)
            break
    primitive.properties[_BYPASS_MARK] = boundary.name
