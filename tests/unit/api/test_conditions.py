"""What an editor of Conditions asks for while somebody types."""

from __future__ import annotations

from typing import Any

import pytest

from comfy_orchestrator_nodes.conditions.functions import FUNCTIONS, METHODS
from comfy_orchestrator_nodes.conditions.values import FIELDS
from tests.unit.api.conftest import Api


async def check(api: Api, expression: str, **more: Any) -> Any:
    return await api.ask("POST", "/conditions/check", {"expression": expression, **more})


async def test_a_sound_expression_is_fine_and_the_names_it_may_use_are_told(api: Api) -> None:
    found = await check(api, "photo.width > b", names="photo", connected=["a", "b", "value_2"])
    assert (found["ok"], found["problem"]) == (True, None)
    assert [(one["name"], one["input"]) for one in found["names"]] == [
        ("photo", "a"),
        ("b", "b"),
        ("value_2", "value_2"),
    ]


@pytest.mark.parametrize(
    ("expression", "position", "length", "message", "suggestion"),
    [
        ("a.wdith > 5", 2, 5, "nothing has a field 'wdith'; did you mean 'width'?", "width"),
        ("a > ", 4, 0, "expected a value before the end.", None),
        ("bset(a)", 0, 4, "there is no function 'bset'; did you mean 'best'?", "best"),
        ("", 0, 0, "the expression is empty.", None),
    ],
)
async def test_a_mistake_is_answered_with_its_place(
    api: Api, expression: str, position: int, length: int, message: str, suggestion: str | None
) -> None:
    found = await check(api, expression)
    assert found["ok"] is False
    assert found["problem"] == {
        "widget": "expression",
        "position": position,
        "length": length,
        "message": message,
        "suggestion": suggestion,
    }


async def test_an_input_that_is_not_connected_cannot_be_used(api: Api) -> None:
    found = await check(api, "b > 1", connected=["a"])
    assert "no input is named 'b'" in found["problem"]["message"]


async def test_what_there_is_is_told_in_the_order_of_the_inputs(api: Api) -> None:
    found = await check(api, "zzz > 1", connected=["value_1", "b", "a"], names="photo")
    assert found["problem"]["message"].endswith("there is photo, b, value_1.")


async def test_unusable_names_are_a_problem_of_their_own_widget(api: Api) -> None:
    found = await check(api, "a > 1", names="x, x")
    assert (found["ok"], found["problem"]["widget"], found["names"]) == (False, "names", [])


async def test_an_expression_over_the_languages_limit_is_answered_and_a_huge_one_refused(api: Api) -> None:
    assert "at most 2000 characters" in (await check(api, "1" * 2001))["problem"]["message"]
    await api.ask("POST", "/conditions/check", {"expression": "1" * 4001}, status=400)


async def test_the_whole_language_is_listed_with_help(api: Api) -> None:
    found = await api.ask("GET", "/conditions/language")
    assert [word["name"] for word in found["functions"]] == sorted(FUNCTIONS)
    assert [word["name"] for word in found["methods"]] == sorted(METHODS)
    assert {kind: {word["name"] for word in words} for kind, words in found["fields"].items()} == {
        kind: set(fields) for kind, fields in FIELDS.items()
    }
    words = [*found["functions"], *found["methods"], *(word for words in found["fields"].values() for word in words)]
    assert all(word["help"] and word["name"] in word["usage"] for word in words)


async def test_expressions_can_be_checked_where_nothing_is_orchestrated(api: Api) -> None:
    api.access.close("not here")
    assert (await check(api, "a > 1"))["ok"] is True
