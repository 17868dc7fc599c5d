"""Lists as items: what belongs together, and what does not fit."""

from __future__ import annotations

from typing import Any

import pytest

from comfy_orchestrator_nodes.errors import InvalidRequest
from comfy_orchestrator_nodes.nodes.items import item, item_count


def test_single_values_make_one_item() -> None:
    assert item_count({"a": [1], "b": ["x"]}) == 1
    assert item_count({}) == 1


def test_a_list_makes_as_many_items_and_single_values_serve_all() -> None:
    lists: dict[str, list[Any]] = {"a": [1, 2, 3], "b": ["x"]}
    assert item_count(lists) == 3
    assert [item(lists, i) for i in range(3)] == [{"a": 1, "b": "x"}, {"a": 2, "b": "x"}, {"a": 3, "b": "x"}]


def test_an_empty_list_makes_no_items() -> None:
    assert item_count({"a": [], "b": [1]}) == 0


def test_lists_of_different_lengths_are_refused_and_named() -> None:
    with pytest.raises(InvalidRequest, match=r"a has 2, b has 3"):
        item_count({"a": [1, 2], "b": [1, 2, 3]})
