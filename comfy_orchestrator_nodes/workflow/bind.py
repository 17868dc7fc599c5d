"""Values for a definition's parameters: checked against what the parameters accept, all problems told at once."""

from __future__ import annotations

import math
from collections.abc import Mapping
from difflib import get_close_matches

from ..domain import SCALAR_TYPES, STORED_TYPES, Definition, Json, Parameter, Value
from ..errors import BindingFailed
from .graph import class_type, inputs_of
from .models import is_model_file
from .nodeinfo import InputSpec, NodeInfo

MAX_SEED = 2**64 - 1
"""The greatest seed ComfyUI's samplers accept (``"max": 0xffffffffffffffff`` in nodes.py)."""


class _UnfitError(Exception):
    """A value does not fit its parameter; the message says why."""


def bind(
    definition: Definition, values: Mapping[str, Json | Value], infos: Mapping[str, NodeInfo] | None = None
) -> dict[str, Value]:
    """Check ``values`` against the definition's parameters and return them typed.

    A parameter that is left out takes its default where that differs from the constant in the prompt; otherwise it is
    absent from the result and the prompt's constant stands. Nothing is coerced but what loses nothing: an integer where
    a FLOAT is wanted, a whole float where an INT is wanted. Model files are not checked against the recorded choices:
    which of them exist is for each backend to say.

    Args:
        definition: what is going to run.
        values: parameter name to a JSON constant, or to a ``Value``.
        infos: node classes that complete what the parameters do not record (choices, ranges); none needed.

    Raises:
        BindingFailed: names every value that is unknown, missing or does not fit.
    """
    problems = {name: _unknown(name, definition) for name in values if definition.parameter(name) is None}
    bound: dict[str, Value] = {}
    for parameter in definition.parameters:
        spec = _spec(definition, parameter, infos or {})
        outcome = _bind_one(definition, parameter, spec, values)
        if isinstance(outcome, str):
            problems[parameter.name] = outcome
        elif outcome is not None:
            bound[parameter.name] = outcome
    if problems:
        raise BindingFailed(problems)
    return bound


def fit(parameter: Parameter, value: Json | Value, spec: InputSpec | None = None) -> Value:
    """Return ``value`` as what ``parameter`` takes.

    Raises:
        BindingFailed: it does not fit.
    """
    try:
        return _fit(parameter, spec, value)
    except _UnfitError as error:
        raise BindingFailed({parameter.name: str(error)}) from None


def _bind_one(
    definition: Definition, parameter: Parameter, spec: InputSpec | None, values: Mapping[str, Json | Value]
) -> Value | str | None:
    """Return the bound value, the problem in words, or None where the prompt's constant stands."""
    constant = _constant(definition, parameter)
    if parameter.name in values:
        value = values[parameter.name]
    elif parameter.default is not None and parameter.default != constant and parameter.type not in STORED_TYPES:
        value = parameter.default
    elif parameter.required and constant is None:
        return f"a value of type {parameter.type} is required"
    else:
        return None
    try:
        return _fit(parameter, spec, value)
    except _UnfitError as error:
        return str(error)


def _constant(definition: Definition, parameter: Parameter) -> Json:
    node = definition.prompt.get(parameter.node_id)
    return None if node is None else inputs_of(node).get(parameter.input_name)


def _spec(definition: Definition, parameter: Parameter, infos: Mapping[str, NodeInfo]) -> InputSpec | None:
    node = definition.prompt.get(parameter.node_id)
    info = infos.get(class_type(node)) if node is not None else None
    return info.resolve(parameter.input_name, inputs_of(node)) if info and node is not None else None


def _unknown(name: str, definition: Definition) -> str:
    names = [p.name for p in definition.parameters]
    near = get_close_matches(name, names, n=3)
    if near:
        return f"there is no such parameter; did you mean {' or '.join(repr(n) for n in near)}?"
    return f"there is no such parameter; this workflow has {', '.join(names) or 'none'}"


def _fit(parameter: Parameter, spec: InputSpec | None, value: Json | Value) -> Value:
    if parameter.type in STORED_TYPES:
        return _fit_files(parameter, value)
    if isinstance(value, Value):
        if value.type not in SCALAR_TYPES:
            raise _UnfitError(f"takes {_article(parameter.type)}, not {_article(value.type)}")
        value = value.data
    if parameter.type == "COMBO":
        return Value("COMBO", _fit_choice(parameter, spec, value))
    if parameter.type == "STRING":
        return Value("STRING", _fit_text(value))
    if parameter.type == "BOOLEAN":
        return Value("BOOLEAN", _fit_boolean(value))
    if parameter.type == "INT":
        return Value("INT", _in_range(parameter, spec, _fit_int(value)))
    if parameter.type == "FLOAT":
        return Value("FLOAT", _in_range(parameter, spec, _fit_float(value)))
    if not _is_json(value):
        raise _UnfitError(f"takes {_article(parameter.type)} as a JSON value")
    return Value(parameter.type, value)


def _fit_files(parameter: Parameter, value: Json | Value) -> Value:
    if not isinstance(value, Value):
        raise _UnfitError(
            f"takes {_article(parameter.type)}: upload a file or link one, a JSON constant cannot be used"
        )
    if value.type != parameter.type:
        raise _UnfitError(f"takes {_article(parameter.type)}, not {_article(value.type)}")
    if not value.files:
        raise _UnfitError(f"got {_article(parameter.type)} without any file")
    return value


def _fit_text(value: Json) -> str:
    if not isinstance(value, str):
        raise _UnfitError(f"takes a text, not {_described(value)}")
    if any("\ud800" <= character <= "\udfff" for character in value):
        raise _UnfitError("holds half of a surrogate pair, which no JSON text can carry")
    return value


def _fit_boolean(value: Json) -> bool:
    if not isinstance(value, bool):
        raise _UnfitError(f"takes true or false, not {_described(value)}")
    return value


def _fit_int(value: Json) -> int:
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    raise _UnfitError(f"takes a whole number, not {_described(value)}")


def _fit_float(value: Json) -> float:
    if isinstance(value, int) and not isinstance(value, bool):
        return _exact_float(value)
    if not isinstance(value, float):
        raise _UnfitError(f"takes a number, not {_described(value)}")
    if not math.isfinite(value):
        raise _UnfitError(f"takes a finite number, not {value}")
    return value


def _exact_float(value: int) -> float:
    try:
        converted = float(value)
    except OverflowError:
        raise _UnfitError("is too large for a FLOAT") from None
    if int(converted) != value:
        raise _UnfitError(f"{value} has more digits than a FLOAT holds")
    return converted


def _in_range(parameter: Parameter, spec: InputSpec | None, value: float) -> float:
    minimum = parameter.minimum if parameter.minimum is not None else spec.minimum if spec else None
    maximum = parameter.maximum if parameter.maximum is not None else spec.maximum if spec else None
    if parameter.role == "seed":
        minimum = 0 if minimum is None else minimum
        maximum = MAX_SEED if maximum is None else min(maximum, MAX_SEED)
    if minimum is not None and value < minimum:
        raise _UnfitError(f"{value} is below the minimum of {minimum}")
    if maximum is not None and value > maximum:
        raise _UnfitError(f"{value} is above the maximum of {maximum}")
    return value


def _fit_choice(parameter: Parameter, spec: InputSpec | None, value: Json) -> Json:
    if not _is_json(value) or isinstance(value, Mapping):
        raise _UnfitError(f"takes one of its choices, not {_described(value)}")
    choices = spec.choices if spec and spec.choices else parameter.choices
    if not choices or (spec is not None and (spec.remote or spec.upload)):
        return value
    asked = value if isinstance(value, list) and spec is not None and spec.multiselect else [value]
    for one in asked:
        if is_model_file(one) or any(is_model_file(choice) for choice in choices):
            continue
        if not any(one == choice and isinstance(one, bool) == isinstance(choice, bool) for choice in choices):
            raise _UnfitError(not_a_choice(one, choices))
    return value


def not_a_choice(value: Json, choices: tuple[Json, ...]) -> str:
    """Say that ``value`` is not among ``choices``, with near matches, or all of them where they are few."""
    near = get_close_matches(str(value), [str(c) for c in choices], n=3, cutoff=0.5)
    if near:
        return f"{value!r} is not a choice; did you mean {' or '.join(repr(n) for n in near)}?"
    listed = ", ".join(repr(c) for c in choices[:12])
    return f"{value!r} is not a choice; choose from {listed}{', …' if len(choices) > 12 else ''}"


def _is_json(value: Json) -> bool:
    if value is None or isinstance(value, (str, bool, int)):
        return True
    if isinstance(value, float):
        return math.isfinite(value)
    if isinstance(value, (list, tuple)):
        return all(_is_json(item) for item in value)
    return isinstance(value, Mapping) and all(isinstance(k, str) and _is_json(v) for k, v in value.items())


def _described(value: Json) -> str:
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return f"the text {value[:40]!r}"
    if isinstance(value, (int, float)):
        return f"the number {value}"
    return "a list" if isinstance(value, (list, tuple)) else "an object"


def _article(type_: str) -> str:
    return f"{'an' if type_[:1] in 'AEIOU' else 'a'} {type_}"
