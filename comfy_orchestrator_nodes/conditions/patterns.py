"""Regular expressions that end: screened before they are compiled, timed while they search.

The ``regex`` package (ComfyUI brings it, through transformers) stops a search after a time, but neither its compiler,
which writes counted repetitions out, nor its fuzzy matching. So these are refused or bounded here.
"""

from __future__ import annotations

import re

TIMEOUT_S = 0.5
MAX_PATTERN = 200
"""Characters of a pattern."""
MAX_REPEATS = 1_000
"""How often a pattern may repeat something by ``{…}``, nested repetitions multiplied."""
MAX_SEARCHED = 100_000
"""Characters of a text that is searched."""

_COUNT = re.compile(r"\{(\d{0,6})(,?)(\d{0,6})\}")
_GROUP = re.compile(r"\(\?(?::|=|!|<=|<!|>|P<\w+>|P=\w+\)|i\)|s\)|m\)|is\)|si\))")


class BadPattern(Exception):
    """The pattern is refused; the message is a reason without a full stop."""


def search(text: str, pattern: str) -> bool:
    """Return whether a pattern occurs in a text.

    Raises:
        BadPattern: the pattern is malformed or asks for too much, or the search took too long.
    """
    import regex  # only there where ComfyUI is; the rest of the language does without

    if len(text) > MAX_SEARCHED:
        raise BadPattern(f"a text that is searched has at most {MAX_SEARCHED:,} characters, this one {len(text):,}")
    _screen(pattern)
    try:
        return regex.search(pattern, text, timeout=TIMEOUT_S, concurrent=True) is not None
    except TimeoutError:
        raise BadPattern(f"the pattern took more than {TIMEOUT_S} s; make it simpler") from None
    except (regex.error, RecursionError, OverflowError, ValueError) as error:
        raise BadPattern(f"{pattern!r} is no regular expression: {error}") from None


def _screen(pattern: str) -> None:
    if len(pattern) > MAX_PATTERN:
        raise BadPattern(f"a pattern has at most {MAX_PATTERN} characters, this one {len(pattern)}")
    repeats = 1
    position = 0
    while position < len(pattern):
        character = pattern[position]
        if character == "\\":
            position += 2
            continue
        if character == "{":
            count = _COUNT.match(pattern, position)
            if count is None or not (count[1] or count[3]):
                raise BadPattern(r"'{' begins a repetition such as {2,5}; write '\{' for the sign itself")
            repeats *= max(1, int(count[1] or 0), int(count[3] or 0))
        if pattern.startswith("(?", position) and not _GROUP.match(pattern, position):
            raise BadPattern(f"{pattern[position : position + 4]!r} is not supported in patterns")
        position += 1
    if repeats > MAX_REPEATS:
        raise BadPattern(f"the pattern repeats more than {MAX_REPEATS} times")
