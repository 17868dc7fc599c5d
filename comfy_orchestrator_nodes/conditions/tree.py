"""What an expression is once it is read: nodes with the position (from 0) of the character they start at."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TypeAlias


@dataclass(frozen=True)
class Literal:
    """A number, a text, True, False or None."""

    position: int
    value: bool | int | float | str | None


@dataclass(frozen=True)
class Name:
    """An input."""

    position: int
    name: str


@dataclass(frozen=True)
class Field:
    """``target.field``: something measured of an input, or told by an element of a list."""

    position: int
    target: Node
    field: str


@dataclass(frozen=True)
class ListOf:
    """``[x, y]``."""

    position: int
    items: tuple[Node, ...]


@dataclass(frozen=True)
class Unary:
    """``-x``, ``+x`` or ``not x``."""

    position: int
    operator: str
    operand: Node


@dataclass(frozen=True)
class Arithmetic:
    """``x + y`` and the like."""

    position: int
    operator: str
    left: Node
    right: Node


@dataclass(frozen=True)
class Comparison:
    """``x < y <= z``: each operator stands between two neighbours of ``operands``."""

    position: int
    operators: tuple[str, ...]
    operands: tuple[Node, ...]


@dataclass(frozen=True)
class Logic:
    """``x and y and z`` or ``x or y or z``."""

    position: int
    operator: str
    operands: tuple[Node, ...]


@dataclass(frozen=True)
class Choice:
    """``x if test else y``."""

    position: int
    test: Node
    then: Node
    otherwise: Node


@dataclass(frozen=True)
class Call:
    """``function(x, y)``; a method's object is its first argument."""

    position: int
    function: str
    arguments: tuple[Node, ...]
    method: bool = False


@dataclass(frozen=True)
class Index:
    """``x[y]``."""

    position: int
    target: Node
    index: Node


Node: TypeAlias = Literal | Name | Field | ListOf | Unary | Arithmetic | Comparison | Logic | Choice | Call | Index


def children(node: Node) -> tuple[Node, ...]:
    """Return the nodes directly below."""
    if isinstance(node, ListOf):
        return node.items
    if isinstance(node, Unary):
        return (node.operand,)
    if isinstance(node, Field):
        return (node.target,)
    if isinstance(node, Arithmetic):
        return node.left, node.right
    if isinstance(node, (Comparison, Logic)):
        return node.operands
    if isinstance(node, Choice):
        return node.test, node.then, node.otherwise
    if isinstance(node, Call):
        return node.arguments
    return (node.target, node.index) if isinstance(node, Index) else ()


def walk(root: Node) -> Iterator[tuple[Node, int]]:
    """Yield every node with its depth, which is 1 for the root."""
    waiting = [(root, 1)]
    while waiting:
        node, depth = waiting.pop()
        yield node, depth
        waiting += ((child, depth + 1) for child in children(node))
