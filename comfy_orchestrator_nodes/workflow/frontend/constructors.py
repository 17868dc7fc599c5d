"""What makes the widget of each input type, with its defaults (front end 1.58.1, ``widgets/composables``)."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from . import js
from .node import Node
from .specs import InputSpec
from .widgets import Fixed, Limits, TextArea, Widget, area_text

_CONTROL_MODES = frozenset({"fixed", "increment", "decrement", "randomize", "increment-wrap"})


class Number(Widget):
    """An INT or FLOAT; its limits are worked out when somebody enters a value, which loading does not."""

    __slots__ = ("spec",)

    def __init__(self, type_: str, name: str, value: Any, spec: InputSpec) -> None:
        super().__init__(type_, name, value)
        self.spec = spec

    def enter(self, node: Node, value: Any) -> None:
        """Take a value as if a user had entered it."""
        if self.limits is None:
            self.limits = number_limits(self.spec)
        super().enter(node, value)


Constructor = Callable[["Node", InputSpec], "Widget | None"]


def number(spec: InputSpec, key: str, default: float) -> float:
    """Return a numeric option, or the default where it is absent or null."""
    value = spec.options.get(key)
    return value if js.is_number(value) else default


def _default(spec: InputSpec, fallback: Any) -> Any:
    value = spec.options.get("default")
    return fallback if value is None else value


def _number_type(spec: InputSpec, kinds: tuple[str, ...]) -> str:
    display = spec.options.get("display")
    return display if isinstance(display, str) and display in kinds else "number"


def number_limits(spec: InputSpec) -> Limits:
    """Return the range and rounding that an INT or FLOAT widget of this definition has."""
    minimum, maximum = number(spec, "min", 0), number(spec, "max", 2048)
    if spec.type == "INT":
        step = number(spec, "step", 1)
        return Limits(integer=True, minimum=minimum, maximum=maximum, step=step, round_=None, precision=0)
    step = number(spec, "step", 0.5)
    precision = max(0, -math.floor(math.log10(step))) if step > 0 else 0
    rounding = spec.options.get("round")
    if precision and not js.truthy(rounding):
        rounding = 10.0**-precision
    return Limits(
        integer=False,
        minimum=minimum,
        maximum=maximum,
        step=step,
        round_=rounding if js.is_number(rounding) else None,
        precision=precision,
    )


def make_int(node: Node, spec: InputSpec) -> Widget:
    """An INT, with its control widget where one is due."""
    kind = _number_type(spec, ("color", "slider", "knob"))
    widget = node.add_widget(Number(kind, spec.name, _default(spec, 0), spec))
    control = spec.options.get("control_after_generate")
    if spec.name in ("seed", "noise_seed") if control is None else js.truthy(control):
        add_control(node, spec, "randomize")
    return widget


def make_float(node: Node, spec: InputSpec) -> Widget:
    """A FLOAT, with its control widget where one is asked for."""
    kind = _number_type(spec, ("gradientslider", "slider", "knob"))
    widget = node.add_widget(Number(kind, spec.name, _default(spec, 0), spec))
    if spec.controlled:
        add_control(node, spec, "fixed")
    return widget


def make_combo(node: Node, spec: InputSpec) -> Widget:
    """A COMBO of either syntax; several values at once where ``multi_select`` is set."""
    if js.truthy(spec.options.get("multi_select")):
        widget = node.add_widget(Widget("custom", spec.name, []))
        if spec.controlled:
            add_control(node, spec, "fixed")
        return widget
    widget = node.add_widget(Widget("combo", spec.name, combo_default(spec), choices=spec.choices))
    remote = spec.options.get("remote")
    if isinstance(remote, dict) and js.truthy(remote.get("refresh_button")):
        node.add_widget(Fixed("button", "refresh", "refresh"))
    if spec.controlled:
        add_control(node, spec, "randomize")
        add_filter(node, spec)
    return widget


def combo_default(spec: InputSpec) -> Any:
    """Return the value of a combo that nobody has set."""
    default = spec.options.get("default")
    if js.truthy(default):
        return default
    if spec.choices:
        return spec.choices[0]
    return "Loading..." if js.truthy(spec.options.get("remote")) else js.UNDEFINED


def add_control(node: Node, spec: InputSpec, mode: str) -> None:
    """Add the ``control_after_generate`` widget, which keeps a place and is never sent."""
    asked = spec.options.get("control_after_generate")
    name = "control_after_generate"
    if isinstance(asked, str) and asked in _CONTROL_MODES:
        mode = asked
    elif isinstance(asked, str) and asked.strip():
        name = asked
    elif js.truthy(spec.options.get("control_prefix")):
        name = f"{js.to_text(spec.options['control_prefix'])} {name}"
    node.add_widget(Widget("combo", name, mode, sent=False, choices=tuple(sorted(_CONTROL_MODES))))


def add_filter(node: Node, spec: InputSpec) -> None:
    """Add the text that narrows the choices a control widget steps through."""
    asked = spec.options.get("control_filter_list")
    name = asked if isinstance(asked, str) else "control_filter_list"
    node.add_widget(Widget("string", name, "", sent=False))


def make_string(node: Node, spec: InputSpec) -> Widget:
    """A STRING of one line or several."""
    default = _default(spec, "")
    if js.truthy(spec.options.get("multiline")):
        widget = node.add_widget(TextArea("customtext", spec.name, area_text(default)))
    else:
        widget = node.add_widget(Widget("text", spec.name, default))
    widget.dynamic_prompts = spec.options.get("dynamicPrompts") is True
    return widget


def make_boolean(node: Node, spec: InputSpec) -> Widget:
    """A BOOLEAN."""
    return node.add_widget(Widget("toggle", spec.name, _default(spec, False)))


def make_markdown(node: Node, spec: InputSpec) -> Widget:
    """A MARKDOWN text."""
    return node.add_widget(TextArea("MARKDOWN", spec.name, area_text(_default(spec, ""))))


def make_color(node: Node, spec: InputSpec) -> Widget:
    """A COLOR; a second one of the same name is the first."""
    existing = next((w for w in node.widgets if w.name == spec.name and w.type == "color"), None)
    return existing or node.add_widget(Widget("color", spec.name, _nested_default(spec, "#000000")))


def _nested_default(spec: InputSpec, fallback: Any) -> Any:
    nested = spec.options.get("options")
    inner = nested.get("default") if isinstance(nested, dict) else None
    return _default(spec, fallback if inner is None else inner)


def make_bounding_box(node: Node, spec: InputSpec) -> Widget:
    """A BOUNDING_BOX with four numbers of its own that keep places and are not sent."""
    box = _default(spec, {"x": 0, "y": 0, "width": 512, "height": 512})
    kind = "imagecrop" if spec.options.get("component") == "ImageCrop" else "boundingbox"
    widget = node.add_widget(Widget(kind, spec.name, dict(box) if isinstance(box, dict) else {}))
    for part in ("x", "y", "width", "height"):
        value = box.get(part, js.UNDEFINED) if isinstance(box, dict) else js.UNDEFINED
        node.add_widget(Widget("number", part, value, sent=False))
    return widget


def make_image_compare(node: Node, spec: InputSpec) -> Widget:
    """An IMAGECOMPARE: sent as two empty names, and without a place."""
    return node.add_widget(Widget("imagecompare", spec.name, ["", ""], keeps=False))


def make_hidden_preview(node: Node, spec: InputSpec) -> Widget:
    """A widget that only shows: neither kept nor sent."""
    return node.add_widget(Fixed("preview", spec.name, "", keeps=False, sent=False))


def make_button(node: Node, spec: InputSpec) -> Widget:
    """An upload button, which keeps a place."""
    return node.add_widget(Widget("button", spec.name, "image", sent=False))


def make_viewer(node: Node, spec: InputSpec) -> Widget:
    """A viewer of a result, sent as the empty text that it holds before anything was rendered."""
    return node.add_widget(Fixed("load3D", spec.name, ""))


def make_scene(node: Node, spec: InputSpec) -> Widget:
    """A LOAD_3D_ADVANCED viewer, which sends where its camera stands."""
    return node.add_widget(Fixed("load3DAdvanced", spec.name, ""))


def make_load3d(node: Node, spec: InputSpec) -> Widget:
    """A LOAD_3D viewer; beside a file it brings three buttons, which the front end does send."""
    if any(widget.name == "model_file" for widget in node.widgets):
        node.add_widget(Widget("button", "upload 3d model", "upload3dmodel"))
        node.add_widget(Widget("button", "upload extra resources", "uploadExtraResources"))
        node.add_widget(Widget("button", "clear", "clear"))
    return make_viewer(node, spec)


def make_recorder(node: Node, spec: InputSpec) -> Widget:
    """An AUDIO_RECORD: a player that sends its recording, of which a saved workflow has none, and a button."""
    node.add_widget(Fixed("audioUI", spec.name, ""))
    return node.add_widget(Widget("button", spec.name, "", sent=False))


def make_camera_angle(node: Node, spec: InputSpec) -> Widget:
    """A CAMERA_ANGLE_VIEW, which keeps a place."""
    return node.add_widget(Fixed("cameraAngle", spec.name, "camera", sent=False))


def make_branch_names(node: Node, spec: InputSpec) -> None:
    """A COMFY_BRANCH_INPUT_NAMES: the labels of the linked ``autogrow.`` inputs, without a slot of its own."""
    node.add_widget(Fixed("branch_names", spec.name, []))


def make_branch_selector(node: Node, spec: InputSpec) -> Widget:
    """A COMFY_BRANCH_SELECTOR: the name of one linked input."""
    return node.add_widget(Widget("combo", spec.name, ""))


def _plain(type_: str, fallback: Any) -> Constructor:
    def make(node: Node, spec: InputSpec) -> Widget:
        return node.add_widget(Widget(type_, spec.name, _default(spec, fallback)))

    return make


def _listing(type_: str) -> Constructor:
    def make(node: Node, spec: InputSpec) -> Widget:
        value = spec.options.get("default")
        return node.add_widget(Widget(type_, spec.name, list(value) if isinstance(value, list) else []))

    return make


def make_mapping(type_: str) -> Constructor:
    """Return a constructor of a widget that holds an object, empty unless the class says otherwise."""

    def make(node: Node, spec: InputSpec) -> Widget:
        value = spec.options.get("default")
        return node.add_widget(Widget(type_, spec.name, dict(value) if isinstance(value, dict) else {}))

    return make


def make_chart(node: Node, spec: InputSpec) -> Widget:
    """A CHART: its data."""
    data = spec.options.get("data")
    return node.add_widget(Widget("chart", spec.name, {} if data is None else data))


def make_gallery(node: Node, spec: InputSpec) -> Widget:
    """A GALLERIA: its images."""
    images = spec.options.get("images")
    return node.add_widget(Widget("galleria", spec.name, [] if images is None else images))


def make_text_block(node: Node, spec: InputSpec) -> Widget:
    """A TEXTAREA, which unlike a multi-line STRING holds any value."""
    return node.add_widget(Widget("textarea", spec.name, _nested_default(spec, "")))


def make_video_edit(node: Node, spec: InputSpec) -> Widget:
    """A VIDEO_EDIT: trim and crop, as far as the class offers them."""
    features = spec.options.get("features")
    features = ("trim", "crop") if features is None else features
    value: dict[str, Any] = {}
    if "trim" in features:
        value["trim"] = {"start_time": 0, "duration": 0}
    if "crop" in features:
        value["crop"] = {"x": 0, "y": 0, "width": 0, "height": 0}
    return node.add_widget(Widget("videoedit", spec.name, _default(spec, value)))


CONSTRUCTORS: dict[str, Constructor] = {
    "INT": make_int,
    "FLOAT": make_float,
    "BOOLEAN": make_boolean,
    "STRING": make_string,
    "MARKDOWN": make_markdown,
    "COMBO": make_combo,
    "IMAGEUPLOAD": make_button,
    "COLOR": make_color,
    "IMAGECOMPARE": make_image_compare,
    "BOUNDING_BOX": make_bounding_box,
    "CHART": make_chart,
    "GALLERIA": make_gallery,
    "PAINTER": _plain("painter", js.UNDEFINED),
    "COMPOSITOR": make_mapping("compositor"),
    "TEXTAREA": make_text_block,
    "CURVE": _plain("curve", {"points": [[0, 0], [1, 1]], "interpolation": "monotone_cubic"}),
    "RANGE": _plain("range", {"min": 0, "max": 1}),
    "VIDEO_EDIT": make_video_edit,
    "RESOLUTION_PREVIEW": make_hidden_preview,
    "BOUNDING_BOXES": _listing("boundingboxes"),
    "LIGHT_INFO_PREVIEW": _listing("lightinfo"),
    "COLORS": _listing("colors"),
    "AUDIO_UI": make_hidden_preview,
    "AUDIOUPLOAD": make_button,
    "AUDIO_RECORD": make_recorder,
    "WEBCAM": _plain("WEBCAM", ""),
    "LOAD_3D": make_load3d,
    "LOAD_3D_ADVANCED": make_scene,
    "PREVIEW_3D": make_viewer,
    "CAMERA_INFO_STATE": make_hidden_preview,
    "CAMERA_ANGLE_VIEW": make_camera_angle,
    "COMFY_BRANCH_INPUT_NAMES": make_branch_names,
    "COMFY_BRANCH_SELECTOR": make_branch_selector,
}
"""Widget type to what makes it; the dynamic ones join in ``dynamic.py``."""
