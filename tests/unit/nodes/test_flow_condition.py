"""How a Condition deals values out and names its inputs, apart from ComfyUI."""

from __future__ import annotations

import pytest

from comfy_orchestrator_nodes.conditions import compile_condition
from comfy_orchestrator_nodes.errors import EvaluationFailed, InvalidRequest
from comfy_orchestrator_nodes.flow.routing import inputs_by_name, routed
from comfy_orchestrator_nodes.nodes.condition import evaluated


def test_values_go_where_their_item_goes() -> None:
    assert routed(["a", "b", "c"], [True, False, True]) == (["a", "c"], ["b"])


def test_one_value_goes_with_every_item() -> None:
    assert routed(["x"], [True, False, True]) == (["x", "x"], ["x"])


def test_without_items_there_is_nothing_to_route() -> None:
    assert routed(["a", "b"], []) == ([], [])


def test_inputs_can_be_renamed_from_the_left() -> None:
    assert inputs_by_name("photo, , score", {"a": 1, "b": 1, "c": 1}) == {"photo": "a", "b": "b", "score": "c"}


def test_only_what_is_connected_has_a_name() -> None:
    assert inputs_by_name("photo", {"b": 1, "value_3": 1}) == {"b": "b", "value_3": "value_3"}


@pytest.mark.parametrize("names", ["a b", "1x", "b", "x, x", "value_1", "a,b,c,d,e,f,g,h,i", "not-a-name"])
def test_names_that_cannot_work_are_refused(names: str) -> None:
    with pytest.raises(InvalidRequest):
        inputs_by_name(names, {"a": 1})


def test_an_error_names_the_item_that_has_it() -> None:
    condition = compile_condition("1 / a > 0", {"a"})
    with pytest.raises(EvaluationFailed, match=r"Item 1: .*division by zero") as failure:
        evaluated(condition, {"a": [1, 0]}, 2)
    assert failure.value.details()["item"] == 1
    assert evaluated(condition, {"a": [1, -1]}, 2) == [True, False]
