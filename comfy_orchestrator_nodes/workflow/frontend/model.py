"""The live graph that the front end builds from a workflow: nodes, slots and the links between them.

Links are kept as the front end keeps them since 1.5x: in a table by target slot *index*, apart from the slots. Whoever
reorders a node's inputs must therefore move the links in the same step (``replace_inputs``).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from .specs import ClassSpec, InputSpec

if TYPE_CHECKING:
    from .widgets import Widget

INPUT_BOUNDARY = "-10"
OUTPUT_BOUNDARY = "-20"

MUTED = 2
BYPASSED = 4


class Slot:
    """One input of a live node. Two slots are the same only if they are the same object."""

    __slots__ = ("boundary", "label", "localized", "name", "promoted", "spec", "type", "widget")

    def __init__(
        self,
        name: str,
        type_: Any,
        *,
        widget: str | None = None,
        spec: InputSpec | None = None,
        label: str | None = None,
        localized: str | None = None,
    ) -> None:
        self.name = name
        self.type = type_
        self.widget = widget
        """The name of the widget that this slot replaces when it is linked."""
        self.spec = spec
        """The definition that made the slot, where the live slot still knows it."""
        self.label = label
        self.localized = localized
        self.boundary: BoundaryInput | None = None
        """On a subgraph instance: the definition's input behind the slot."""
        self.promoted: Widget | None = None
        """On a subgraph instance: the instance's own value for the widget inside."""


@dataclass
class OutputSlot:
    """One output of a live node."""

    type: Any
    name: str = ""


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


@dataclass
class Session:
    """What one conversion shares: the clock-like facts and the work that waits for the next frame."""

    configuring: bool = True
    frames: list[Callable[[], None]] = field(default_factory=list)


@dataclass(frozen=True)
class Restoration:
    """The saved widget values of one node, while they are being put back."""

    positional: Sequence[Any]
    named: Mapping[str, Any] | None = None

    def lookup(self, name: str, index: int) -> tuple[Any] | None:
        """Return the saved value in a 1-tuple, or None where nothing was saved."""
        if self.named is not None:
            return (self.named[name],) if name in self.named else None
        return (self.positional[index],) if index < len(self.positional) else None


ConnectionHandler = Callable[["Node", int, bool, "Link | None"], None]


class Node:
    """One live node: of a registered class, one of the front end's own, or an instance of a subgraph."""

    __slots__ = (
        "autogrow",
        "frames_due",
        "graph",
        "handlers",
        "id",
        "inputs",
        "kind",
        "match_types",
        "mode",
        "outputs",
        "promoted",
        "properties",
        "restoration",
        "session",
        "spec",
        "subgraph",
        "title",
        "type",
        "virtual",
        "widgets",
    )

    def __init__(self, type_: str, session: Session) -> None:
        self.id = ""
        self.type = type_
        self.kind = type_
        """``class``, ``subgraph``, or the name of the front end's own node class."""
        self.session = session
        self.graph: Graph | None = None
        self.spec: ClassSpec | None = None
        self.subgraph: Graph | None = None
        self.title: Any = ""
        self.mode: Any = 0
        self.virtual = False
        self.inputs: list[Slot] = []
        self.outputs: list[OutputSlot] = []
        self.widgets: list[Widget] = []
        self.properties: dict[str, Any] = {}
        self.restoration: Restoration | None = None
        self.handlers: list[ConnectionHandler] = []
        self.autogrow: dict[str, Any] = {}
        self.match_types: dict[str, dict[str, str]] = {}
        self.promoted: dict[str, Widget] = {}

    @property
    def active(self) -> bool:
        """Whether the node is neither muted nor bypassed."""
        return self.mode not in (MUTED, BYPASSED)

    def live_widgets(self) -> list[Widget]:
        """Return the widgets; those of a subgraph instance are projected from its inputs."""
        if self.subgraph is None:
            return self.widgets
        return [slot.promoted for slot in self.inputs if slot.promoted is not None]

    def widget_named(self, name: str) -> Widget | None:
        """Return the first widget of that name."""
        return next((widget for widget in self.live_widgets() if widget.name == name), None)

    def widget_of(self, slot: Slot) -> Widget | None:
        """Return the widget behind a slot."""
        if slot.promoted is not None:
            return slot.promoted
        return self.widget_named(slot.widget) if slot.widget is not None else None

    def add_widget(self, widget: Widget) -> Widget:
        """Append a widget and give it its saved value, if values are being put back."""
        self.widgets.append(widget)
        if self.graph is not None:
            make_names_unique(self.widgets)
        if self.restoration is None or not widget.keeps:
            return widget
        index = sum(1 for other in self.widgets if other.keeps) - 1
        restored = self.restoration.lookup(widget.name, index)
        if restored is not None:
            widget.set(self, restored[0])
        return widget

    def connection_changed(self, slot: int, connected: bool, link: Link | None) -> None:
        """Tell the dynamic inputs of this node that one of its inputs was linked or unlinked."""
        for handler in self.handlers:
            handler(self, slot, connected, link)

    def input_link(self, slot: int) -> Link | None:
        """Return the link into the input of that index."""
        return self.graph.by_target.get((self.id, slot)) if self.graph is not None else None


def make_names_unique(widgets: list[Widget]) -> None:
    """Rename later widgets of a taken name to ``name#1``, ``name#2``, …, as the front end's widget store does."""
    names = [widget.name for widget in widgets]
    if len(set(names)) == len(names):
        return
    reserved = set(names)
    used: set[str] = set()
    for widget in widgets:
        if widget.name not in used:
            used.add(widget.name)
            continue
        number = 1
        while f"{widget.name}#{number}" in reserved:
            number += 1
        widget.name = f"{widget.name}#{number}"
        reserved.add(widget.name)
        used.add(widget.name)


class Graph:
    """The root graph or one subgraph definition, which all its instances share."""

    def __init__(self, session: Session, name: str = "") -> None:
        self.session = session
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
