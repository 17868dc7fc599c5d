"""Saved slots and links against the live ones: which slot is which, and where its link belongs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .graph import Graph, Link
from .node import Node, OutputSlot, Slot

_MAX_BLOCKED = 100
"""How many links may stand in each other's way before the rest stays where it was saved."""


def merge_slots(node: Node, info: dict[str, Any]) -> None:
    """Let the definition say which slots there are, and the document which others a script had added."""
    saved = {str(slot.get("name")): slot for slot in info["inputs"]}
    defined = {slot.name for slot in node.inputs}
    merged: list[dict[str, Any]] = []
    for slot in node.inputs:
        data = saved.get(slot.name) or {}
        merged.append(data)
        slot.label = _label(data)
        slot.spec = None
    for data in info["inputs"]:
        if str(data.get("name")) not in defined:
            merged.append(data)
            node.inputs.append(_saved_slot(data))
    info["inputs"] = merged
    for index, data in enumerate(info["outputs"]):
        if index >= len(node.outputs):
            node.outputs.append(OutputSlot(data.get("type", "*"), str(data.get("name", ""))))


def take_slots(node: Node, info: dict[str, Any]) -> None:
    """Take the slots as saved: the front end's own nodes have no definition to check them against."""
    for index, data in enumerate(info["inputs"]):
        slot = _saved_slot(data)
        if index < len(node.inputs):
            node.inputs[index] = slot
        else:
            node.inputs.append(slot)
    for index, data in enumerate(info["outputs"]):
        output = OutputSlot(data.get("type", "*"), str(data.get("name", "")))
        if index < len(node.outputs):
            node.outputs[index] = output
        else:
            node.outputs.append(output)


def _saved_slot(data: Mapping[str, Any]) -> Slot:
    localized = data.get("localized_name")
    return Slot(
        str(data.get("name", "")),
        data.get("type", "*"),
        widget=_widget_name(data),
        label=_label(data),
        localized=localized if isinstance(localized, str) else None,
    )


def _widget_name(data: Mapping[str, Any]) -> str | None:
    widget = data.get("widget")
    return str(widget.get("name")) if isinstance(widget, dict) else None


def _label(data: Mapping[str, Any]) -> str | None:
    label = data.get("label")
    return label if isinstance(label, str) else None


def announce_links(node: Node, saved: list[dict[str, Any]]) -> None:
    """Tell the dynamic inputs which slots were saved as linked; they may grow while being told."""
    if not node.handlers or node.graph is None:
        return
    index = 0
    while index < len(node.inputs):
        link_id = saved[index].get("link") if index < len(saved) else None
        link = node.graph.links.get(link_id) if link_id is not None else None
        node.connection_changed(index, True, link)
        index += 1


def realign_group_children(node: Node, saved: list[dict[str, Any]]) -> None:
    """Bring links to the right slots before a dynamic combo rebuilds them, where the node has one."""
    if node.graph is None:
        return
    names = [
        (name, data.get("link"))
        for data in saved
        if (name := str(data.get("name"))).rpartition(".")[0] not in node.autogrow or "." not in name
    ]
    widget_names = {widget.name for widget in node.live_widgets()}
    if any("." in name[1:] and name.rpartition(".")[0] in widget_names for name, _ in names):
        realign_links(node.graph, node, names)


def realign_links(graph: Graph, node: Node, names: list[tuple[Any, int | None]]) -> None:
    """Move each link to the input whose saved twin names it.

    Args:
        graph: the graph the node is in.
        node: the node whose inputs may stand in another order than they were saved.
        names: for each saved input its name and link id.
    """
    if _all_in_place(graph, node, names):
        return
    wanted: dict[int, list[str]] = {}
    for name, link_id in names:
        link = graph.links.get(link_id) if link_id is not None else None
        if link is not None and link.target == node.id:
            wanted.setdefault(link.id, []).append(str(name))
    skipped: set[int] = set()
    passes = 0
    while passes < len(wanted) and len(skipped) <= _MAX_BLOCKED:
        places: dict[str, list[int]] = {}
        for index, slot in enumerate(node.inputs):
            places.setdefault(slot.name, []).append(index)
        moves = _moves(graph, wanted, places, skipped)
        if not moves:
            return
        lost = [link_id for link_id, aliases in wanted.items() if not any(alias in places for alias in aliases)]
        destinations = {slot for _, slot in moves}
        removals = [
            graph.links[link_id]
            for link_id in lost
            if link_id in graph.links and graph.links[link_id].target_slot in destinations
        ]
        if not graph.move_links(moves, removals):
            participants = {link.id for link, _ in moves} | {link.id for link in removals}
            blocked = [link for link, slot in moves if graph.blocked(link, slot, participants)]
            skipped.update(link.id for link in blocked or (link for link, _ in moves))
            continue
        passes += 1
        for link in removals:
            node.connection_changed(link.target_slot, False, link)
        for link, at in moves:
            node.connection_changed(at, True, link)


def _all_in_place(graph: Graph, node: Node, names: list[tuple[Any, int | None]]) -> bool:
    """Tell whether every link stands at an input of its name already, as in most documents."""
    inputs = node.inputs
    for name, link_id in names:
        link = graph.links.get(link_id) if link_id is not None else None
        if link is None or link.target != node.id:
            continue
        if not 0 <= link.target_slot < len(inputs) or inputs[link.target_slot].name != name:
            return False
    return True


def _moves(
    graph: Graph, wanted: Mapping[int, list[str]], places: Mapping[str, list[int]], skipped: set[int]
) -> list[tuple[Link, int]]:
    moves = []
    for link_id, aliases in wanted.items():
        link = graph.links.get(link_id)
        if link is None or link_id in skipped:
            continue
        slots = sorted(index for alias in set(aliases) for index in places.get(alias, ()))
        if slots and link.target_slot not in slots:
            moves.append((link, slots[0]))
    return moves
