"""The widgets of live nodes: what value each holds after a load, and what it sends.

Two questions differ for every widget: whether it *keeps* a place in ``widgets_values``, and whether it is *sent* in the
prompt. An upload button keeps a place and is not sent; the controller of a seed likewise; an image comparer is sent and
keeps none.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from . import js
from .model import Slot
from .specs import InputSpec

if TYPE_CHECKING:
    from .model import Node

_CONTROL_MODES = frozenset({"fixed", "increment", "decrement", "randomize", "increment-wrap"})


class Widget:
    """A widget that holds whatever it is given."""

    __slots__ = ("choices", "dynamic_prompts", "keeps", "limits", "name", "resolves_prompts", "sent", "type", "value")
    has_slot = True
    """Whether the widget comes with an input slot that may replace it."""

    def __init__(
        self,
        type_: str,
        name: str,
        value: Any = js.UNDEFINED,
        *,
        keeps: bool = True,
        sent: bool = True,
        choices: tuple[Any, ...] | None = None,
        limits: Limits | None = None,
    ) -> None:
        self.type = type_
        self.name = name
        self.value = value
        self.keeps = keeps
        self.sent = sent
        self.choices = choices
        self.limits = limits
        self.dynamic_prompts = False
        """Whether the class asked for ``{a|b}`` and comments to be resolved."""
        self.resolves_prompts = False
        """Whether it is done: only for widgets that stood when the node was made."""

    def get(self) -> Any:
        """Return the present value."""
        return self.value

    def set(self, node: Node, value: Any) -> None:
        """Take a value, as it is."""
        self.value = value

    def enter(self, node: Node, value: Any) -> None:
        """Take a value as if a user had entered it: numbers are rounded as their class says."""
        self.set(node, value)
        if self.limits is not None and js.is_number(value):
            self.set(node, self.limits.rounded(value))


class Limits:
    """The range and rounding of a number widget."""

    __slots__ = ("integer", "maximum", "minimum", "precision", "round", "step")

    def __init__(self, *, integer: bool, minimum: float, maximum: float, step: float, round_: Any, precision: int):
        self.integer = integer
        self.minimum = minimum
        self.maximum = maximum
        self.step = step
        self.round = round_
        self.precision = precision

    def rounded(self, value: float) -> float:
        """Return the value on the nearest step of an integer, or at the precision of a float."""
        if self.integer:
            return self._on_step(value)
        if not self.round:
            return value
        nearest = js.round_half_up(value / self.round) * self.round
        return min(max(js.to_fixed(nearest, self.precision), self.minimum), self.maximum)

    def _on_step(self, value: float) -> float:
        step = self.step or 1
        if step == 1:
            return js.round_half_up(value)
        if not math.isfinite(self.minimum):
            return math.nan
        offset = math.fmod(self.minimum, step)
        return js.round_half_up((value - offset) / step) * step + offset

    def clamped(self, value: float) -> float:
        """Return the value within the range, low end first."""
        if value < self.minimum:
            return self.minimum
        return min(value, self.maximum)


class TextArea(Widget):
    """A multi-line text: what is not text becomes text, as an HTML text area does it."""

    __slots__ = ()

    def set(self, node: Node, value: Any) -> None:
        """Take text as it is, and anything else as the text a browser makes of it."""
        self.value = value if isinstance(value, str) else area_text(value)


class Fixed(Widget):
    """A widget of the front end whose value no workflow changes: a viewer, a recorder, a list of linked names."""

    __slots__ = ()

    def set(self, node: Node, value: Any) -> None:
        """Ignore the value."""


def area_text(value: Any) -> str:
    """Return what ``textarea.value`` reads after the value was assigned to it."""
    text = "" if value is None or value is js.UNDEFINED else js.to_text(value)
    return text.replace("\r\n", "\n").replace("\r", "\n")


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


def make_int(node: Node, spec: InputSpec) -> Widget:
    """An INT, with its control widget where one is due."""
    limits = Limits(
        integer=True,
        minimum=number(spec, "min", 0),
        maximum=number(spec, "max", 2048),
        step=number(spec, "step", 1),
        round_=None,
        precision=0,
    )
    kind = _number_type(spec, ("color", "slider", "knob"))
    widget = node.add_widget(Widget(kind, spec.name, _default(spec, 0), limits=limits))
    control = spec.options.get("control_after_generate")
    if spec.name in ("seed", "noise_seed") if control is None else js.truthy(control):
        add_control(node, spec, "randomize")
    return widget


def make_float(node: Node, spec: InputSpec) -> Widget:
    """A FLOAT, with its control widget where one is asked for."""
    step = number(spec, "step", 0.5)
    precision = max(0, -math.floor(math.log10(step))) if step > 0 else 0
    rounding = spec.options.get("round")
    if precision and not js.truthy(rounding):
        rounding = 10.0**-precision
    limits = Limits(
        integer=False,
        minimum=number(spec, "min", 0),
        maximum=number(spec, "max", 2048),
        step=step,
        round_=rounding if js.is_number(rounding) else None,
        precision=precision,
    )
    kind = _number_type(spec, ("gradientslider", "slider", "knob"))
    widget = node.add_widget(Widget(kind, spec.name, _default(spec, 0), limits=limits))
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
    inner = nested.get("default") if isinstance(nested, Mapping) else None
    return _default(spec, fallback if inner is None else inner)


def make_bounding_box(node: Node, spec: InputSpec) -> Widget:
    """A BOUNDING_BOX with four numbers of its own that keep places and are not sent."""
    box = _default(spec, {"x": 0, "y": 0, "width": 512, "height": 512})
    kind = "imagecrop" if spec.options.get("component") == "ImageCrop" else "boundingbox"
    widget = node.add_widget(Widget(kind, spec.name, dict(box) if isinstance(box, Mapping) else {}))
    for part in ("x", "y", "width", "height"):
        value = box.get(part, js.UNDEFINED) if isinstance(box, Mapping) else js.UNDEFINED
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
    """A 3D viewer, sent as the empty text that it holds before anything was rendered."""
    return node.add_widget(Fixed("load3D", spec.name, ""))


def make_load3d(node: Node, spec: InputSpec) -> Widget:
    """A LOAD_3D viewer; beside a file it brings three buttons, which the front end does send."""
    if any(widget.name == "model_file" for widget in node.widgets):
        node.add_widget(Widget("button", "upload 3d model", "upload3dmodel"))
        node.add_widget(Widget("button", "upload extra resources", "uploadExtraResources"))
        node.add_widget(Widget("button", "clear", "clear"))
    return make_viewer(node, spec)


def make_recorder(node: Node, spec: InputSpec) -> Widget:
    """An AUDIO_RECORD: a player that sends its recording, of which a saved workflow has none, and a button."""
    node.add_widget(Fixed(spec.name, "audioUI", ""))
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
        return node.add_widget(Widget(type_, spec.name, list(value) if isinstance(value, (list, tuple)) else []))

    return make


def make_mapping(type_: str) -> Constructor:
    """Return a constructor of a widget that holds an object, empty unless the class says otherwise."""

    def make(node: Node, spec: InputSpec) -> Widget:
        value = spec.options.get("default")
        return node.add_widget(Widget(type_, spec.name, dict(value) if isinstance(value, Mapping) else {}))

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
    "LOAD_3D_ADVANCED": make_viewer,
    "PREVIEW_3D": make_viewer,
    "CAMERA_INFO_STATE": make_hidden_preview,
    "CAMERA_ANGLE_VIEW": make_camera_angle,
    "COMFY_BRANCH_INPUT_NAMES": make_branch_names,
    "COMFY_BRANCH_SELECTOR": make_branch_selector,
}
"""Widget type to what makes it; the dynamic ones join in ``dynamic.py``."""


def add_slot(node: Node, spec: InputSpec, *, widget: bool) -> Slot:
    """Append an input slot made from a definition."""
    localized = spec.options.get("display_name")
    slot = Slot(
        spec.name,
        spec.type,
        widget=spec.name if widget else None,
        spec=spec if widget else None,
        localized=localized if isinstance(localized, str) else spec.name,
    )
    node.inputs.append(slot)
    return slot
