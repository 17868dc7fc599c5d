"""The example workflows, run as a user does who has imported what they carry, beside the same work in one ComfyUI."""

from __future__ import annotations

import io
import json
import urllib.request
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from comfy_orchestrator_nodes.workflow.convert import to_prompt
from tests.support.graphs import Graph, node, save
from tests.support.master import Master
from tools.devtools.example_graphs import EXAMPLES
from tools.devtools.examples import FOLDER, document
from tools.devtools.instances import Farm

pytestmark = [pytest.mark.comfy, pytest.mark.timeout(300)]

NAMES = [example.name for example in EXAMPLES]
PEERS = ("example-one", "example-two", "example-three")
REMOTE = "OrchestratorRemoteWorkflow"

Picture = npt.NDArray[np.uint8]


@pytest.fixture(scope="module")
def master(comfy_farm: Farm) -> Master:
    """A master with three peers that has imported what the examples carry."""
    peers = comfy_farm.plain(*PEERS)
    found = Master(comfy_farm.with_pack("example-master")[0])
    for peer in peers:
        found.register(peer)
    for name in NAMES:
        request = urllib.request.Request(
            f"{found.instance.url}/orchestrator/definitions/embedded/import",
            data=path_of(name).read_bytes(),
            headers={"Content-Type": "application/json", "X-Orchestrator": "1"},
        )
        with urllib.request.urlopen(request, timeout=30) as answer:
            assert answer.status == 201
    return found


def path_of(name: str) -> Path:
    return FOLDER / f"{name}.json"


def prompt_of(master: Master, name: str) -> Graph:
    """Return the prompt that the canvas would send, with every job done anew."""
    document = json.loads(path_of(name).read_text(encoding="utf-8"))
    prompt = to_prompt(document, master.api.get("/object_info"))
    for found in prompt.values():
        if found["class_type"] == REMOTE:
            found["inputs"]["cache"] = False
    return prompt


def pictures(master: Master, done: str, prompt: Mapping[str, Any]) -> dict[str, list[Picture]]:
    """Return the pixels that each output node of a prompt made, by its title or key."""
    outputs = {key: one for key, one in prompt.items() if one["class_type"] in ("SaveImage", "PreviewImage")}
    return {
        one.get("_meta", {}).get("title", key): [_pixels(data) for data in master.images(done, key)]
        for key, one in outputs.items()
    }


def _pixels(data: bytes) -> Picture:
    with Image.open(io.BytesIO(data)) as image:
        return np.asarray(image.convert("RGB"))


# --- the same work by ComfyUI's own nodes alone, in one ComfyUI

LOAD: Graph = {"load": node("LoadImage", image="example.png")}


def locally(master: Master, graph: Graph) -> dict[str, list[Picture]]:
    return pictures(master, master.run(graph), graph)


def variations(master: Master) -> dict[str, list[Picture]]:
    graph = dict(LOAD)
    for seed in range(1, 9):
        graph[f"vary{seed}"] = node("ImageAddNoise", image=["load", 0], seed=seed, strength=0.25)
        graph[str(seed)] = save([f"vary{seed}", 0])
    images = [image for saved in locally(master, graph).values() for image in saved]
    best = sorted(sorted(range(8), key=lambda n: (-_sharpness(images[n]), n))[:2])
    return {"All eight": images, "The best two": [images[n] for n in best]}


def _sharpness(image: Picture) -> float:
    """As docs/conditions.md defines it."""
    luma = image.astype(np.float64) @ np.array([0.2126, 0.7152, 0.0722])
    neighbours = luma[:-2, 1:-1] + luma[2:, 1:-1] + luma[1:-1, :-2] + luma[1:-1, 2:]
    return float((neighbours - 4 * luma[1:-1, 1:-1]).var())


def enlarged(master: Master) -> dict[str, list[Picture]]:
    graph = {
        **LOAD,
        "large": node("ImageScaleBy", image=["load", 0], upscale_method="bicubic", scale_by=2.0),
        "The large image": save(["large", 0]),
    }
    return locally(master, graph)


def _detail(source: list[Any]) -> Graph:
    return node("ImageSharpen", image=source, sharpen_radius=2, sigma=1.0, alpha=1.5)


def regions(master: Master) -> dict[str, list[Picture]]:
    graph = dict(LOAD)
    for number, (top, left) in enumerate([(0, 0), (0, 384), (384, 0), (384, 384)]):
        graph[f"crop{number}"] = node("ImageCrop", image=["load", 0], width=384, height=384, x=left, y=top)
        graph[f"detail{number}"] = _detail([f"crop{number}", 0])
        graph[str(number)] = save([f"detail{number}", 0])
    one, two, three, four = (image for saved in locally(master, graph).values() for image in saved)
    return {"All regions": [np.vstack([np.hstack([one, two]), np.hstack([three, four])])]}


def nested(master: Master) -> dict[str, list[Picture]]:
    graph = {
        **LOAD,
        "large": node("ImageScaleBy", image=["load", 0], upscale_method="bicubic", scale_by=2.0),
        # What travels between two workflows has eight bits.
        "Large": save(["large", 0]),
    }
    (large,) = locally(master, graph)["Large"]
    file = master.instance.directory / "input" / "enlarged-here.png"
    Image.fromarray(large).save(file)
    second = {
        "load": node("LoadImage", image=file.name),
        "detail": _detail(["load", 0]),
        "The result": save(["detail", 0]),
    }
    return locally(master, second)


BY_HAND: dict[str, Callable[[Master], dict[str, list[Picture]]]] = {
    "Variations, the best two": variations,
    "Enlarge only what is small": enlarged,
    "Regions on several servers": regions,
    "A meta-graph inside of another": nested,
}


@pytest.mark.parametrize("name", NAMES)
def test_an_example_gives_on_three_servers_what_one_comfyui_gives_without_this_pack(master: Master, name: str) -> None:
    prompt = prompt_of(master, name)
    done = master.run(prompt)
    far, near = pictures(master, done, prompt), BY_HAND[name](master)
    jobs = master.jobs(done)
    assert jobs, "an example that sends nothing away shows nothing"
    assert {job["attempts"][-1]["backend"] for job in jobs} <= set(PEERS)
    assert {title: len(images) for title, images in far.items()} == {
        title: len(images) for title, images in near.items()
    }
    for title, images in far.items():
        for number, (one, other) in enumerate(zip(images, near[title], strict=True)):
            assert np.array_equal(one, other), (title, number)


@pytest.mark.parametrize("name", NAMES)
def test_an_example_gives_the_same_where_everything_runs_on_the_master(master: Master, name: str) -> None:
    far, near = prompt_of(master, name), prompt_of(master, name)
    for found in near.values():
        if found["class_type"] == REMOTE:
            found["inputs"]["backend"] = "This server"
    there = pictures(master, master.run(far), far)
    here = pictures(master, master.run(near), near)
    assert any(there.values())
    for title, images in there.items():
        for number, (one, other) in enumerate(zip(images, here[title], strict=True)):
            assert np.array_equal(one, other), (title, number)


def test_an_image_that_an_example_made_carries_what_it_runs(master: Master) -> None:
    name = "Enlarge only what is small"
    workflow, prompt = json.loads(path_of(name).read_text(encoding="utf-8")), prompt_of(master, name)
    body = {"prompt": prompt, "client_id": "tests", "extra_data": {"extra_pnginfo": {"workflow": workflow}}}
    done = str(master.api.send("POST", "/prompt", body)["prompt_id"])
    saved = next(key for key, one in prompt.items() if one["class_type"] == "SaveImage")
    (image,) = master.images(done, saved)
    request = urllib.request.Request(
        f"{master.instance.url}/orchestrator/definitions/embedded/read",
        data=image,
        headers={"Content-Type": "image/png", "X-Orchestrator": "1"},
    )
    with urllib.request.urlopen(request, timeout=30) as answer:
        found = json.load(answer)
    assert [(one["id"], one["standing"]) for one in found["definitions"]] == [("example-enlarge", "equal")]
    assert found["missing"] == []


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: example.name)
def test_the_files_are_those_that_the_script_writes(master: Master, example: Any) -> None:
    written = document(example, master.api.get("/object_info"))
    assert json.loads(path_of(example.name).read_text(encoding="utf-8")) == json.loads(json.dumps(written))
