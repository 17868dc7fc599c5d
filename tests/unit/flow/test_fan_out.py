"""What becomes items."""

from __future__ import annotations

import json
from typing import Any

import pytest

from comfy_orchestrator_nodes.errors import InvalidRequest
from comfy_orchestrator_nodes.flow.fan_out import (
    MAX_ITEMS,
    dealt,
    from_grid,
    from_json,
    from_lines,
    from_list,
    from_seeds,
)


def test_lists_are_opened_one_level_deep() -> None:
    assert from_list([1, [2, [3]], ("x",)]).values == [1, 2, [3], "x"]


def test_empty_lines_are_no_items() -> None:
    assert from_lines(["a\n\n  b  \n", "c"]).values == ["a", "b", "c"]


def test_a_json_array_keeps_its_types() -> None:
    assert from_json(['[1, "x", null, {"a": [2]}]']).values == [1, "x", None, {"a": [2]}]


@pytest.mark.parametrize("text", ["", "{}", "[", "5", "[" * 100_000])
def test_what_is_no_json_array_is_refused(text: str) -> None:
    with pytest.raises(InvalidRequest, match="JSON"):
        from_json([text])


def test_seeds_go_on_at_zero() -> None:
    assert from_seeds(2**64 - 1, 3).values == [2**64 - 1, 0, 1]
    assert from_seeds(5, 0).values == []


def test_a_grid_has_every_combination_with_the_last_name_fastest() -> None:
    grid = from_grid(["cfg: 4, 6.5\nsampler: euler, ddim, ,"])
    assert grid.columns == {"cfg": [4, 4, 6.5, 6.5], "sampler": ["euler", "ddim", "euler", "ddim"]}
    assert json.loads(grid.values[3]) == {"cfg": 6.5, "sampler": "ddim"}


def test_a_grid_may_be_json() -> None:
    assert from_grid(['{"on": [true, false], "text": ["a, b"]}']).columns == {
        "on": [True, False],
        "text": ["a, b", "a, b"],
    }


def test_a_grid_with_an_empty_list_or_of_nothing_has_no_items() -> None:
    assert list(from_grid(["a: 1\nb:"]).values) == []
    assert list(from_grid([""]).values) == []


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("cfg 4, 5", "name: value, value"),
        ("a: 1\na: 2", "names 'a' twice"),
        ('{"a": 5}', "object of arrays"),
        ("{", "no valid JSON"),
        ("\n".join(f"n{n}: 1" for n in range(17)), "at most 16 names"),
        ("\n".join(f"n{n}: {','.join('1' * 100)}" for n in range(16)), "items; FanOut makes at most"),
    ],
)
def test_grids_that_make_no_sense_are_refused(text: str, told: str) -> None:
    with pytest.raises(InvalidRequest, match=told):
        from_grid([text])


@pytest.mark.parametrize("make", [lambda n: from_seeds(0, n), lambda n: from_list([0] * n)])
def test_silly_sizes_are_refused(make: Any) -> None:
    assert len(make(MAX_ITEMS).values) == MAX_ITEMS
    with pytest.raises(InvalidRequest, match="at most 10,000"):
        make(MAX_ITEMS + 1)


def test_items_are_dealt_as_cards_are() -> None:
    assert [dealt([1, 2, 3, 4, 5], 3, way) for way in range(3)] == [[1, 4], [2, 5], [3]]
