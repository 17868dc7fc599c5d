"""A tree and values into results. Every operation checks its operands, so no Python method of a value is reachable."""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ..errors import EvaluationFailed
from .functions import FUNCTIONS, METHODS, RANKINGS, WrongValue, comparable, kind_of, number, sized, truth
from .problems import did_you_mean, failed, of_item
from .tree import Arithmetic, Call, Choice, Comparison, Field, Index, ListOf, Literal, Logic, Name, Node, Unary
from .values import FIELDS, MAX_BITS, MAX_NESTING, Fields, Item

MAX_EXPONENT = 256


class Evaluation:
    """One expression over a row of items. What ranks them is computed once, when it is first asked for."""

    def __init__(self, tree: Node, columns: Mapping[str, Sequence[Item]], count: int, source: str) -> None:
        """Prepare it.

        Args:
            tree: the expression.
            columns: for each input its values, one for each item or one for all.
            count: how many items there are.
            source: the expression's text, for errors.
        """
        self._tree = tree
        self._columns = columns
        self._count = count
        self._source = source
        self._ranks: dict[int, list[int]] = {}

    def result(self, index: int) -> Item:
        """Return the result for an item.

        Raises:
            EvaluationFailed: it has none; ``item`` tells for which item, where there are several.
        """
        return self._of(self._tree, index)

    def rank(self, call: Call, index: int) -> int:
        """Return the place of an item among all by the call's first argument: 1 is the highest, the earlier wins ties.

        Raises:
            EvaluationFailed: there is no score for an item.
        """
        # The position in the text tells the calls of one expression apart.
        ranks = self._ranks.get(call.position)
        if ranks is None:
            scores = [self._score(call, item) for item in range(self._count)]
            ranks = [0] * self._count
            for place, item in enumerate(sorted(range(self._count), key=lambda item: (-scores[item], item)), 1):
                ranks[item] = place
            self._ranks[call.position] = ranks
        return ranks[index]

    def _score(self, call: Call, index: int) -> int | float:
        found = self._of(call.arguments[0], index)
        try:
            score = number(found)
        except WrongValue as problem:
            error = failed(self._source, call.position, f"{call.function} {problem}")
            raise of_item(error, index, self._count) from None
        if score != score:
            error = failed(self._source, call.position, f"{call.function} needs a number with an order, not nan")
            raise of_item(error, index, self._count)
        return score

    def _of(self, node: Node, index: int) -> Item:
        values = {name: column[index] if len(column) > 1 else column[0] for name, column in self._columns.items()}
        try:
            result: Item = _ItemEvaluation(values, self._source, self, index).of(node)
        except EvaluationFailed as error:
            raise of_item(error, index, self._count) from None
        return result


class _ItemEvaluation:
    def __init__(self, values: Mapping[str, Item], source: str, row: Evaluation, index: int) -> None:
        self._values = values
        self._source = source
        self._row = row
        self._item = index
        self._of: Mapping[type, Callable[[Any], Any]] = {
            Literal: lambda node: node.value,
            Name: lambda node: self._values[node.name],
            Field: self._field,
            ListOf: lambda node: [self.of(item) for item in node.items],
            Unary: self._unary,
            Arithmetic: self._arithmetic,
            Comparison: self._comparison,
            Logic: self._logic,
            Choice: lambda node: self.of(node.then if truth(self.of(node.test)) else node.otherwise),
            Call: self._call,
            Index: self._index,
        }

    def of(self, node: Node) -> Any:
        try:
            return sized(self._of[type(node)](node))
        except EvaluationFailed:
            raise
        except WrongValue as problem:
            raise failed(self._source, node.position, str(problem)) from None
        except ZeroDivisionError:
            raise failed(self._source, node.position, "division by zero") from None
        except (ValueError, OverflowError, ArithmeticError) as error:
            raise failed(self._source, node.position, f"has no result: {error}") from None

    def _field(self, node: Field) -> Any:
        value = self.of(node.target)
        name = node.target.name if isinstance(node.target, Name) else "the element"
        if not isinstance(value, Fields):
            raise WrongValue(f"{name} is {kind_of(value)} here and has no field {node.field!r}")
        known = FIELDS.get(value.kind, {})
        if node.field not in known:
            raise WrongValue(
                f"{name} is {value.kind} here and has no {node.field!r}{did_you_mean(node.field, sorted(known))}"
            )
        return value.field(node.field)

    def _unary(self, node: Unary) -> Any:
        operand = self.of(node.operand)
        if node.operator == "not":
            return not truth(operand)
        return -number(operand) if node.operator == "-" else +number(operand)

    def _arithmetic(self, node: Arithmetic) -> Any:
        left, right = self.of(node.left), self.of(node.right)
        if node.operator == "+" and isinstance(left, str) and isinstance(right, str):
            return left + right
        if node.operator == "+" and isinstance(left, list) and isinstance(right, list):
            return left + right
        first, second = number(left), number(right)
        if node.operator == "**":
            return _power(first, second)
        return _ARITHMETIC[node.operator](first, second)

    def _comparison(self, node: Comparison) -> bool:
        left = self.of(node.operands[0])
        for sign, operand in zip(node.operators, node.operands[1:], strict=True):
            right = self.of(operand)
            if not _compare(sign, left, right):
                return False
            left = right
        return True

    def _logic(self, node: Logic) -> Any:
        result: Any = None
        for operand in node.operands:
            result = self.of(operand)
            if truth(result) is (node.operator == "or"):
                return result
        return result

    def _call(self, node: Call) -> Any:
        if node.function in RANKINGS and not node.method:
            extra = [self.of(argument) for argument in node.arguments[1:]]
            return RANKINGS[node.function](self._row.rank(node, self._item), *extra)
        arguments = [self.of(argument) for argument in node.arguments]
        return (METHODS if node.method else FUNCTIONS)[node.function].run(*arguments)

    def _index(self, node: Index) -> Any:
        target, index = self.of(node.target), self.of(node.index)
        if not isinstance(target, (list, str)):
            raise WrongValue(f"only lists and texts have elements, not {kind_of(target)}")
        if not isinstance(index, int) or isinstance(index, bool):
            raise WrongValue(f"an index is a whole number, not {kind_of(index)}")
        if not -len(target) <= index < len(target):
            raise WrongValue(f"there is no element {index} among {len(target)}")
        return target[index]


_ARITHMETIC: Mapping[str, Callable[[Any, Any], Any]] = {
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "/": operator.truediv,
    "//": operator.floordiv,
    "%": operator.mod,
}
_ORDER: Mapping[str, Callable[[Any, Any], bool]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}


def _power(base: int | float, exponent: int | float) -> int | float:
    if abs(exponent) > MAX_EXPONENT:
        raise WrongValue(f"an exponent is at most {MAX_EXPONENT}")
    if isinstance(base, int) and isinstance(exponent, int) and base.bit_length() * max(exponent, 1) > 2 * MAX_BITS:
        raise WrongValue(f"the result is a number of more than {MAX_BITS} bits")
    result = base**exponent
    if isinstance(result, complex):
        raise WrongValue("a negative number has no power to a fraction")
    return result


def _compare(sign: str, left: Any, right: Any) -> bool:
    if sign in ("is", "is not"):
        return (left is None) is (sign == "is")
    if sign in ("in", "not in"):
        return _contains(right, left) is (sign == "in")
    if sign in _ORDER:
        comparable((left, right))
        return _ORDER[sign](left, right)
    _refuse_fields(left)
    _refuse_fields(right)
    return bool((left == right) is (sign == "=="))


def _contains(container: Any, element: Any) -> bool:
    if isinstance(container, str):
        if not isinstance(element, str):
            raise WrongValue(f"only a text is in a text, not {kind_of(element)}")
        return element in container
    if isinstance(container, list):
        _refuse_fields(element)
        _refuse_fields(container)
        return element in container
    raise WrongValue(f"'in' needs a text or a list on its right, not {kind_of(container)}")


def _refuse_fields(value: Any, depth: int = 2 * MAX_NESTING) -> None:
    if isinstance(value, Fields):
        raise WrongValue(f"{value.kind} cannot be compared as a whole; ask for one of its fields")
    if isinstance(value, list):
        if depth == 0:
            raise WrongValue("lists are nested too deep")
        for element in value:
            _refuse_fields(element, depth - 1)
