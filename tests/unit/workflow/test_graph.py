"""Prompts are checked for soundness, and types are followed along their links."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from comfy_orchestrator_nodes.errors import InvalidPrompt
from comfy_orchestrator_nodes.workflow.graph import (
    ancestors,
    as_link,
    check_prompt,
    consumers,
    find_cycle,
    id_maker,
    link_type,
)
from tests.support.node_classes import new_server, old_server


def node(class_type: str, **inputs: Any) -> dict[str, Any]:
    return {"class_type": class_type, "inputs": inputs}


@pytest.mark.parametrize("value", [["1", 0], ["1", 0.0], ("a:2", 3)])
def test_a_pair_of_text_and_whole_number_is_a_link(value: Any) -> None:
    assert as_link(value) == (value[0], int(value[1]))


@pytest.mark.parametrize("value", ["1", ["1"], ["1", "0"], [1, 0], ["1", True], ["1", 0.5], ["1", float("inf")], None])
def test_anything_else_is_a_constant(value: Any) -> None:
    assert as_link(value) is None


@pytest.mark.parametrize(
    ("prompt", "words"),
    [
        ([], "no"),
        ({}, "none"),
        ({"1": None}, "class_type"),
        ({"1": {"inputs": {}}}, "class_type"),
        ({1: node("A")}, "not a text"),
        ({"1": {"class_type": "A", "inputs": []}}, "no object"),
        ({"1": node("A", x=["2", 0])}, "there is none"),
        ({"1": node("A", x=["1", -1])}, "there is none"),
        ({"1": node("A", x=["1", 0])}, "1 -> 1"),
        ({"1": node("A", x=["2", 0]), "2": node("B", y=["1", 0])}, "circle"),
    ],
)
def test_an_unsound_prompt_is_refused_with_the_reason(prompt: Any, words: str) -> None:
    with pytest.raises(InvalidPrompt, match=words):
        check_prompt(prompt)


def test_a_chain_of_twenty_thousand_nodes_is_no_problem() -> None:
    prompt = {str(i): node("A", **({"x": [str(i - 1), 0]} if i else {})) for i in range(20_000)}
    assert check_prompt(prompt) is prompt
    assert len(ancestors(prompt, ["19999"])) == 20_000


@settings(deadline=None)
@given(st.dictionaries(st.sampled_from("abcdef"), st.lists(st.sampled_from("abcdef"), max_size=3), min_size=1))
def test_a_cycle_is_found_exactly_when_there_is_one(edges: dict[str, list[str]]) -> None:
    prompt = {
        n: node("A", **{f"x{i}": [s, 0] for i, s in enumerate(sources) if s in edges}) for n, sources in edges.items()
    }
    reaches_itself = any(
        n in ancestors(prompt, [source])
        for n, given_node in prompt.items()
        for source, _ in given_node["inputs"].values()
    )
    cycle = find_cycle(prompt)
    assert bool(cycle) == reaches_itself
    for source, target in zip(cycle, (*cycle[1:], *cycle[:1]), strict=True):
        assert [source, 0] in prompt[target]["inputs"].values()


def test_consumers_are_listed_by_link() -> None:
    prompt = {"1": node("A"), "2": node("B", x=["1", 0], y=["1", 1]), "3": node("C", z=["1", 0], c=5)}
    assert consumers(prompt) == {("1", 0): [("2", "x"), ("3", "z")], ("1", 1): [("2", "y")]}


def test_a_type_is_followed_through_nodes_that_pass_anything() -> None:
    prompt = {
        "1": node("EmptyImage", width=8),
        "2": node("OrchestratorWorkflowInput", value=["1", 0]),
        "3": node("ComfySwitchNode", switch=True, on_true=["2", 0], on_false=["1", 0]),
        "4": node("Unknown", x=["3", 0]),
    }
    assert link_type(prompt, ("3", 0), new_server()) == "IMAGE"
    assert link_type(prompt, ("4", 0), new_server()) == "*"
    assert link_type(prompt, ("1", 7), new_server()) == "*"


def test_a_declared_type_of_a_workflow_input_counts() -> None:
    prompt = {"1": node("OrchestratorWorkflowInput", name="x", type="MASK")}
    assert link_type(prompt, ("1", 0), old_server()) == "MASK"


def test_new_ids_are_free_and_the_same_each_time() -> None:
    def make() -> list[str]:
        maker = id_maker({"1", "orchestrator_load_1"})
        return [maker("load"), maker("load"), maker("save")]

    assert make() == ["orchestrator_load_2", "orchestrator_load_3", "orchestrator_save_1"] == make()
