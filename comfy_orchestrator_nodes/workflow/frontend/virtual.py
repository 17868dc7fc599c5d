"""The front end's own nodes, which no server knows: notes, reroutes and the primitive node."""

from __future__ import annotations

import math
from typing import Any

from . import js, slot_types
from .constructors import add_control, add_filter, number_limits
from .graph import Link
from .inputs import WIDGETS
from .layout import connected_widgets
from .node import Node, OutputSlot, Restoration, Session, Slot
from .specs import InputSpec
from .widgets import TextArea, Widget

PRIMITIVE = "PrimitiveNode"
REROUTE = "Reroute"
OWN_CLASSES = frozenset({PRIMITIVE, REROUTE, "Note", "MarkdownNote", "SetNode", "GetNode"})
"""SetNode and GetNode come with a widespread pack; like the others they exist in the browser only."""

REPLACES_TEXT = "Run widget replace on values"

_IGNORED_WHEN_MERGED = frozenset(
    {"default", "forceInput", "defaultInput", "control_after_generate", "multiline", "tooltip", "dynamicPrompts"}
)
_RANGE = ("min", "max", "step")


def create(type_: str, session: Session) -> Node | None:
    """Make one of the front end's own nodes, or return None where it has none of that name."""
    if type_ not in OWN_CLASSES:
        return None
    node = Node(type_, session)
    node.kind = type_
    node.virtual = True
    if type_ == PRIMITIVE:
        node.title = "Primitive"
        node.outputs = [OutputSlot("*", "connect to widget input")]
        node.properties[REPLACES_TEXT] = False
    elif type_ == REROUTE:
        node.title = "Reroute"
        node.inputs = [Slot("", "*")]
        node.outputs = [OutputSlot("*", "")]
        node.handlers.append(_reroute_changed)
    elif type_ in ("SetNode", "GetNode"):
        node.title = type_
        node.add_widget(Widget("text", "Constant", ""))
    else:
        node.title = "Note" if type_ == "Note" else "Markdown Note"
        node.add_widget(TextArea("customtext", "text", ""))
    return node


# --- primitive -------------------------------------------------------------------------------------------------------


def start_primitive(node: Node, saved_type: Any) -> None:
    """Give a linked primitive node its widget, once all nodes stand.

    Args:
        node: the primitive node.
        saved_type: the type of its output as saved; the saved values count only if it is still that of the widget.
    """
    graph = node.graph
    links = graph.links_from(node.id, 0) if graph is not None else []
    if graph is None or not links or node.widgets or not node.outputs:
        return
    spec = _first_target_spec(node, links)
    if spec is None:
        return
    if node.outputs[0].type != spec.type or not isinstance(saved_type, str):
        node.restoration = None
    node.outputs[0].type = spec.type
    _create_widget(node, spec, links[0])
    node.restoration = None
    if spec.type in ("INT", "FLOAT"):
        _merge_ranges(node, spec, links)


def _first_target_spec(node: Node, links: list[Link]) -> InputSpec | None:
    assert node.graph is not None
    target, slot = node.graph.target_of(links[0])
    if target is None or slot is None:
        return None
    return target_spec(target, slot)


def target_spec(target: Node, slot: Slot) -> InputSpec | None:
    """Return the definition behind an input that a primitive node drives."""
    if slot.boundary is not None and target.subgraph is not None:
        inner = next(connected_widgets(target.subgraph, slot.boundary), None)
        return target_spec(inner[0], inner[1]) if inner is not None else None
    if slot.widget is None:
        return InputSpec(slot.name, slot.type, False, {}) if slot.type in WIDGETS else None
    if slot.spec is not None:
        return slot.spec
    if target.spec is not None:
        return target.spec.inputs.get(slot.widget)
    return None


def _create_widget(node: Node, spec: InputSpec, link: Link) -> None:
    assert node.graph is not None
    own = InputSpec(
        "value", spec.type, spec.optional, {k: v for k, v in spec.options.items() if k != "name"}, spec.choices
    )
    constructor = WIDGETS.get(spec.type)
    widget = (
        constructor(node, own) if constructor is not None else node.add_widget(Widget(spec.type.lower(), "value", None))
    )
    if widget is None:
        return
    target, slot = node.graph.target_of(link)
    theirs = target.widget_of(slot) if target is not None and slot is not None else None
    if theirs is not None:
        widget.set(node, theirs.get())
    restored = node.restoration.lookup("value", 0) if node.restoration is not None else None
    if restored is not None:
        widget.set(node, restored[0])
    if not spec.controlled and widget.type in ("number", "combo"):
        add_control(node, InputSpec("value", spec.type, False, {}), "fixed")
        if widget.type == "combo":
            add_filter(node, InputSpec("value", spec.type, False, {}))


def _merge_ranges(node: Node, spec: InputSpec, links: list[Link]) -> None:
    """Narrow the value to what all targets allow, and round it, as the front end does on every load."""
    assert node.graph is not None
    merged: InputSpec = spec
    for link in links:
        target, slot = node.graph.target_of(link)
        if target is None or slot is None or slot.widget is None:
            continue
        other = target_spec(target, slot)
        narrowed = merge_specs(merged, other) if other is not None else None
        if narrowed is None:
            continue
        merged = narrowed
        widget = node.widgets[0]
        widget.limits = number_limits(merged)
        value = widget.get()
        if js.is_number(value):
            if value < widget.limits.minimum:
                value = widget.limits.minimum
            if value > widget.limits.maximum:
                value = widget.limits.maximum
            widget.set(node, value)
        widget.set(node, widget.limits.rounded(value))
        apply_primitive(node)


def merge_specs(first: InputSpec, second: InputSpec) -> InputSpec | None:
    """Return the number definition that satisfies both, or None where they exclude each other."""
    if first.type != second.type:
        return None
    low = max(_bound(first, "min", -math.inf), _bound(second, "min", -math.inf))
    high = min(_bound(first, "max", math.inf), _bound(second, "max", math.inf))
    if _bound(first, "min", -math.inf) > _bound(second, "max", math.inf):
        return None
    if _bound(first, "max", math.inf) < _bound(second, "min", -math.inf):
        return None
    step = _common_step(_bound(first, "step", 1), _bound(second, "step", 1))
    for key in {*first.options, *second.options}:
        if key in _IGNORED_WHEN_MERGED or key in _RANGE:
            continue
        if first.options.get(key) != second.options.get(key):
            return None
    options = {**first.options, **second.options, "min": low, "max": high, "step": step}
    return InputSpec(first.name, first.type, first.optional, options)


def _bound(spec: InputSpec, key: str, default: float) -> float:
    value = spec.options.get(key)
    return value if js.is_number(value) else default


def _common_step(first: float, second: float) -> float:
    x, y = abs(first), abs(second)
    if x and y:
        for _ in range(100):
            if y <= 1e-10:
                break
            x, y = y, math.fmod(x, y)
    divisor = x or y
    return abs(first * second) / divisor if divisor else math.nan


def apply_primitive(node: Node, replace: Any = None) -> None:
    """Write the node's value into the widgets it is linked to, muted or not.

    Args:
        node: a primitive node.
        replace: what resolves ``%Node.widget%`` in its text, where the node asks for it.
    """
    graph = node.graph
    if graph is None or not node.widgets:
        return
    value = node.widgets[0].get()
    if replace is not None and js.truthy(value) and js.truthy(node.properties.get(REPLACES_TEXT)):
        value = replace(node, value)
    for link in list(graph.by_origin.get((node.id, 0), {}).values()):
        target, slot = graph.target_of(link)
        if target is None or slot is None or slot.widget is None:
            continue
        widget = target.widget_named(slot.widget)
        if widget is not None:
            widget.enter(target, value)


def primitive_restoration(info: dict[str, Any]) -> Restoration:
    """Return the values saved with a primitive node."""
    values = info.get("widgets_values")
    return Restoration(values if isinstance(values, list) else ())


# --- reroute ---------------------------------------------------------------------------------------------------------


def _reroute_changed(node: Node, index: int, connected: bool, link: Link | None) -> None:
    if not node.session.configuring:
        settle_reroute(node)


def settle_reroute(node: Node) -> None:
    """Give a chain of reroutes the type of what feeds it, and cut links behind it that do not fit."""
    graph = node.graph
    if graph is None:
        return
    chain, source_type, whole = _upstream(node)
    if not whole:
        return
    pending = [node]
    while pending:
        current = pending.pop()
        for link in graph.links_from(current.id, 0):
            target, slot = graph.target_of(link)
            if target is None or slot is None:
                continue
            if target.kind == REROUTE:
                if target not in chain:
                    chain.append(target)
                    pending.append(target)
                continue
            if source_type and slot.type and not slot_types.compatible(source_type, slot.type):
                graph.remove_link(link)
                target.connection_changed(link.target_slot, False, link)
                continue
            target.connection_changed(link.target_slot, True, link)
    for each in chain:
        if each.outputs:
            each.outputs[0].type = source_type or "*"


def _upstream(node: Node) -> tuple[list[Node], Any, bool]:
    assert node.graph is not None
    chain = [node]
    current = node
    while (link := current.input_link(0)) is not None:
        origin = node.graph.by_id.get(link.origin)
        if origin is None:
            return chain, None, False
        if origin.kind != REROUTE:
            return chain, node.graph.origin_type(link), True
        if origin in chain:
            node.graph.remove_link(link)
            break
        chain.insert(0, origin)
        current = origin
    return chain, None, True
