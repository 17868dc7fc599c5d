"""Characters into tokens. A backslash in a text is a backslash: patterns are written as they are."""

from __future__ import annotations

import re
from dataclasses import dataclass

from .problems import invalid

MAX_LENGTH = 2_000
"""Characters in an expression."""

KEYWORDS = frozenset({"and", "or", "not", "in", "is", "if", "else", "True", "False", "None", "true", "false", "none"})

_TOKEN = re.compile(
    r"""(?P<space>[ \t\r\n]+)
      | (?P<number>(?:\d+\.\d*|\.\d+|\d+)(?:[eE][+-]?\d+)?)
      | (?P<word>[^\W\d]\w*)
      | (?P<text>"[^"]*"|'[^']*')
      | (?P<symbol>\*\*|//|<=|>=|==|!=|[-+*/%<>()\[\],.])""",
    re.VERBOSE,
)
_OTHER_LANGUAGES = {"&": "and", "&&": "and", "|": "or", "||": "or", "!": "not", "=": "==", "===": "=="}


@dataclass(frozen=True)
class Token:
    """``kind`` is ``number``, ``word``, ``keyword``, ``text``, ``symbol`` or ``end``."""

    kind: str
    text: str
    position: int


def tokens(source: str) -> list[Token]:
    """Split an expression into tokens, the last of which is ``end``.

    Raises:
        InvalidExpression: it is too long, or a character means nothing.
    """
    if len(source) > MAX_LENGTH:
        raise invalid(source, MAX_LENGTH, f"an expression has at most {MAX_LENGTH} characters, this one {len(source)}")
    found: list[Token] = []
    position = 0
    while position < len(source):
        match = _TOKEN.match(source, position)
        if match is None:
            raise _meaningless(source, position)
        kind, text = str(match.lastgroup), match.group()
        if kind == "word" and text in KEYWORDS:
            kind = "keyword"
        if kind != "space":
            _check_neighbour(source, found, kind, position)
            found.append(Token(kind, text, position))
        position = match.end()
    found.append(Token("end", "", len(source)))
    return found


def _check_neighbour(source: str, found: list[Token], kind: str, position: int) -> None:
    """Refuse ``1if``, ``r"x"`` and ``12px``: what they mean would be a guess."""
    if not found or found[-1].position + len(found[-1].text) != position:
        return
    before = found[-1].kind
    if before == "number" and kind in ("word", "keyword", "number"):
        raise invalid(source, position, "a number ends here, so a space or an operator must follow")
    if before in ("word", "keyword") and kind == "text":
        raise invalid(source, found[-1].position, "a text has no letter before its quotes")


def _meaningless(source: str, position: int) -> Exception:
    character = source[position]
    if character in "\"'":
        return invalid(source, position, "this text has no closing quote")
    sign = re.match(r"&&|\|\||===|[&|!=]", source[position:])
    if sign:
        return invalid(
            source, position, f"{sign.group()!r} means nothing here; write {_OTHER_LANGUAGES[sign.group()]!r}"
        )
    return invalid(source, position, f"{character!r} means nothing in an expression")
