"""Text that the front end rewrites while it makes a prompt."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from datetime import datetime

from . import js
from .node import Node

_ANY_COMMENT = re.compile(r"/[*/]")
_LINE_COMMENT = re.compile(r"//")
_LINE_END = re.compile(r"[\n\r\u2028\u2029]")
_OUTSIDE = re.compile(r"[\\{]")
_INSIDE = re.compile(r"[\\{}|]")
_BRACES = re.compile(r"(?<!\\)[{}]")
_ESCAPED = re.compile(r"\\([{}|])")
_PATTERN = re.compile(r"%([^%]+)%")
_UNSAFE = re.compile(r'[/?<>\\:*|"\x00-\x1F\x7F]')
_DATE_PART = re.compile(r"dd?|MM?|hh?|mm?|ss?|yyy?y?")

MAX_CHOICE_DEPTH = 16
_MAX_CHARACTERS = 3_000_000


class TooDeep(Exception):
    """Choices within choices beyond any use."""


def resolve_choices(text: str, choose: Callable[[int], int]) -> str:
    """Drop comments and replace each ``{a|b}`` by one of its options.

    Args:
        text: what the user wrote.
        choose: given the number of options, the index of the one to take.

    Raises:
        TooDeep: more than ``MAX_CHOICE_DEPTH`` levels of braces, or more text in them than anybody writes.
    """
    depth = 0
    for brace in _BRACES.finditer(text):
        depth = depth + 1 if brace[0] == "{" else max(0, depth - 1)
        if depth > MAX_CHOICE_DEPTH:
            raise TooDeep
    return _Choices(choose).resolve(text, 0)


class _Choices:
    """Resolves one text; counts the characters of all levels, which bounds the work."""

    def __init__(self, choose: Callable[[int], int]) -> None:
        self._choose = choose
        self._left = _MAX_CHARACTERS

    def resolve(self, text: str, depth: int) -> str:
        """Return the text without comments and choices."""
        if depth:
            self._left -= len(text)
        if depth > MAX_CHOICE_DEPTH or self._left < 0:
            raise TooDeep
        text = strip_comments(text)
        if "{" not in text and "\\" not in text:
            return text
        result: list[str] = []
        at = 0
        while special := _OUTSIDE.search(text, at):
            result.append(text[at : special.start()])
            at = special.end()
            if special[0] == "\\":
                result.append(_escaped(text, at))
                at += 1
            else:
                options, at = _options(text, at)
                result.append(self.resolve(options[self._choose(len(options))], depth + 1))
        return _ESCAPED.sub(r"\1", "".join([*result, text[at:]]))


def strip_comments(text: str) -> str:
    """Drop ``/* … */`` and ``// …``; a block that never ends is none. Linear, whatever the text."""
    kept: list[str] = []
    done = at = 0
    opening = _ANY_COMMENT
    while start := opening.search(text, at):
        if start[0] == "//":
            end = _LINE_END.search(text, start.end())
            at = end.start() if end is not None else len(text)
        else:
            close = text.find("*/", start.end())
            if close == -1:
                # Nor does any later one end.
                opening, at = _LINE_COMMENT, start.start() + 1
                continue
            at = close + 2
        kept.append(text[done : start.start()])
        done = at
    return "".join([*kept, text[done:]]) if kept else text


def _escaped(text: str, at: int) -> str:
    """Return a backslash and what it stands before; at the end of the text JavaScript appends ``undefined``."""
    return "\\" + (text[at] if at < len(text) else "undefined")


def _options(text: str, at: int) -> tuple[list[str], int]:
    """Return the options of the block that opened before ``at``, and where the text goes on."""
    options: list[str] = []
    choice: list[str] = []
    depth = 0
    while special := _INSIDE.search(text, at):
        choice.append(text[at : special.start()])
        at = special.end()
        char = special[0]
        if char == "\\":
            choice.append(_escaped(text, at))
            at += 1
            continue
        if char == "{":
            depth += 1
        elif char == "}":
            if not depth:
                return [*options, "".join(choice)], at
            depth -= 1
        elif not depth:
            options.append("".join(choice))
            choice = []
            continue
        choice.append(char)
    return [*options, "".join([*choice, text[at:]])], len(text)


class Quotes:
    """Replaces ``%Node.widget%`` by that widget's value and ``%date:…%`` by the time."""

    def __init__(self, nodes: Iterable[Node], name_property: str) -> None:
        """Take the nodes that may be quoted.

        Args:
            nodes: all nodes of the workflow, those of a subgraph before its instance.
            name_property: the property that names a node for such patterns; a title is the second choice.
        """
        self._by_name: dict[str, Node] = {}
        self._by_title: dict[str, Node] = {}
        for node in nodes:
            name = node.properties.get(name_property)
            if isinstance(name, str):
                self._by_name.setdefault(name, node)
            if isinstance(node.title, str):
                self._by_title.setdefault(node.title, node)

    def replace(self, text: str, now: datetime | None) -> str:
        """Return the text with its patterns replaced.

        Args:
            text: a file name prefix.
            now: the time for dates; without it they stay as they are.
        """
        if "%" not in text:
            return text

        def replacement(match: re.Match[str]) -> str:
            parts = match[1].split(".")
            if len(parts) != 2:
                return format_date(parts[0][5:], now) if parts[0].startswith("date:") and now else match[0]
            return self._value(parts[0], parts[1], match[0])

        return _PATTERN.sub(replacement, text)

    def _value(self, name: str, widget_name: str, otherwise: str) -> str:
        node = self._by_name.get(name) or self._by_title.get(name)
        widget = node.widget_named(widget_name) if node is not None else None
        if widget is None:
            return otherwise
        value = widget.get()
        return _UNSAFE.sub("_", "" if value is None or value is js.UNDEFINED else js.to_text(value))


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
