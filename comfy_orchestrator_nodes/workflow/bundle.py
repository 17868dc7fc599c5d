"""The file in which definitions travel from one library to another. ``docs/library.md`` documents the format.

::

    {"format": "comfyui-orchestrator/definitions",
     "format_version": 1,
     "made_by": "comfyui-orchestrator 0.1.0",
     "definitions": [{"id", "name", "description", "tags", "created_at", "content_hash",
                      "prompt", "parameters", "outputs", "workflow", "knobs", "needs"}, …]}

The first definition is the one that was exported; those that its Remote Workflow nodes use follow. Readers ignore
fields that they do not know; whatever an older reader must not ignore raises ``format_version``.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from ..domain import Definition, Json, Knobs, Output, Parameter
from ..errors import InvalidDocument, InvalidRequest
from . import safejson
from .exposure import check_definition
from .nested import used_definitions
from .ordering import innermost_first
from .requirements import Requirements

FORMAT = "comfyui-orchestrator/definitions"
FORMAT_VERSION = 1
MEDIA_TYPE = "application/json"
SUFFIX = ".orchestrator.json"

MAX_DEFINITIONS = 200
_SLUG = re.compile(r"[a-z0-9][a-z0-9_-]{0,79}")
_MAX_NAME = 100
_MAX_TEXT = 10_000
_MAX_TAGS = 50
_MAX_TAG = 60
_MAX_EXPOSED = 1000
_ON_FAILURE = ("fail", "drop", "ask")
_MAX_ATTEMPTS = 100
_MAX_TIME_S = 30 * 86400
_MAX_PREFERRED = 50
_MAX_SELECTOR = 200

T = TypeVar("T")


@dataclass(frozen=True)
class Bundle:
    """The definitions of one file, each after those it uses; ``root`` is the id of the exported one."""

    root: str
    definitions: tuple[Definition, ...]


def write(
    definitions: Sequence[Definition], needs: Mapping[str, Requirements], made_by: str, *, indent: int | None = 1
) -> bytes:
    """Return the file.

    Args:
        definitions: the exported one first, with their workflow documents.
        needs: definition id to what it needs; written for readers of the file, and not read back.
        made_by: which program wrote it.
        indent: spaces for each level; None for one line.
    """
    document = {
        "format": FORMAT,
        "format_version": FORMAT_VERSION,
        "made_by": made_by,
        "definitions": [_written(definition, needs.get(definition.id)) for definition in definitions],
    }
    return json.dumps(document, indent=indent, allow_nan=False).encode()


def is_bundle(value: Json) -> bool:
    """Whether parsed JSON says of itself that it is such a file, of whatever version."""
    return isinstance(value, Mapping) and value.get("format") == FORMAT


def read(data: bytes, *, name: str = "") -> Bundle:
    """Read a file; nothing of it is trusted.

    Raises:
        InvalidDocument: it is no such file, is damaged or hostile, or comes from a newer version of this pack.
    """
    what = repr(name) if name else "This file"
    return from_value(safejson.parse(data, what), name=name)


def from_value(value: Json, *, name: str = "") -> Bundle:
    """Read parsed JSON; nothing of it is trusted.

    Raises:
        InvalidDocument: as ``read``.
    """
    what = repr(name) if name else "This file"
    if not is_bundle(value):
        raise InvalidDocument(f"{what} holds no exported workflows: its 'format' is not {FORMAT!r}.")
    version = value.get("format_version")
    if isinstance(version, bool) or not isinstance(version, int) or version < 1:
        raise InvalidDocument(f"{what} does not say which version of the format it has.")
    if version > FORMAT_VERSION:
        raise InvalidDocument(
            f"{what} was exported by a newer version of ComfyUI Orchestrator (format {version}; this one reads up to "
            f"{FORMAT_VERSION}). Update this pack to import it.",
            format_version=version,
        )
    entries = value.get("definitions")
    if not isinstance(entries, list) or not entries:
        raise InvalidDocument(f"{what} holds no definitions.")
    if len(entries) > MAX_DEFINITIONS:
        raise InvalidDocument(f"{what} holds {len(entries)} definitions; the most that is read is {MAX_DEFINITIONS}.")
    definitions = [_definition(entry, f"definition {number} of {what}") for number, entry in enumerate(entries, 1)]
    return Bundle(definitions[0].id, _ordered(definitions, what))


def _ordered(definitions: Sequence[Definition], what: str) -> tuple[Definition, ...]:
    by_id = {definition.id: definition for definition in definitions}
    if len(by_id) < len(definitions):
        raise InvalidDocument(f"{what} holds two definitions of the same id.")
    order, circular = innermost_first({id_: used_definitions(d.prompt) for id_, d in by_id.items()})
    if circular:
        raise InvalidDocument(f"The definitions of {what} run each other in a circle: {', '.join(circular[:5])}.")
    return tuple(by_id[id_] for id_ in order)


# --- writing ---------------------------------------------------------------------------------------------------------


def _written(definition: Definition, needs: Requirements | None) -> dict[str, Json]:
    written: dict[str, Json] = {
        "id": definition.id,
        "name": definition.name,
        "description": definition.description,
        "tags": list(definition.tags),
        "created_at": definition.created_at,
        "content_hash": definition.content_hash,
        "prompt": definition.prompt,
        "parameters": [vars(parameter) for parameter in definition.parameters],
        "outputs": [vars(output) for output in definition.outputs],
        "workflow": definition.workflow,
    }
    knobs = {name: value for name, value in vars(definition.knobs).items() if value is not None}
    if knobs:
        written["knobs"] = knobs
    if needs is not None:
        written["needs"] = {
            "node_classes": list(needs.node_classes),
            "models": sorted({need.value for need in needs.models}),
            "definitions": list(needs.definitions),
        }
    return written


# --- reading ---------------------------------------------------------------------------------------------------------


class _UnfitError(Exception):
    """A field is not what the format says."""


def _definition(entry: Json, what: str) -> Definition:
    try:
        definition = _parsed(_object(entry, "it"))
        check_definition(definition)
    except _UnfitError as error:
        raise InvalidDocument(f"The {what} cannot be used: {error}.") from None
    except InvalidRequest as error:
        raise InvalidDocument(f"The {what} cannot be used: {error}") from None
    return definition


def _parsed(entry: Mapping[str, Json]) -> Definition:
    id_ = _text(entry, "id", 80)
    if not _SLUG.fullmatch(id_):
        raise _UnfitError(f"its id {id_!r} is none (lower-case letters, digits, - and _)")
    name = _text(entry, "name", _MAX_NAME).strip()
    if not name:
        raise _UnfitError("it has no name")
    workflow, knobs = entry.get("workflow"), entry.get("knobs")
    return Definition(
        id=id_,
        version=1,
        name=name,
        prompt={key: _object(node, f"node {key}") for key, node in _object(entry.get("prompt"), "its prompt").items()},
        parameters=_list(entry, "parameters", _MAX_EXPOSED, _parameter),
        outputs=_list(entry, "outputs", _MAX_EXPOSED, _output),
        description=_text(entry, "description", _MAX_TEXT, default=""),
        tags=_list(entry, "tags", _MAX_TAGS, _tag),
        workflow=None if workflow is None else _object(workflow, "its workflow"),
        knobs=Knobs() if knobs is None else _knobs(_object(knobs, "its 'knobs'")),
    )


def _knobs(entry: Mapping[str, Json]) -> Knobs:
    on_failure = entry.get("on_failure")
    if on_failure not in (None, *_ON_FAILURE):
        raise _UnfitError(f"'on_failure' is none of {', '.join(_ON_FAILURE)}")
    attempts, time_limit_s = _number(entry, "attempts"), _number(entry, "time_limit_s")
    if attempts is not None and (not isinstance(attempts, int) or not 1 <= attempts <= _MAX_ATTEMPTS):
        raise _UnfitError(f"'attempts' is no whole number from 1 to {_MAX_ATTEMPTS}")
    if time_limit_s is not None and not 1 <= time_limit_s <= _MAX_TIME_S:
        raise _UnfitError(f"'time_limit_s' is no number from 1 to {_MAX_TIME_S}")
    return Knobs(
        on_failure=on_failure,
        attempts=attempts,
        time_limit_s=None if time_limit_s is None else float(time_limit_s),
        cache=None if entry.get("cache") is None else _flag(entry, "cache"),
        prefer=None if entry.get("prefer") is None else _list(entry, "prefer", _MAX_PREFERRED, _selector),
    )


def _selector(value: Json) -> str:
    if not isinstance(value, str) or not 0 < len(value) <= _MAX_SELECTOR:
        raise _UnfitError(f"one of 'prefer' is no text of 1 to {_MAX_SELECTOR} characters")
    return value


def _parameter(value: Json) -> Parameter:
    entry = _object(value, "a parameter")
    choices = entry.get("choices")
    if choices is not None and not isinstance(choices, list):
        raise _UnfitError("the 'choices' of a parameter are no list")
    return Parameter(
        name=_name(entry),
        type=_text(entry, "type", 100),
        node_id=_text(entry, "node_id", 500),
        input_name=_text(entry, "input_name", 500),
        default=entry.get("default"),
        required=_flag(entry, "required"),
        minimum=_number(entry, "minimum"),
        maximum=_number(entry, "maximum"),
        step=_number(entry, "step"),
        choices=None if choices is None else tuple(choices),
        multiline=_flag(entry, "multiline"),
        tooltip=_text(entry, "tooltip", _MAX_TEXT, default=""),
        role=_text(entry, "role", 60, default=""),
    )


def _output(value: Json) -> Output:
    entry = _object(value, "an output")
    index = entry.get("index")
    if isinstance(index, bool) or not isinstance(index, int) or not 0 <= index <= 1000:
        raise _UnfitError("the 'index' of an output is no number from 0 to 1000")
    return Output(_name(entry), _text(entry, "type", 100), _text(entry, "node_id", 500), index)


def _name(entry: Mapping[str, Json]) -> str:
    name = _text(entry, "name", 100).strip()
    if not name:
        raise _UnfitError("a parameter or output has no name")
    return name


def _tag(value: Json) -> str:
    if not isinstance(value, str) or not 0 < len(value.strip()) <= _MAX_TAG:
        raise _UnfitError(f"a tag is no text of 1 to {_MAX_TAG} characters")
    return value.strip()


def _object(value: Json, what: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise _UnfitError(f"{what} is not an object")
    return value


def _list(entry: Mapping[str, Json], key: str, most: int, parse: Callable[[Json], T]) -> tuple[T, ...]:
    values = entry.get(key, [])
    if not isinstance(values, list) or len(values) > most:
        raise _UnfitError(f"{key!r} is no list of up to {most}")
    return tuple(parse(value) for value in values)


def _text(entry: Mapping[str, Json], key: str, most: int, *, default: str | None = None) -> str:
    value = entry.get(key, default)
    if not isinstance(value, str) or len(value) > most:
        raise _UnfitError(f"{key!r} is no text of up to {most} characters")
    return value


def _flag(entry: Mapping[str, Json], key: str) -> bool:
    value = entry.get(key, False)
    if not isinstance(value, bool):
        raise _UnfitError(f"{key!r} is neither true nor false")
    return value


def _number(entry: Mapping[str, Json], key: str) -> float | None:
    value = entry.get(key)
    if value is None or (isinstance(value, (int, float)) and not isinstance(value, bool)):
        return value
    raise _UnfitError(f"{key!r} is no number")
