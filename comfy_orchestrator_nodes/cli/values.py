"""From ``--set`` and ``--image`` to the values of a job, by what the definition's parameters take."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from ..backend.carriers import media_type_of
from ..domain import FILE_TYPES
from .failures import CommandFailed, bad_input
from .master import Master

Json = Any
Parameter = Mapping[str, Json]
"""A parameter as the master shows it."""

_TRUE = frozenset({"true", "yes", "on", "1"})
_FALSE = frozenset({"false", "no", "off", "0"})
_MAX_TEXT_BYTES = 1 << 20


def assignments(option: str, given: Sequence[str]) -> list[tuple[str, str]]:
    """Split ``NAME=VALUE`` arguments.

    Raises:
        CommandFailed: one has no ``=``, or no name.
    """
    pairs = []
    for text in given:
        name, equals, value = text.partition("=")
        if not equals or not name.strip():
            raise bad_input(f"{option} takes NAME=VALUE, not {text!r}.")
        pairs.append((name.strip(), value))
    return pairs


def constants(parameters: Sequence[Parameter], given: Sequence[tuple[str, str]]) -> dict[str, Json]:
    """Return the values that ``--set`` gives, as the types that the parameters have.

    Raises:
        CommandFailed: a name is unknown or given twice, or a text is not what its parameter takes.
    """
    found: dict[str, Json] = {}
    for name, text in given:
        parameter = _named(parameters, name)
        if parameter["type"] in FILE_TYPES:
            raise bad_input(f"{name!r} takes a file ({parameter['type']}): give it with --image {name}=FILE.")
        if name in found:
            raise bad_input(f"{name!r} is set twice.")
        found[name] = _constant(parameter, text)
    return found


def texts(parameters: Sequence[Parameter], given: Sequence[tuple[str, str]]) -> dict[str, Json]:
    """Return the values that ``--set-file`` gives: the text of each file, without the line break at its end.

    Raises:
        CommandFailed: a name is unknown or takes no text, or a file cannot be read as text.
    """
    read = [(name, _text_of(Path(path))) for name, path in given]
    for name, _ in read:
        if _named(parameters, name)["type"] != "STRING":
            raise bad_input(f"{name!r} takes no text: give its value with --set {name}=VALUE.")
    return constants(parameters, read)


def chosen_files(
    parameters: Sequence[Parameter], given: Sequence[tuple[str, str]]
) -> dict[str, tuple[str, list[Path]]]:
    """Return parameter name to its type and the files that ``--image`` gives it, in order.

    Raises:
        CommandFailed: a name is unknown or takes no file, or a file is not there.
    """
    found: dict[str, tuple[str, list[Path]]] = {}
    for name, text in given:
        parameter = _named(parameters, name)
        if parameter["type"] not in FILE_TYPES:
            raise bad_input(f"{name!r} takes no file but a {parameter['type']}: give it with --set {name}=VALUE.")
        path = Path(text)
        if not path.is_file():
            raise bad_input(f"There is no file {text!r} (for {name!r}).")
        found.setdefault(name, (parameter["type"], []))[1].append(path)
    return found


async def uploaded(master: Master, files: Mapping[str, tuple[str, Sequence[Path]]]) -> dict[str, Json]:
    """Send files to the master and return the values that refer to them.

    Raises:
        CommandFailed: the master cannot be reached or refuses them, or a file cannot be read.
    """
    values: dict[str, Json] = {}
    for name, (type_, paths) in files.items():
        values[name] = {"$value": {"type": type_, "files": [await _upload(master, path) for path in paths]}}
    return values


async def _upload(master: Master, path: Path) -> dict[str, Json]:
    try:
        with path.open("rb") as file:
            stored = await master.upload("/values", file, media_type_of(path.name))
    except OSError as error:
        raise bad_input(f"{str(path)!r} cannot be read: {error.strerror}.") from None
    return {key: stored[key] for key in ("sha256", "size_bytes", "media_type")}


def _named(parameters: Sequence[Parameter], name: str) -> Parameter:
    found = next((p for p in parameters if p["name"] == name), None)
    if found is not None:
        return found
    names = [str(p["name"]) for p in parameters]
    near = get_close_matches(name, names, n=3)
    hint = f"Did you mean {' or '.join(map(repr, near))}?" if near else f"It has {', '.join(names) or 'none'}."
    raise bad_input(f"The definition has no parameter {name!r}. {hint}")


def _constant(parameter: Parameter, text: str) -> Json:
    type_, name = parameter["type"], parameter["name"]
    try:
        if type_ == "INT":
            return int(text)
        if type_ == "FLOAT":
            return _finite(text)
        if type_ == "BOOLEAN":
            return _boolean(text)
    except ValueError:
        raise _unfit(name, type_, text) from None
    if type_ == "COMBO":
        return next((choice for choice in parameter.get("choices") or () if _spelled(choice) == text), text)
    return text


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(text)
    return value


def _boolean(text: str) -> bool:
    word = text.strip().lower()
    if word not in _TRUE | _FALSE:
        raise ValueError(text)
    return word in _TRUE


def _spelled(choice: Json) -> str:
    """Return a choice as it is typed: JSON's words for what is no text."""
    if isinstance(choice, bool):
        return "true" if choice else "false"
    return str(choice)


def _unfit(name: str, type_: str, text: str) -> CommandFailed:
    kinds = {"INT": "a whole number", "FLOAT": "a number", "BOOLEAN": "true or false"}
    return bad_input(f"{name!r} takes {kinds[type_]}, not {text!r}.")


def _text_of(path: Path) -> str:
    try:
        if path.stat().st_size > _MAX_TEXT_BYTES:
            raise bad_input(f"{str(path)!r} is too large for a text.")
        text = path.read_text("utf-8-sig")
    except OSError as error:
        raise bad_input(f"{str(path)!r} cannot be read: {error.strerror}.") from None
    except UnicodeDecodeError:
        raise bad_input(f"{str(path)!r} is no text in UTF-8.") from None
    return text.removesuffix("\n").removesuffix("\r")
