"""Texts and numbers that the front end rewrites."""

from __future__ import annotations

import math
from datetime import datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from comfy_orchestrator_nodes.errors import ConversionFailed
from comfy_orchestrator_nodes.workflow.convert import to_prompt
from comfy_orchestrator_nodes.workflow.frontend import js
from tests.golden.compose import Graph

OBJECT_INFO: dict[str, Any] = {
    "Text": {"input": {"required": {"text": ["STRING", {"dynamicPrompts": True}]}}, "output": []},
    "Any": {"input": {"required": {"value": ["STRING", {}]}}, "output": []},
    "SaveImage": {"input": {"required": {"filename_prefix": ["STRING", {}]}}, "output": []},
}


def converted(type_: str, name: str, value: Any, **options: Any) -> Any:
    graph = Graph()
    graph.node(type_, [value])
    return to_prompt(graph.document(), OBJECT_INFO, **options)["1"]["inputs"][name]


def test_choice_is_left_to_the_caller_and_asked_for_each_block() -> None:
    asked: list[int] = []

    def last(count: int) -> int:
        asked.append(count)
        return count - 1

    assert converted("Text", "text", "{a|b|c} {d|{e|f}}", choose=last) == "c f"
    assert asked == [3, 2, 2]


def test_first_choice_is_taken_unless_told_otherwise() -> None:
    assert converted("Text", "text", "{a|b}") == "a"


def test_choices_nested_beyond_use_are_refused() -> None:
    with pytest.raises(ConversionFailed, match="nests choices"):
        converted("Text", "text", "{" * 200 + "a" + "}" * 200)


def test_date_in_a_file_name_is_the_callers_time() -> None:
    now = datetime(2031, 2, 3, 4, 5, 6)  # noqa: DTZ001  (the front end uses the user's own time)

    assert converted("SaveImage", "filename_prefix", "%date:yyyy-MM-dd_hh-mm-ss yy d%", now=now) == (
        "2031-02-03_04-05-06 31 3"
    )


def test_date_in_a_file_name_stays_without_a_time() -> None:
    assert converted("SaveImage", "filename_prefix", "%date:yyyy%/x") == "%date:yyyy%/x"


@pytest.mark.parametrize(
    ("value", "sent"),
    [
        (1.0, 1),
        (-0.0, 0),
        (2**53 + 1, 2**53),
        (2**64 - 1, 18446744073709552000),
        (1e21, 1e21),
        (10**400, None),
        (math.nan, None),
        ([1.0, [2**64 - 1]], {"__value__": [1, [18446744073709552000]]}),
        ({"a": 1.0}, {"a": 1}),
        (True, True),
    ],
)
def test_values_are_sent_as_javascript_writes_them(value: Any, sent: Any) -> None:
    result = converted("Any", "value", value)

    assert result == sent
    assert type(result) is type(sent)


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_text_of_a_number_reads_as_the_same_number(value: float) -> None:
    assert float(js.to_number(js.number_text(value))) == value


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (1e21, "1e+21"),
        (123456789012345680000, "123456789012345680000"),
        (1e-7, "1e-7"),
        (0.000001, "0.000001"),
        (1.5e-9, "1.5e-9"),
        (-12.5, "-12.5"),
        (100.0, "100"),
        (math.inf, "Infinity"),
    ],
)
def test_numbers_become_text_as_in_javascript(value: float, text: str) -> None:
    assert js.number_text(value) == text


@pytest.mark.parametrize(
    ("value", "number"),
    [
        ("", 0),
        (" 12 ", 12),
        ("0x10", 16),
        ("1e3", 1000),
        ("-Infinity", -math.inf),
        (None, 0),
        (True, 1),
        ([5], 5),
        (".5", 0.5),
    ],
)
def test_values_become_numbers_as_in_javascript(value: Any, number: float) -> None:
    assert js.to_number(value) == number


@pytest.mark.parametrize("value", ["x", "1_000", "12px", {}, [1, 2], "0x", "0b12"])
def test_values_that_are_no_numbers_are_nan(value: Any) -> None:
    assert math.isnan(js.to_number(value))


def test_keys_that_are_array_indices_come_first() -> None:
    assert list(js.keys({"b": 1, "10": 1, "2": 1, "01": 1, "-1": 1, "4294967295": 1})) == [
        "2",
        "10",
        "b",
        "01",
        "-1",
        "4294967295",
    ]


@pytest.mark.parametrize(
    ("value", "digits", "fixed"), [(1.005, 2, 1.0), (2.5, 0, 3.0), (-2.5, 0, -3.0), (1.45, 1, 1.4)]
)
def test_fixed_digits_round_the_exact_binary_value(value: float, digits: int, fixed: float) -> None:
    assert js.to_fixed(value, digits) == fixed
