"""What a Remote Workflow node's inputs must be, checked against the library before anything runs."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import replace
from difflib import get_close_matches

from ..domain import Backend, Definition, Parameter
from ..errors import BindingFailed, InvalidRequest, NotFound
from ..orchestrator.making import PREFER
from ..orchestrator.snapshot import Snapshot
from ..workflow.bind import bind
from .slots import SLOTS, Slots, input_name, parse, resolve

AUTO = "auto"

_UNKNOWN_WORKFLOW = (
    "Choose one of the library. If this meta-graph was made elsewhere, it may carry the workflow with it: import that "
    "from the file or image you opened ('python -m comfy_orchestrator_nodes import --embedded FILE' does it, too)."
)


def validate(snapshot: Snapshot, workflow: str, backend: str, parameters: str, input_types: Mapping[str, str]) -> None:
    """Refuse what cannot work.

    Args:
        snapshot: the library and the backends.
        workflow: the id of a definition.
        backend: ``auto``, a backend's name or id, or ``tag:NAME``; with ``prefer:`` before it only a wish.
        parameters: the text of the widget.
        input_types: input slot to the type of what is linked to it.

    Raises:
        InvalidRequest: the orchestrator does not work here, or a slot or the text does not fit the definition.
        NotFound: there is no such workflow or backend.
        BindingFailed: a value is missing, of the wrong type or out of range.
    """
    definition = definition_of(snapshot, workflow)
    known = [AUTO, *(b.name for b in snapshot.backends), *(b.id for b in snapshot.backends), *tags(snapshot.backends)]
    if backend.removeprefix(PREFER) not in known:
        raise NotFound("backend", backend, near=known[:5])
    parsed = parse(parameters)
    slots = resolve(definition, parsed)
    linked: dict[str, str] = {}
    for index in range(SLOTS):
        type_ = input_types.get(input_name(index))
        if type_ is None:
            continue
        if index >= len(slots.inputs):
            raise InvalidRequest(f"{input_name(index)} is connected, but {definition.name!r} has no such input.")
        linked[slots.inputs[index].name] = type_
    _check_types(definition, linked)
    given = {name: value for name, value in parsed.values.items() if name not in linked}
    missing = {
        p.name: f"connect {p.type} to {_slot_of(slots, p)}"
        for p in definition.parameters
        if p.required and p.name not in linked and p.name not in given
    }
    if missing:
        raise BindingFailed(missing)
    bind(without(definition, linked), given)


def _check_types(definition: Definition, linked: Mapping[str, str]) -> None:
    problems: dict[str, str] = {}
    for name, type_ in linked.items():
        expected = parameter_of(definition, name).type
        accepted = {expected, *(["INT"] if expected == "FLOAT" else []), *(["STRING"] if expected == "COMBO" else [])}
        if type_ != "*" and not accepted & set(type_.split(",")):
            problems[name] = f"it takes {expected}, but {type_} is connected"
    if problems:
        raise BindingFailed(problems)


def without(definition: Definition, names: Collection[str]) -> Definition:
    """Return the definition without the parameters whose values are not known before the run, or not bound."""
    return replace(definition, parameters=tuple(p for p in definition.parameters if p.name not in names))


def definition_of(snapshot: Snapshot, workflow: str) -> Definition:
    """Return the latest version of a definition.

    Raises:
        InvalidRequest: the orchestrator does not work here.
        NotFound: there is no such workflow.
    """
    if snapshot.problem:
        raise InvalidRequest(snapshot.problem)
    if not snapshot.ready:
        raise InvalidRequest("The orchestrator is still starting: try again in a moment.")
    definition = snapshot.definitions.get(workflow)
    if definition is None:
        near = get_close_matches(workflow, snapshot.definitions, n=3)
        raise NotFound("workflow", workflow, near=near, repair=_UNKNOWN_WORKFLOW)
    return definition


def parameter_of(definition: Definition, name: str) -> Parameter:
    """Return a parameter.

    Raises:
        NotFound: there is none of that name.
    """
    parameter = definition.parameter(name)
    if parameter is None:
        raise NotFound("parameter", name)
    return parameter


def _slot_of(slots: Slots, parameter: Parameter) -> str:
    names = [p.name for p in slots.inputs]
    return input_name(names.index(parameter.name)) if parameter.name in names else "the node"


def tags(backends: Iterable[Backend]) -> list[str]:
    """Return ``tag:NAME`` for every tag that a backend has."""
    return sorted({f"tag:{tag}" for backend in backends for tag in backend.tags})
