"""From the live graph to the prompt, as ``graphToPrompt`` of the front end does it (1.58.1, ``executionUtil.ts``)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from . import js, text, virtual
from .create import NAME_PROPERTY, SAVES_FILES
from .custom import ChoiceIndex, choice_index, viewport_state
from .graph import Graph
from .load import every_node
from .node import Node
from .resolve import Place, Resolver, Source, Unresolvable, places
from .widgets import Widget

_META_KEYS = ("cnr_id", "aux_id", "ver")


@dataclass(frozen=True)
class Choices:
    """What only the moment of queueing decides."""

    choose: Callable[[int], int]
    """Given how many options a ``{a|b}`` has, the index of the one to take."""
    now: datetime | None
    """The time for ``%date:…%``; without it such patterns stay."""
    node_limit: int
    """How many nodes the subgraphs may unfold to."""


class Emitter:
    """Writes the prompt of one loaded graph and collects every reason why it cannot be written."""

    def __init__(self, root: Graph, choices: Choices) -> None:
        self._root = root
        self._choices = choices
        self._nodes = list(every_node(root))
        self._resolver = Resolver()
        self._quotes = text.Quotes(self._nodes, NAME_PROPERTY)
        self.reasons: dict[str, None] = {}

    def emit(self) -> dict[str, dict[str, Any]]:
        """Return the prompt; whether it may be used is told by ``reasons``."""
        self._apply_primitives()
        prompt: dict[str, dict[str, Any]] = {}
        try:
            for place in places(self._root, self._choices.node_limit):
                if not place.node.virtual and place.node.active and place.node.kind != "unknown":
                    prompt[place.id] = self._node(place)
        except Unresolvable as error:
            self.reasons[str(error)] = None
            return {}
        for entry in prompt.values():
            inputs = entry["inputs"]
            for name in [name for name, value in inputs.items() if _is_link(value) and value[0] not in prompt]:
                del inputs[name]
        return dict(js.entries(prompt))

    def _apply_primitives(self) -> None:
        for node in self._nodes:
            if node.kind == virtual.PRIMITIVE:
                virtual.apply_primitive(node, self._replace_in_primitive)

    def _replace_in_primitive(self, node: Node, value: Any) -> Any:
        if isinstance(value, str):
            return self._replace(value)
        self.reasons[f"primitive node {node.id} is to replace widget names in a value that is no text"] = None
        return value

    def _node(self, place: Place) -> dict[str, Any]:
        node = place.node
        inputs: dict[str, Any] = {}
        for widget in node.widgets:
            if not widget.sent or not widget.name:
                continue
            value = js.as_sent(self._value(place, widget))
            if value is js.UNDEFINED:
                continue
            if widget.type == "curve" and value is not None:
                inputs[widget.name] = {"__type__": "CURVE", "__value__": value}
            else:
                inputs[widget.name] = _wrapped(value)
        for index, slot in enumerate(node.inputs):
            source = self._source(place, index)
            if source is None:
                continue
            if source.place is not None:
                inputs[slot.name] = [source.place.id, source.slot]
            elif source.value is js.UNDEFINED:
                inputs.pop(slot.name, None)
            else:
                inputs[slot.name] = _wrapped(js.as_sent(source.value))
        return {"inputs": inputs, "class_type": node.type, "_meta": _meta(node)}

    def _source(self, place: Place, index: int) -> Source | None:
        try:
            return self._resolver.resolve(place, index)
        except Unresolvable as error:
            self.reasons[str(error)] = None
            return None

    def _value(self, place: Place, widget: Widget) -> Any:
        node = place.node
        value = widget.get()
        if isinstance(widget, ChoiceIndex):
            return choice_index(node, self._choice(place))
        if widget.type == "branch_names":
            return _branch_names(node)
        if widget.type in ("load3D", "load3DAdvanced"):
            return self._viewer_value(place, widget)
        if widget.type == "WEBCAM":
            self.reasons[f"node {place.id} takes a picture with the webcam, which only a browser can"] = None
            return value
        if not isinstance(value, str):
            return value
        if widget.resolves_prompts:
            return self._resolved(place, value)
        if widget.name == "filename_prefix" and node.type in SAVES_FILES:
            return self._replace(value)
        return value

    def _viewer_value(self, place: Place, widget: Widget) -> Any:
        if place.node.type == "Load3D" and widget.name == "image":
            self.reasons[f"node {place.id} renders its 3D scene, which only a browser can"] = None
        return viewport_state(place.node, widget)

    def _choice(self, place: Place) -> Any:
        """Return the choice of a CustomCombo, which an instance of a subgraph may hold."""
        combo = place.node.widgets[0]
        index = next((at for at, slot in enumerate(place.node.inputs) if slot.widget == combo.name), None)
        source = self._source(place, index) if index is not None else None
        return source.value if source is not None and source.place is None else combo.get()

    def _resolved(self, place: Place, value: str) -> str:
        try:
            return text.resolve_choices(value, self._choices.choose)
        except text.TooDeep:
            self.reasons[f"a text of node {place.id} nests choices beyond use: {{{{…|…}}|…}}"] = None
            return value

    def _replace(self, value: str) -> str:
        return self._quotes.replace(value, self._choices.now)


def _is_link(value: Any) -> bool:
    return isinstance(value, list) and len(value) == 2


def _wrapped(value: Any) -> Any:
    """Return the value so that a list is not taken for a link."""
    return {"__value__": value} if isinstance(value, list) else value


def _branch_names(node: Node) -> list[str]:
    return [
        slot.label or slot.localized or slot.name
        for index, slot in enumerate(node.inputs)
        if slot.name.startswith("autogrow.") and node.input_link(index) is not None
    ]


def _meta(node: Node) -> dict[str, Any]:
    meta = {"title": node.title}
    for key in _META_KEYS:
        value = node.properties.get(key)
        if isinstance(value, str) and value:
            meta[key] = value
    return meta
