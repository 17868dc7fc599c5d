"""What compares an item with all others: the best ones, and each one's rank."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from comfy_orchestrator_nodes.conditions import Fields, Plain, compile_condition
from comfy_orchestrator_nodes.errors import EvaluationFailed, InvalidExpression


def held(text: str, **columns: Sequence[Any]) -> list[bool]:
    count = max(len(column) for column in columns.values())
    return compile_condition(text, columns.keys()).holds_for_each(columns, count)


class Picture(Fields):
    kind = "IMAGE"

    def __init__(self, sharpness: float) -> None:
        self.sharpness = sharpness
        self.asked = 0

    def field(self, name: str) -> Plain:
        self.asked += 1
        return self.sharpness


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("best(a)", [False, False, True, False]),
        ("best(a, 2)", [True, False, True, False]),
        ("best(-a)", [False, True, False, False]),
        ("best(a, 0)", [False] * 4),
        ("best(a, 9)", [True] * 4),
        ("rank(a) == 2", [True, False, False, False]),
        ("rank(a) > 3", [False, True, False, False]),
        ("best(a) or best(-a)", [False, True, True, False]),
        ("a > 4 and best(a, 3)", [True, False, True, False]),
        ("best(rank(a))", [False, True, False, False]),
    ],
)
def test_items_are_told_apart_by_their_rank(text: str, expected: list[bool]) -> None:
    assert held(text, a=[5, 1, 9, 4]) == expected


def test_among_equals_the_earlier_item_is_the_better() -> None:
    assert held("best(a, 2)", a=[1, 3, 3, 3]) == [False, True, True, False]
    assert held("rank(a) == 1", a=[0, 0, 0]) == [True, False, False]


@given(st.lists(st.integers() | st.floats(allow_nan=False), min_size=1, max_size=30), st.integers(0, 40))
def test_best_keeps_as_many_as_it_is_told_and_none_that_is_beaten(scores: list[Any], count: int) -> None:
    kept = held(f"best(a, {count})", a=scores)
    assert sum(kept) == min(count, len(scores))
    best = [score for score, keeps in zip(scores, kept, strict=True) if keeps]
    rest = [score for score, keeps in zip(scores, kept, strict=True) if not keeps]
    assert not best or not rest or min(best) >= max(rest)


def test_one_item_is_the_best_of_one() -> None:
    assert compile_condition("best(a.sharpness)", {"a"}).holds({"a": Picture(3)}) is True


def test_a_value_that_serves_every_item_ranks_with_each() -> None:
    assert held("best(a * b, n)", a=[1, 2, 3], b=[-1], n=[2]) == [True, True, False]


def test_each_item_is_scored_once_and_only_if_it_matters() -> None:
    pictures = [Picture(n) for n in range(50)]
    assert sum(held("best(a.sharpness, 3)", a=pictures)) == 3
    assert {picture.asked for picture in pictures} == {1}
    ignored = [Picture(1)]
    assert held("n > 5 and best(a.sharpness)", a=ignored, n=[1]) == [False]
    assert ignored[0].asked == 0


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("best(a)", "Item 1: .*best needs a number, not a text"),
        ("rank(1 / b) > 1", "Item 2: .*division by zero"),
        ("best(b, -1)", "keeps a whole number of items"),
        ("best(b, True)", "keeps a whole number of items"),
        ("best(c)", "Item 0: .*needs a number with an order, not nan"),
    ],
)
def test_an_item_that_has_no_rank_is_named(text: str, told: str) -> None:
    with pytest.raises(EvaluationFailed, match=told):
        held(text, a=[1, "x", 2], b=[1, 2, 0], c=[float("nan"), 1.0, 2.0])


@pytest.mark.parametrize("text", ["best()", "rank(a, 1)", "best(a, 1, 2)", "best"])
def test_rankings_take_what_they_say(text: str) -> None:
    with pytest.raises(InvalidExpression):
        compile_condition(text, {"a"})


def test_ten_thousand_items_are_ranked_in_a_moment() -> None:
    assert sum(held("best(a, 10)", a=list(range(10_000)))) == 10
