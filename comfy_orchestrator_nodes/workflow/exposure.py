"""Whether what a definition exposes fits its prompt. Checked before it is stored, so that no job finds out."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from ..domain import SCALAR_TYPES, STORED_TYPES, Definition, Json, Output, Parameter
from ..errors import InvalidRequest
from .graph import check_prompt

_TYPES = STORED_TYPES | SCALAR_TYPES


def check_definition(definition: Definition) -> None:
    """Refuse a definition that could not be run as it says.

    Raises:
        InvalidPrompt: its prompt is malformed.
        InvalidRequest: something exposed does not fit the prompt; the message names everything that does not.
    """
    prompt = check_prompt(definition.prompt)
    problems = [
        *_repeated("parameter", [p.name for p in definition.parameters]),
        *_repeated("output", [o.name for o in definition.outputs]),
        *(text for p in definition.parameters if (text := _bad_parameter(p, prompt)) is not None),
        *_repeated("input", [f"{p.node_id}.{p.input_name}" for p in definition.parameters]),
        *(text for o in definition.outputs if (text := _bad_output(o, prompt)) is not None),
    ]
    if not definition.outputs:
        problems.append("nothing is exposed as an output: choose at least one, or no result could come back")
    if problems:
        raise InvalidRequest("This definition cannot be stored: " + "; ".join(problems) + ".", problems=problems)


def _bad_parameter(parameter: Parameter, prompt: Mapping[str, Mapping[str, Json]]) -> str | None:
    said = f"parameter {parameter.name!r}"
    if parameter.node_id not in prompt:
        return f"{said} belongs to node {parameter.node_id}, which the prompt does not have"
    if parameter.type not in _TYPES:
        return f"{said} is a {parameter.type}, which cannot be given from outside (only {', '.join(sorted(_TYPES))})"
    low, high = parameter.minimum, parameter.maximum
    if low is not None and high is not None and low > high:
        return f"{said} has a minimum of {low} above its maximum of {high}"
    return None


def _bad_output(output: Output, prompt: Mapping[str, Mapping[str, Json]]) -> str | None:
    said = f"output {output.name!r}"
    if output.node_id not in prompt:
        return f"{said} comes from node {output.node_id}, which the prompt does not have"
    if output.type not in _TYPES | {"*"}:
        return f"{said} is a {output.type}, which cannot leave a backend"
    return None


def _repeated(kind: str, names: Iterable[str]) -> list[str]:
    listed = list(names)
    return [f"several {kind}s are {name!r}" for name in sorted({n for n in listed if listed.count(n) > 1})]
