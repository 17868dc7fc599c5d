"""A compiled expression."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

from .evaluate import Evaluation
from .functions import WrongValue, truth
from .parser import parse
from .problems import failed, invalid, of_item
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
        return self._over({name: [value] for name, value in values.items()}, 1).result(0)

    def holds(self, values: Mapping[str, object]) -> bool:
        """Return whether the result counts as true.

        Raises:
            EvaluationFailed: there is no result for these values, or it is neither true nor false.
        """
        return self.holds_for_each({name: [value] for name, value in values.items()}, 1)[0]

    def holds_for_each(self, columns: Mapping[str, Sequence[object]], count: int) -> list[bool]:
        """Return for each item whether the result counts as true.

        Args:
            columns: for each name its values, one for each item or one for all.
            count: how many items there are.

        Raises:
            EvaluationFailed: as ``holds``; where there are several items, the message says for which.
        """
        if count == 0:
            return []
        row = self._over(columns, count)
        return [self._truth(row.result(index), index, count) for index in range(count)]

    def _over(self, columns: Mapping[str, Sequence[object]], count: int) -> Evaluation:
        admitted = {
            name: [self._admitted(name, value, index, len(column)) for index, value in enumerate(column)]
            for name, column in columns.items()
        }
        return Evaluation(self.tree, admitted, count, self.source)

    def _truth(self, result: Item, index: int, count: int) -> bool:
        try:
            return truth(result)
        except WrongValue as problem:
            raise of_item(failed(self.source, 0, str(problem)), index, count) from None

    def _admitted(self, name: str, value: object, index: int, count: int) -> Item:
        try:
            return admit(value)
        except Unusable as problem:
            error = failed(self.source, 0, f"the input {name} cannot be used: {problem}")
            raise of_item(error, index, count) from None


def compile_condition(source: str, names: Collection[str]) -> Condition:
    """Read an expression; the same text with the same names is read once. Their order is the one they are told in.

    Raises:
        InvalidExpression: it cannot be read, or uses a name that there is not.
    """
    return _compiled(source, tuple(names))


@lru_cache(maxsize=256)
def _compiled(source: str, names: tuple[str, ...]) -> Condition:
    if not source.strip():
        raise invalid(source, 0, "the expression is empty")
    return Condition(source, parse(source, names))
