"""Branches, items and Merges under each way in which ComfyUI keeps or forgets what nodes made."""

from __future__ import annotations

import pytest

from tests.support.graphs import (
    FALSE_1,
    ITEM,
    MERGED,
    REMOTE_OUT_1,
    TRUE_1,
    Graph,
    condition,
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
from tools.devtools.instances import Farm, Spec
from tools.devtools.pack import Install

pytestmark = [pytest.mark.comfy, pytest.mark.timeout(300)]

CACHES = {"none": ("--cache-none",), "lru": ("--cache-lru", "3"), "ram": ("--cache-ram", "1")}


@pytest.mark.parametrize("cache", CACHES)
def test_branches_and_items_mean_the_same_whatever_is_cached(comfy_farm: Farm, cache: str) -> None:
    name = f"flow-cache-{cache}"
    with_test_nodes(comfy_farm, name)
    (instance,) = comfy_farm.start(Spec(name, Install.LINK, CACHES[cache]))
    master = Master(instance)
    inverting = master.define(
        "Invert here",
        {
            "1": node("LoadImage", image="example.png"),
            "2": condition("a.width == 8", a=["1", 0], value_1=["1", 0]),
            "3": node("ImageInvert", image=["2", TRUE_1]),
            "4": merge("batch", in_1=["3", 0], in_2=["2", FALSE_1]),
            "5": save(["4", 0]),
        },
    )
    graph: Graph = {
        "fan": seeds(6),
        "outer": condition("a < 4", a=["fan", ITEM], value_1=["fan", ITEM]),
        "inner": condition("value_1 % 2 == 0", value_1=["outer", TRUE_1]),
        "even": node("OrchestratorTestText", value=["inner", TRUE_1], text="even"),
        "seen": show(["inner", FALSE_1]),
        "merge": merge("list", in_1=["even", 0], in_2=["inner", FALSE_1], in_3=["outer", FALSE_1]),
        "again": merge("list", in_1=["merge", MERGED]),
        "items": show(["again", MERGED]),
        "image": gray(10),
        "never": condition("a.width > 100", a=["image", 0], value_1=["image", 0]),
        "fails": node("OrchestratorTestFail", image=["never", TRUE_1], message="must not run"),
        "here": remote(inverting, in_1=["never", FALSE_1], backend="This server"),
        "one": merge("batch", in_1=["fails", 0], in_2=["here", REMOTE_OUT_1]),
        "end": save(["one", MERGED]),
    }
    for _ in range(2):
        done = master.run(graph)
        assert shown(master, done, "items") == ["even 0", 1, "even 2", 3, 4, 5]
        assert levels(master, done, "end") == [245]
    instance.stop()
