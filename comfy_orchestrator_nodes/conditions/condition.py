"""A compiled expression."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from functools import lru_cache

from .evaluate import evaluate
from .functions import WrongValue, truth
from .parser import parse
from .problems import failed, invalid
from .tree import Node
from .values import Item, Unusable, admit


@dataclass(frozen=True)
class Condition:
    """An expression that was read once and can be evaluated for many values, from any thread."""

    source: str
    tree: Node

    def value(self, values: Mapping[str, object]) -> Item:
        """Return the result for the values of the inputs.

        Args:
            values: one for each name the condition was compiled with: plain values, ``Fields``, or mappings of facts
                as Remote Workflow's ``info`` holds them.

        Raises:
            EvaluationFailed: there is no result for these values.
        """
        return evaluate(self.tree, {name: self._admitted(name, value) for name, value in values.items()}, self.source)

    def holds(self, values: Mapping[str, object]) -> bool:
        """Return whether the result counts as true.

        Raises:
            EvaluationFailed: there is no result for these values, or it is neither true nor false.
        """
        try:
            return truth(self.value(values))
        except WrongValue as problem:
            raise failed(self.source, 0, str(problem)) from None

    def _admitted(self, name: str, value: object) -> Item:
        try:
            return admit(value)
        except Unusable as problem:
            raise failed(self.source, 0, f"the input {name} cannot be used: {problem}") from None


def compile_condition(source: str, names: Collection[str]) -> Condition:
    """Read an expression; the same text with the same names is read once.

    Raises:
        InvalidExpression: it cannot be read, or uses a name that there is not.
    """
    return _compiled(source, tuple(sorted(names)))


@lru_cache(maxsize=256)
def _compiled(source: str, names: tuple[str, ...]) -> Condition:
    if not source.strip():
        raise invalid(source, 0, "the expression is empty")
    return Condition(source, parse(source, names))
