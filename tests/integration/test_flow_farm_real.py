"""Items that run on other servers: order, failures that drop items, and equality with work done here."""

from __future__ import annotations

import re

import pytest

from tests.support.graphs import (
    FAILED,
    FALSE_1,
    INFO,
    ITEM,
    MERGED,
    MERGED_COUNT,
    REMOTE_INDEX,
    REMOTE_OUT_1,
    TRUE_1,
    Graph,
    condition,
    fan_out,
    gray_batch,
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
from tests.support.watching import watch
from tools.devtools.instances import Farm

pytestmark = [pytest.mark.comfy, pytest.mark.timeout(300)]

PEERS = ("flow-one", "flow-two")


@pytest.fixture(scope="module")
def master(comfy_farm: Farm) -> Master:
    """A master with two peers, all with the test nodes."""
    with_test_nodes(comfy_farm, "flow-farm-master", *PEERS)
    peers = comfy_farm.plain(*PEERS)
    found = Master(comfy_farm.with_pack("flow-farm-master")[0])
    for peer in peers:
        found.register(peer)
    return found


def test_items_on_two_servers_give_what_the_same_work_gives_here(master: Master) -> None:
    workflow = master.define(
        "Invert item",
        {
            "1": node("LoadImage", image="example.png"),
            "2": node("ImageInvert", image=["1", 0]),
            "3": save(["2", 0]),
        },
    )
    graph = {
        **gray_batch([n * 20 for n in range(8)]),
        "far": remote(workflow, in_1=["fan", ITEM]),
        "near": node("ImageInvert", image=["fan", 0]),
        "far-merge": merge("batch", in_1=["far", 2]),
        "near-merge": merge("batch", in_1=["near", 0]),
        "far-end": save(["far-merge", 0]),
        "near-end": save(["near-merge", 0]),
    }
    done = master.run(graph)
    near = levels(master, done, "near-end")
    assert levels(master, done, "far-end") == near
    assert near == sorted(near, reverse=True)
    assert len(set(near)) == 8
    assert {job["attempts"][-1]["backend"] for job in master.jobs(done)} == set(PEERS)


def failing(master: Master) -> str:
    """Define a workflow that fails for dark images."""
    return master.define(
        "Fail in the dark",
        {
            "1": node("LoadImage", image="example.png"),
            "2": node("OrchestratorTestFailDark", image=["1", 0]),
            "3": save(["2", 0]),
        },
    )


def test_dropped_items_are_told_by_the_merge_and_the_others_keep_their_places(master: Master) -> None:
    graph = {
        **gray_batch([200, 10, 210, 20]),
        "far": remote(failing(master), in_1=["fan", ITEM], on_failure="drop", attempts=1),
        "bright": condition("a.attempts == 1 and value_1.mean > 0.8", a=["far", INFO], value_1=["far", REMOTE_OUT_1]),
        "merge": merge("batch", in_1=["bright", 1], in_2=["bright", 2]),
        "end": save(["merge", 0]),
        "failed": show(["merge", 2]),
        "count": show(["merge", 1]),
        "index": show(["far", 0]),
    }
    done = master.run(graph)
    outputs = master.wait(done)["outputs"]
    assert levels(master, done, "end") == [200, 210]
    assert outputs["index"]["values"] == [0, 2]
    assert outputs["count"]["values"] == [2]
    (failed,) = outputs["failed"]["values"]
    assert [failure["index"] for failure in failed] == [1, 3]
    assert all("too dark" in failure["cause"] and failure["backend"] in PEERS for failure in failed)


def test_if_every_item_is_dropped_the_merge_still_tells_why(master: Master) -> None:
    graph = {
        **gray_batch([1, 2]),
        "far": remote(failing(master), in_1=["fan", ITEM], on_failure="drop", attempts=1),
        "merge": merge("batch", in_1=["far", 2]),
        "end": save(["merge", 0]),
        "failed": show(["merge", 2]),
        "count": show(["merge", 1]),
    }
    done = master.run(graph)
    outputs = master.wait(done)["outputs"]
    assert "end" not in outputs
    assert outputs["count"]["values"] == [0]
    assert len(outputs["failed"]["values"][0]) == 2


def test_jobs_of_a_branch_not_taken_are_never_submitted(master: Master) -> None:
    workflow = failing(master)
    graph = {
        **gray_batch([200, 10, 210]),
        "dark": condition("value_1.mean < 0.5", value_1=["fan", ITEM]),
        "far": remote(workflow, in_1=["dark", FALSE_1]),
        "merge": merge("batch", in_1=["dark", 1], in_2=["far", 2]),
        "end": save(["merge", 0]),
    }
    done = master.run(graph)
    assert levels(master, done, "end") == [200, 10, 210]
    assert len(master.jobs(done)) == 2


def dropping(workflow: str, *source: str | int) -> Graph:
    return remote(workflow, in_1=list(source), on_failure="drop", attempts=1)


def told(master: Master, prompt_id: str, node_id: str) -> list[tuple[str, int, str]]:
    """Return the source, index and node of each failure that reached a show node."""
    ((*failures,),) = shown(master, prompt_id, node_id) or []
    assert all(failure["backend"] in PEERS and "too dark" in failure["cause"] for failure in failures)
    return [(failure["source"], failure["index"], failure["node"]) for failure in failures]


def test_what_was_dropped_is_told_behind_a_second_merge_too(master: Master) -> None:
    graph = {
        **gray_batch([200, 10, 210, 20]),
        "far": dropping(failing(master), "fan", ITEM),
        "first": merge("list", in_1=["far", REMOTE_OUT_1]),
        "bright": condition("value_1.mean > 0.8", value_1=["first", MERGED]),
        "second": merge("batch", in_1=["bright", TRUE_1], in_2=["bright", FALSE_1]),
        "end": save(["second", MERGED]),
        "failed": show(["second", FAILED]),
    }
    done = master.run(graph)
    assert levels(master, done, "end") == [200, 210]
    assert told(master, done, "failed") == [("fan", 1, "far"), ("fan", 3, "far")]


def test_what_was_dropped_is_told_behind_a_merge_that_nothing_reaches(master: Master) -> None:
    graph = {
        **gray_batch([10, 20]),
        "far": dropping(failing(master), "fan", ITEM),
        "first": merge("list", in_1=["far", REMOTE_OUT_1]),
        "second": merge("batch", in_1=["first", MERGED]),
        "failed": show(["second", FAILED]),
        "count": show(["second", MERGED_COUNT]),
    }
    done = master.run(graph)
    assert told(master, done, "failed") == [("fan", 0, "far"), ("fan", 1, "far")]
    assert shown(master, done, "count") == [0]


def test_nested_fan_outs_tell_what_each_level_dropped_by_its_own_items(master: Master) -> None:
    graph = {
        **gray_batch([10, 200, 210, 30]),
        "bright": condition("value_1.mean > 0.1", value_1=["fan", ITEM]),
        "outer": dropping(failing(master), "bright", TRUE_1),
        # Each bright image with a dark one: the inner items are 200, 5, 210, 5.
        "dark": node("EmptyImage", width=8, height=8, batch_size=1, color=0x050505),
        "pair": node("ImageBatch", image1=["outer", REMOTE_OUT_1], image2=["dark", 0]),
        "again": fan_out("batch", value=["pair", 0]),
        "inner": dropping(failing(master), "again", ITEM),
        "merge": merge("batch", in_1=["inner", REMOTE_OUT_1]),
        "end": save(["merge", MERGED]),
        "failed": show(["merge", FAILED]),
    }
    done = master.run(graph)
    assert levels(master, done, "end") == [200, 210]
    assert told(master, done, "failed") == [
        ("fan", 3, "outer"),
        ("again", 1, "inner"),
        ("again", 3, "inner"),
    ]


@pytest.mark.parametrize("count", [0, 1])
def test_no_item_and_one_item_go_through_a_remote_workflow(master: Master, count: int) -> None:
    workflow = failing(master)
    graph: Graph = {
        "images": node("EmptyImage", width=8, height=8, batch_size=1, color=0xC8C8C8),
        "fan": seeds(count),
        # One image for each seed.
        "pairs": condition("a >= 0", a=["fan", ITEM], value_1=["images", 0]),
        "far": dropping(workflow, "pairs", TRUE_1),
        "merge": merge("batch", in_1=["far", REMOTE_OUT_1]),
        "end": save(["merge", MERGED]),
        "count": show(["merge", MERGED_COUNT]),
        "failed": show(["merge", FAILED]),
    }
    done = master.run(graph)
    assert levels(master, done, "end") == [200] * count
    assert (shown(master, done, "count"), shown(master, done, "failed")) == ([count], [[]])
    assert len(master.jobs(done)) == count


def test_the_best_of_several_servers_results_is_kept(master: Master) -> None:
    workflow = master.define(
        "Invert for a choice",
        {
            "1": node("LoadImage", image="example.png"),
            "2": node("ImageInvert", image=["1", 0]),
            "3": save(["2", 0]),
        },
    )
    graph = {
        **gray_batch([200, 40, 90, 40]),
        "far": remote(workflow, in_1=["fan", ITEM]),
        "best": condition(
            "best(result.brightness, 2)", "result", a=["far", REMOTE_OUT_1], value_1=["far", REMOTE_OUT_1]
        ),
        "which": condition("best(result.brightness)", "result", a=["far", REMOTE_OUT_1], value_1=["far", REMOTE_INDEX]),
        "merge": merge("batch", in_1=["best", TRUE_1]),
        "end": save(["merge", MERGED]),
        "index": show(["which", TRUE_1]),
    }
    done = master.run(graph)
    assert levels(master, done, "end") == [215, 215]
    assert shown(master, done, "index") == [1]


def test_a_fan_out_in_a_branch_that_is_not_taken_submits_nothing(master: Master) -> None:
    graph: Graph = {
        "image": node("EmptyImage", width=8, height=8, batch_size=3, color=0xC8C8C8),
        "if": condition("a.count > 3", a=["image", 0], value_1=["image", 0]),
        "fan": fan_out("batch", value=["if", TRUE_1]),
        "far": dropping(failing(master), "fan", ITEM),
        "merge": merge("batch", in_1=["far", REMOTE_OUT_1], in_2=["if", FALSE_1]),
        "end": save(["merge", MERGED]),
    }
    done = master.run(graph)
    assert levels(master, done, "end") == [200, 200, 200]
    assert master.jobs(done) == []


async def test_a_fan_out_shows_how_far_it_is_and_all_its_previews_on_the_node(master: Master) -> None:
    workflow = master.define(
        "Paint",
        {
            "1": node("LoadImage", image="example.png"),
            "2": node("OrchestratorTestPaint", image=["1", 0], seconds=2.0),
            "3": save(["2", 0]),
        },
    )
    graph = {
        **gray_batch([250, 180, 110, 40]),
        "far": remote(workflow, in_1=["fan", ITEM]),
        "merge": merge("batch", in_1=["far", REMOTE_OUT_1]),
        "end": save(["merge", MERGED]),
    }
    master.wait_online(*PEERS)
    heard = await watch(master, graph)
    lines = heard.texts["far"]
    # A busy server may get its next job early, so more may be on their way than run.
    assert any(re.search(r"[234] running on flow-one, flow-two", line) for line in lines), lines
    assert any(re.fullmatch(r"[123]/4 done(, .*)?, about \d+ s left", line) for line in lines), lines
    assert lines[-1] == "4/4 done"
    values = [value for value, _ in heard.values["far"]]
    assert {maximum for _, maximum in heard.values["far"][1:]} == {4.0}
    assert values[1:] == sorted(values[1:])
    assert any(value % 1 > 0 for value in values), "parts of items count"
    # Two at once: a sheet of two cells, the brighter item on the left because it comes before the other.
    sheets = [preview for preview in heard.previews["far"] if preview.width == 2 * preview.height]
    assert sheets, [preview.size for preview in heard.previews["far"]]
    left, right = (sheets[0].convert("L").getpixel((x, sheets[0].height // 2)) for x in (128, 384))
    assert left > right  # type: ignore[operator]


async def test_a_merge_says_on_the_node_what_was_dropped(master: Master) -> None:
    graph = {
        **gray_batch([200, 11, 210]),
        "far": dropping(failing(master), "fan", ITEM),
        "merge": merge("batch", in_1=["far", REMOTE_OUT_1]),
        "end": save(["merge", MERGED]),
    }
    heard = await watch(master, graph)
    (line,) = heard.texts["merge"]
    assert line.startswith("1 of 3 dropped; item 1: ")
    assert "too dark" in line


def test_a_meta_graph_with_items_of_its_own_is_run_once_for_each_item_outside(master: Master) -> None:
    inner = master.define(
        "Invert",
        {
            "1": node("LoadImage", image="example.png"),
            "2": node("ImageInvert", image=["1", 0]),
            "3": save(["2", 0]),
        },
    )
    outer = master.define(
        "Bright and dark apart",
        {
            "1": node("LoadImage", image="example.png"),
            "2": node("EmptyImage", width=8, height=8, batch_size=1, color=0x0A0A0A),
            "3": node("ImageBatch", image1=["1", 0], image2=["2", 0]),
            "4": fan_out("batch", value=["3", 0]),
            "5": condition("a.mean > 0.5", a=["4", ITEM], value_1=["4", ITEM]),
            "6": remote(inner, in_1=["5", TRUE_1]),
            "7": merge("batch", in_1=["6", REMOTE_OUT_1], in_2=["5", FALSE_1]),
            "8": save(["7", MERGED]),
        },
    )
    graph = {
        **gray_batch([200, 100, 250]),
        "meta": remote(outer, in_1=["fan", ITEM]),
        # A list of batches becomes one batch.
        "merge": merge("batch", in_1=["meta", REMOTE_OUT_1]),
        "end": save(["merge", MERGED]),
        "near": node("ImageInvert", image=["fan", ITEM]),
        "near-end": save(["near", 0]),
    }
    done = master.run(graph)
    first, _, last = levels(master, done, "near-end")
    assert levels(master, done, "end") == [first, 10, 100, 10, last, 10]
    jobs = master.jobs(done)
    assert len(jobs) == 2
    assert {job["attempts"][-1]["backend"] for job in jobs} <= set(PEERS)
