"""Reading values out of foreign JSON: each getter returns the type it names or raises ``Malformed``."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping

from ..domain import Json


class Malformed(ValueError):
    """Foreign data does not have the shape that its place promises. Never leaves this package."""


_HALF = re.compile(
    r"\\u[dD](?:[89abAB][0-9a-fA-F]{2}(?!\\u[dD][c-fC-F])|(?<!\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD])[c-fC-F])"
)
"""Half of a surrogate pair as an escape: no character, so neither SQLite nor a file would take the text."""


def loads(data: bytes | str) -> Json:
    """Parse JSON text. Halves of surrogate pairs, which are no characters, become question marks.

    Raises:
        Malformed: it is not JSON, nested too deeply, not UTF-8, or holds a number that no program can mean.
    """
    try:
        source = data if isinstance(data, str) else str(data, "utf-8-sig")
        if _HALF.search(source) is not None:
            source = json.dumps(json.loads(source), ensure_ascii=False).encode("utf-8", "replace").decode()
        return json.loads(source)
    except RecursionError:
        raise Malformed("it is nested too deeply") from None
    except ValueError as error:
        raise Malformed(f"it is not JSON ({type(error).__name__})") from None


def obj(value: Json, what: str) -> Mapping[str, Json]:
    """Return a JSON object."""
    if isinstance(value, dict):
        return value
    raise Malformed(f"{what} is {kind(value)} instead of an object")


def array(value: Json, what: str) -> list[Json]:
    """Return a JSON array."""
    if isinstance(value, list):
        return value
    raise Malformed(f"{what} is {kind(value)} instead of an array")


def text(value: Json, what: str) -> str:
    """Return a JSON string."""
    if isinstance(value, str):
        return value
    raise Malformed(f"{what} is {kind(value)} instead of a string")


def optional_text(value: Json) -> str | None:
    """Return the string, or None for anything else: for fields that not every version sends."""
    return value if isinstance(value, str) else None


def node_id(value: Json) -> str | None:
    """Return a node id as text. Ids are strings in a prompt, but custom nodes also send them as numbers."""
    if isinstance(value, str):
        return value
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    return None


def number(value: Json, what: str) -> float:
    """Return a finite JSON number as a float."""
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        try:
            converted = float(value)
        except OverflowError:
            converted = float("inf")
        if converted - converted == 0.0:
            return converted
    raise Malformed(f"{what} is {kind(value)} instead of a finite number")


def whole(value: Json, what: str) -> int:
    """Return a JSON number that is a whole one."""
    converted = number(value, what)
    if converted.is_integer():
        return value if isinstance(value, int) else int(converted)
    raise Malformed(f"{what} is not a whole number")


def clipped(value: Json, limit: int) -> str:
    """Return foreign text for people, cut to ``limit`` characters; anything else as its JSON text, or empty."""
    if value is None:
        return ""
    shown = value if isinstance(value, str) else str(value)
    return shown if len(shown) <= limit else shown[: limit - 1] + "…"


def kind(value: Json) -> str:
    """Name the JSON type of a value, for messages."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "a boolean"
    if isinstance(value, (int, float)):
        return "a number"
    if isinstance(value, str):
        return "a string"
    return "an array" if isinstance(value, list) else "an object"
