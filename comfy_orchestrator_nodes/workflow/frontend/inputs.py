"""What one input definition brings to a node: a slot, a widget with a slot, or a whole group."""

from __future__ import annotations

from collections.abc import Callable

from .autogrow import apply_autogrow
from .constructors import CONSTRUCTORS, Constructor
from .dynamic_combo import make_dynamic_combo
from .match_types import apply_match_type
from .node import Node, Slot
from .rows import make_dynamic_group
from .specs import InputSpec

WIDGETS: dict[str, Constructor] = {
    **CONSTRUCTORS,
    "COMFY_DYNAMICCOMBO_V3": make_dynamic_combo,
    "COMFY_DYNAMICGROUP_V3": make_dynamic_group,
}
"""Input type to what makes its widget."""

_SOCKETS: dict[str, Callable[[Node, InputSpec], None]] = {
    "COMFY_AUTOGROW_V3": apply_autogrow,
    "COMFY_MATCHTYPE_V3": apply_match_type,
}


def add_input(node: Node, spec: InputSpec) -> None:
    """Add what one definition brings to a node: a slot, a widget with its slot, or a group of them."""
    if not add_socket(node, spec):
        add_widget(node, spec)


def add_socket(node: Node, spec: InputSpec) -> bool:
    """Add a slot without a widget, or a group of dynamic inputs.

    Returns:
        False where the definition asks for a widget instead.
    """
    if spec.widget_type in WIDGETS and not spec.force_input:
        return False
    _SOCKETS.get(spec.type, _add_plain)(node, spec)
    return True


def _add_plain(node: Node, spec: InputSpec) -> None:
    add_slot(node, spec, widget=False)


def add_widget(node: Node, spec: InputSpec) -> None:
    """Add a widget, and the slot that may replace it."""
    constructor = WIDGETS.get(spec.widget_type)
    if constructor is None or spec.force_input:
        return
    widget = constructor(node, spec)
    if widget is not None and widget.has_slot:
        add_slot(node, spec, widget=True)


def add_slot(node: Node, spec: InputSpec, *, widget: bool) -> None:
    """Append an input slot made from a definition."""
    slot = Slot(spec.name, spec.type)
    if widget:
        slot.widget = spec.name
        slot.spec = spec
    node.inputs.append(slot)
