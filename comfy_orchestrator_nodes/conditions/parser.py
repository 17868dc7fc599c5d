"""Tokens into a tree, by precedence climbing. The grammar is Python's where it has the same signs."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import TypeAlias

from ..errors import InvalidExpression
from .functions import FUNCTIONS, METHODS
from .lexer import Token, tokens
from .problems import invalid, unknown
from .tree import Arithmetic, Call, Choice, Comparison, Field, Index, ListOf, Literal, Logic, Name, Node, Unary, walk
from .values import FIELDS, MAX_BITS

MAX_DEPTH = 32
"""How deep brackets, signs and choices may be nested."""

Reader: TypeAlias = Callable[[], Node]

_ALL_FIELDS = frozenset(field for fields in FIELDS.values() for field in fields)
MAX_TREE_DEPTH = 64
"""How deep the tree may be: a row of operators is as deep as it is long."""

_COMPARISONS = frozenset({"<", "<=", ">", ">=", "==", "!="})
_CONSTANTS = {"True": True, "true": True, "False": False, "false": False, "None": None, "none": None}


def parse(source: str, names: Collection[str]) -> Node:
    """Read an expression.

    Args:
        source: the text.
        names: the inputs that it may use.

    Raises:
        InvalidExpression: it is none, or uses a name that there is not; with the position and a suggestion.
    """
    parser = _Parser(source, names)
    tree = parser.expression()
    parser.expect_end()
    for node, depth in walk(tree):
        if depth > MAX_TREE_DEPTH:
            raise invalid(source, node.position, "this is nested too deep; make it simpler")
    return tree


class _Parser:
    def __init__(self, source: str, names: Collection[str]) -> None:
        self._source = source
        self._names = names
        self._tokens = tokens(source)
        self._next = 0
        self._depth = 0

    # --- tokens

    @property
    def _token(self) -> Token:
        return self._tokens[self._next]

    def _take(self) -> Token:
        token = self._token
        self._next += 1
        return token

    def _at(self, *texts: str) -> bool:
        return self._token.kind in ("symbol", "keyword") and self._token.text in texts

    def _expect(self, text: str, why: str) -> None:
        if not self._at(text):
            raise invalid(self._source, self._token.position, f"expected {text!r} {why}")
        self._take()

    def expect_end(self) -> None:
        token = self._token
        if token.kind == "end":
            return
        if token.text == "(":
            raise invalid(self._source, token.position, "only functions and text methods can be called")
        raise invalid(self._source, token.position, f"expected an operator before {token.text!r}")

    # --- grammar, loosest binding first

    def expression(self) -> Node:
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise invalid(self._source, self._token.position, f"nested more than {MAX_DEPTH} deep")
        then = self._either()
        if self._at("if"):
            position = self._take().position
            test = self._either()
            self._expect("else", "after the test of a choice: x if test else y")
            then = Choice(position, test, then, self.expression())
        self._depth -= 1
        return then

    def _either(self) -> Node:
        return self._logic("or", self._both)

    def _both(self) -> Node:
        return self._logic("and", self._negation)

    def _logic(self, operator: str, operand: Reader) -> Node:
        position = self._token.position
        operands = [operand()]
        while self._at(operator):
            self._take()
            operands.append(operand())
        return operands[0] if len(operands) == 1 else Logic(position, operator, tuple(operands))

    def _negation(self) -> Node:
        signs: list[Token] = []
        while self._at("not"):
            signs.append(self._take())
        node = self._comparison()
        # An even number of negations still makes a truth value of what follows.
        for sign in reversed(signs[-2:] if len(signs) % 2 == 0 else signs[-1:]):
            node = Unary(sign.position, "not", node)
        return node

    def _comparison(self) -> Node:
        position = self._token.position
        operands, operators = [self._sum()], list[str]()
        while operator := self._comparison_sign():
            operators.append(operator)
            operands.append(self._sum())
        return Comparison(position, tuple(operators), tuple(operands)) if operators else operands[0]

    def _comparison_sign(self) -> str:
        if self._token.kind == "symbol" and self._token.text in _COMPARISONS:
            return self._take().text
        if self._at("in"):
            return self._take().text
        if self._at("not"):
            self._take()
            self._expect("in", "after 'not' between two values")
            return "not in"
        if self._at("is"):
            return self._identity()
        return ""

    def _identity(self) -> str:
        self._take()
        negated = self._at("not")
        if negated:
            self._take()
        if not self._at("None", "none"):
            raise invalid(self._source, self._token.position, "'is' compares with None only; write '==' otherwise")
        return "is not" if negated else "is"

    def _sum(self) -> Node:
        return self._chain(("+", "-"), self._product)

    def _product(self) -> Node:
        return self._chain(("*", "/", "//", "%"), self._signed)

    def _chain(self, operators: tuple[str, ...], operand: Reader) -> Node:
        node = operand()
        links = 0
        while self._at(*operators):
            sign = self._take()
            links += 1
            if links > MAX_DEPTH:
                raise invalid(self._source, sign.position, f"more than {MAX_DEPTH} operators in one row; use brackets")
            node = Arithmetic(sign.position, sign.text, node, operand())
        return node

    def _signed(self) -> Node:
        if not self._at("-", "+"):
            return self._power()
        sign = self._take()
        if self._at("-", "+"):
            raise invalid(self._source, self._token.position, "two signs in a row")
        return Unary(sign.position, sign.text, self._power())

    def _power(self) -> Node:
        base = self._postfix()
        if not self._at("**"):
            return base
        sign = self._take()
        exponent_sign = self._take() if self._at("-", "+") else None
        exponent = self._postfix()
        if self._at("**"):
            raise invalid(self._source, self._token.position, "a power of a power needs brackets")
        if exponent_sign is not None:
            exponent = Unary(exponent_sign.position, exponent_sign.text, exponent)
        return Arithmetic(sign.position, "**", base, exponent)

    def _postfix(self) -> Node:
        node = self._atom()
        links = 0
        while self._at(".", "["):
            sign = self._take()
            links += 1
            if links > MAX_DEPTH:
                raise invalid(self._source, sign.position, f"more than {MAX_DEPTH} methods and indexes in one row")
            node = self._method_or_field(node, sign) if sign.text == "." else self._indexed(node, sign)
        return node

    def _indexed(self, target: Node, sign: Token) -> Node:
        index = self.expression()
        self._expect("]", "after an index")
        return Index(sign.position, target, index)

    def _method_or_field(self, target: Node, dot: Token) -> Node:
        name = self._take()
        if name.kind != "word":
            raise invalid(self._source, name.position, "expected a name after the dot")
        if self._at("("):
            if name.text not in METHODS:
                raise self._unknown(name, f"texts have no method {name.text!r}", sorted(METHODS))
            return Call(dot.position, name.text, (target, *self._arguments(METHODS[name.text].extra)), method=True)
        if not isinstance(target, (Name, Index)):
            raise invalid(self._source, dot.position, f"only inputs and elements have fields such as {name.text!r}")
        if name.text not in _ALL_FIELDS:
            raise self._unknown(name, f"nothing has a field {name.text!r}", sorted(_ALL_FIELDS))
        return Field(name.position, target, name.text)

    def _atom(self) -> Node:
        token = self._take()
        if token.kind == "number":
            return Literal(token.position, self._number(token))
        if token.kind == "text":
            return Literal(token.position, token.text[1:-1])
        if token.kind == "keyword" and token.text in _CONSTANTS:
            return Literal(token.position, _CONSTANTS[token.text])
        if token.kind == "word":
            return self._word(token)
        if token.text == "(":
            inner = self.expression()
            self._expect(")", "to close the bracket")
            return inner
        if token.text == "[":
            return ListOf(token.position, self._items("]"))
        what = repr(token.text) if token.text else "the end"
        raise invalid(self._source, token.position, f"expected a value before {what}")

    def _number(self, token: Token) -> int | float:
        if token.text.isdigit():
            value = int(token.text) if len(token.text) <= MAX_BITS else 1 << MAX_BITS
            if value.bit_length() > MAX_BITS:
                raise invalid(self._source, token.position, f"a whole number has at most {MAX_BITS} bits")
            return value
        number = float(token.text)
        if number == float("inf"):
            raise invalid(self._source, token.position, "this number is too large")
        return number

    def _word(self, token: Token) -> Node:
        if self._at("("):
            if token.text not in FUNCTIONS:
                raise self._unknown(token, f"there is no function {token.text!r}", sorted(FUNCTIONS))
            return Call(token.position, token.text, self._arguments(FUNCTIONS[token.text].count))
        if token.text in self._names:
            return Name(token.position, token.text)
        if token.text in FUNCTIONS:
            raise invalid(self._source, token.position, f"{token.text} is a function: write {token.text}(…)")
        nothing = "" if self._names else "; no input is connected"
        raise self._unknown(token, f"no input is named {token.text!r}{nothing}", self._names)

    def _unknown(self, name: Token, reason: str, known: Collection[str]) -> InvalidExpression:
        return unknown(self._source, name.position, reason, name.text, known)

    def _arguments(self, allowed: range) -> tuple[Node, ...]:
        opening = self._take()
        arguments = self._items(")")
        if len(arguments) not in allowed:
            wanted = f"{allowed[0]}" if len(allowed) == 1 else f"{allowed[0]} to {allowed[-1]}"
            raise invalid(self._source, opening.position, f"takes {wanted} values in brackets, not {len(arguments)}")
        return arguments

    def _items(self, closing: str) -> tuple[Node, ...]:
        items: list[Node] = []
        while not self._at(closing):
            items.append(self.expression())
            if not self._at(","):
                break
            self._take()
        self._expect(closing, "after the values")
        return tuple(items)
