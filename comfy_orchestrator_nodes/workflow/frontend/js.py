"""The corners of JavaScript's values that decide what the front end writes into a prompt.

ComfyUI's front end parses a workflow with ``JSON.parse`` and sends it with ``JSON.stringify``: numbers are doubles, an
object lists its integer-like keys first, and text made of a value follows ECMA-262 ``ToString``.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Any, TypeGuard

_MAX_SAFE_INTEGER = 2**53
_MAX_ARRAY_INDEX = 2**32 - 2
_DECIMAL = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")


class _Undefined:
    """The one value that ``JSON.stringify`` leaves out."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "UNDEFINED"


UNDEFINED = _Undefined()


def is_number(value: Any) -> TypeGuard[int | float]:
    """Tell whether a JSON value is a number; Python's booleans are ints, JavaScript's are not."""
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def whole(value: Any, default: int) -> int:
    """Return a count from a definition, or the default where it is no finite number."""
    return int(value) if is_number(value) and math.isfinite(value) else default


def truthy(value: Any) -> bool:
    """Return ``Boolean(value)``: empty lists and objects are true, NaN is false."""
    if isinstance(value, (list, dict)):
        return True
    if value is UNDEFINED or (isinstance(value, float) and math.isnan(value)):
        return False
    return bool(value)


def as_double(value: int | float) -> int | float:
    """Return the number as JavaScript holds it: an integer that a double cannot hold is the nearest one it can."""
    if isinstance(value, int):
        if -_MAX_SAFE_INTEGER <= value <= _MAX_SAFE_INTEGER:
            return value
        try:
            value = float(value)
        except OverflowError:
            return math.inf if value > 0 else -math.inf
    if value.is_integer() and abs(value) < 1e21:
        return int(Decimal(repr(value)))
    return value


def as_sent(value: Any) -> Any:
    """Return what the server reads after ``JSON.parse`` and ``JSON.stringify`` of a value in the browser.

    Args:
        value: a JSON value; never mutated. Containers without a number that changes are returned as they are.
    """
    if isinstance(value, (str, bool)) or value is None:
        return value
    if isinstance(value, (int, float)):
        number = as_double(value)
        return number if math.isfinite(number) else None
    if isinstance(value, list):
        return [None if item is UNDEFINED else as_sent(item) for item in value]
    if isinstance(value, dict):
        return {key: as_sent(item) for key, item in value.items() if item is not UNDEFINED}
    return value


def to_text(value: Any) -> str:
    """Return ``String(value)`` of a JSON value."""
    if isinstance(value, str):
        return value
    if value is None:
        return "null"
    if value is UNDEFINED:
        return "undefined"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (int, float)):
        return number_text(value)
    if isinstance(value, list):
        return ",".join("" if item is None or item is UNDEFINED else to_text(item) for item in value)
    return "[object Object]"


def number_text(value: int | float) -> str:
    """Return ``String(number)``: ECMA-262 ``Number::toString`` with radix 10."""
    number = as_double(value)
    if isinstance(number, int):
        return str(number)
    if math.isnan(number):
        return "NaN"
    if math.isinf(number):
        return "Infinity" if number > 0 else "-Infinity"
    sign, digits, exponent = Decimal(repr(number)).normalize().as_tuple()
    text = "".join(map(str, digits))
    point = len(text) + int(exponent)
    prefix = "-" if sign else ""
    if 0 < point <= 21:
        padded = text.ljust(point, "0")
        return prefix + padded[:point] + ("." + padded[point:] if len(padded) > point else "")
    if -6 < point <= 0:
        return prefix + "0." + "0" * -point + text
    mantissa = text[0] + ("." + text[1:] if len(text) > 1 else "")
    return f"{prefix}{mantissa}e{'+' if point > 0 else '-'}{abs(point - 1)}"


def to_number(value: Any) -> float:
    """Return ``Number(value)`` of a JSON value: NaN for text that is no number and for objects."""
    if is_number(value):
        return as_double(value)
    if value is None or isinstance(value, bool):
        return float(bool(value))
    if value is UNDEFINED or isinstance(value, dict):
        return math.nan
    text = to_text(value).strip()
    if not text:
        return 0
    if text.lstrip("+-") == "Infinity":
        return -math.inf if text[0] == "-" else math.inf
    if not _DECIMAL.fullmatch(text):
        return _other_radix(text)
    return as_double(float(text))


def _other_radix(text: str) -> float:
    radix = {"0x": 16, "0o": 8, "0b": 2}.get(text[:2].lower())
    if radix is None or not text[2:].isalnum():
        return math.nan
    try:
        return as_double(int(text[2:], radix))
    except ValueError:
        return math.nan


def keys(mapping: Mapping[str, Any]) -> Iterable[str]:
    """Return the keys in ``Object.keys`` order: array indices ascending, then the rest as written."""
    return _indices_first(mapping) if _has_digits_first(mapping) else mapping.keys()


def entries(mapping: Mapping[str, Any]) -> Iterable[tuple[str, Any]]:
    """Return key and value in ``Object.entries`` order."""
    if not _has_digits_first(mapping):
        return mapping.items()
    return [(key, mapping[key]) for key in _indices_first(mapping)]


def _has_digits_first(mapping: Mapping[str, Any]) -> bool:
    """Tell cheaply whether any key may be an array index: almost none is."""
    for key in mapping:  # noqa: SIM110  (a generator costs three times as much here)
        if "0" <= key[:1] <= "9":
            return True
    return False


def _indices_first(mapping: Mapping[str, Any]) -> list[str]:
    indices = [key for key in mapping if _is_array_index(key)]
    return [*sorted(indices, key=int), *(key for key in mapping if not _is_array_index(key))]


def _is_array_index(key: str) -> bool:
    if not (key.isascii() and key.isdigit()) or len(key) > 10:
        return False
    return (key == "0" or key[0] != "0") and int(key) <= _MAX_ARRAY_INDEX


def round_half_up(value: float) -> float:
    """Return ``Math.round(value)``: ties go towards positive infinity."""
    if not math.isfinite(value):
        return value
    floor = math.floor(value)
    return floor + 1 if value - floor >= 0.5 else floor


def to_fixed(value: float, digits: int) -> float:
    """Return ``Number(value.toFixed(digits))``; ties of the exact binary value go away from zero.

    Raises:
        ValueError: ``digits`` is not within 0..100, where JavaScript throws a RangeError.
    """
    if not 0 <= digits <= 100:
        raise ValueError(f"toFixed() takes 0 to 100 digits, not {digits}")
    if not math.isfinite(value) or abs(value) >= 1e21:
        return value
    exact = Decimal(value)
    quantum = Decimal(1).scaleb(-digits)
    scaled = (abs(exact) / quantum).to_integral_value("ROUND_HALF_UP") if digits <= 20 else None
    if scaled is None:
        return value
    result = float(scaled * quantum)
    return -result if value < 0 else result
