"""The live graph that the front end builds from a workflow: its links and the boundary of a subgraph.

Links are kept as the front end keeps them since 1.5x: in a table by target slot *index*, apart from the slots. Whoever
reorders a node's inputs must therefore move the links in the same step (``layout.replace_inputs``).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .node import Node, Slot

INPUT_BOUNDARY = "-10"
OUTPUT_BOUNDARY = "-20"


class Link:
    """One connection inside one graph. ``target_slot`` counts the target's live inputs."""

    __slots__ = ("id", "origin", "origin_slot", "target", "target_slot")

    def __init__(self, id_: int, origin: str, origin_slot: int, target: str, target_slot: int) -> None:
        self.id = id_
        self.origin = origin
        self.origin_slot = origin_slot
        self.target = target
        self.target_slot = target_slot


@dataclass
class BoundaryInput:
    """An input of a subgraph definition: an output seen from the inside."""

    name: str
    type: Any
    link_ids: list[int]
    label: str | None = None


@dataclass
class BoundaryOutput:
    """An output of a subgraph definition: an input seen from the inside."""

    name: str
    type: Any
    link_ids: list[int]


class Graph:
    """The root graph or one subgraph definition, which all its instances share."""

    def __init__(self, name: str = "") -> None:
        self.name = name
        self.nodes: list[Node] = []
        self.by_id: dict[str, Node] = {}
        self.links: dict[int, Link] = {}
        self.by_target: dict[tuple[str, int], Link] = {}
        self.by_origin: dict[tuple[str, int], dict[int, Link]] = {}
        self.inputs: list[BoundaryInput] = []
        self.outputs: list[BoundaryOutput] = []
        self.hosts: list[Node] = []
        """The instances of this definition."""

    def add_link(self, link: Link) -> bool:
        """Register a link; refused where its id or its target slot is taken."""
        if link.id in self.links or (link.target, link.target_slot) in self.by_target:
            return False
        self.links[link.id] = link
        self._index(link)
        return True

    def remove_link(self, link: Link) -> None:
        """Forget a link."""
        if self.links.pop(link.id, None) is not None:
            self._unindex(link)

    def links_from(self, node_id: str, slot: int) -> list[Link]:
        """Return the links that leave an output, by ascending id."""
        links = self.by_origin.get((node_id, slot))
        return [links[key] for key in sorted(links)] if links else []

    def move_links(self, moves: Sequence[tuple[Link, int]], removals: Sequence[Link] = ()) -> bool:
        """Give links other target slots and drop others, all or nothing.

        Returns:
            False where two would share a slot or a third link holds one; nothing is changed then.
        """
        participants = {link.id for link, _ in moves} | {link.id for link in removals}
        wanted: set[tuple[str, int]] = set()
        for link, slot in moves:
            key = (link.target, slot)
            holder = self.by_target.get(key)
            if key in wanted or (holder is not None and holder.id not in participants):
                return False
            wanted.add(key)
        for link, _ in moves:
            self._unindex(link)
        for link in removals:
            self.remove_link(link)
        for link, slot in moves:
            link.target_slot = slot
            self._index(link)
        return True

    def blocked(self, link: Link, slot: int, participants: set[int]) -> bool:
        """Tell whether a link outside of ``participants`` holds the slot that this one is to move to."""
        holder = self.by_target.get((link.target, slot))
        return holder is not None and holder.id not in participants

    def _index(self, link: Link) -> None:
        self.by_target[(link.target, link.target_slot)] = link
        self.by_origin.setdefault((link.origin, link.origin_slot), {})[link.id] = link

    def _unindex(self, link: Link) -> None:
        key = (link.target, link.target_slot)
        if self.by_target.get(key) is link:
            del self.by_target[key]
        outgoing = self.by_origin.get((link.origin, link.origin_slot))
        if outgoing is not None:
            outgoing.pop(link.id, None)

    def target_of(self, link: Link) -> tuple[Node | None, Slot | None]:
        """Return the node and slot that a link ends in."""
        node = self.by_id.get(link.target)
        if node is None or not 0 <= link.target_slot < len(node.inputs):
            return node, None
        return node, node.inputs[link.target_slot]

    def origin_type(self, link: Link) -> Any:
        """Return the type of what a link starts from, or None where there is no such output."""
        if link.origin == INPUT_BOUNDARY and 0 <= link.origin_slot < len(self.inputs):
            return self.inputs[link.origin_slot].type
        node = self.by_id.get(link.origin)
        if node is None or not 0 <= link.origin_slot < len(node.outputs):
            return None
        return node.outputs[link.origin_slot].type

    def execution_order(self) -> list[Node]:
        """Return the nodes so that each comes after those that feed it; those in circles come last, as created."""
        waiting: dict[str, int] = {}
        order: list[Node] = []
        for node in self.nodes:
            count = sum((node.id, slot) in self.by_target for slot in range(len(node.inputs)))
            if count:
                waiting[node.id] = count
            else:
                order.append(node)
        for node in order:
            for slot in range(len(node.outputs)):
                for link in self.links_from(node.id, slot):
                    if link.target not in waiting:
                        continue
                    waiting[link.target] -= 1
                    if not waiting[link.target]:
                        del waiting[link.target]
                        order.append(self.by_id[link.target])
        return order + [node for node in self.nodes if node.id in waiting]
