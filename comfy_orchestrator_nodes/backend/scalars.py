"""Constants as PreviewAny shows them: read back exactly."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence

from ..domain import SCALAR_TYPES, Json
from ..errors import ValueLost

_INTEGER = re.compile(r"[+-]?[0-9]{1,4000}")
_FLOAT = re.compile(r"[+-]?[0-9]+(\.[0-9]*)?([eE][+-]?[0-9]+)?")


def collect_scalar(type_: str, texts: Sequence[str]) -> Json:
    """Return the constant that PreviewAny showed as text, exactly: ``str()`` of a Python float or int loses nothing.

    Args:
        type_: ``STRING``, ``INT``, ``FLOAT``, ``BOOLEAN``, ``COMBO`` or ``*`` (taken as text).
        texts: what it showed; several where a list came out.

    Returns:
        A ``str``, ``int``, ``float`` or ``bool``; for several texts the list of them.

    Raises:
        ValueLost: a text is no value of that type, or there is none.
    """
    if not texts:
        raise ValueLost(f"The backend showed no text where a {type_} was expected.")
    found = [_scalar(type_, text) for text in texts]
    return found[0] if len(found) == 1 else found


def _scalar(type_: str, text: str) -> Json:
    if type_ == "BOOLEAN":
        if text in ("True", "False"):
            return text == "True"
    elif type_ in ("INT", "FLOAT"):
        number = _number(text)
        if number is not None and type_ == "FLOAT":
            return float(number)
        if number is not None and (isinstance(number, int) or number.is_integer()):
            return int(number)
    elif type_ in SCALAR_TYPES or type_ == "*":
        return text
    raise ValueLost(f"The backend showed {text[:80]!r} where a {type_} was expected.", type=type_)


def _number(text: str) -> int | float | None:
    """Read a number as Python writes it. NaN and infinities are none: JSON cannot carry them."""
    if _INTEGER.fullmatch(text):
        return int(text)
    if _FLOAT.fullmatch(text) and math.isfinite(number := float(text)):
        return number
    return None
