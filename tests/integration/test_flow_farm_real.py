"""Items that run on other servers: order, failures that drop items, and equality with work done here."""

from __future__ import annotations

import io
import json
import shutil
import uuid
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from tests.support.master import Master
from tools.devtools.instances import Farm

pytestmark = [pytest.mark.comfy, pytest.mark.timeout(300)]

NODES = Path(__file__).parents[1] / "data" / "nodes" / "orchestrator_test_nodes.py"
PEERS = ("flow-one", "flow-two")

Graph = dict[str, Any]


@pytest.fixture(scope="module")
def master(comfy_farm: Farm) -> Master:
    """A master with two peers, all with the test nodes."""
    for name in ("flow-farm-master", *PEERS):
        folder = comfy_farm.directory / name / "custom_nodes"
        folder.mkdir(parents=True, exist_ok=True)
        shutil.copy(NODES, folder / NODES.name)
    peers = comfy_farm.plain(*PEERS)
    found = Master(comfy_farm.with_pack("flow-farm-master")[0])
    for peer in peers:
        found.register(peer)
    return found


def node(class_type: str, **inputs: Any) -> dict[str, Any]:
    return {"class_type": class_type, "inputs": inputs}


def save(source: list[Any]) -> dict[str, Any]:
    return node("SaveImage", images=source, filename_prefix=f"t-{uuid.uuid4().hex[:8]}")


def batch(levels: list[int]) -> Graph:
    """Return a graph whose node ``batch`` holds images of these gray levels."""
    graph: Graph = {
        f"g{n}": node("EmptyImage", width=8, height=8, batch_size=1, color=v * 0x10101) for n, v in enumerate(levels)
    }
    graph["batch"] = node("OrchestratorMerge", mode="batch", sizes="error", separator="")
    graph["batch"]["inputs"] |= {f"in_{n + 1}": [f"g{n}", 0] for n in range(len(levels))}
    graph["fan"] = node("OrchestratorFanOut", source="batch", value=["batch", 0])
    return graph


def remote(workflow: str, **inputs: Any) -> dict[str, Any]:
    given = {"workflow": workflow, "backend": "auto", "parameters": "{}", "cache": False, "in_1": ["fan", 0]}
    return node("OrchestratorRemoteWorkflow", **given, **inputs)


def merge(**inputs: Any) -> dict[str, Any]:
    return node("OrchestratorMerge", mode="batch", sizes="error", separator="", **inputs)


def show(source: list[Any]) -> dict[str, Any]:
    return node("OrchestratorTestShow", value=source)


def levels_of(master: Master, prompt_id: str, node_id: str) -> list[Any]:
    return [Image.open(io.BytesIO(data)).convert("L").getpixel((0, 0)) for data in master.images(prompt_id, node_id)]


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
        **batch([n * 20 for n in range(8)]),
        "far": remote(workflow),
        "near": node("ImageInvert", image=["fan", 0]),
        "far-merge": merge(in_1=["far", 2]),
        "near-merge": merge(in_1=["near", 0]),
        "far-end": save(["far-merge", 0]),
        "near-end": save(["near-merge", 0]),
    }
    done = master.run(graph)
    near = levels_of(master, done, "near-end")
    assert levels_of(master, done, "far-end") == near
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
        **batch([200, 10, 210, 20]),
        "far": remote(failing(master), on_failure="drop", attempts=1),
        "bright": node("OrchestratorCondition", expression="a.attempts == 1 and value_1.mean > 0.8", names=""),
        "merge": merge(in_1=["bright", 1], in_2=["bright", 2]),
        "end": save(["merge", 0]),
        "failed": show(["merge", 2]),
        "count": show(["merge", 1]),
        "index": show(["far", 0]),
    }
    graph["bright"]["inputs"] |= {"a": ["far", 1], "value_1": ["far", 2]}
    done = master.run(graph)
    outputs = master.wait(done)["outputs"]
    assert levels_of(master, done, "end") == [200, 210]
    assert outputs["index"]["values"] == [0, 2]
    assert outputs["count"]["values"] == [2]
    (failed,) = outputs["failed"]["values"]
    assert [failure["index"] for failure in failed] == [1, 3]
    assert all("too dark" in failure["cause"] and failure["backend"] in PEERS for failure in failed)


def test_if_every_item_is_dropped_the_merge_still_tells_why(master: Master) -> None:
    graph = {
        **batch([1, 2]),
        "far": remote(failing(master), on_failure="drop", attempts=1),
        "merge": merge(in_1=["far", 2]),
        "end": save(["merge", 0]),
        "failed": show(["merge", 2]),
        "count": show(["merge", 1]),
    }
    done = master.run(graph)
    outputs = master.wait(done)["outputs"]
    assert "end" not in outputs
    assert outputs["count"]["values"] == [0]
    assert len(json.loads(json.dumps(outputs["failed"]["values"]))[0]) == 2


def test_jobs_of_a_branch_not_taken_are_never_submitted(master: Master) -> None:
    workflow = failing(master)
    graph = {
        **batch([200, 10, 210]),
        "dark": node("OrchestratorCondition", expression="value_1.mean < 0.5", names="", value_1=["fan", 0]),
        "far": {**remote(workflow), "inputs": {**remote(workflow)["inputs"], "in_1": ["dark", 2]}},
        "merge": merge(in_1=["dark", 1], in_2=["far", 2]),
        "end": save(["merge", 0]),
    }
    done = master.run(graph)
    assert levels_of(master, done, "end") == [200, 10, 210]
    assert len(master.jobs(done)) == 2
