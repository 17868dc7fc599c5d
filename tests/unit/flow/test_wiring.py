"""Which guards the prompt handler finds above each input of a Merge."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from comfy_orchestrator_nodes.errors import InvalidRequest
from comfy_orchestrator_nodes.flow.guards import Way
from comfy_orchestrator_nodes.flow.wiring import GUARDS, read_ways, ways_by_hand, wire_guards


def node(class_type: str, **inputs: Any) -> dict[str, Any]:
    return {"class_type": class_type, "inputs": inputs}


def condition(**inputs: Any) -> dict[str, Any]:
    return node("OrchestratorCondition", expression="True", **inputs)


def merge(**inputs: Any) -> dict[str, Any]:
    return node("OrchestratorMerge", mode="list", **inputs)


def way(prompt: dict[str, Any], name: str = "in_1", merge_id: str = "m", lists: tuple[str, ...] = ()) -> Way:
    wired = wire_guards(prompt, lambda class_type: class_type in lists)
    return read_ways(wired[merge_id]["inputs"][GUARDS])[name]


def told(found: Way) -> list[str]:
    """Return each guard as ``node.output kind``, with a star if it may select from the items that arrive."""
    return [f"{g.link[0]}.{g.link[1]} {g.kind}{'*' if {*g.items} & {*found.roots} else ''}" for g in found.guards]


def test_an_input_without_a_condition_above_has_no_guard() -> None:
    assert way({"a": node("LoadImage"), "m": merge(in_1=["a", 0])}) == Way()


def test_both_branches_of_a_condition_have_the_same_items() -> None:
    prompt = {
        "a": node("LoadImage"),
        "c": condition(value_1=["a", 0]),
        "x": node("Any", image=["c", 1]),
        "m": merge(in_1=["x", 0], in_2=["c", 2]),
    }
    one, two = way(prompt, "in_1"), way(prompt, "in_2")
    assert (told(one), told(two)) == (["c.0 true*"], ["c.0 false*"])
    assert one.roots == two.roots == ("a/0",)


def test_every_value_that_is_routed_has_its_branches() -> None:
    prompt = {"c": condition(value_2=["z", 0]), "m": merge(in_1=["c", 3], in_2=["c", 4])}
    assert told(way(prompt, "in_1")) == ["c.0 true*"]
    assert told(way(prompt, "in_2")) == ["c.0 false*"]


def test_the_result_of_a_condition_is_no_branch() -> None:
    prompt = {"c": condition(), "x": node("Any", value=["c", 0]), "m": merge(in_1=["x", 0])}
    assert told(way(prompt)) == []


def test_nested_conditions_are_asked_outermost_first() -> None:
    prompt = {
        "m": merge(in_1=["x", 0]),
        "x": node("Any", image=["a-inner", 1]),
        "a-inner": condition(value_1=["z-outer", 2]),
        "z-outer": condition(value_1=["i", 0]),
        "i": node("LoadImage"),
    }
    assert told(way(prompt)) == ["z-outer.0 false*", "a-inner.0 true*"]


def test_a_condition_beside_the_path_is_asked_too() -> None:
    prompt = {
        "c": condition(value_1=["i", 0]),
        "d": condition(value_1=["j", 0]),
        "x": node("Blend", one=["c", 1], two=["d", 1]),
        "m": merge(in_1=["x", 0]),
    }
    assert told(way(prompt)) == ["c.0 true*", "d.0 true*"]


def test_a_fan_out_makes_items_anew() -> None:
    prompt = {
        "c": condition(value_1=["i", 0]),
        "f": node("OrchestratorFanOut", value=["c", 1]),
        "d": condition(value_1=["f", 0]),
        "m": merge(in_1=["d", 1]),
    }
    found = way(prompt)
    assert told(found) == ["c.0 true", "f.2 some", "d.0 true*"]
    assert found.roots == ("f",)


def test_the_ways_of_a_deal_are_shares() -> None:
    prompt = {"f": node("OrchestratorFanOut", distribute=2), "m": merge(in_1=["f", 3], in_2=["f", 4])}
    assert told(way(prompt, "in_2")) == ["f.2 some", "f.19 share*"]
    assert way(prompt, "in_2").guards[1].share == 1


def test_counts_are_there_even_if_items_are_not() -> None:
    prompt = {"f": node("OrchestratorFanOut"), "n": merge(in_1=["f", 0]), "m": merge(in_1=["f", 2], in_2=["n", 1])}
    assert told(way(prompt, "in_1")) == told(way(prompt, "in_2")) == []


def test_a_merge_stops_what_is_above_it_and_may_be_empty() -> None:
    prompt = {
        "c": condition(value_1=["i", 0]),
        "n": merge(in_1=["c", 1]),
        "m": merge(in_1=["n", 0]),
    }
    found = way(prompt)
    assert (told(found), found.roots) == (["n.2 told", "n.1 some"], ("n",))


def test_what_was_dropped_above_a_merge_is_heard_behind_it_and_behind_what_makes_items_of_it() -> None:
    prompt = {
        "n": merge(in_1=["i", 0]),
        "f": node("OrchestratorFanOut", value=["n", 0]),
        "r": node("OrchestratorRemoteWorkflow", in_1=["f", 0], on_failure="drop"),
        "m": merge(in_1=["r", 2]),
    }
    assert told(way(prompt)) == ["n.2 told", "n.1 some", "f.2 some", "r.18 kept*"]


def test_items_of_items_keep_the_selections_among_the_first() -> None:
    remote = node("OrchestratorRemoteWorkflow", in_1=["f", 0], on_failure="drop")
    prompt = {
        "f": node("OrchestratorFanOut"),
        "r": remote,
        "g": node("OrchestratorFanOut", value=["r", 2]),
        "s": {**remote, "inputs": {**remote["inputs"], "in_1": ["g", 0]}},
        "m": merge(in_1=["s", 2]),
    }
    found = way(prompt)
    assert found.roots == ("g",)
    assert [(g.link[0], g.items) for g in found.guards] == [("f", ()), ("r", ("f",)), ("g", ()), ("s", ("g",))]


@pytest.mark.parametrize(
    ("on_failure", "guards"),
    [("fail", []), ("drop", ["r.18 kept*"]), ("ask", ["r.18 kept*"]), ("default", ["r.18 kept*"])],
)
def test_what_may_drop_items_is_a_guard(on_failure: str, guards: list[str]) -> None:
    remote = node("OrchestratorRemoteWorkflow", in_1=["i", 0], on_failure=on_failure)
    prompt = {"i": node("LoadImage"), "r": remote, "m": merge(in_1=["r", 2])}
    assert told(way(prompt)) == guards


def test_a_node_that_takes_or_makes_lists_makes_items_anew() -> None:
    prompt = {
        "c": condition(value_1=["i", 0]),
        "x": node("ImageListToBatch", images=["c", 1]),
        "m": merge(in_1=["x", 0]),
    }
    found = way(prompt, lists=("ImageListToBatch",))
    assert (told(found), found.roots) == (["c.0 true"], ("x",))


def test_a_result_wired_by_hand_counts_after_what_is_above_it() -> None:
    prompt = {
        "o": condition(value_1=["i", 0]),
        "r": node("SomeTest", value=["o", 1]),
        "m": merge(in_1=["a", 0], in_2=["b", 0], result=["r", 0]),
    }
    assert told(way(prompt, "in_1")) == ["o.0 true", "r.0 true*"]
    assert told(way(prompt, "in_2")) == ["o.0 true", "r.0 false*"]


def test_a_result_wired_by_hand_to_a_condition_that_is_found_anyway_changes_nothing() -> None:
    prompt = {"c": condition(value_1=["i", 0]), "m": merge(in_1=["c", 2], in_2=["c", 1], result=["c", 0])}
    assert told(way(prompt, "in_1")) == ["c.0 false*"]


def test_without_a_handler_the_result_decides_alone() -> None:
    ways = ways_by_hand(["in_1", "in_2"], ("c", 0))
    assert [told(ways[name]) for name in ("in_1", "in_2")] == [["c.0 true*"], ["c.0 false*"]]
    assert ways_by_hand(["in_1"], None) == {"in_1": Way()}


def test_a_prompt_without_a_merge_is_left_as_it_is() -> None:
    prompt = {"c": condition(value_1=["i", 0])}
    assert wire_guards(prompt) == prompt


def test_the_prompt_that_came_is_not_changed() -> None:
    prompt = {"m": merge(in_1=["a", 0])}
    wire_guards(prompt)
    assert GUARDS not in prompt["m"]["inputs"]


def test_a_long_chain_is_no_problem() -> None:
    prompt: dict[str, Any] = {"0": condition(value_1=["i", 0])}
    prompt |= {str(n): node("Any", value=[str(n - 1), 1]) for n in range(1, 5000)}
    assert told(way({**prompt, "m": merge(in_1=["4999", 0])})) == ["0.0 true*"]


@pytest.mark.parametrize("text", ['{"in_1": {}}', "{", "5", "[" * 100_000])
def test_damaged_guards_are_refused(text: str) -> None:
    with pytest.raises(InvalidRequest):
        read_ways(text)


JUNK = st.recursive(
    st.none() | st.integers() | st.text(max_size=3) | st.booleans(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=6,
)
CLASSES = ["OrchestratorCondition", "OrchestratorFanOut", "OrchestratorMerge", "OrchestratorRemoteWorkflow", "Any"]
LINKS = st.tuples(st.sampled_from("abcdx"), st.integers(-1, 20)).map(list)
NODES = st.fixed_dictionaries(
    {
        "class_type": st.sampled_from(CLASSES) | JUNK,
        "inputs": st.dictionaries(st.sampled_from(["in_1", "in_2", "value_1", "a", "result"]), LINKS | JUNK) | JUNK,
    }
)


@given(st.dictionaries(st.sampled_from("abcd"), NODES | JUNK))
def test_whatever_a_prompt_holds_it_is_left_for_validation(prompt: dict[str, Any]) -> None:
    assert wire_guards(prompt).keys() == prompt.keys()
