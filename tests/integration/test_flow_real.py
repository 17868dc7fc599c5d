"""Condition, FanOut and Merge in a real ComfyUI's own executor."""

from __future__ import annotations

import time
import urllib.request

import pytest

from tests.support.graphs import (
    FAILED,
    FALSE_1,
    FALSE_2,
    INDEX,
    ITEM,
    MERGED,
    MERGED_COUNT,
    TRUE_1,
    TRUE_2,
    Graph,
    cached,
    condition,
    failure_of,
    fan_out,
    gray,
    levels,
    merge,
    node,
    remote,
    save,
    seeds,
    show,
    shown,
    with_test_nodes,
)
from tests.support.master import Master
from tools.devtools.instances import Farm

pytestmark = [pytest.mark.comfy, pytest.mark.timeout(300)]


@pytest.fixture(scope="module")
def master(comfy_farm: Farm) -> Master:
    """One ComfyUI with the pack and the test nodes."""
    with_test_nodes(comfy_farm, "flow-master")
    return Master(comfy_farm.with_pack("flow-master")[0])


# --- one value


@pytest.mark.parametrize(("size", "saved", "merged"), [(8, "keep", 255 - 0x20), (32, "other", 0x20)])
def test_only_the_branch_taken_runs_and_the_merge_behind_it_does(
    master: Master, size: int, saved: str, merged: int
) -> None:
    graph: Graph = {
        "image": gray(0x20, size),
        "if": condition("a.width < 16", a=["image", 0], value_1=["image", 0]),
        "small": node("ImageInvert", image=["if", TRUE_1]),
        "keep": save(["small", 0]),
        "other": save(["if", FALSE_1]),
        "merge": merge("batch", in_1=["small", 0], in_2=["if", FALSE_1]),
        "end": save(["merge", 0]),
    }
    done = master.run(graph)
    assert [name for name in ("keep", "other") if master.images(done, name)] == [saved]
    assert levels(master, done, "end") == [merged]


def test_nodes_of_a_branch_not_taken_are_never_executed(master: Master) -> None:
    graph: Graph = {
        "image": gray(1),
        "if": condition("a.width > 100", a=["image", 0], value_1=["image", 0]),
        "fails": node("OrchestratorTestFail", image=["if", TRUE_1], message="must not run"),
        "merge": merge("batch", in_1=["fails", 0], in_2=["if", FALSE_1]),
        "end": save(["merge", 0]),
    }
    assert levels(master, master.run(graph), "end") == [1]


@pytest.mark.parametrize(("outer", "inner", "expected"), [(1, 1, 10), (1, 0, 20), (0, 1, 30), (0, 0, 30)])
def test_conditions_nest(master: Master, outer: int, inner: int, expected: int) -> None:
    graph: Graph = {
        "ten": gray(10),
        "twenty": gray(20),
        "thirty": gray(30),
        "outer": condition(f"{outer} == 1", value_1=["ten", 0], value_2=["twenty", 0], value_3=["thirty", 0]),
        "inner": condition(f"{inner} == 1", value_1=["outer", 1], value_2=["outer", 3]),
        # Output nodes in every branch: what is blocked is in ComfyUI's cache before the Merge asks.
        "s1": save(["inner", 1]),
        "s2": save(["inner", 4]),
        "s3": save(["outer", 6]),
        "merge": merge("batch", in_1=["inner", 1], in_2=["inner", 4], in_3=["outer", 6]),
        "end": save(["merge", 0]),
    }
    done = master.run(graph)
    assert levels(master, done, "end") == [expected]
    assert sum(len(master.images(done, name)) for name in ("s1", "s2", "s3")) == 1


def test_a_second_run_is_served_from_the_cache_and_another_branch_runs_anew(master: Master) -> None:
    def graph(limit: int) -> Graph:
        return {
            "image": gray(7),
            "if": condition(f"a.width < {limit}", a=["image", 0], value_1=["image", 0]),
            "bright": node("ImageInvert", image=["if", TRUE_1]),
            "seen": save(["if", FALSE_1]),
            "merge": merge("batch", in_1=["bright", 0], in_2=["if", FALSE_1]),
            "end": save(["merge", 0]),
        }

    first = graph(100)
    assert levels(master, master.run(first), "end") == [248]
    assert levels(master, master.run(first), "end") == [248]
    assert levels(master, master.run(graph(4)), "end") == [7]
    again = {**graph(100), "end": save(["merge", 0])}
    assert levels(master, master.run(again), "end") == [248]


def test_the_result_of_a_condition_can_be_wired_by_hand(master: Master) -> None:
    graph: Graph = {
        "image": gray(3),
        "other": gray(5),
        "if": condition("a.width == 1", a=["image", 0]),
        "fails": node("OrchestratorTestFail", image=["image", 0], message="must not run"),
        "merge": merge("batch", in_1=["fails", 0], in_2=["other", 0], result=["if", 0]),
        "end": save(["merge", 0]),
    }
    assert levels(master, master.run(graph), "end") == [5]


def test_nodes_in_subgraphs_have_ids_with_colons_and_work_alike(master: Master) -> None:
    graph: Graph = {
        "1": gray(9),
        "5:2": condition("a.width > 100", a=["1", 0], value_1=["1", 0]),
        "5:3:1": node("OrchestratorTestFail", image=["5:2", TRUE_1], message="must not run"),
        "6:4": merge("batch", in_1=["5:3:1", 0], in_2=["5:2", FALSE_1]),
        "7": save(["6:4", 0]),
    }
    assert levels(master, master.run(graph), "7") == [9]


# --- items


def test_items_take_their_branches_one_by_one_and_come_back_in_order(master: Master) -> None:
    graph: Graph = {
        "fan": seeds(7),
        "if": condition("a % 3 == 0", a=["fan", 0], value_1=["fan", 0]),
        "yes": node("OrchestratorTestText", value=["if", TRUE_1], text="three"),
        "seen": show(["if", TRUE_1]),
        "merge": merge("list", in_1=["yes", 0], in_2=["if", FALSE_1]),
        "end": show(["merge", 0]),
        "count": show(["merge", 1]),
    }
    done = master.run(graph)
    assert shown(master, done, "end") == ["three 0", 1, 2, "three 3", 4, 5, "three 6"]
    assert shown(master, done, "count") == [7]
    assert shown(master, done, "seen") == [0, 3, 6]


def test_nested_conditions_over_items_keep_the_order(master: Master) -> None:
    graph: Graph = {
        "fan": seeds(8),
        "outer": condition("a < 5", a=["fan", 0], value_1=["fan", 0]),
        "inner": condition("value_1 % 2 == 0", value_1=["outer", TRUE_1]),
        "even": node("OrchestratorTestText", value=["inner", TRUE_1], text="even"),
        "odd": node("OrchestratorTestText", value=["inner", FALSE_1], text="odd"),
        "merge": merge("text join", in_1=["even", 0], in_2=["odd", 0], in_3=["outer", FALSE_1]),
        "end": show(["merge", 0]),
    }
    done = master.run(graph)
    assert shown(master, done, "end") == ["even 0,odd 1,even 2,odd 3,even 4,5,6,7"]


@pytest.mark.parametrize("count", [0, 1, 1000])
def test_any_number_of_items_is_merged(master: Master, count: int) -> None:
    graph: Graph = {
        "fan": seeds(count),
        "if": condition("a < 600", a=["fan", 0], value_1=["fan", 0]),
        "merge": merge("list", in_1=["if", TRUE_1], in_2=["if", FALSE_1]),
        "end": show(["merge", 0]),
        "count": show(["merge", 1]),
    }
    done = master.run(graph)
    assert shown(master, done, "count") == [count]
    assert shown(master, done, "end") == (list(range(count)) if count else None)


def test_items_dealt_out_come_back_in_item_order(master: Master) -> None:
    graph: Graph = {
        "fan": fan_out("lines", text="a\nb\n\nc\nd\ne", distribute=3),
        "first": node("OrchestratorTestText", value=["fan", 3], text="1"),
        "second": node("OrchestratorTestText", value=["fan", 4], text="2"),
        "third": node("OrchestratorTestText", value=["fan", 5], text="3"),
        "merge": merge("text join", in_1=["third", 0], in_2=["second", 0], in_3=["first", 0]),
        "end": show(["merge", 0]),
    }
    assert shown(master, master.run(graph), "end") == ["1 a,2 b,3 c,1 d,2 e"]


def test_a_way_of_a_deal_that_gets_nothing_does_not_block_the_merge(master: Master) -> None:
    graph: Graph = {
        "fan": fan_out("json", text='["a"]', distribute=2),
        "merge": merge("text join", in_1=["fan", 3], in_2=["fan", 4]),
        "end": show(["merge", 0]),
    }
    assert shown(master, master.run(graph), "end") == ["a"]


def test_a_grid_has_an_output_for_each_name(master: Master) -> None:
    graph: Graph = {
        "fan": fan_out("grid", text="cfg: 4, 6.5\nsampler: euler, ddim"),
        "cfg": show(["fan", 3]),
        "sampler": show(["fan", 4]),
        "item": show(["fan", 0]),
    }
    done = master.run(graph)
    assert shown(master, done, "cfg") == [4, 4, 6.5, 6.5]
    assert shown(master, done, "sampler") == ["euler", "ddim", "euler", "ddim"]
    assert (shown(master, done, "item") or [])[0] == '{"cfg": 4, "sampler": "euler"}'


def test_a_batch_is_taken_apart_and_put_together_again(master: Master) -> None:
    graph: Graph = {
        **{f"g{n}": gray(n * 10) for n in range(3)},
        "b1": node("ImageBatch", image1=["g0", 0], image2=["g1", 0]),
        "b2": node("ImageBatch", image1=["b1", 0], image2=["g2", 0]),
        "fan": fan_out("batch", value=["b2", 0], chunk=2),
        "counts": show(["fan", 2]),
        "bright": node("ImageInvert", image=["fan", 0]),
        "merge": merge("batch", in_1=["bright", 0]),
        "end": save(["merge", 0]),
    }
    done = master.run(graph)
    assert shown(master, done, "counts") == [2]
    assert levels(master, done, "end") == [255, 245, 235]


def test_many_items_below_one_item_of_a_branch_stay_together(master: Master) -> None:
    graph: Graph = {
        "text": fan_out("lines", text="x"),
        "if": condition("a == 'x'", a=["text", 0], value_1=["text", 0]),
        "fan": fan_out("list", value=["if", TRUE_1]),
        "many": seeds(3),
        "all": node("OrchestratorTestText", value=["many", 0], text=["fan", 0]),
        "merge": merge("list", in_1=["all", 0], in_2=["if", FALSE_1]),
        "end": show(["merge", 0]),
    }
    assert shown(master, master.run(graph), "end") == ["x 0", "x 1", "x 2"]


def test_a_branch_that_changes_the_number_of_items_is_refused(master: Master) -> None:
    graph: Graph = {
        "fan": seeds(4),
        "if": condition("a < 2", a=["fan", 0], value_1=["fan", 0]),
        "more": seeds(3),
        "pairs": node("OrchestratorTestText", value=["more", 0], text="x"),
        "both": node("OrchestratorTestPair", first=["if", TRUE_1], second=["pairs", 0]),
        "merge": merge("list", in_1=["both", 0], in_2=["if", FALSE_1]),
        "end": show(["merge", 0]),
    }
    assert "in_1 brings 3 items, but 2 took its branch" in failure_of(master, graph)


# --- refusals before anything runs


@pytest.mark.parametrize(
    ("graph", "told"),
    [
        ({"if": condition("a >", a=["i", 0])}, "expected a value before the end"),
        ({"if": condition("b > 1", a=["i", 0])}, "no input is named 'b'"),
        ({"if": fan_out("batch")}, "needs something connected"),
        ({"if": merge()}, "Connect something to in_1"),
        ({"if": remote("gone", in_1=["i", 0])}, "it may carry the workflow with it: import that from the file"),
    ],
)
def test_what_cannot_work_is_refused_before_anything_runs(master: Master, graph: Graph, told: str) -> None:
    refusal = master.refused({"i": gray(1), **graph, "end": show(["if", 0])})
    assert told in str(refusal["node_errors"])


@pytest.mark.parametrize(
    ("class_type", "title"),
    [
        ("OrchestratorCondition", "Condition"),
        ("OrchestratorFanOut", "Fan Out"),
        ("OrchestratorMerge", "Merge"),
        ("OrchestratorRemoteWorkflow", "Remote Workflow"),
        ("OrchestratorWorkflowInput", "Workflow Input"),
        ("OrchestratorWorkflowOutput", "Workflow Output"),
    ],
)
def test_each_node_has_a_help_page_where_the_canvas_looks_for_it(master: Master, class_type: str, title: str) -> None:
    info = master.api.get(f"/object_info/{class_type}")[class_type]
    pack = info["python_module"].partition(".")[2]
    with urllib.request.urlopen(f"{master.instance.url}/extensions/{pack}/docs/{class_type}.md", timeout=30) as answer:
        assert answer.read().decode().startswith(f"# {title}\n")
    assert info["display_name"] == title


def test_a_workflow_with_branches_works_as_a_node_on_this_server(master: Master) -> None:
    workflow = master.define(
        "Branching",
        {
            "1": node("LoadImage", image="example.png"),
            "2": condition("a.width < 16", a=["1", 0], value_1=["1", 0]),
            "3": node("ImageInvert", image=["2", TRUE_1]),
            "4": merge("batch", in_1=["3", 0], in_2=["2", FALSE_1]),
            "5": save(["4", 0]),
        },
    )
    remote = node("OrchestratorRemoteWorkflow", workflow=workflow, backend="This server", parameters="{}", cache=False)
    for size, expected in ((8, 245), (32, 10)):
        remote["inputs"]["in_1"] = ["i", 0]
        done = master.run({"i": gray(10, size), "r": remote, "end": save(["r", 2])})
        assert levels(master, done, "end") == [expected]


@pytest.mark.parametrize(
    "class_type",
    [
        "OrchestratorCondition",
        "OrchestratorFanOut",
        "OrchestratorMerge",
        "OrchestratorRemoteWorkflow",
        "OrchestratorWorkflowInput",
        "OrchestratorWorkflowOutput",
    ],
)
def test_every_slot_and_widget_says_what_it_is(master: Master, class_type: str) -> None:
    info = master.api.get(f"/object_info/{class_type}")[class_type]
    declared = {**info["input"]["required"], **info["input"].get("optional", {})}
    untold = [name for name, spec in declared.items() if len(spec) < 2 or not spec[1].get("tooltip")]
    assert untold == []
    assert len(info["output_tooltips"]) == len(info["output"])
    assert all(info["output_tooltips"])


# --- several values, names, and what is cached


def test_several_values_take_the_same_branch_item_by_item(master: Master) -> None:
    graph: Graph = {
        "fan": seeds(4),
        "texts": fan_out("lines", text="a\nb\nc\nd"),
        "if": condition(
            "number % 2 == 0 and value_2 != 'c'",
            "number",
            a=["fan", ITEM],
            value_1=["fan", ITEM],
            value_2=["texts", ITEM],
        ),
        "even": show(["if", TRUE_1]),
        "odd": show(["if", FALSE_1]),
        "even-texts": show(["if", TRUE_2]),
        "odd-texts": show(["if", FALSE_2]),
        "numbers": merge("list", in_1=["if", TRUE_1], in_2=["if", FALSE_1]),
        "letters": merge("text join", in_1=["if", FALSE_2], in_2=["if", TRUE_2]),
        "end": show(["numbers", MERGED]),
        "end-texts": show(["letters", MERGED]),
    }
    done = master.run(graph)
    assert [shown(master, done, name) for name in ("even", "odd")] == [[0], [1, 2, 3]]
    assert [shown(master, done, name) for name in ("even-texts", "odd-texts")] == [["a"], ["b", "c", "d"]]
    assert shown(master, done, "end") == [0, 1, 2, 3]
    assert shown(master, done, "end-texts") == ["a,b,c,d"]


def test_the_best_items_are_kept_in_item_order_and_the_rest_goes_the_other_way(master: Master) -> None:
    graph: Graph = {
        "fan": fan_out("json", text="[3, 9, 1, 9, 4]"),
        "if": condition("best(a, 2)", a=["fan", ITEM], value_1=["fan", INDEX]),
        "kept": show(["if", TRUE_1]),
        "rest": show(["if", FALSE_1]),
    }
    done = master.run(graph)
    assert (shown(master, done, "kept"), shown(master, done, "rest")) == ([1, 3], [0, 2, 4])


def test_a_second_run_of_items_takes_everything_from_the_cache(master: Master) -> None:
    graph: Graph = {
        "fan": seeds(5, 70),
        "outer": condition("a < 73", a=["fan", ITEM], value_1=["fan", ITEM]),
        "inner": condition("value_1 % 2 == 0", value_1=["outer", TRUE_1]),
        "even": node("OrchestratorTestText", value=["inner", TRUE_1], text="even"),
        "seen": show(["inner", FALSE_1]),
        "merge": merge("list", in_1=["even", 0], in_2=["inner", FALSE_1], in_3=["outer", FALSE_1]),
        "again": merge("list", in_1=["merge", MERGED]),
        "end": show(["again", MERGED]),
    }
    expected = ["even 70", 71, "even 72", 73, 74]
    first, second = master.run(graph), master.run(graph)
    assert shown(master, first, "end") == shown(master, second, "end") == expected
    assert cached(master, second) >= graph.keys()


def test_items_pass_through_subgraphs_within_branches(master: Master) -> None:
    graph: Graph = {
        "1": seeds(6),
        "2:1": condition("value_1 % 2 == 0", value_1=["1", ITEM]),
        "2:7:3": node("OrchestratorTestText", value=["2:1", TRUE_1], text="even"),
        "2:7:4": condition("a > 3", a=["2:1", FALSE_1], value_1=["2:1", FALSE_1]),
        "2:9": merge("list", in_1=["2:7:3", 0], in_2=["2:7:4", TRUE_1], in_3=["2:7:4", FALSE_1]),
        "3": show(["2:9", MERGED]),
    }
    assert shown(master, master.run(graph), "3") == ["even 0", 1, "even 2", 3, "even 4", 5]


def test_a_merge_of_merges_keeps_each_ones_order(master: Master) -> None:
    graph: Graph = {
        "fan": seeds(4),
        "if": condition("a % 2 == 0", a=["fan", ITEM], value_1=["fan", ITEM]),
        "one": merge("list", in_1=["if", FALSE_1], in_2=["if", TRUE_1]),
        "letters": fan_out("lines", text="x\ny"),
        "two": merge("list", in_1=["letters", ITEM]),
        "nothing": merge("list", in_1=["none", ITEM]),
        "none": seeds(0),
        "all": merge("list", in_1=["two", MERGED], in_2=["nothing", MERGED], in_3=["one", MERGED]),
        "end": show(["all", MERGED]),
        "count": show(["all", MERGED_COUNT]),
        "failed": show(["all", FAILED]),
    }
    done = master.run(graph)
    assert shown(master, done, "end") == ["x", "y", 0, 1, 2, 3]
    assert (shown(master, done, "count"), shown(master, done, "failed")) == ([6], [[]])


def test_a_condition_decides_behind_a_merge_about_all_items_at_once(master: Master) -> None:
    graph: Graph = {
        "fan": seeds(3),
        "merge": merge("list", in_1=["fan", ITEM]),
        "if": condition("a > 2", a=["merge", MERGED_COUNT], value_1=["merge", MERGED]),
        "enough": show(["if", TRUE_1]),
        "few": show(["if", FALSE_1]),
    }
    done = master.run(graph)
    assert (shown(master, done, "enough"), shown(master, done, "few")) == ([0, 1, 2], None)


def test_a_thousand_items_and_nested_branches_take_seconds(master: Master) -> None:
    graph: Graph = {
        "fan": seeds(1000),
        "if": condition("best(-a, 10)", a=["fan", ITEM], value_1=["fan", ITEM]),
        "text": node("OrchestratorTestText", value=["if", FALSE_1], text="n"),
        "merge": merge("list", in_1=["text", 0], in_2=["if", TRUE_1]),
        "end": show(["merge", MERGED]),
    }
    started = time.monotonic()
    found = shown(master, master.run(graph), "end") or []
    assert time.monotonic() - started < 20
    assert (found[9:11], len(found)) == ([9, "n 10"], 1000)


@pytest.mark.parametrize("single_first", [True, False])
def test_a_single_value_out_of_a_branch_beside_items_leaves_them_their_places(
    master: Master, single_first: bool
) -> None:
    graph: Graph = {
        "text": fan_out("lines", text="x"),
        "known": condition("a == 'x'", a=["text", ITEM], value_1=["text", ITEM]),
        "fan": seeds(5),
        "even": condition("a % 2 == 0", a=["fan", ITEM], value_1=["fan", ITEM]),
        "both": node("OrchestratorTestPair"),
        "merge": merge("list", in_1=["both", 0], in_2=["even", FALSE_1]),
        "end": show(["merge", MERGED]),
    }
    first, second = (["known", TRUE_1], ["even", TRUE_1]) if single_first else (["even", TRUE_1], ["known", TRUE_1])
    graph["both"]["inputs"] = {"first": first, "second": second}
    told = "x {}" if single_first else "{} x"
    assert shown(master, master.run(graph), "end") == [told.format(0), 1, told.format(2), 3, told.format(4)]
