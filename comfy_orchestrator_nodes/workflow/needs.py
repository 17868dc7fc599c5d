"""What a prompt needs from a backend: node classes, model files, input files; and what is missing there, in words."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from difflib import get_close_matches

from ..domain import Json, Prompt
from .bind import not_a_choice
from .fragments import Refusal
from .graph import MARKERS, as_link, class_type, inputs_of
from .models import is_model_file, near_matches, respell
from .nodeinfo import DYNAMIC_COMBO, InputSpec, NodeInfo

_STOCK_LOADERS = {
    ("LoadImage", "image"): "IMAGE",
    ("LoadImageOutput", "image"): "IMAGE",
    ("LoadImageMask", "image"): "MASK",
    ("LoadLatent", "latent"): "LATENT",
    ("LoadAudio", "audio"): "AUDIO",
    ("LoadVideo", "file"): "VIDEO",
}
_UPLOAD_TYPES = {"image": ("IMAGE", "MASK"), "audio": ("AUDIO",), "video": ("VIDEO",)}
_FOLDERS = ("output", "input", "temp")


@dataclass(frozen=True)
class ModelNeed:
    """A model file that a prompt names."""

    node_id: str
    class_type: str
    input_name: str
    value: str


@dataclass(frozen=True)
class FileName:
    """A file in one of a server's three folders, as loader nodes name it: ``"sub/x.png [temp]"``."""

    filename: str
    subfolder: str
    folder: str
    """``input``, ``output`` or ``temp``."""


@dataclass(frozen=True)
class FileNeed:
    """A file that a loader node of a prompt names. ``value`` is the name as written there."""

    node_id: str
    class_type: str
    input_name: str
    type: str
    value: str
    name: FileName


def parse_file_name(value: str) -> FileName:
    """Split a loader's file name as ComfyUI does (``folder_paths.annotated_filepath``)."""
    folder = next((f for f in _FOLDERS if value.endswith(f"[{f}]")), None)
    # ComfyUI cuts the annotation together with the one character before it, whatever that is.
    path = value if folder is None else value[: -len(folder) - 3]
    subfolder, _, filename = path.replace("\\", "/").rpartition("/")
    return FileName(filename, subfolder, folder or "input")


def file_input_type(class_name: str, input_name: str, info: NodeInfo | None) -> str | None:
    """Return which ComfyUI type the file named in this input becomes, or None if it names no file of a known type.

    Stock loaders are known by name; others by their upload button and the type of their first output that fits it.
    """
    stock = _STOCK_LOADERS.get((class_name, input_name))
    if stock is not None or info is None:
        return stock
    spec = info.input(input_name)
    fitting = _UPLOAD_TYPES.get(spec.upload or "", ()) if spec else ()
    return next((t for t in info.output_types if t in fitting), None)


def models_needed(prompt: Prompt, infos: Mapping[str, NodeInfo]) -> tuple[ModelNeed, ...]:
    """Return every model file that the prompt chooses in a combo."""
    return tuple(
        ModelNeed(node_id, class_type(node), name, value)
        for node_id, node in prompt.items()
        for name, spec, value in _choices_made(node, infos)
        if is_model_file(value) and spec.type == "COMBO"
    )


def files_needed(
    prompt: Prompt, infos: Mapping[str, NodeInfo], exposed: Collection[tuple[str, str]] = ()
) -> tuple[FileNeed, ...]:
    """Return the files that loader nodes name.

    Args:
        prompt: the graph; nodes without effect on anything wanted should be pruned from it before.
        infos: node classes, for loaders that are not ComfyUI's own.
        exposed: ``(node_id, input_name)`` of loaders that get a file from a value and are left out therefore.
    """
    needs: list[FileNeed] = []
    for node_id, node in prompt.items():
        kind = class_type(node)
        for name, value in inputs_of(node).items():
            type_ = file_input_type(kind, name, infos.get(kind)) if isinstance(value, str) and value else None
            if type_ is not None and (node_id, name) not in exposed:
                needs.append(FileNeed(node_id, kind, name, type_, value, parse_file_name(value)))
    return tuple(needs)


def missing(
    prompt: Prompt,
    infos: Mapping[str, NodeInfo],
    *,
    classes: Collection[str] | None = None,
    models: Mapping[str, Collection[str]] | None = None,
) -> tuple[Refusal, ...]:
    """Return why a backend could not run the prompt, in words; nothing if nothing is known against it.

    Give it a prompt that holds only what would be sent (``patch.prune``): an output node that is dropped anyway must
    not count.

    Args:
        prompt: the graph.
        infos: the backend's node classes, as far as they were read.
        classes: the names of all its node classes; without them ``infos`` is taken to be complete.
        models: its model folders and the files in them, used for classes that are not in ``infos``.
    """
    known = classes if classes is not None else infos.keys()
    refusals: list[Refusal] = []
    for node_id, node in prompt.items():
        kind = class_type(node)
        if kind in MARKERS:
            continue
        if known and kind not in known:
            refusals.append(_missing_class(node_id, kind, known))
        elif kind in infos:
            refusals += _bad_choices(node_id, node, infos)
        elif models is not None:
            refusals += _unlisted_models(node_id, node, models)
    return tuple(refusals)


def spell_models(prompt: Mapping[str, dict[str, Json]], infos: Mapping[str, NodeInfo]) -> None:
    """Rewrite, in place, each chosen name to the backend's spelling where only folder separators differ."""
    for node in prompt.values():
        for name, spec, value in _choices_made(node, infos):
            if not isinstance(value, str) or not spec.choices:
                continue
            spelled = respell(value, spec.choices)
            if spelled is not None and spelled != value:
                node["inputs"][name] = spelled


def _choices_made(node: Mapping[str, Json], infos: Mapping[str, NodeInfo]) -> Iterator[tuple[str, InputSpec, Json]]:
    """Yield name, declaration and value of each combo that holds a constant; files to upload are no choices."""
    kind = class_type(node)
    info = infos.get(kind)
    if info is None:
        return
    inputs = inputs_of(node)
    for name, value in inputs.items():
        if as_link(value) is not None:
            continue
        spec = info.resolve(name, inputs)
        if spec is None or spec.type not in ("COMBO", DYNAMIC_COMBO) or spec.upload or spec.remote:
            continue
        if file_input_type(kind, name, info) is None:
            yield name, spec, value


def _missing_class(node_id: str, kind: str, known: Collection[str]) -> Refusal:
    folded = {name.casefold(): name for name in known}
    near = tuple(folded[n] for n in get_close_matches(kind.casefold(), folded, n=3, cutoff=0.8))
    hint = f" It has {', '.join(near)}." if near else ""
    return Refusal("node_class", f"node class {kind} is not installed.{hint}", node_id, kind, near=near)


def _bad_choices(node_id: str, node: Mapping[str, Json], infos: Mapping[str, NodeInfo]) -> Iterator[Refusal]:
    for name, spec, value in _choices_made(node, infos):
        for one in _selected(spec, value):
            refusal = _bad_choice(spec, one)
            if refusal is not None:
                kind, text, near = refusal
                yield Refusal(kind, f"{class_type(node)}.{name}: {text}", node_id, class_type(node), name, one, near)


def _selected(spec: InputSpec, value: Json) -> list[Json]:
    if isinstance(value, Mapping) and "__value__" in value:
        value = value["__value__"]
    return value if spec.multiselect and isinstance(value, list) else [value]


def _bad_choice(spec: InputSpec, value: Json) -> tuple[str, str, tuple[str, ...]] | None:
    choices = spec.choices
    if choices is None or value in choices:
        return None
    if is_model_file(value):
        if respell(value, choices) is not None:
            return None
        near = near_matches(value, choices)
        return "model", _model_text(value, near, empty=not choices), near
    if not choices:
        # A list that a node fills by itself: only combos in the old form are checked against an empty one.
        return (
            ("choice", f"there is nothing to choose from, so {value!r} is refused", ()) if spec.legacy_combo else None
        )
    return "choice", not_a_choice(value, choices), ()


def _unlisted_models(
    node_id: str, node: Mapping[str, Json], models: Mapping[str, Collection[str]]
) -> Iterator[Refusal]:
    for name, value in inputs_of(node).items():
        if not is_model_file(value) or any(respell(value, files) is not None for files in models.values()):
            continue
        near = near_matches(value, {file for files in models.values() for file in files})
        text = f"{class_type(node)}.{name}: {_model_text(value, near, empty=False)}"
        yield Refusal("model", text, node_id, class_type(node), name, value, near)


def _model_text(value: str, near: tuple[str, ...], *, empty: bool) -> str:
    if near:
        return f"model file {value!r} is not there; it has {', '.join(repr(n) for n in near)}"
    return f"model file {value!r} is not there" + ("; it has no files of this kind" if empty else "")
