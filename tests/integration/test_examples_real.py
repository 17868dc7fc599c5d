"""The example workflows, run as a user does who has imported their definitions."""

from __future__ import annotations

import io
import json
import urllib.request
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from comfy_orchestrator_nodes.workflow.convert import to_prompt
from tests.support.master import Master
from tools.devtools.instances import Farm

pytestmark = [pytest.mark.comfy, pytest.mark.timeout(300)]

EXAMPLES = Path(__file__).parents[2] / "example_workflows"
NAMES = sorted(path.stem for path in EXAMPLES.glob("*.json"))
PEERS = ("example-one", "example-two", "example-three")
REMOTE = "OrchestratorRemoteWorkflow"


@pytest.fixture(scope="module")
def master(comfy_farm: Farm) -> Master:
    """A master with three peers that has imported the examples' definitions."""
    peers = comfy_farm.plain(*PEERS)
    found = Master(comfy_farm.with_pack("example-master")[0])
    for peer in peers:
        found.register(peer)
    for path in sorted(EXAMPLES.glob("definitions/*.orchestrator.json")):
        request = urllib.request.Request(
            f"{found.instance.url}/orchestrator/definitions/import?filename={path.name}",
            data=path.read_bytes(),
            headers={"Content-Type": "application/octet-stream", "X-Orchestrator": "1"},
        )
        with urllib.request.urlopen(request, timeout=30) as answer:
            assert answer.status == 201
    return found


def prompt_of(master: Master, name: str) -> dict[str, Any]:
    """Return the prompt that the canvas would send."""
    document = json.loads((EXAMPLES / f"{name}.json").read_text(encoding="utf-8"))
    return to_prompt(document, master.api.get("/object_info"))


def pictures(master: Master, prompt: dict[str, Any]) -> tuple[str, dict[str, list[npt.NDArray[np.uint8]]]]:
    """Run a prompt; return its id, and the pixels that each of its output nodes saved."""
    done = master.run(prompt)
    saves = [node_id for node_id, node in prompt.items() if node["class_type"] == "SaveImage"]
    return done, {node_id: [_pixels(data) for data in master.images(done, node_id)] for node_id in saves}


def _pixels(data: bytes) -> npt.NDArray[np.uint8]:
    with Image.open(io.BytesIO(data)) as image:
        return np.asarray(image.convert("RGB"))


@pytest.mark.parametrize("name", NAMES)
def test_an_example_gives_on_other_servers_what_it_gives_on_this_one(master: Master, name: str) -> None:
    far = prompt_of(master, name)
    near = json.loads(json.dumps(far))
    for node in (*far.values(), *near.values()):
        if node["class_type"] == REMOTE:
            node["inputs"]["cache"] = False
    for node in near.values():
        if node["class_type"] == REMOTE:
            node["inputs"]["backend"] = "This server"
        if node["class_type"] == "SaveImage":
            node["inputs"]["filename_prefix"] = "near"
    run, there = pictures(master, far)
    _, here = pictures(master, near)
    assert {job["attempts"][-1]["backend"] for job in master.jobs(run)} <= set(PEERS)
    assert master.jobs(run), "an example that sends nothing away shows nothing"
    assert any(there.values())
    assert {node: len(images) for node, images in there.items()} == {n: len(images) for n, images in here.items()}
    for node_id, images in there.items():
        for one, other in zip(images, here[node_id], strict=True):
            assert np.array_equal(one, other), node_id


def test_regions_come_back_in_the_order_of_the_grid(master: Master) -> None:
    _, saved = pictures(master, prompt_of(master, "Regions by a grid"))
    source = _pixels((master.instance.directory / "input" / "example.png").read_bytes())
    (regions,) = saved.values()
    for number, region in enumerate(regions):
        top, left = 128 * (number // 3), 128 * (number % 3)
        expected = 255 - source[top : top + 128, left : left + 128].astype(int)
        assert np.abs(region.astype(int) - expected).max() <= 1, number
