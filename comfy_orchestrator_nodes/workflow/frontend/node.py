"""Live nodes: their slots, their widgets, and what saved values are put back into them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from .graph import BoundaryInput, Graph, Link
from .specs import ClassSpec, InputSpec

if TYPE_CHECKING:
    from .widgets import Widget

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


@dataclass
class Session:
    """What the nodes of one conversion share."""

    add_input: Callable[[Node, InputSpec], None]
    """Adds what one definition brings to a node; dynamic inputs add others through it."""
    configuring: bool = True
    """Whether nodes are still being put in place: links that appear meanwhile are none that a user made."""
    frames: list[Callable[[], None]] = field(default_factory=list)
    """What the front end leaves for its next frames."""


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
