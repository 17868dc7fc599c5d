"""Errors that point at their place and suggest what was meant."""

from __future__ import annotations

import re
from collections.abc import Iterable
from difflib import get_close_matches

from ..errors import EvaluationFailed, InvalidExpression

_SHOWN = 60
_TOKEN = re.compile(r"\w+|\"[^\"]*\"?|'[^']*'?|\*\*|//|[<>=!]=|\S")


def invalid(source: str, position: int, reason: str) -> InvalidExpression:
    """Return the error for an expression that cannot be read."""
    return _unread(source, position, reason, None)


def unknown(source: str, position: int, reason: str, name: str, known: Iterable[str]) -> InvalidExpression:
    """Return the error for a name that there is not; ``reason`` is completed by what may have been meant."""
    names = list(known)
    return _unread(source, position, reason + did_you_mean(name, names), nearest(name, names))


def failed(source: str, position: int, reason: str) -> EvaluationFailed:
    """Return the error for an expression that has no result for these values."""
    return EvaluationFailed(_told(source, position, reason), expression=source, position=position)


def of_item(error: EvaluationFailed, index: int, count: int) -> EvaluationFailed:
    """Return the error with the item that has it, where there are several and none is told yet."""
    if count == 1 or "item" in error.details():
        return error
    return EvaluationFailed(f"Item {index}: {error.message}", item=index, **error.details())


def nearest(name: str, known: Iterable[str]) -> str | None:
    """Return the known name that is most like another, if any is."""
    return next(iter(get_close_matches(name, sorted(known), n=1, cutoff=0.6)), None)


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Return ``; did you mean …?``, or what there is, in its order, when nothing is near."""
    names = list(known)
    near = nearest(name, names)
    if near is not None:
        return f"; did you mean {near!r}?"
    return f"; there is {', '.join(names)}" if names else ""


def _unread(source: str, position: int, reason: str, suggestion: str | None) -> InvalidExpression:
    found = _TOKEN.match(source, position)
    return InvalidExpression(
        _told(source, position, reason),
        expression=source,
        position=position,
        length=len(found.group()) if found is not None else 0,
        reason=_sentence(reason),
        suggestion=suggestion,
    )


def _told(source: str, position: int, reason: str) -> str:
    rest = source[position : position + _SHOWN]
    at = f"at {rest!r}" if rest.strip() else "at the end"
    return f"Condition, character {position + 1} ({at}): {_sentence(reason)}"


def _sentence(reason: str) -> str:
    return reason if reason.endswith("?") else f"{reason}."
