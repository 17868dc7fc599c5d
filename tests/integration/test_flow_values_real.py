"""What conditions ask of values, what items are made of, and what a Merge makes of them, in a real ComfyUI."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.graphs import (
    COUNT,
    INDEX,
    ITEM,
    Graph,
    condition,
    failure_of,
    fan_out,
    gray,
    levels,
    merge,
    node,
    save,
    seeds,
    show,
    shown,
    sizes_of,
    with_test_nodes,
)
from tests.support.master import Master
from tools.devtools.instances import Farm

pytestmark = [pytest.mark.comfy, pytest.mark.timeout(300)]


@pytest.fixture(scope="module")
def master(comfy_farm: Farm) -> Master:
    """One ComfyUI with the pack and the test nodes."""
    with_test_nodes(comfy_farm, "flow-values")
    return Master(comfy_farm.with_pack("flow-values")[0])


@pytest.mark.parametrize(
    ("source", "expression"),
    [
        (gray(0x80), "a.width == 8 and a.height == 8 and a.count == 1 and a.channels == 3"),
        (gray(0x80), "a.is_blank and a.std < 0.001 and a.sharpness < 0.001"),
        (gray(0x80), "0.50 < a.mean < 0.51 and 0.50 < a.brightness < 0.51"),
        (
            node("EmptyImage", width=4, height=4, batch_size=1, color=0x00FF00),
            "0.71 < a.brightness < 0.72 and a.std > 0.4",
        ),
        (node("LoadImage", image="example.png"), "a.sharpness > 1 and not a.is_blank"),
        (node("SolidMask", value=0.25, width=16, height=8), "a.width == 16 and a.height == 8 and a.coverage == 0.25"),
        (
            node("EmptyLatentImage", width=64, height=32, batch_size=2),
            "a.count == 2 and a.width == 8 and a.height == 4",
        ),
        (node("EmptyAudio", duration=1.5, sample_rate=44100, channels=2), "a.duration_s == 1.5 and a.rms == 0"),
    ],
)
def test_a_condition_measures_what_it_is_asked_about(master: Master, source: Graph, expression: str) -> None:
    done = master.run({"source": source, "if": condition(expression, a=["source", 0]), "end": show(["if", 0])})
    assert shown(master, done, "end") == [True]


@pytest.mark.parametrize(("sizes", "expected"), [("resize", [(8, 8), (8, 8)]), ("pad", [(16, 16), (16, 16)])])
def test_images_of_different_sizes_become_one_batch_as_chosen(
    master: Master, sizes: str, expected: list[tuple[int, int]]
) -> None:
    graph: Graph = {
        "small": gray(10, 8),
        "large": gray(20, 16),
        "merge": merge("batch", sizes, in_1=["small", 0], in_2=["large", 0]),
        "end": save(["merge", 0]),
    }
    done = master.run(graph)
    assert sizes_of(master, done, "end") == expected
    assert levels(master, done, "end") == [10, 20]


def test_images_of_different_sizes_are_refused_if_nothing_is_chosen(master: Master) -> None:
    graph: Graph = {
        "small": gray(10, 8),
        "large": gray(20, 16),
        "merge": merge("batch", in_1=["small", 0], in_2=["large", 0]),
        "end": save(["merge", 0]),
    }
    assert "Sizes differ: 8x8, 16x16" in failure_of(master, graph)


@pytest.mark.parametrize(
    ("source", "expression"),
    [
        (node("EmptyLatentImage", width=64, height=64, batch_size=2), "a.count == 4"),
        (node("SolidMask", value=0.5, width=8, height=8), "a.count == 2 and a.coverage == 0.5"),
        (node("EmptyAudio", duration=0.5, sample_rate=44100, channels=2), "a.duration_s == 0.5"),
    ],
)
def test_other_tensors_become_batches_too(master: Master, source: Graph, expression: str) -> None:
    graph: Graph = {
        "one": source,
        "merge": merge("batch", in_1=["one", 0], in_2=["one", 0]),
        "if": condition(expression, a=["merge", 0]),
        "end": show(["if", 0]),
    }
    assert shown(master, master.run(graph), "end") == [True]


def test_the_first_item_can_be_chosen(master: Master) -> None:
    graph: Graph = {"fan": seeds(5, 3), "merge": merge("first", in_1=["fan", 0]), "end": show(["merge", 0])}
    assert shown(master, master.run(graph), "end") == [3]


def test_sounds_of_different_lengths_are_refused_or_padded_with_silence(master: Master) -> None:
    graph: Graph = {
        "long": node("EmptyAudio", duration=1.0, sample_rate=8000, channels=2),
        "short": node("EmptyAudio", duration=0.5, sample_rate=8000, channels=2),
        "merge": merge("batch", "pad", in_1=["short", 0], in_2=["long", 0]),
        "if": condition("a.duration_s == 1.0", a=["merge", 0]),
        "end": show(["if", 0]),
    }
    assert shown(master, master.run(graph), "end") == [True]
    graph["merge"]["inputs"]["sizes"] = "resize"
    assert "Sounds of different lengths make no batch" in failure_of(master, graph)


@pytest.mark.parametrize(
    ("one", "other", "told"),
    [
        (gray(1), node("SolidMask", value=0.5, width=8, height=8), "Images and masks make no batch together"),
        (seeds(1), gray(1), "make no batch. Choose the mode 'list'"),
        (
            node("EmptyAudio", duration=0.5, sample_rate=8000, channels=2),
            node("EmptyAudio", duration=0.5, sample_rate=16000, channels=2),
            "different sample rates",
        ),
    ],
)
def test_what_makes_no_batch_is_refused_in_words(master: Master, one: Graph, other: Graph, told: str) -> None:
    graph: Graph = {
        "one": one,
        "other": other,
        "merge": merge("batch", in_1=["one", 0], in_2=["other", 0]),
        "end": show(["merge", 1]),
    }
    assert told in failure_of(master, graph)


# --- what items are made of


@pytest.mark.parametrize(
    ("source", "chunk", "measured"),
    [
        (node("EmptyImage", width=8, height=8, batch_size=5, color=7), 2, [2, 2, 1]),
        (node("EmptyImage", width=8, height=8, batch_size=5, color=7), 9, [5]),
        (node("EmptyLatentImage", width=64, height=64, batch_size=3), 1, [1, 1, 1]),
    ],
)
def test_a_batch_is_taken_apart_in_chunks(master: Master, source: Graph, chunk: int, measured: list[int]) -> None:
    graph: Graph = {
        "source": source,
        "fan": fan_out("batch", value=["source", 0], chunk=chunk),
        # The truth values tell the counts: one Condition for each possible one.
        **{f"is{n}": condition(f"a.count == {n}", a=["fan", ITEM], value_1=["fan", INDEX]) for n in range(1, 6)},
        **{f"end{n}": show([f"is{n}", 1]) for n in range(1, 6)},
        "count": show(["fan", COUNT]),
    }
    done = master.run(graph)
    found = {index: n for n in range(1, 6) for index in shown(master, done, f"end{n}") or []}
    assert [found[index] for index in range(len(measured))] == measured
    assert shown(master, done, "count") == [len(measured)]


@pytest.mark.parametrize(
    "source",
    [
        node("SolidMask", value=0.5, width=16, height=8),
        node("EmptyAudio", duration=0.5, sample_rate=8000, channels=1),
        node("EmptyLatentImage", width=64, height=64, batch_size=1),
    ],
)
def test_masks_sounds_and_latents_are_batches_too(master: Master, source: Graph) -> None:
    graph: Graph = {
        "one": source,
        "both": merge("batch", in_1=["one", 0], in_2=["one", 0]),
        "fan": fan_out("batch", value=["both", 0]),
        "index": show(["fan", INDEX]),
    }
    assert shown(master, master.run(graph), "index") == [0, 1]


@pytest.mark.parametrize(
    ("source", "items"),
    [
        (fan_out("lines", text=" a \n\n b"), ["a", "b"]),
        (fan_out("json", text='[1, "x", null, [2]]'), [1, "x", None, [2]]),
        (fan_out("seeds", first_seed=(1 << 64) - 1, seeds=2), [(1 << 64) - 1, 0]),
        (fan_out("grid", text='{"x": [1], "y": [true, "a"]}'), ['{"x": 1, "y": true}', '{"x": 1, "y": "a"}']),
        (fan_out("lines", text="\n \n"), None),
        (fan_out("json", text="[]"), None),
        (fan_out("grid", text="x:\ny: 1"), None),
    ],
)
def test_items_are_made_of_text_and_numbers(master: Master, source: Graph, items: list[Any] | None) -> None:
    done = master.run({"fan": source, "end": show(["fan", ITEM]), "count": show(["fan", COUNT])})
    assert shown(master, done, "end") == items
    assert shown(master, done, "count") == [len(items or [])]


def test_the_elements_of_a_list_are_items_and_lists_in_it_are_opened(master: Master) -> None:
    graph: Graph = {
        "json": fan_out("json", text='["a", ["b", "c"]]'),
        "fan": fan_out("list", value=["json", ITEM]),
        "end": show(["fan", ITEM]),
    }
    assert shown(master, master.run(graph), "end") == ["a", "b", "c"]


def test_what_was_dropped_can_be_items_again(master: Master) -> None:
    graph: Graph = {
        "fan": seeds(2),
        "merge": merge("list", in_1=["fan", ITEM]),
        "failed": fan_out("list", value=["merge", 2]),
        "count": show(["failed", COUNT]),
    }
    assert shown(master, master.run(graph), "count") == [0]


@pytest.mark.parametrize(
    ("source", "told"),
    [
        (fan_out("grid", text="x: 1", distribute=2), "Set 'distribute' to 0"),
        (fan_out("batch", value=["text", 0]), "is no batch. Choose the source 'list'"),
        (fan_out("json", text=["text", 0]), "no valid JSON"),
    ],
)
def test_what_no_items_can_be_made_of_is_refused_in_words(master: Master, source: Graph, told: str) -> None:
    graph: Graph = {"text": fan_out("lines", text="x"), "fan": source, "end": show(["fan", COUNT])}
    assert told in failure_of(master, graph)


@pytest.mark.parametrize(
    ("source", "told"),
    [
        (fan_out("json", text='{"a": 1}'), "needs a JSON array"),
        (fan_out("json", text="[1,"), "no valid JSON"),
        (fan_out("grid", text="x 1, 2"), "x 1, 2"),
        (fan_out("grid", text="x: 1\nx: 2"), "names 'x' twice"),
        (fan_out("grid", text="\n".join(f"n{n}: 1" for n in range(17))), "at most 16 names"),
        (fan_out("grid", text="\n".join(f"n{n}: 1, 2, 3, 4" for n in range(16))), "makes 4,294,967,296 items"),
        (fan_out("json", text=str(list(range(10_001)))), "makes 10,001 items"),
        (fan_out("seeds", seeds=10_001), "bigger than max"),
        (fan_out("lines", text="a", distribute=17), "bigger than max"),
        (fan_out("nothing"), "There is no source 'nothing'"),
        (fan_out("list"), "needs something connected to 'value'"),
    ],
)
def test_impossible_settings_are_refused_before_anything_runs(master: Master, source: Graph, told: str) -> None:
    refusal = master.refused({"fan": source, "end": show(["fan", COUNT])})
    assert told in str(refusal["node_errors"])
