"""The widgets of live nodes: what value each holds after a load, and what it sends.

Two questions differ for every widget: whether it *keeps* a place in ``widgets_values``, and whether it is *sent* in the
prompt. An upload button keeps a place and is not sent; the controller of a seed likewise; an image comparer is sent and
keeps none.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from . import js

if TYPE_CHECKING:
    from .node import Node


class Widget:
    """A widget that holds whatever it is given."""

    __slots__ = ("choices", "dynamic_prompts", "keeps", "limits", "name", "resolves_prompts", "sent", "type", "value")
    has_slot = True
    """Whether the widget comes with an input slot that may replace it."""

    def __init__(
        self,
        type_: str,
        name: str,
        value: Any = js.UNDEFINED,
        *,
        keeps: bool = True,
        sent: bool = True,
        choices: Sequence[Any] | None = None,
        limits: Limits | None = None,
    ) -> None:
        self.type = type_
        self.name = name
        self.value = value
        self.keeps = keeps
        self.sent = sent
        self.choices = choices
        self.limits = limits
        self.dynamic_prompts = False
        """Whether the class asked for ``{a|b}`` and comments to be resolved."""
        self.resolves_prompts = False
        """Whether it is done: only for widgets that stood when the node was made."""

    def get(self) -> Any:
        """Return the present value."""
        return self.value

    def set(self, node: Node, value: Any) -> None:
        """Take a value, as it is."""
        self.value = value

    def enter(self, node: Node, value: Any) -> None:
        """Take a value as if a user had entered it: numbers are rounded as their class says."""
        self.set(node, value)
        if self.limits is not None:
            self.set(node, self.limits.rounded(value))


class Limits:
    """The range and rounding of a number widget."""

    __slots__ = ("integer", "maximum", "minimum", "precision", "round", "step")

    def __init__(self, *, integer: bool, minimum: float, maximum: float, step: float, round_: Any, precision: int):
        self.integer = integer
        self.minimum = minimum
        self.maximum = maximum
        self.step = step
        self.round = round_
        self.precision = precision

    def rounded(self, value: Any) -> Any:
        """Return the value on the nearest step of an integer, or at the precision of a float; NaN for no number."""
        if self.integer:
            return self._on_step(js.to_number(value))
        if not self.round:
            return value
        nearest = js.round_half_up(js.to_number(value) / self.round) * self.round
        rounded = js.to_fixed(nearest, self.precision)
        return rounded if math.isnan(rounded) else min(max(rounded, self.minimum), self.maximum)

    def _on_step(self, value: float) -> float:
        step = self.step or 1
        if step == 1:
            return js.round_half_up(value)
        if not math.isfinite(self.minimum):
            return math.nan
        offset = math.fmod(self.minimum, step)
        return js.round_half_up((value - offset) / step) * step + offset

    def clamped(self, value: float) -> float:
        """Return the value within the range, low end first."""
        if value < self.minimum:
            return self.minimum
        return min(value, self.maximum)


class TextArea(Widget):
    """A multi-line text: what is not text becomes text, as an HTML text area does it."""

    __slots__ = ()

    def set(self, node: Node, value: Any) -> None:
        """Take text as it is, and anything else as the text a browser makes of it."""
        self.value = value if isinstance(value, str) else area_text(value)


class Fixed(Widget):
    """A widget of the front end whose value no workflow changes: a viewer, a recorder, a list of linked names."""

    __slots__ = ()

    def set(self, node: Node, value: Any) -> None:
        """Ignore the value."""


def area_text(value: Any) -> str:
    """Return what ``textarea.value`` reads after the value was assigned to it."""
    text = "" if value is None or value is js.UNDEFINED else js.to_text(value)
    return text.replace("\r\n", "\n").replace("\r", "\n")
