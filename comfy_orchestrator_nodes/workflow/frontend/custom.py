"""Core classes that the front end treats specially beyond what their definition says."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from . import js
from .constructors import Number, number_limits
from .node import Node
from .widgets import Fixed, Limits, Widget


def adorn(node: Node) -> None:
    """Add what the front end's core extensions give to a node of this class right after it was made."""
    if node.type == "CustomCombo" and node.widgets:
        _make_custom_combo(node)
    elif node.type == "PrimitiveInt" and node.widgets:
        node.widgets[0].limits = IntProperties(node)
    elif node.type == "PrimitiveFloat" and node.widgets and isinstance(node.widgets[0], Number):
        node.widgets[0].limits = FloatProperties(node, number_limits(node.widgets[0].spec))
    elif node.type in ("PreviewAny", "SaveText"):
        node.add_widget(Fixed("textPreview", "preview_text", "", keeps=False, sent=False))
        node.add_widget(Widget("toggle", "preview_mode", False, keeps=False, sent=False))
    elif node.type == "WebcamCapture":
        node.add_widget(Widget("button", "waiting for camera...", "capture", sent=False))


# --- CustomCombo -----------------------------------------------------------------------------------------------------


class OptionText(Widget):
    """One option of a CustomCombo; filling the last one adds another."""

    __slots__ = ("made",)

    def __init__(self, name: str) -> None:
        super().__init__("string", name, "")
        self.made = False

    def set(self, node: Node, value: Any) -> None:
        """Take the text; keep exactly one empty option at the end."""
        self.value = value
        if not self.made:
            return
        widgets = node.widgets
        if widgets[-1] is self:
            if js.truthy(value):
                _add_option(node)
            return
        if js.truthy(value) or len(widgets) < 2 or widgets[-2] is not self or js.truthy(widgets[-1].get()):
            return
        widgets.pop()


class ChoiceIndex(Fixed):
    """The position of the choice among the options, computed when the prompt is made."""

    __slots__ = ()

    def get(self) -> Any:
        """Return nothing: the position depends on who asks."""
        return js.UNDEFINED


def choice_index(node: Node, choice: Any) -> int:
    """Return which option of a CustomCombo equals the choice, or -1."""
    for index, widget in enumerate(node.widgets[2:]):
        if _same(widget.get(), choice):
            return index
    return -1


def _same(first: Any, second: Any) -> bool:
    if isinstance(first, (list, dict)) or isinstance(second, (list, dict)):
        return first is second
    return isinstance(first, bool) == isinstance(second, bool) and bool(first == second)


def _make_custom_combo(node: Node) -> None:
    node.add_widget(ChoiceIndex("hidden", "index"))
    _add_option(node)


def choices_of(node: Node, widget: Widget) -> Sequence[Any] | None:
    """Return what a combo offers; a CustomCombo offers the texts of its options."""
    if node.type != "CustomCombo" or widget is not node.widgets[0]:
        return widget.choices
    texts = [other.get() for other in node.widgets if other.name.startswith("option")]
    return [js.to_text(text) for text in texts if js.truthy(text)]


def _add_option(node: Node) -> None:
    widget = OptionText(f"option{len(node.widgets) - 1}")
    node.add_widget(widget)
    widget.made = True


# --- 3D viewers ------------------------------------------------------------------------------------------------------

_START_CAMERA: dict[str, Any] = {
    "position": {"x": 10, "y": 10, "z": 10.000000000000002},
    "target": {"x": 0, "y": 0, "z": 0},
    "zoom": 1,
    "cameraType": "perspective",
    "quaternion": {
        "x": -0.2798481423331213,
        "y": 0.3647051996310008,
        "z": 0.11591689595929511,
        "w": 0.8804762392171493,
    },
    "fov": 35,
    "aspect": 1,
    "near": 0.01,
    "far": 10000,
    "frustum": {"left": -5, "right": 5, "top": 5, "bottom": -5},
}
"""Where the camera of a viewer stands before anybody moved it."""


def viewport_state(node: Node, widget: Widget) -> Any:
    """Return what a 3D viewer sends about its camera: the saved one, or where it starts."""
    if widget.name != "viewport_state":
        return widget.get()
    config = node.properties.get("Camera Config")
    saved = config.get("state") if isinstance(config, dict) else None
    camera = saved if isinstance(saved, dict) else _START_CAMERA
    if widget.type == "load3DAdvanced":
        return {"camera_info": camera, "model_3d_info": []}
    return {"image": "", "mask": "", "normal": "", "camera_info": camera, "recording": "", "model_3d_info": []}


# --- PrimitiveInt, PrimitiveFloat ------------------------------------------------------------------------------------


class IntProperties(Limits):
    """The limits of a PrimitiveInt, which its node's properties override."""

    __slots__ = ("_node",)

    def __init__(self, node: Node) -> None:
        super().__init__(integer=True, minimum=-(2.0**63), maximum=2.0**63, step=1, round_=None, precision=0)
        self._node = node

    def rounded(self, value: Any) -> Any:
        """Return the value on the nearest step."""
        properties = self._node.properties
        self.minimum = _number(properties.get("min"), -(2.0**63))
        self.step = _number(properties.get("step"), 1)
        return super().rounded(value)


class FloatProperties(Limits):
    """The limits of a PrimitiveFloat, which its node's properties override."""

    __slots__ = ("_declared", "_node")

    def __init__(self, node: Node, declared: Limits) -> None:
        super().__init__(
            integer=False,
            minimum=-math.inf,
            maximum=math.inf,
            step=declared.step,
            round_=declared.round,
            precision=declared.precision,
        )
        self._node = node
        self._declared = declared

    def rounded(self, value: Any) -> Any:
        """Return the value at the precision that the node or its class asks for."""
        properties = self._node.properties
        self.minimum = _number(properties.get("min"), -math.inf)
        self.maximum = _number(properties.get("max"), math.inf)
        places = properties.get("precision")
        asked = properties.get("round")
        self.precision = self._declared.precision
        self.round = self._declared.round
        if js.is_number(places) and math.isfinite(places):
            self.precision = min(max(int(places), 0), 100)
            if self._declared.round:
                self.round = js.to_fixed(10.0**-self.precision, self.precision)
        if js.is_number(asked) and math.isfinite(asked) and asked > 0:
            self.round = asked
        return super().rounded(value)


def _number(value: Any, default: float) -> float:
    return value if js.is_number(value) else default
