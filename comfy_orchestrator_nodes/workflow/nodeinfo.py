"""A typed view of what a ComfyUI server says about its node classes (``GET /object_info``).

Parsed leniently, because custom nodes fill these documents by hand: what cannot be understood of one input makes that
input an opaque link, and only an entry that is no node class at all is an error. The raw entry stays available.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from ..domain import Json
from ..errors import InvalidNodeInfo

WIDGET_TYPES = frozenset({"INT", "FLOAT", "STRING", "BOOLEAN", "COMBO"})
"""Types that every front end shows as a widget, so that a prompt may hold a constant for them."""

DYNAMIC_COMBO = "COMFY_DYNAMICCOMBO_V3"
AUTOGROW = "COMFY_AUTOGROW_V3"
DYNAMIC_GROUP = "COMFY_DYNAMICGROUP_V3"

_UPLOAD_FLAGS = {
    "image_upload": "image",
    "animated_image_upload": "image",
    "audio_upload": "audio",
    "video_upload": "video",
    "file_upload": "file",
}


@dataclass(frozen=True)
class InputSpec:
    """One declared input of a node class.

    ``type`` is the ComfyUI type; both the old form of a combo (a list in the place of the type) and the new one are
    ``COMBO``. A type that accepts several is kept as written (``"FLOAT,INT"``). ``choices`` is None where there is
    nothing to choose from or the server fills the list only in the browser (``remote``).
    """

    name: str
    type: str
    required: bool = True
    options: Mapping[str, Json] = field(default_factory=dict)
    choices: tuple[Json, ...] | None = None
    legacy_combo: bool = False
    """Whether the combo is in the old form: only that one is checked against its list by ComfyUI up to 0.3.75."""

    @property
    def widget_type(self) -> str | None:
        """The widget that enters a constant here, or None for an input that can only be linked."""
        if self.options.get("forceInput"):
            return None
        asked = self.options.get("widgetType")
        if isinstance(asked, str):
            return asked
        if self.type in WIDGET_TYPES or self.type == DYNAMIC_COMBO:
            return self.type
        if self.options.get("socketless"):
            return self.type
        accepted = self.type.split(",")
        return next((t for t in ("FLOAT", "INT", "STRING", "BOOLEAN") if len(accepted) > 1 and t in accepted), None)

    @property
    def is_link_only(self) -> bool:
        """Whether a value can only come through a link."""
        return self.widget_type is None

    @property
    def default(self) -> Json:
        """The declared default; for a combo without one, its first choice, as ComfyUI's front end takes it."""
        if "default" in self.options:
            return self.options["default"]
        return self.choices[0] if self.choices else None

    @property
    def minimum(self) -> float | None:
        """The least value ComfyUI accepts, or None."""
        return _number(self.options.get("min"))

    @property
    def maximum(self) -> float | None:
        """The greatest value ComfyUI accepts, or None."""
        return _number(self.options.get("max"))

    @property
    def step(self) -> float | None:
        """The step of the widget's arrows, or None. It does not restrict the value."""
        return _number(self.options.get("step"))

    @property
    def multiline(self) -> bool:
        """Whether a text is entered in several lines."""
        return self.options.get("multiline") is True

    @property
    def tooltip(self) -> str:
        """The explanation shown to the user, or an empty text."""
        text = self.options.get("tooltip")
        return text if isinstance(text, str) else ""

    @property
    def multiselect(self) -> bool:
        """Whether a combo takes a list of choices."""
        return bool(self.options.get("multiselect") or self.options.get("multi_select"))

    @property
    def upload(self) -> str | None:
        """What kind of file the widget uploads (``image``, ``audio``, ``video``, ``file``), or None."""
        return next((kind for flag, kind in _UPLOAD_FLAGS.items() if self.options.get(flag)), None)

    @property
    def remote(self) -> bool:
        """Whether the browser fills the list of choices by a request of its own."""
        return isinstance(self.options.get("remote"), Mapping) or isinstance(self.options.get("remote_combo"), Mapping)


@dataclass(frozen=True)
class NodeInfo:
    """One node class as its server declares it. ``inputs`` are in the order of the widgets, without the hidden ones."""

    class_type: str
    inputs: tuple[InputSpec, ...]
    output_types: tuple[str, ...]
    output_names: tuple[str, ...]
    output_is_list: tuple[bool, ...]
    output_node: bool
    display_name: str
    raw: Mapping[str, Json] = field(repr=False, compare=False)

    @property
    def is_v3(self) -> bool:
        """Whether the class is written against ComfyUI's V3 schema.

        V3 entries always state ``deprecated``; V1 entries only when it is true (``node_info`` in ComfyUI's server.py
        and ``Schema.get_v1_info`` in comfy_api). V3 classes refuse undeclared inputs, V1 classes get linked ones
        passed.
        """
        return self.raw.get("deprecated") is False or "price_badge" in self.raw or "output_matchtypes" in self.raw

    def input(self, name: str) -> InputSpec | None:
        """Return the declared input of that name, or None. Does not look into dynamic inputs: see ``resolve``."""
        return next((spec for spec in self.inputs if spec.name == name), None)

    def resolve(self, name: str, inputs: Mapping[str, Json]) -> InputSpec | None:
        """Return what is declared for ``name`` of a node with these ``inputs``, dynamic ones included, or None.

        A dynamic combo ``format`` with the choice ``mp4`` has further inputs ``format.codec``; a growing input
        ``images`` has ``images.image0``, ``images.image1``, …; a dynamic group has ``loras.0.strength``.
        """
        declared = self.input(name)
        if declared is not None:
            return declared
        parts = name.split(".")
        for length in range(len(parts) - 1, 0, -1):
            parent = self.input(".".join(parts[:length]))
            if parent is not None:
                return _descend(parent, parts[length:], name, inputs)
        return None


def parse_node_info(class_type: str, entry: Json) -> NodeInfo:
    """Parse one class's entry of ``/object_info``.

    Raises:
        InvalidNodeInfo: the entry is not an object with an ``input`` object.
    """
    if not isinstance(entry, Mapping):
        raise InvalidNodeInfo(class_type, f"it is {_kind(entry)}, not an object")
    sections = entry.get("input", {})
    if sections is None:
        sections = {}
    if not isinstance(sections, Mapping):
        raise InvalidNodeInfo(class_type, f"its 'input' is {_kind(sections)}, not an object")
    order = entry.get("input_order")
    types = tuple(_output_type(t) for t in _list(entry.get("output")))
    names = _list(entry.get("output_name"))
    lists = _list(entry.get("output_is_list"))
    display = entry.get("display_name")
    return NodeInfo(
        class_type=class_type,
        inputs=_parse_sections(sections, order if isinstance(order, Mapping) else {}),
        output_types=types,
        output_names=tuple(
            names[i] if i < len(names) and isinstance(names[i], str) and names[i] else t for i, t in enumerate(types)
        ),
        output_is_list=tuple(bool(lists[i]) if i < len(lists) else False for i in range(len(types))),
        output_node=entry.get("output_node") is True,
        display_name=display if isinstance(display, str) and display else class_type,
        raw=entry,
    )


def parse_object_info(document: Json) -> tuple[dict[str, NodeInfo], dict[str, str]]:
    """Parse a whole ``/object_info`` document.

    Returns:
        The classes that could be read, and for each that could not the reason: one broken custom node must not make
        the others of that server unusable.

    Raises:
        InvalidNodeInfo: the document is not an object.
    """
    if not isinstance(document, Mapping):
        raise InvalidNodeInfo("/object_info", f"it is {_kind(document)}, not an object")
    parsed = {class_type: _parsed_or_reason(class_type, entry) for class_type, entry in document.items()}
    infos = {class_type: info for class_type, info in parsed.items() if isinstance(info, NodeInfo)}
    return infos, {class_type: reason for class_type, reason in parsed.items() if isinstance(reason, str)}


def parse_input(name: str, declared: Json, *, required: bool) -> InputSpec:
    """Parse one input as declared: ``[type]``, ``[type, options]`` or ``[[choice, …], options]``."""
    parts = list(declared) if isinstance(declared, (list, tuple)) else [declared]
    kind = parts[0] if parts else "*"
    options = parts[1] if len(parts) > 1 and isinstance(parts[1], Mapping) else {}
    if isinstance(kind, (list, tuple)):
        return InputSpec(name, "COMBO", required, options, tuple(kind), legacy_combo=True)
    type_ = kind if isinstance(kind, str) and kind else "*"
    return InputSpec(name, type_, required, options, _choices(type_, options))


def _parsed_or_reason(class_type: str, entry: Json) -> NodeInfo | str:
    try:
        return parse_node_info(class_type, entry)
    except InvalidNodeInfo as error:
        return str(error)


def _parse_sections(sections: Mapping[str, Json], order: Mapping[str, Json]) -> tuple[InputSpec, ...]:
    specs: list[InputSpec] = []
    for section in ("required", "optional"):
        declared = sections.get(section)
        if not isinstance(declared, Mapping):
            continue
        names = [n for n in _list(order.get(section)) if n in declared]
        names += [n for n in declared if n not in names]
        specs += (parse_input(n, declared[n], required=section == "required") for n in names)
    return tuple(specs)


def _choices(type_: str, options: Mapping[str, Json]) -> tuple[Json, ...] | None:
    listed = options.get("options")
    if not isinstance(listed, (list, tuple)):
        return None
    if type_ == DYNAMIC_COMBO:
        return tuple(o["key"] for o in listed if isinstance(o, Mapping) and "key" in o)
    return tuple(listed) if type_ == "COMBO" else None


def _descend(parent: InputSpec, rest: list[str], full_name: str, inputs: Mapping[str, Json]) -> InputSpec | None:
    """Find the declaration of ``full_name``, whose last parts are ``rest``, below a dynamic input."""
    if parent.type == DYNAMIC_COMBO:
        prefix = full_name[: -len(".".join(rest)) - 1]
        sections = _selected_inputs(parent, inputs.get(prefix))
        head, tail = rest[0], rest[1:]
    elif parent.type == DYNAMIC_GROUP:
        sections = _template(parent)
        if len(rest) < 2:
            return None
        head, tail = rest[1], rest[2:]
    elif parent.type == AUTOGROW:
        return _grown(parent, rest, full_name)
    else:
        return None
    for section in ("required", "optional"):
        declared = sections.get(section)
        if isinstance(declared, Mapping) and head in declared:
            required = parent.required and section == "required"
            if not tail:
                return parse_input(full_name, declared[head], required=required)
            return _descend(parse_input(head, declared[head], required=required), tail, full_name, inputs)
    return None


def _grown(parent: InputSpec, rest: list[str], full_name: str) -> InputSpec | None:
    """Every member of a growing input is declared alike, by the one input of its template."""
    sections = _template(parent).get("input")
    if not isinstance(sections, Mapping) or len(rest) != 1:
        return None
    for section in ("required", "optional"):
        declared = sections.get(section)
        if isinstance(declared, Mapping) and declared:
            return parse_input(full_name, next(iter(declared.values())), required=False)
    return None


def _template(parent: InputSpec) -> Mapping[str, Json]:
    template = parent.options.get("template")
    return template if isinstance(template, Mapping) else {}


def _selected_inputs(combo: InputSpec, selected: Json) -> Mapping[str, Json]:
    for option in _list(combo.options.get("options")):
        if isinstance(option, Mapping) and option.get("key") == selected:
            sections = option.get("inputs")
            return sections if isinstance(sections, Mapping) else {}
    return {}


def _output_type(declared: Json) -> str:
    """An output declared by a list of choices (an old custom) is a COMBO."""
    if isinstance(declared, str):
        return declared
    return "COMBO" if isinstance(declared, (list, tuple)) else "*"


def _list(value: Json) -> list[Json]:
    return list(value) if isinstance(value, (list, tuple)) else []


def _number(value: Json) -> float | None:
    """Keep ints as they are: the maximum of a seed, 2**64 - 1, is no float."""
    return value if isinstance(value, (int, float)) and not isinstance(value, bool) else None


def _kind(value: Json) -> str:
    return "null" if value is None else type(value).__name__
