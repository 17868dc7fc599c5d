"""What the ``parameters`` text of a Remote Workflow node says, and what its numbered slots mean. Pure.

::

    {"version": 3,                       the definition's version the node was made for
     "values": {"seed": 5},              constants by parameter name
     "in": ["photo", "mask"],            what in_1, in_2, … are
     "out": ["image"],                   what out_1, … are
     "wanted": ["image"],                which outputs somebody uses; written before each run (prompt_handler.py)
     "native": ["image"]}                which of them somebody looks into; the others may stay where they are made

Everything may be left out. Slots are resolved by name, so a definition may be edited without breaking the graphs that
use it, as long as the names they use are still there.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches

from ..domain import STORED_TYPES, Definition, Json, Output, Parameter
from ..errors import InvalidRequest

SLOTS = 16
"""How many inputs and how many outputs the node declares."""

_KEYS = frozenset({"version", "values", "in", "out", "wanted", "native"})


@dataclass(frozen=True)
class NodeParameters:
    """The parsed text. None means that the default order of the definition counts."""

    version: int | None = None
    values: Mapping[str, Json] = field(default_factory=dict)
    inputs: tuple[str, ...] | None = None
    outputs: tuple[str, ...] | None = None
    wanted: tuple[str, ...] | None = None
    native: tuple[str, ...] | None = None


@dataclass(frozen=True)
class Slots:
    """The meaning of the node's slots for one definition."""

    inputs: tuple[Parameter, ...]
    outputs: tuple[Output, ...]
    wanted: tuple[str, ...]
    native: frozenset[str]
    """Those of the wanted outputs that must be native values on the link; of others the link may carry a handle."""


def parse(text: str) -> NodeParameters:
    """Read the text of the ``parameters`` widget; an empty one says nothing.

    Raises:
        InvalidRequest: it is no JSON object of the form above.
    """
    if not text.strip():
        return NodeParameters()
    try:
        data = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise InvalidRequest(
            f"The parameters are no valid JSON: {error}. Choose the workflow again to reset them."
        ) from None
    if not isinstance(data, dict):
        raise InvalidRequest('The parameters must be a JSON object such as {"values": {"seed": 5}}.')
    unknown = sorted(data.keys() - _KEYS)
    if unknown:
        raise InvalidRequest(
            f"The parameters hold {', '.join(map(repr, unknown))}, which mean nothing. "
            'Values belong under "values": {"values": {"seed": 5}}.'
        )
    version, values = data.get("version"), data.get("values", {})
    if version is not None and (isinstance(version, bool) or not isinstance(version, int)):
        raise InvalidRequest('"version" must be a whole number.')
    if not isinstance(values, dict):
        raise InvalidRequest('"values" must be a JSON object of parameter names and values.')
    lists = (_names(data, key) for key in ("in", "out", "wanted", "native"))
    return NodeParameters(version, values, *lists)


def resolve(definition: Definition, parameters: NodeParameters) -> Slots:
    """Return what each slot means.

    Raises:
        InvalidRequest: a slot is named that the definition no longer has; the message says how to mend it.
    """
    by_name = {parameter.name: parameter for parameter in definition.parameters}
    outputs = {output.name: output for output in definition.outputs}
    if parameters.inputs is None:
        inputs = default_inputs(definition)
    else:
        _refuse_unknown(definition, parameters, "input", parameters.inputs, by_name)
        inputs = tuple(by_name[name] for name in parameters.inputs)
    if parameters.outputs is None:
        chosen = definition.outputs[:SLOTS]
    else:
        _refuse_unknown(definition, parameters, "output", parameters.outputs, outputs)
        chosen = tuple(outputs[name] for name in parameters.outputs)
    wanted = tuple(output.name for output in chosen)
    if parameters.wanted is not None:
        wanted = tuple(name for name in wanted if name in parameters.wanted)
    native = frozenset(wanted if parameters.native is None else (n for n in wanted if n in parameters.native))
    return Slots(inputs, chosen, wanted, native)


def default_inputs(definition: Definition) -> tuple[Parameter, ...]:
    """Return what in_1, in_2, … are when nothing is said: images and the like first, then all others, in order."""
    files = [p for p in definition.parameters if p.type in STORED_TYPES]
    others = [p for p in definition.parameters if p.type not in STORED_TYPES]
    return tuple([*files, *others][:SLOTS])


def input_name(index: int) -> str:
    """Return the declared name of the input slot ``index`` (from 0)."""
    return f"in_{index + 1}"


def output_name(index: int) -> str:
    """Return the declared name of the output slot ``index`` (from 0)."""
    return f"out_{index + 1}"


def _refuse_unknown(
    definition: Definition, parameters: NodeParameters, kind: str, names: Collection[str], known: Collection[str]
) -> None:
    gone = [name for name in names if name not in known]
    if not gone:
        return
    near = get_close_matches(gone[0], list(known), n=1)
    hint = f" (is it {near[0]!r} now?)" if near else ""
    made = f" The node was made for version {parameters.version}; it is version {definition.version} now."
    raise InvalidRequest(
        f"The workflow {definition.name!r} has no {kind} {gone[0]!r}{hint}."
        f"{made if parameters.version not in (None, definition.version) else ''}"
        " Choose the workflow in the node again to renew its slots.",
        gone=gone,
    )


def _names(data: Mapping[str, Json], key: str) -> tuple[str, ...] | None:
    names = data.get(key)
    if names is None:
        return None
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise InvalidRequest(f'"{key}" must be a list of names.')
    if len(names) > SLOTS and key in ("in", "out"):
        raise InvalidRequest(f'"{key}" names {len(names)} slots, but there are only {SLOTS}.')
    if len(set(names)) != len(names):
        raise InvalidRequest(f'"{key}" names a slot twice.')
    return tuple(names)
