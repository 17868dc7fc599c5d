"""Text that the front end rewrites while it makes a prompt."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from datetime import datetime

from . import js
from .node import Node

_COMMENT = re.compile(r"/\*[\s\S]*?\*/|//[^\n\r\u2028\u2029]*")
_ESCAPED = re.compile(r"\\([{}|])")
_PATTERN = re.compile(r"%([^%]+)%")
_UNSAFE = re.compile(r'[/?<>\\:*|"\x00-\x1F\x7F]')
_DATE_PART = re.compile(r"dd?|MM?|hh?|mm?|ss?|yyy?y?")

MAX_CHOICE_DEPTH = 100


class TooDeep(Exception):
    """Choices within choices beyond any use."""


def resolve_choices(text: str, choose: Callable[[int], int]) -> str:
    """Drop comments and replace each ``{a|b}`` by one of its options.

    Args:
        text: what the user wrote.
        choose: given the number of options, the index of the one to take.

    Raises:
        TooDeep: more than ``MAX_CHOICE_DEPTH`` levels of braces.
    """
    return _resolve(text, choose, 0)


def _resolve(text: str, choose: Callable[[int], int], depth: int) -> str:
    if depth > MAX_CHOICE_DEPTH:
        raise TooDeep
    text = _COMMENT.sub("", text)
    if "{" not in text and "\\" not in text:
        return text
    result: list[str] = []
    at = 0
    while at < len(text):
        char = text[at]
        at += 1
        if char == "\\":
            result.append("\\" + (text[at] if at < len(text) else "undefined"))
            at += 1
        elif char == "{":
            options, at = _options(text, at)
            result.append(_resolve(options[choose(len(options))], choose, depth + 1))
        else:
            result.append(char)
    return _ESCAPED.sub(r"\1", "".join(result))


def _options(text: str, at: int) -> tuple[list[str], int]:
    options: list[str] = []
    choice: list[str] = []
    depth = 0
    while at < len(text):
        char = text[at]
        at += 1
        if char == "\\":
            choice.append("\\" + (text[at] if at < len(text) else "undefined"))
            at += 1
            continue
        if char == "{":
            depth += 1
        elif char == "}":
            if not depth:
                break
            depth -= 1
        elif char == "|" and not depth:
            options.append("".join(choice))
            choice = []
            continue
        choice.append(char)
    options.append("".join(choice))
    return options, at


def replace_patterns(text: str, nodes: Sequence[Node], name_property: str, now: datetime | None) -> str:
    """Replace ``%Node.widget%`` by that widget's value and ``%date:…%`` by the time.

    Args:
        text: a file name prefix.
        nodes: all nodes of the workflow, those of a subgraph before its instance.
        name_property: the property that names a node for such patterns.
        now: the time for dates; without it they stay as they are.
    """
    if "%" not in text:
        return text

    def replacement(match: re.Match[str]) -> str:
        parts = match[1].split(".")
        if len(parts) != 2:
            return format_date(parts[0][5:], now) if parts[0].startswith("date:") and now else match[0]
        named = [node for node in nodes if node.properties.get(name_property) == parts[0]]
        named = named or [node for node in nodes if node.title == parts[0]]
        widget = named[0].widget_named(parts[1]) if named else None
        if widget is None:
            return match[0]
        value = widget.get()
        return _UNSAFE.sub("_", "" if value is None or value is js.UNDEFINED else js.to_text(value))

    return _PATTERN.sub(replacement, text)


def format_date(pattern: str, now: datetime) -> str:
    """Return the date in the front end's notation: ``yyyy-MM-dd hh:mm:ss``, each part padded to its letters."""

    def part(match: re.Match[str]) -> str:
        letters = match[0]
        if letters == "yy":
            return str(now.year)[2:]
        if letters == "yyyy":
            return str(now.year)
        values = {"d": now.day, "M": now.month, "h": now.hour, "m": now.minute, "s": now.second}
        return str(values[letters[0]]).rjust(len(letters), "0") if letters[0] in values else letters

    return _DATE_PART.sub(part, pattern)
