"""What the front end reads from one ``/object_info`` entry: ordered inputs and outputs of a node class.

Core extensions of the front end add inputs of their own before a class is registered (an upload button, an audio
player); they are part of the layout because each takes a slot and most take a place in ``widgets_values``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from . import js

_AUDIO_PLAYER_CLASSES = frozenset(
    {"LoadAudio", "SaveAudio", "PreviewAudio", "SaveAudioMP3", "SaveAudioOpus", "SaveAudioAdvanced"}
)
_MESH_VIEWER_CLASSES = frozenset({"SaveGLB", "Preview3D"})
_NESTING_TYPES = frozenset({"COMFY_DYNAMICGROUP_V3", "COMFY_AUTOGROW_V3", "COMFY_DYNAMICCOMBO_V3"})
_UPLOAD_FLAGS = ("image_upload", "video_upload", "animated_image_upload")


class UnusableClass(Exception):
    """A class's definition that the front end itself refuses: no node of that class can be made."""


class InputSpec:
    """One input of a class, or one that a dynamic input brings: name, widget or slot type, and free options.

    Treated as immutable; a plain class because a conversion makes hundreds.
    """

    __slots__ = ("choices", "force_input", "name", "optional", "options", "type", "widget_type")

    def __init__(
        self, name: str, type_: str, optional: bool, options: Mapping[str, Any], choices: Sequence[Any] = ()
    ) -> None:
        self.name = name
        self.type = type_
        self.optional = optional
        self.options = options
        self.choices = choices
        self.widget_type: str = str(options["widgetType"] or type_) if "widgetType" in options else type_
        """The type that names the widget's constructor, which ``widgetType`` may set apart from the slot's."""
        self.force_input = "forceInput" in options and js.truthy(options["forceInput"])
        """Whether the input is a slot only, although its type has a widget."""

    @property
    def controlled(self) -> bool:
        """Whether ``control_after_generate`` is set, as a flag, a mode or a name."""
        return "control_after_generate" in self.options and js.truthy(self.options["control_after_generate"])

    def renamed(self, name: str, *, optional: bool) -> InputSpec:
        """Return the same spec under another name, as autogrow groups make them."""
        return InputSpec(name, self.type, optional, self.options, self.choices)


@dataclass(frozen=True)
class OutputSpec:
    """One output of a class; ``type`` is ``*`` where a match-type group decides."""

    name: str
    type: str


@dataclass(frozen=True)
class ClassSpec:
    """A registered node class as the front end sees it."""

    name: str
    display_name: str
    inputs: Mapping[str, InputSpec]
    """All inputs, required first, as declared: the order that old value lists follow."""
    ordered: tuple[InputSpec, ...]
    """The same by ``input_order``: the order that slots and widgets follow."""
    outputs: tuple[OutputSpec, ...]
    output_matchtypes: tuple[Any, ...] = ()
    fallback_value_names: tuple[str, ...] | None = None
    forces_inputs: bool = False
    """Whether an input is a slot only by ``forceInput``: lists saved before 1.16 have an entry for it."""
    has_rows: bool = False
    """Whether a group of rows is among the inputs, at any depth."""


def parse_input(raw: Any, name: str, *, optional: bool) -> InputSpec:
    """Read one ``[type, options]`` pair; a malformed one becomes a slot of type ``UNKNOWN``."""
    pair = raw if isinstance(raw, list) else ()
    kind = pair[0] if pair else None
    options = pair[1] if len(pair) > 1 and isinstance(pair[1], dict) else {}
    if "name" in options:
        name = str(options["name"])
    if isinstance(kind, list):
        return InputSpec(name, "COMBO", optional, options, kind)
    if kind == "COMBO":
        choices = options.get("options")
        return InputSpec(name, "COMBO", optional, options, choices if isinstance(choices, list) else ())
    if isinstance(kind, str):
        declared = options["type"] if "type" in options and kind != "CHART" else kind
        return InputSpec(name, declared if isinstance(declared, str) else kind, optional, options)
    return InputSpec(name, "UNKNOWN", optional, options)


def parse_group(group: Any) -> Iterator[InputSpec]:
    """Yield the inputs of a ``{"required": {…}, "optional": {…}}`` object, required first."""
    if not isinstance(group, dict):
        return
    for section in ("required", "optional"):
        members = group.get(section)
        if not isinstance(members, dict):
            continue
        for name, raw in js.entries(members):
            yield parse_input(raw, name, optional=section == "optional")


def parse_class(name: str, entry: Mapping[str, Any]) -> ClassSpec:
    """Read one entry of ``/object_info``.

    Args:
        name: the class_type.
        entry: its value, as the server sent it; not mutated.
    """
    raw_inputs = _section(entry, "input")
    required = dict(_section(raw_inputs, "required"))
    optional = _with_force_input(_section(raw_inputs, "optional"))
    _add_front_end_inputs(name, required, "required" in raw_inputs)
    inputs = {spec.name: spec for spec in parse_group({"required": required, "optional": optional})}
    names = entry.get("fallbackWidgetsValuesNames")
    return ClassSpec(
        name=name,
        display_name=str(entry.get("display_name") or name),
        inputs=inputs,
        ordered=tuple(_in_order(inputs, entry.get("input_order"))),
        outputs=tuple(_outputs(entry)),
        output_matchtypes=tuple(_list(entry.get("output_matchtypes"))),
        fallback_value_names=tuple(map(str, names)) if isinstance(names, list) else None,
        forces_inputs=True in [spec.force_input for spec in inputs.values()],
        has_rows=any(_has_rows(spec) for spec in inputs.values() if spec.type in _NESTING_TYPES),
    )


def _has_rows(spec: InputSpec) -> bool:
    if spec.type == "COMFY_DYNAMICGROUP_V3":
        return True
    if spec.type == "COMFY_AUTOGROW_V3":
        template = spec.options.get("template")
        return any(_has_rows(inner) for inner in parse_group(_section(template, "input") if template else None))
    if spec.type != "COMFY_DYNAMICCOMBO_V3":
        return False
    options = _list(spec.options.get("options"))
    return any(_has_rows(inner) for option in options for inner in parse_group(_section(option, "inputs")))


def _section(mapping: Any, key: str) -> Mapping[str, Any]:
    value = mapping.get(key) if isinstance(mapping, dict) else None
    return value if isinstance(value, dict) else {}


def _with_force_input(optional: Mapping[str, Any]) -> dict[str, Any]:
    """Return the section with ``defaultInput`` turned into ``forceInput``, which only optional inputs know."""
    result: dict[str, Any] = {}
    for name, raw in optional.items():
        options = _options(raw)
        asked = "defaultInput" in options and js.truthy(options["defaultInput"])
        result[name] = [raw[0], {**options, "forceInput": True}] if asked else raw
    return result


def _options(raw: Any) -> Mapping[str, Any]:
    if isinstance(raw, list) and len(raw) > 1 and isinstance(raw[1], dict):
        return raw[1]
    return {}


def _add_front_end_inputs(name: str, required: dict[str, Any], has_required: bool) -> None:
    """Add what core extensions add in ``beforeRegisterNodeDef`` (front end 1.58.1, ``extensions/core``)."""
    if name in _AUDIO_PLAYER_CLASSES:
        required["audioUI"] = ["AUDIO_UI", {}]
    if _options(required.get("audio")).get("audio_upload") is True:
        required["upload"] = ["AUDIOUPLOAD", {}]
    for raw in required.values():
        if _takes_media_uploads(raw):
            required["upload"] = ["IMAGEUPLOAD", {}]
            break
    if name in _MESH_VIEWER_CLASSES:
        required["image"] = ["PREVIEW_3D"]
    if name == "Load3DAdvanced" and has_required:
        required["viewport_state"] = ["LOAD_3D_ADVANCED", {}]


def _takes_media_uploads(raw: Any) -> bool:
    options = _options(raw)
    for flag in _UPLOAD_FLAGS:
        if flag in options and options[flag] is True:
            return isinstance(raw[0], list) or raw[0] == "COMBO"
    return False


def _in_order(inputs: Mapping[str, InputSpec], order: Any) -> Iterator[InputSpec]:
    if not isinstance(order, dict):
        yield from (spec for _, spec in js.entries(inputs))
        return
    done = set()
    for section, optional in (("required", False), ("optional", True)):
        for name in _list(order.get(section)):
            spec = inputs.get(name) if isinstance(name, str) else None
            if spec is not None and spec.optional == optional:
                done.add(spec.name)
                yield spec
    yield from (spec for _, spec in js.entries(inputs) if spec.name not in done)


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _outputs(entry: Mapping[str, Any]) -> Iterator[OutputSpec]:
    types = entry.get("output")
    names = entry.get("output_name")
    for index, kind in enumerate(types if isinstance(types, list) else ()):
        name = names[index] if isinstance(names, list) and index < len(names) else None
        text = "COMBO" if isinstance(kind, list) else str(kind)
        yield OutputSpec(str(name or f"output_{index}"), "*" if text == "COMFY_MATCHTYPE_V3" else text)
