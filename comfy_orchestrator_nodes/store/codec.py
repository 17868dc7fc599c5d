"""The one place where models become JSON text for the database and come back exactly as they were.

A model is stored as an object of its fields, read from its type hints, so a field that is added to a model is stored
without a change here; a row from before it existed gives the field's default. What comes back is checked field by
field: a damaged row gives ``StoreDamaged`` with the row's name, never a half-right model.
"""

from __future__ import annotations

import json
import types
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import MISSING, Field, fields, is_dataclass
from enum import Enum
from functools import cache
from typing import Any, TypeVar, Union, cast, get_args, get_origin, get_type_hints

from ..domain import Json
from ..errors import InvalidRequest, StoreDamaged

T = TypeVar("T")
_Parse = Callable[[object], Any]


class UnreadableError(ValueError):
    """A stored field is not what ``dump`` would have written; ``row`` turns it into ``StoreDamaged``."""


@contextmanager
def row(kind: str, id_: object) -> Iterator[None]:
    """Name the row that is being decoded in the error for a damaged one.

    Raises:
        StoreDamaged: the code inside found something that no version of this pack would have written.
    """
    try:
        yield
    except ValueError as error:
        raise StoreDamaged(
            f"The database's row of {kind} {id_!r} is damaged: {error}. The other rows are not affected; to have this "
            "one back, restore the database from a copy.",
            kind=kind,
            id=str(id_),
        ) from error


# --- JSON columns ----------------------------------------------------------------------------------------------------


def dump(value: Json) -> str:
    """Return JSON text of a JSON value, a model, or a collection of models.

    Text stays readable, so that it can be searched for; only where it is no Unicode (a lone surrogate, as JSON files
    may hold them) everything outside of ASCII is escaped.

    Raises:
        InvalidRequest: the value is not JSON, holds NaN or an infinity, or is nested too deeply.
    """
    try:
        dumped = json.dumps(value, separators=(",", ":"), allow_nan=False, ensure_ascii=False, default=_plain)
        if _is_unicode(dumped):
            return dumped
        return json.dumps(value, separators=(",", ":"), allow_nan=False, default=_plain)
    except (TypeError, ValueError, RecursionError) as error:
        raise InvalidRequest(f"A value cannot be stored as JSON: {error}") from error


def load(type_: type[T], column: object) -> T:
    """Return what ``dump`` made a column from.

    Args:
        type_: A model's class, an enum, a JSON type, or a ``tuple[X, ...]`` or ``dict[str, X]`` of such.
        column: The column's value as SQLite gave it.

    Raises:
        UnreadableError: the column does not hold such a thing.
    """
    return cast(T, _parser(cast(Any, type_))(load_json(column)))


def load_json(column: object) -> Json:
    """Return the JSON value of a column.

    Raises:
        UnreadableError: the column holds no JSON text.
    """
    try:
        return json.loads(text(column))
    except (ValueError, RecursionError) as error:
        raise UnreadableError(f"a JSON column cannot be read: {error}") from error


def _is_unicode(dumped: str) -> bool:
    try:
        return dumped.isascii() or bool(dumped.encode())
    except UnicodeEncodeError:
        return False


def _plain(value: object) -> Json:
    if is_dataclass(value) and not isinstance(value, type):
        return {field.name: getattr(value, field.name) for field in fields(value)}
    if isinstance(value, Mapping):
        return dict(value)
    raise TypeError(f"{type(value).__name__} is not JSON")


@cache
def _parser(hint: Any) -> _Parse:
    if hint is Any:
        return _as_is
    if hint in _SCALARS:
        return _SCALARS[hint]
    origin, arguments = get_origin(hint), get_args(hint)
    if origin in (Union, types.UnionType):
        (inner,) = (argument for argument in arguments if argument is not type(None))
        parse = _parser(inner)
        return lambda value: None if value is None else parse(value)
    if origin is tuple:
        element = _parser(arguments[0])
        return lambda value: tuple([element(item) for item in _array(value)])
    if origin in (dict, Mapping):
        element = _parser(arguments[1])
        return lambda value: {name: element(item) for name, item in _object(value).items()}
    if is_dataclass(hint):
        return _model_parser(cast(type, hint))
    if isinstance(hint, type) and issubclass(hint, Enum):
        return hint
    raise TypeError(f"A model has a field of type {hint!r}, which the codec does not know.")


def _model_parser(model: type) -> _Parse:
    hints = get_type_hints(model)
    parsers = [(field, _parser(hints[field.name])) for field in fields(model)]

    def parse(value: object) -> Any:
        found = _object(value)
        return model(**{field.name: _field(found, field, parser) for field, parser in parsers})

    return parse


def _field(found: Mapping[str, Json], field: Field[Any], parser: _Parse) -> Any:
    if field.name in found:
        return parser(found[field.name])
    if field.default is not MISSING:
        return field.default
    if field.default_factory is not MISSING:
        return field.default_factory()
    raise UnreadableError(f"the field {field.name!r} is missing")


def _as_is(value: object) -> Json:
    return value


def _object(value: object) -> Mapping[str, Json]:
    if not isinstance(value, dict):
        raise UnreadableError(f"expected an object, found {type(value).__name__}")
    return value


def _array(value: object) -> list[Json]:
    if not isinstance(value, list):
        raise UnreadableError(f"expected an array, found {type(value).__name__}")
    return value


# --- single fields and columns ---------------------------------------------------------------------------------------


def text(value: object) -> str:
    """Return ``value`` as the string it is, or raise UnreadableError."""
    if not isinstance(value, str):
        raise UnreadableError(f"expected text, found {type(value).__name__}")
    return value


def number(value: object) -> float:
    """Return ``value`` as the number it is (a whole one stays whole), or raise UnreadableError."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise UnreadableError(f"expected a number, found {type(value).__name__}")
    return value


def integer(value: object) -> int:
    """Return ``value`` as the whole number it is, or raise UnreadableError."""
    if isinstance(value, bool) or not isinstance(value, int):
        raise UnreadableError(f"expected a whole number, found {type(value).__name__}")
    return value


def flag(value: object) -> bool:
    """Return a boolean, from JSON's true and false or from SQLite's 1 and 0, or raise UnreadableError."""
    if value not in (0, 1):
        raise UnreadableError(f"expected true or false, found {value!r}")
    return bool(value)


def optional(parse: Callable[[object], T], value: object) -> T | None:
    """Return None for None, else what ``parse`` makes of the value."""
    return None if value is None else parse(value)


_SCALARS: dict[Any, _Parse] = {str: text, int: integer, float: number, bool: flag}
