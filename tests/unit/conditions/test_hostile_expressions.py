"""Expressions that try to get out, or to use everything up."""

from __future__ import annotations

import time
from functools import reduce
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from comfy_orchestrator_nodes.conditions import compile_condition
from comfy_orchestrator_nodes.conditions.functions import FUNCTIONS, METHODS
from comfy_orchestrator_nodes.conditions.values import FIELDS, MAX_BITS, MAX_LIST, MAX_TEXT
from comfy_orchestrator_nodes.errors import EvaluationFailed, InvalidExpression

ESCAPES = [
    "__import__('os').system('true')",
    "().__class__.__bases__[0].__subclasses__()",
    "''.__class__.__mro__[1].__subclasses__()",
    "a.__class__",
    "a.__init__.__globals__",
    "a.__dict__",
    "[].append.__self__",
    "(lambda: 1)()",
    "lambda: 0",
    "[x for x in [1]]",
    "(x for x in a)",
    "{x: 1 for x in a}",
    "{}",
    "{1}",
    "{'a': 1}",
    "f'{a.__class__}'",
    "f'{a!r:>99999999}'",
    "'{0.__class__}'.format(a)",
    "'{a}'.format_map(a)",
    "eval('1')",
    "exec('1')",
    "compile('1', '', 'eval')",
    "open('/etc/passwd')",
    "getattr(a, 'x')",
    "globals()",
    "locals()",
    "vars()",
    "dir()",
    "type(a)",
    "print(1)",
    "input()",
    "breakpoint()",
    "help()",
    "(a := 1)",
    "a = 1",
    "import os",
    "a; b",
    "yield 1",
    "await a",
    "del a",
    "*a",
    "**a",
    "len(*a)",
    "len(obj=a)",
    "a[1:2]",
    "a[::]",
    "...",
    "1j",
    "b'x'",
    "0x10",
    "1_000",
    "a.b.c",
    "a.lower",
    "'x'.join([a])",
    "'x'.encode()",
    "'x'.translate({})",
    "'x'.zfill(10)",
    "'x'.ljust(10)",
    "'x'.center(10)",
    "'x'.expandtabs(10)",
    "sorted([1], key=len)",
    "str.lower('x')",
    "len.__call__",
    "True.real",
    "(1).__class__",
    "1 .__class__",
    "\u1d43 > 1",
    "a\x00b",
    "1 << 9",
    "~1",
    "a if b",
    "print",
    "_",
    "__builtins__",
    "self",
    "pow(2, 9)",
    "range(9)",
    "map(len, [a])",
    "list(a)",
    "bytes(9)",
    "a\\\n+1",
    "#",
    "a #x",
    "'''a'''[0]if 1else 2",
]


@pytest.mark.parametrize("text", ESCAPES)
def test_what_leads_out_of_the_language_cannot_even_be_written(text: str) -> None:
    with pytest.raises(InvalidExpression):
        compile_condition(text, {"a"})


class Trap(str):
    """A text with methods of its own."""

    sprung = False

    def lower(self) -> str:
        Trap.sprung = True
        return "trapped"

    def __eq__(self, other: object) -> bool:
        Trap.sprung = True
        return True

    def __hash__(self) -> int:
        return 0

    def __len__(self) -> int:
        return str.__len__(self)


def test_methods_of_values_from_outside_are_never_called() -> None:
    assert compile_condition("a.lower() == 'trapped' or a == 'y'", {"a"}).value({"a": Trap("X")}) is False
    assert not Trap.sprung


BIG = "9" * 70
TOO_MUCH = [
    "'%s' % a",
    "'%1000000000d' % 1",
    "9 ** 9 ** 9",
    "(9 ** 9) ** 9 ** 9",
    "9 ** 999",
    "(2 ** 200) ** 2",
    "(2 ** 200) * (2 ** 200)",
    f"{BIG} * {BIG}",
    "9" * 400,
    "1e999",
    "10.0 ** 400",
    "'a' * 1000000000",
    "[0] * 1000000000",
    "a + a + a + a",
    "b + b + b + b",
    "a.replace('x', 'yyyyyyyyyyyyyyyyyyyy')",
    "a.replace('', 'yyyyyyyyyyyyyyyyyyyy')",
    "(" * 500 + "1" + ")" * 500,
    "[" * 40 + "]" * 40,
    "-" * 1000 + "1",
    "+".join("1" * 900),
    "1 if 1 else " * 60 + "1",
    "not " * 3000 + "1",
    "a" + "[0]" * 400,
    "((1" + "+1" * 30 + ")" + "+1" * 30 + ")" + "+1" * 30,
    "len(" + "'" + "x" * 3000 + "')",
    "matches(a, '(x+x+)+y')",
    "matches('a', '(?:(?:(?:a{9999}){9999}){9999})')",
    "matches('a', 'a{100000000}')",
    "matches('a', '(?:a{100}){100}')",
    "matches('a', '(?e)(?:aaaa){e<=50}b')",
    "matches('a', '(?R)')",
    "matches('a', '(a')",
    "matches('a', '[')",
    "matches('a', '" + "(" * 150 + ")" * 150 + "')",
    "round(1, 10 ** 9)",
    "int('" + "9" * 500 + "')",
    "float('9' * 9)",
]


@pytest.mark.parametrize("text", TOO_MUCH)
def test_what_needs_too_much_is_refused_in_time(text: str) -> None:
    values = {"a": "x" * (MAX_TEXT // 3), "b": [1] * (MAX_LIST // 3)}
    started = time.process_time()
    with pytest.raises((InvalidExpression, EvaluationFailed)):
        compile_condition(text, values.keys()).value(values)
    assert time.process_time() - started < 3.0


NESTED: list[Any] = reduce(lambda inner, _: [inner], range(10), [])


@pytest.mark.parametrize("value", ["x" * (MAX_TEXT + 1), [0] * (MAX_LIST + 1), 1 << MAX_BITS, NESTED])
def test_inputs_beyond_bounds_are_refused(value: Any) -> None:
    with pytest.raises(EvaluationFailed, match="the input a cannot be used"):
        compile_condition("a", {"a"}).value({"a": value})


def test_a_list_that_contains_itself_is_refused() -> None:
    endless: list[Any] = []
    endless.append(endless)
    with pytest.raises(EvaluationFailed, match="nested"):
        compile_condition("a == a", {"a"}).value({"a": endless})


WORDS = [
    *FUNCTIONS,
    *METHODS,
    *(field for fields in FIELDS.values() for field in fields),
    *("a", "b", "and", "or", "not", "in", "is", "if", "else", "None", "True", "__class__", "x"),
    *("+", "-", "*", "/", "//", "%", "**", "<", "<=", "==", "!=", "(", ")", "[", "]", ",", "."),
    *("1", "0", "2.5", "99999999999999999999", "'t'", '""', "' '", "'{'", "\\", "\n", "é", "\x00"),
]
PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4),
    max_leaves=8,
)


def survives(text: str, values: dict[str, Any]) -> None:
    try:
        result = compile_condition(text, values.keys()).value(values)
    except (InvalidExpression, EvaluationFailed):
        return
    assert result is None or type(result) in (bool, int, float, str, list)


@settings(max_examples=150, deadline=None)
@given(st.lists(st.sampled_from(WORDS), max_size=30).map(" ".join), PLAIN, PLAIN)
def test_any_row_of_words_has_a_plain_result_or_a_told_error(text: str, a: Any, b: Any) -> None:
    survives(text, {"a": a, "b": b})


@settings(max_examples=100, deadline=None)
@given(st.text(max_size=60))
def test_any_text_has_a_plain_result_or_a_told_error(text: str) -> None:
    survives(text, {"a": 1, "b": "x"})


OPERANDS = st.sampled_from(["a", "b", "1", "0", "-3", "2.5", "'t'", "''", "[]", "None", "True", "99999999999999999999"])
SOUND = st.recursive(
    OPERANDS,
    lambda inner: st.one_of(
        st.builds(
            lambda left, sign, right: f"({left} {sign} {right})",
            inner,
            st.sampled_from(["+", "-", "*", "/", "//", "%", "**", "<", ">=", "==", "!=", "in", "not in", "and", "or"]),
            inner,
        ),
        st.builds(lambda name, x: f"{name}({x})", st.sampled_from(sorted(FUNCTIONS)), inner),
        st.builds(lambda x, name, y: f"{x}.{name}({y})", inner, st.sampled_from(sorted(METHODS)), inner),
        st.builds(lambda x, y: f"{x}[{y}]", inner, inner),
        st.builds(lambda x, y: f"[{x}, {y}]", inner, inner),
        st.builds(lambda x, y, z: f"({x} if {y} else {z})", inner, inner, inner),
        st.builds(lambda x: f"(not {x})", inner),
    ),
    max_leaves=12,
)


@settings(max_examples=150, deadline=None)
@given(SOUND, PLAIN, PLAIN)
def test_any_sound_expression_has_a_plain_result_or_a_told_error(text: str, a: Any, b: Any) -> None:
    survives(text, {"a": a, "b": b})
