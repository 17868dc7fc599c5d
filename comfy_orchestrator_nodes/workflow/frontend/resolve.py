"""Following links through bypassed nodes, reroutes and subgraph boundaries, as ``ExecutableNodeDTO.ts`` does.

The walk is a loop with two kinds of step: from an input to what it is linked to, and from an output to what stands
behind it. A chain may be as long as a workflow; it never deepens the stack.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from . import js, slot_types
from .graph import INPUT_BOUNDARY, Graph, Link
from .node import BYPASSED, MUTED, Node

MAX_DEPTH = 100
"""How deep instances may nest; the front end's own limit is of no use before the stack ends."""


class Unresolvable(Exception):
    """A link that the front end stumbles over: it would refuse to queue the workflow."""


class Place:
    """One node as it will execute: the node, the instance that it is in, and its id in the prompt.

    The id holds the ids of all instances around the node, outermost first, joined by colons.
    """

    __slots__ = ("host", "id", "node")

    def __init__(self, node: Node, host: Place | None = None) -> None:
        self.node = node
        self.host = host
        self.id: str = node.id if host is None else f"{host.id}:{node.id}"


@dataclass(frozen=True)
class Source:
    """What feeds an input in the end: an output of an executing node, or a value that an instance holds."""

    place: Place | None
    slot: int = -1
    value: Any = js.UNDEFINED


def places(root: Graph, limit: int) -> Iterator[Place]:
    """Yield every node that may execute, instances included.

    Raises:
        Unresolvable: the subgraphs unfold to more than ``limit`` nodes.
    """
    count = 0
    stack: list[Iterator[Place]] = [iter([Place(node) for node in root.execution_order()])]
    while stack:
        place = next(stack[-1], None)
        if place is None:
            stack.pop()
            continue
        count += 1
        if count > limit:
            raise Unresolvable(f"its subgraphs unfold to more than {limit} nodes")
        yield place
        graph = place.node.subgraph
        # The front end looks at the mode of an instance only in the root graph.
        if graph is None or (place.host is None and not place.node.active):
            continue
        if len(stack) > MAX_DEPTH:
            raise Unresolvable(f"its subgraphs are nested deeper than {MAX_DEPTH} levels")
        stack.append(iter([Place(node, place) for node in graph.nodes]))


class Resolver:
    """Follows links; remembers what it found, so that many ends of one long chain cost no more than one."""

    def __init__(self) -> None:
        self._known: dict[_Stop, Source | None] = {}

    def resolve(self, place: Place, slot: int) -> Source | None:
        """Return what feeds an input, or None where nothing does.

        Raises:
            Unresolvable: the links go round in a circle, or lead to what is not there.
        """
        visited: set[tuple[int, str, bool, int]] = set()
        passed: list[_Stop] = []
        at, index, wanted, outward = place, slot, None, False
        while True:
            stop = (at.id, index, str(slot_types.key(wanted)), outward)
            if stop in self._known:
                found = self._known[stop]
                break
            passed.append(stop)
            graph = at.host.node.subgraph if at.host is not None else None
            seen = (id(graph), at.node.id, outward, index)
            if seen in visited:
                raise Unresolvable(f"the links around node {at.id} go round in a circle")
            visited.add(seen)
            step = _behind_output(at, index, wanted) if outward else _behind_input(at, index, wanted)
            if step is None or isinstance(step, Source):
                found = step
                break
            at, index, wanted, outward = step
        self._known.update(dict.fromkeys(passed, found))
        return found


_Stop = tuple[str, int, str, bool]
_Step = tuple[Place, int, Any, bool]


def _behind_input(at: Place, index: int, wanted: Any) -> _Step | Source | None:
    """Step over the link into an input."""
    if not 0 <= index < len(at.node.inputs):
        raise Unresolvable(f"node {at.id} has no input {index}")
    link = at.node.input_link(index)
    if link is None:
        return None
    if at.host is not None and link.origin == INPUT_BOUNDARY:
        return _outside(at.host, link)
    graph = at.node.graph
    origin = graph.by_id.get(link.origin) if graph is not None else None
    if origin is None:
        name = at.node.inputs[index].name
        raise Unresolvable(f"input {name!r} of node {at.id} is linked to node {link.origin}, which is not there")
    kind = at.node.inputs[index].type if wanted is None else wanted
    return Place(origin, at.host), link.origin_slot, kind, True


def _outside(host: Place, link: Link) -> _Step | Source | None:
    """Step out of a subgraph: to what feeds the instance, or the value that the instance holds."""
    if not 0 <= link.origin_slot < len(host.node.inputs):
        raise Unresolvable(f"subgraph instance {host.id} has no input {link.origin_slot}")
    if host.node.input_link(link.origin_slot) is not None:
        return host, link.origin_slot, None, False
    promoted = host.node.inputs[link.origin_slot].promoted
    return Source(None, value=promoted.get()) if promoted is not None else None


def _behind_output(at: Place, index: int, wanted: Any) -> _Step | Source | None:
    """Step from an output to the input behind it, unless a node that executes stands there."""
    node = at.node
    if node.mode == MUTED:
        return None
    if node.mode == BYPASSED:
        through = bypass_slot(node, index, wanted, at.id)
        return None if through is None else (at, through, None, False)
    if node.subgraph is not None:
        return _inside(at, index, wanted)
    if not node.virtual:
        return Source(at, index)
    setter = _setter_of(node)
    if setter is not None:
        return Place(setter, at.host), index, wanted, False
    return (at, index, wanted, False) if node.input_link(index) is not None else None


def _inside(at: Place, index: int, wanted: Any) -> _Step | None:
    """Step into a subgraph, to what feeds its output."""
    graph = at.node.subgraph
    assert graph is not None
    if not 0 <= index < len(graph.outputs):
        raise Unresolvable(f"subgraph instance {at.id} has no output {index}")
    link = next((graph.links[id_] for id_ in graph.outputs[index].link_ids if id_ in graph.links), None)
    if link is None:
        return None
    if link.origin == INPUT_BOUNDARY:
        raise Unresolvable(f"output {index} of subgraph instance {at.id} is linked straight to one of its inputs")
    inner = graph.by_id.get(link.origin)
    if inner is None:
        raise Unresolvable(f"output {index} of subgraph instance {at.id} is linked to nothing inside")
    return Place(inner, at), link.origin_slot, wanted, True


def bypass_slot(node: Node, index: int, wanted: Any, place_id: str) -> int | None:
    """Return the input that a bypassed node passes on as its output.

    Args:
        node: the bypassed node.
        index: the output asked for.
        wanted: the type of the input that asks in the end.
        place_id: the node's id in the prompt, for errors.

    Raises:
        Unresolvable: the node has no such output.
    """
    if not 0 <= index < len(node.outputs):
        raise Unresolvable(f"bypassed node {place_id} has no output {index}")
    if wanted in ("*", ""):
        if not node.inputs:
            raise Unresolvable(f"bypassed node {place_id} has no input to pass on")
        return index if index < len(node.inputs) else 0
    offered = node.outputs[index].type
    if index < len(node.inputs):
        opposite = node.inputs[index].type
        if slot_types.compatible(opposite, offered) and slot_types.compatible(opposite, wanted):
            return index
    for at, slot in enumerate(node.inputs):
        if slot.type == wanted:
            return at
    for at, slot in enumerate(node.inputs):
        if slot_types.compatible(slot.type, offered) and slot_types.compatible(slot.type, wanted):
            return at
    return None


def _setter_of(node: Node) -> Node | None:
    """Return the SetNode whose name a GetNode carries: the first of that name in the same graph."""
    if node.kind != "GetNode" or node.graph is None or not node.widgets:
        return None
    name = node.widgets[0].get()
    if not js.truthy(name):
        return None
    for other in node.graph.nodes:
        if other.kind == "SetNode" and other.widgets and other.widgets[0].get() == name:
            return other
    return None
