"""Moving a node's inputs and the links into them together."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from .graph import INPUT_BOUNDARY, BoundaryInput, Graph, Link
from .node import Node, Slot
from .widgets import Widget

Layout = tuple[list[Slot], dict[Slot, Link]]


def capture_layout(node: Node) -> Layout:
    """Return the inputs as they stand and the link of each."""
    links: dict[Slot, Link] = {}
    if node.graph is not None:
        by_target = node.graph.by_target
        for index, slot in enumerate(node.inputs):
            link = by_target.get((node.id, index))
            if link is not None:
                links[slot] = link
    return list(node.inputs), links


def replace_inputs(node: Node, previous: Layout, final: list[Slot], assignments: Mapping[Slot, Link]) -> bool:
    """Exchange a node's inputs and carry its links over.

    Args:
        node: the node; its inputs are mutated in place, because callers iterate over them.
        previous: the layout before, as ``capture_layout`` gave it.
        final: the inputs from now on.
        assignments: which link each slot has from now on; links of ``previous`` that are not in it are cut.

    Returns:
        False where the links would collide: the inputs are then those of ``previous``.
    """
    before, links_before = previous
    assigned = [(slot, assignments[slot], index) for index, slot in enumerate(final) if slot in assignments]
    retained = {link.id for _, link, _ in assigned}
    removals = [(index, links_before[slot]) for index, slot in enumerate(before) if slot in links_before]
    removals = [(index, link) for index, link in removals if link.id not in retained]
    graph = node.graph
    if graph is not None and not graph.move_links(
        [(link, index) for _, link, index in assigned], [link for _, link in removals]
    ):
        node.inputs[:] = before
        return False
    node.inputs[:] = final
    for index, link in reversed(removals):
        announce_removal(node, index, link)
    return True


def announce_removal(node: Node, slot: int, link: Link) -> None:
    """Let everybody know that a link into ``node`` is gone: the boundary it came from, and the node itself."""
    graph = node.graph
    if graph is not None and link.origin == INPUT_BOUNDARY and 0 <= link.origin_slot < len(graph.inputs):
        boundary = graph.inputs[link.origin_slot]
        if link.id in boundary.link_ids:
            boundary.link_ids.remove(link.id)
        for host in graph.hosts:
            rebind_promotion(host, boundary)
    node.connection_changed(slot, False, link)


def rebind_promotion(host: Node, boundary: BoundaryInput) -> None:
    """Take a promoted value away from an instance when no widget inside is linked to its input any more."""
    graph = host.subgraph
    if graph is None or any(True for _ in connected_widgets(graph, boundary)):
        return
    for slot in host.inputs:
        if slot.boundary is boundary:
            slot.widget = None
            slot.promoted = None
            host.promoted.pop(boundary.name, None)


def connected_widgets(graph: Graph, boundary: BoundaryInput) -> Iterator[tuple[Node, Slot, Widget]]:
    """Yield the widgets inside a subgraph that are linked to one of its inputs, in the order of the links."""
    for link_id in boundary.link_ids:
        link = graph.links.get(link_id)
        if link is None:
            continue
        node, slot = graph.target_of(link)
        if node is None or slot is None:
            continue
        widget = node.widget_of(slot)
        if widget is not None:
            yield node, slot, widget


def commit(node: Node, previous: Layout, assignments: Mapping[Slot, Link]) -> bool:
    """Make the node's present inputs official, with these links."""
    final = list(node.inputs)
    node.inputs[:] = previous[0]
    return replace_inputs(node, previous, final, assignments)
