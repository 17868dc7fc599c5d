"""Inputs and outputs that take the type of what is linked (``COMFY_MATCHTYPE_V3``)."""

from __future__ import annotations

from typing import Any

from . import js, slot_types
from .graph import Link
from .node import Node
from .specs import InputSpec


def apply_match_type(node: Node, spec: InputSpec) -> None:
    """Add an input that agrees with others on a type; one without a sound template takes anything."""
    template = spec.options.get("template")
    allowed = template.get("allowed_types") if isinstance(template, dict) else None
    template_id = template.get("template_id") if isinstance(template, dict) else None
    if not isinstance(allowed, str) or not isinstance(template_id, str):
        node.session.add_input(node, InputSpec(spec.name, "*", spec.optional, spec.options))
        return
    node.session.add_input(node, InputSpec(spec.name, allowed, spec.optional, spec.options))
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
