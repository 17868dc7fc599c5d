"""Errors that point at their place and suggest what was meant."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches

from ..errors import EvaluationFailed, InvalidExpression

_SHOWN = 60


def invalid(source: str, position: int, reason: str) -> InvalidExpression:
    """Return the error for an expression that cannot be read."""
    return InvalidExpression(_told(source, position, reason), expression=source, position=position)


def failed(source: str, position: int, reason: str) -> EvaluationFailed:
    """Return the error for an expression that has no result for these values."""
    return EvaluationFailed(_told(source, position, reason), expression=source, position=position)


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Return ``; did you mean …?``, or what there is when nothing is near."""
    names = sorted(known)
    near = get_close_matches(name, names, n=1, cutoff=0.6)
    if near:
        return f"; did you mean {near[0]!r}?"
    return f"; there is {', '.join(names)}" if names else ""


def _told(source: str, position: int, reason: str) -> str:
    rest = source[position : position + _SHOWN]
    at = f"at {rest!r}" if rest.strip() else "at the end"
    stop = "" if reason.endswith("?") else "."
    return f"Condition, character {position + 1} ({at}): {reason}{stop}"
