"""Functions and text methods. Arguments are checked here, so that nothing grows beyond bounds."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from .patterns import BadPattern, search
from .values import MAX_BITS, MAX_LIST, MAX_TEXT, Fields, Plain

MANY = range(1, 65)


class WrongValue(Exception):
    """An operation cannot take these values; the message is a reason without a full stop."""


@dataclass(frozen=True)
class Function:
    """How many values it takes, what it does with them, and how that is told to people."""

    count: range
    run: Callable[..., Plain]
    usage: str
    help: str


@dataclass(frozen=True)
class Method:
    """How many values it takes in its brackets, what it does with the text and them, and how that is told."""

    extra: range
    run: Callable[..., Plain]
    usage: str
    help: str


def kind_of(value: object) -> str:
    """Return what a value is, in the user's words."""
    if value is None:
        return "None"
    if isinstance(value, bool):
        return "a truth value"
    if isinstance(value, (int, float)):
        return "a number"
    if isinstance(value, str):
        return "a text"
    if isinstance(value, list):
        return "a list"
    return f"{value.kind} as a whole" if isinstance(value, Fields) else "something unknown"


def number(value: Any) -> int | float:
    """Return a number; truth values count as 0 and 1."""
    if isinstance(value, (int, float)):
        return value
    raise WrongValue(f"needs a number, not {kind_of(value)}")


def text(value: Any) -> str:
    """Return a text."""
    if isinstance(value, str):
        return value
    raise WrongValue(f"needs a text, not {kind_of(value)}")


def list_of(value: Any) -> list[Any]:
    """Return a list."""
    if isinstance(value, list):
        return value
    raise WrongValue(f"needs a list, not {kind_of(value)}")


def sized(value: Plain) -> Plain:
    """Return a result that is not too large.

    Raises:
        WrongValue: it is.
    """
    if isinstance(value, int) and value.bit_length() > MAX_BITS:
        raise WrongValue(f"the result is a number of more than {MAX_BITS} bits")
    if isinstance(value, str) and len(value) > MAX_TEXT:
        raise WrongValue(f"the result is a text of more than {MAX_TEXT:,} characters")
    if isinstance(value, list) and len(value) > MAX_LIST:
        raise WrongValue(f"the result is a list of more than {MAX_LIST:,} elements")
    return value


def comparable(values: Sequence[Any]) -> Sequence[Any]:
    """Return values that have an order among each other: all numbers, or all texts."""
    if all(isinstance(value, (int, float)) for value in values) or all(isinstance(value, str) for value in values):
        return values
    kinds = sorted({kind_of(value) for value in values})
    raise WrongValue(f"only numbers, or only texts, have an order; here is {' and '.join(kinds)}")


def truth(value: Any) -> bool:
    """Return whether a value counts as true: not None, 0, an empty text or an empty list."""
    if isinstance(value, Fields):
        raise WrongValue(f"{value.kind} is neither true nor false; ask for one of its fields")
    return bool(value)


def _several(values: Sequence[Any]) -> Sequence[Any]:
    chosen = list_of(values[0]) if len(values) == 1 else values
    if not chosen:
        raise WrongValue("the list is empty")
    return comparable(chosen)


def _length(value: Any) -> int:
    if isinstance(value, (str, list)):
        return len(value)
    raise WrongValue(f"needs a text or a list, not {kind_of(value)}")


def _sum(values: Any) -> Plain:
    return sum(number(value) for value in list_of(values))


def _round(value: Any, digits: Any = None) -> Plain:
    if digits is None:
        return round(number(value))
    if not isinstance(digits, int) or not -20 <= digits <= 20:
        raise WrongValue("rounds to -20 to 20 digits")
    return round(number(value), digits)


def _int(value: Any) -> int:
    if isinstance(value, str):
        if len(value) > MAX_BITS:
            raise WrongValue("the text is too long for a number")
        return int(value)
    return int(number(value))


def _float(value: Any) -> float:
    if isinstance(value, str):
        return float(value[:MAX_BITS])
    return float(number(value))


def _str(value: Any) -> str:
    if value is None or isinstance(value, (int, float, str)):
        return str(value)
    raise WrongValue(f"makes a text of a number, not of {kind_of(value)}")


def _matches(value: Any, pattern: Any) -> bool:
    try:
        return search(text(value), text(pattern))
    except BadPattern as problem:
        raise WrongValue(str(problem)) from None


def _replace(value: Any, old: Any, new: Any) -> str:
    subject, before, after = text(value), text(old), text(new)
    grown = len(subject) + subject.count(before) * max(0, len(after) - len(before))
    if grown > MAX_TEXT:
        raise WrongValue(f"the result is a text of more than {MAX_TEXT:,} characters")
    return subject.replace(before, after)


def _split(value: Any, separator: Any = None) -> Plain:
    subject = text(value)
    parts: list[Plain] = []
    parts += subject.split(None if separator is None else text(separator), MAX_LIST)
    return parts


def _on_text(method: Callable[..., Plain]) -> Callable[..., Plain]:
    return lambda *values: method(*(text(value) for value in values))


def _best(rank: int, count: Any = 1) -> bool:
    if isinstance(count, bool) or not isinstance(count, int) or count < 0:
        raise WrongValue("best keeps a whole number of items, such as best(a.sharpness, 3)")
    return rank <= int(count)


RANKINGS: Mapping[str, Callable[..., Plain]] = {"best": _best, "rank": lambda rank: rank}
"""Functions whose first argument is computed for all items: what they make of the rank of the item at hand."""


def _needs_items(*_: Any) -> Plain:
    raise WrongValue("needs the other items")


FUNCTIONS: Mapping[str, Function] = {
    "abs": Function(range(1, 2), lambda value: abs(number(value)), "abs(x)", "the number without its sign"),
    "all": Function(
        range(1, 2), lambda values: all(truth(value) for value in list_of(values)), "all(list)", "whether all are true"
    ),
    "any": Function(
        range(1, 2), lambda values: any(truth(value) for value in list_of(values)), "any(list)", "whether one is true"
    ),
    "best": Function(
        range(1, 3), _needs_items, "best(x, n)", "whether this is one of the n items (1 if left out) with the highest x"
    ),
    "float": Function(range(1, 2), _float, "float(x)", "a number or text as a number with a fraction"),
    "int": Function(range(1, 2), _int, "int(x)", "a number or text as a whole number, cut off"),
    "len": Function(range(1, 2), _length, "len(x)", "how many elements or characters"),
    "matches": Function(
        range(2, 3), _matches, "matches(text, pattern)", "whether a regular expression occurs in the text"
    ),
    "max": Function(MANY, lambda *values: max(_several(values)), "max(x, y, …)", "the largest, also of one list"),
    "min": Function(MANY, lambda *values: min(_several(values)), "min(x, y, …)", "the smallest, also of one list"),
    "rank": Function(
        range(1, 2), _needs_items, "rank(x)", "the place of this item by x among all: 1 has the highest x"
    ),
    "round": Function(range(1, 3), _round, "round(x, digits)", "rounded, to whole numbers if digits are left out"),
    "sorted": Function(
        range(1, 2), lambda values: sorted(comparable(list_of(values))), "sorted(list)", "the list in rising order"
    ),
    "str": Function(range(1, 2), _str, "str(x)", "a number as a text"),
    "sum": Function(range(1, 2), _sum, "sum(list)", "the sum of numbers"),
}

METHODS: Mapping[str, Method] = {
    "count": Method(range(1, 2), _on_text(str.count), "count(part)", "how often the part occurs"),
    "endswith": Method(range(1, 2), _on_text(str.endswith), "endswith(part)", "whether it ends so"),
    "find": Method(range(1, 2), _on_text(str.find), "find(part)", "where the part begins, from 0; -1 if nowhere"),
    "isalpha": Method(range(1), _on_text(str.isalpha), "isalpha()", "whether there are only letters"),
    "isdigit": Method(range(1), _on_text(str.isdigit), "isdigit()", "whether there are only digits"),
    "lower": Method(range(1), _on_text(str.lower), "lower()", "in small letters"),
    "replace": Method(range(2, 3), _replace, "replace(old, new)", "with every old replaced by new"),
    "split": Method(range(2), _split, "split(separator)", "the list of its parts; between spaces if nothing is given"),
    "startswith": Method(range(1, 2), _on_text(str.startswith), "startswith(part)", "whether it begins so"),
    "strip": Method(range(2), _on_text(str.strip), "strip(characters)", "without spaces, or those characters, around"),
    "upper": Method(range(1), _on_text(str.upper), "upper()", "in capital letters"),
}
