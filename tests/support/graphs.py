"""Meta-graphs in a few words, and what came out of them."""

from __future__ import annotations

import io
import shutil
import uuid
from pathlib import Path
from typing import Any

from PIL import Image

from tests.support.master import Master
from tools.devtools.instances import Farm

Graph = dict[str, Any]
Node = dict[str, Any]
Source = list[Any]

TEST_NODES = Path(__file__).parents[1] / "data" / "nodes" / "orchestrator_test_nodes.py"

TRUE_1, FALSE_1, TRUE_2, FALSE_2 = 1, 2, 3, 4
"""Outputs of a Condition."""
ITEM, INDEX, COUNT, OUT_1, OUT_2 = 0, 1, 2, 3, 4
"""Outputs of a FanOut."""
MERGED, MERGED_COUNT, FAILED = 0, 1, 2
"""Outputs of a Merge."""
REMOTE_INDEX, INFO, REMOTE_OUT_1 = 0, 1, 2
"""Outputs of a Remote Workflow."""


def with_test_nodes(farm: Farm, *names: str) -> None:
    """Put the test nodes into servers that are not started yet."""
    for name in names:
        folder = farm.directory / name / "custom_nodes"
        folder.mkdir(parents=True, exist_ok=True)
        shutil.copy(TEST_NODES, folder / TEST_NODES.name)


def node(class_type: str, **inputs: Any) -> Node:
    return {"class_type": class_type, "inputs": inputs}


def gray(level: int, size: int = 8) -> Node:
    return node("EmptyImage", width=size, height=size, batch_size=1, color=level * 0x10101)


def condition(expression: str, names: str = "", **inputs: Any) -> Node:
    return node("OrchestratorCondition", expression=expression, names=names, **inputs)


def fan_out(source: str, **inputs: Any) -> Node:
    return node("OrchestratorFanOut", source=source, **inputs)


def seeds(count: int, first: int = 0) -> Node:
    return fan_out("seeds", first_seed=first, seeds=count)


def merge(mode: str = "list", sizes: str = "error", **inputs: Any) -> Node:
    return node("OrchestratorMerge", mode=mode, sizes=sizes, separator=",", **inputs)


def remote(workflow: str, **inputs: Any) -> Node:
    """Return a Remote Workflow that does its work anew each time."""
    given = {"workflow": workflow, "backend": "auto", "parameters": "{}", "cache": False}
    return node("OrchestratorRemoteWorkflow", **{**given, **inputs})


def save(source: Source) -> Node:
    return node("SaveImage", images=source, filename_prefix=f"t-{uuid.uuid4().hex[:8]}")


def show(source: Source) -> Node:
    return node("OrchestratorTestShow", value=source)


def gray_batch(levels: list[int]) -> Graph:
    """Return a graph whose node ``fan`` makes an item of each gray level."""
    graph: Graph = {f"g{n}": gray(level) for n, level in enumerate(levels)}
    graph["batch"] = merge("batch")
    graph["batch"]["inputs"] |= {f"in_{n + 1}": [f"g{n}", 0] for n in range(len(levels))}
    graph["fan"] = fan_out("batch", value=["batch", MERGED])
    return graph


def levels(master: Master, prompt_id: str, node_id: str) -> list[int]:
    """Return the gray levels of the images that a node saved, in order."""
    return [Image.open(io.BytesIO(data)).convert("L").getpixel((0, 0)) for data in master.images(prompt_id, node_id)]  # type: ignore[misc]


def sizes_of(master: Master, prompt_id: str, node_id: str) -> list[tuple[int, int]]:
    """Return width and height of the images that a node saved."""
    return [Image.open(io.BytesIO(data)).size for data in master.images(prompt_id, node_id)]


def shown(master: Master, prompt_id: str, node_id: str) -> list[Any] | None:
    """Return what reached a show node, or None if it did not run."""
    output = master.wait(prompt_id)["outputs"].get(node_id)
    return None if output is None else output["values"]


def failure_of(master: Master, graph: Graph) -> str:
    """Run a prompt that must fail on its way; return what was told."""
    entry = master.wait(master.queue(graph))
    assert entry["status"]["status_str"] == "error", entry["status"]
    return str(
        next(data["exception_message"] for name, data in entry["status"]["messages"] if name == "execution_error")
    )


def cached(master: Master, prompt_id: str) -> set[str]:
    """Return the nodes of a prompt that ComfyUI took from its cache."""
    messages = master.wait(prompt_id)["status"]["messages"]
    return {node_id for name, data in messages if name == "execution_cached" for node_id in data["nodes"]}
