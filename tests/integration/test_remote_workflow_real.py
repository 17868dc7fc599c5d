"""Remote Workflow nodes on a real master with real peers: what a user sees when they press Run."""

from __future__ import annotations

import io
import json
import shutil
import time
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from tests.support.master import Master
from tools.devtools.instances import Farm, Instance

pytestmark = [pytest.mark.comfy, pytest.mark.timeout(300)]

NODES = Path(__file__).parents[1] / "data" / "nodes" / "orchestrator_test_nodes.py"
REMOTE = "OrchestratorRemoteWorkflow"

INVERT = {
    "1": {"class_type": "LoadImage", "inputs": {"image": "example.png"}},
    "2": {"class_type": "ImageInvert", "inputs": {"image": ["1", 0]}},
    "3": {"class_type": "SaveImage", "inputs": {"images": ["2", 0], "filename_prefix": "inverted"}},
}


def sleeping(seconds: float) -> dict[str, Any]:
    """Return a workflow that takes its time."""
    return {
        "1": {"class_type": "LoadImage", "inputs": {"image": "example.png"}},
        "2": {"class_type": "OrchestratorTestSleep", "inputs": {"image": ["1", 0], "seconds": seconds}},
        "3": {"class_type": "SaveImage", "inputs": {"images": ["2", 0], "filename_prefix": "slept"}},
    }


@pytest.fixture(scope="module")
def servers(comfy_farm: Farm) -> tuple[Master, Instance, Instance]:
    """A master with the pack and two peers, all with the test nodes; the peers are registered."""
    names = ("rw-master", "rw-one", "rw-two")
    for name in names:
        folder = comfy_farm.directory / name / "custom_nodes"
        folder.mkdir(parents=True, exist_ok=True)
        shutil.copy(NODES, folder / NODES.name)
    (peer_one, peer_two) = comfy_farm.plain("rw-one", "rw-two")
    (instance,) = comfy_farm.with_pack("rw-master")
    master = Master(instance)
    master.register(peer_one)
    master.register(peer_two)
    return master, peer_one, peer_two


@pytest.fixture
def master(servers: tuple[Master, Instance, Instance], comfy_farm: Farm) -> Master:
    """The master, with everything running again that an earlier test stopped."""
    comfy_farm.plain("rw-one", "rw-two")
    comfy_farm.with_pack("rw-master")
    servers[0].wait_online("rw-one", "rw-two")
    return servers[0]


def remote(workflow: str, parameters: Mapping[str, Any] | None = None, **inputs: Any) -> dict[str, Any]:
    """Return a Remote Workflow node without a cache."""
    given = {"workflow": workflow, "backend": "auto", "parameters": json.dumps(parameters or {}), "cache": False}
    return {"class_type": REMOTE, "inputs": {**given, **inputs}}


def save(source: list[Any]) -> dict[str, Any]:
    """Return a node that saves an image under a name of its own."""
    return {"class_type": "SaveImage", "inputs": {"images": source, "filename_prefix": f"t-{uuid.uuid4().hex[:8]}"}}


def example() -> dict[str, Any]:
    """Return the node that loads ComfyUI's own example image."""
    return {"class_type": "LoadImage", "inputs": {"image": "example.png"}}


def pixels(data: bytes) -> npt.NDArray[np.uint8]:
    """Return an image's pixels as RGB."""
    with Image.open(io.BytesIO(data)) as image:
        return np.asarray(image.convert("RGB"))


def inverted(source: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """Return what ImageInvert and then a save make of 8-bit pixels: ComfyUI truncates where it saves (nodes.py)."""
    image = np.float32(1.0) - source.astype(np.float32) / np.float32(255.0)
    saved: npt.NDArray[np.uint8] = np.clip(np.float32(255.0) * image, 0, 255).astype(np.uint8)
    return saved


def source_pixels(master: Master) -> npt.NDArray[np.uint8]:
    """Return the example image's pixels."""
    return pixels((master.instance.directory / "input" / "example.png").read_bytes())


def test_an_image_comes_back_from_another_server_exact(master: Master) -> None:
    workflow = master.define("Invert", INVERT)
    done = master.run({"1": example(), "2": remote(workflow, in_1=["1", 0]), "3": save(["2", 2])})
    (result,) = master.images(done, "3")
    assert np.array_equal(pixels(result), inverted(source_pixels(master)))
    (job,) = master.jobs(done)
    assert job["attempts"][0]["backend"] in ("rw-one", "rw-two")


def test_the_result_of_one_workflow_goes_into_the_next(master: Master) -> None:
    workflow = master.define("Invert", INVERT)
    graph = {
        "1": example(),
        "2": remote(workflow, in_1=["1", 0]),
        "3": remote(workflow, in_1=["2", 2]),
        "4": save(["3", 2]),
    }
    (result,) = master.images(master.run(graph), "4")
    assert np.array_equal(pixels(result), inverted(inverted(source_pixels(master))))


def test_this_server_gives_the_same_result_by_expansion(master: Master) -> None:
    workflow = master.define("Invert", INVERT)
    graph = {"1": example(), "2": remote(workflow, in_1=["1", 0], backend="This server"), "3": save(["2", 2])}
    done = master.run(graph)
    (result,) = master.images(done, "3")
    assert np.array_equal(pixels(result), inverted(source_pixels(master)))
    assert master.jobs(done) == []


def test_a_list_runs_item_by_item_and_keeps_its_order(master: Master) -> None:
    workflow = master.define("Invert", INVERT)
    graph: dict[str, Any] = {
        f"c{n}": {
            "class_type": "EmptyImage",
            "inputs": {"width": 8, "height": 8, "batch_size": 1, "color": n * 0x101010},
        }
        for n in range(3)
    }
    graph["b1"] = {"class_type": "ImageBatch", "inputs": {"image1": ["c0", 0], "image2": ["c1", 0]}}
    graph["b2"] = {"class_type": "ImageBatch", "inputs": {"image1": ["b1", 0], "image2": ["c2", 0]}}
    graph["list"] = {"class_type": "RebatchImages", "inputs": {"images": ["b2", 0], "batch_size": 1}}
    graph["rw"] = remote(workflow, in_1=["list", 0])
    graph["save"] = save(["rw", 2])
    for backend in ("auto", "This server"):
        graph["rw"]["inputs"]["backend"] = backend
        graph["save"] = save(["rw", 2])
        results = master.images(master.run(graph), "save")
        expected = inverted(np.array([0, 16, 32], dtype=np.uint8)).tolist()
        assert [int(pixels(r)[0, 0, 0]) for r in results] == expected, backend


def test_several_workflows_of_one_prompt_run_at_the_same_time(master: Master) -> None:
    workflow = master.define("Sleep", sleeping(1.0))
    graph = {
        "1": example(),
        "2": remote(workflow, in_1=["1", 0], backend="rw-one"),
        "3": remote(workflow, in_1=["1", 0], backend="rw-two"),
        "4": save(["2", 2]),
        "5": save(["3", 2]),
    }
    first, second = (job["attempts"][0] for job in master.jobs(master.run(graph)))
    assert {first["backend"], second["backend"]} == {"rw-one", "rw-two"}
    assert max(first["started_at"], second["started_at"]) < min(first["ended_at"], second["ended_at"])


def test_stopping_the_prompt_ends_it_at_once_and_stops_the_remote_job(master: Master) -> None:
    workflow = master.define("Long sleep", sleeping(120.0))
    queued = master.queue({"1": example(), "2": remote(workflow, in_1=["1", 0]), "3": save(["2", 2])})
    job = master.until(lambda: next((j for j in master.jobs(queued) if j["status"] == "running"), None))
    master.interrupt()
    stopped = time.monotonic()
    entry = master.wait(queued)
    assert time.monotonic() - stopped < 5.0, "the queue of the master must be free again at once"
    assert any(name == "execution_interrupted" for name, _ in entry["status"]["messages"])
    master.until(lambda: master.api.get(f"/orchestrator/jobs/{job['id']}")["status"] == "cancelled")
    backend = job["attempts"][0]["backend_id"]
    master.until(lambda: master.api.get(f"/orchestrator/backends/{backend}")["queue_remaining"] == 0)
    run = master.until(lambda: _ended(master.api.get(f"/orchestrator/runs/{queued}")))
    assert run["status"] == "cancelled"


def test_an_error_names_backend_node_and_message(master: Master) -> None:
    failing = {
        "1": example(),
        "2": {"class_type": "OrchestratorTestFail", "inputs": {"image": ["1", 0], "message": "no paint left"}},
        "3": {"class_type": "SaveImage", "inputs": {"images": ["2", 0], "filename_prefix": "x"}},
    }
    workflow = master.define("Fail", failing)
    graph = {"1": example(), "2": remote(workflow, in_1=["1", 0]), "3": save(["2", 2])}
    entry = master.wait(master.queue(graph))
    name, error = entry["status"]["messages"][-1]
    assert name == "execution_error"
    assert error["node_id"] == "2"
    for part in ("rw-", "OrchestratorTestFail", "no paint left"):
        assert part in error["exception_message"]


def test_dropping_a_failed_item_keeps_the_others_and_tells_which(master: Master) -> None:
    failing = {
        "1": example(),
        "2": {"class_type": "OrchestratorTestFail", "inputs": {"image": ["1", 0], "message": "dropped"}},
        "3": {"class_type": "SaveImage", "inputs": {"images": ["2", 0], "filename_prefix": "x"}},
    }
    workflow = master.define("Fail", failing)
    graph = {
        "1": example(),
        "2": remote(workflow, in_1=["1", 0], on_failure="drop", attempts=1),
        "3": save(["2", 2]),
        "4": save(["1", 0]),
    }
    done = master.run(graph)
    assert master.images(done, "3") == []
    assert len(master.images(done, "4")) == 1


def test_an_edited_workflow_is_run_again_and_never_served_stale(master: Master) -> None:
    workflow = master.define("Edited", INVERT)
    graph = {"1": example(), "2": remote(workflow, in_1=["1", 0]), "3": save(["2", 2])}
    (before,) = master.images(master.run(graph), "3")
    sharpen = {"image": ["1", 0], "sharpen_radius": 1, "sigma": 1.0, "alpha": 0.5}
    master.redefine(workflow, {**INVERT, "2": {"class_type": "ImageSharpen", "inputs": sharpen}})
    (after,) = master.images(master.run(graph), "3")
    assert not np.array_equal(pixels(before), pixels(after))


def test_the_same_prompt_again_is_answered_from_the_masters_own_cache(master: Master) -> None:
    workflow = master.define("Invert", INVERT)
    graph = {"1": example(), "2": remote(workflow, in_1=["1", 0]), "3": save(["2", 2])}
    master.run(graph)
    assert master.jobs(master.run(graph)) == []


def test_an_output_connected_later_is_fetched_then(master: Master) -> None:
    two = {
        **INVERT,
        "4": {"class_type": "ImageBlur", "inputs": {"image": ["1", 0], "blur_radius": 1, "sigma": 1.0}},
        "5": {"class_type": "SaveImage", "inputs": {"images": ["4", 0], "filename_prefix": "blurred"}},
    }
    workflow = master.define("Two outputs", two)
    graph = {"1": example(), "2": remote(workflow, in_1=["1", 0]), "3": save(["2", 2])}
    assert len(master.images(master.run(graph), "3")) == 1
    graph["4"] = save(["2", 3])
    assert len(master.images(master.run(graph), "4")) == 1


@pytest.mark.parametrize("backend", ["auto", "This server"])
def test_every_type_goes_there_and_comes_back(master: Master, backend: str) -> None:
    types = ("IMAGE", "MASK", "LATENT", "AUDIO", "STRING", "INT", "FLOAT", "BOOLEAN")
    prompt: dict[str, Any] = {}
    for type_ in types:
        name = type_.lower()
        prompt[f"i{name}"] = {"class_type": "OrchestratorWorkflowInput", "inputs": {"name": name, "type": type_}}
        prompt[f"o{name}"] = {
            "class_type": "OrchestratorWorkflowOutput",
            "inputs": {"name": name, "value": [f"i{name}", 0]},
        }
    workflow = master.define("Every type", prompt)
    definition = master.api.get(f"/orchestrator/definitions/{workflow}")
    sources: dict[str, dict[str, Any]] = {
        "image": example(),
        "mask": {"class_type": "SolidMask", "inputs": {"value": 1.0, "width": 16, "height": 8}},
        "latent": {"class_type": "EmptyLatentImage", "inputs": {"width": 64, "height": 64, "batch_size": 2}},
        "audio": {"class_type": "EmptyAudio", "inputs": {"duration": 0.5, "sample_rate": 44100, "channels": 2}},
        "string": {"class_type": "PrimitiveString", "inputs": {"value": 'žluťoučký\nkůň {"a": 1}'}},
        "int": {"class_type": "PrimitiveInt", "inputs": {"value": -7}},
        "float": {"class_type": "PrimitiveFloat", "inputs": {"value": 0.1}},
        "boolean": {"class_type": "PrimitiveBoolean", "inputs": {"value": True}},
    }
    names = [p["name"] for p in definition["parameters"]]
    outputs = [o["name"] for o in definition["outputs"]]
    graph: dict[str, Any] = dict(sources)
    inputs = {f"in_{index + 1}": [name, 0] for index, name in enumerate(names)}
    graph["rw"] = remote(workflow, {"in": names, "out": outputs}, backend=backend, **inputs)

    def slot(name: str) -> list[Any]:
        return ["rw", 2 + outputs.index(name)]

    graph["s_image"] = save(slot("image"))
    graph["m"] = {"class_type": "MaskToImage", "inputs": {"mask": slot("mask")}}
    graph["s_mask"] = save(["m", 0])
    graph["s_latent"] = {"class_type": "SaveLatent", "inputs": {"samples": slot("latent"), "filename_prefix": "l"}}
    graph["s_audio"] = {"class_type": "SaveAudio", "inputs": {"audio": slot("audio"), "filename_prefix": "a"}}
    for name in ("string", "int", "float", "boolean"):
        graph[f"s_{name}"] = {"class_type": "PreviewAny", "inputs": {"source": slot(name)}}
    entry = master.wait(master.queue(graph))
    assert entry["status"]["status_str"] == "success", entry["status"]["messages"][-1]
    shown = {name: entry["outputs"][f"s_{name}"]["text"][0] for name in ("string", "int", "float", "boolean")}
    assert shown == {"string": sources["string"]["inputs"]["value"], "int": "-7", "float": "0.1", "boolean": "True"}
    assert entry["outputs"]["s_latent"]["latents"]
    assert entry["outputs"]["s_audio"]["audio"]
    assert entry["outputs"]["s_mask"]["images"]
    assert entry["outputs"]["s_image"]["images"]


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"workflow": "no-such"}, "no-such"),
        ({"backend": "nobody"}, "nobody"),
        ({"parameters": "{"}, "JSON"),
        ({"parameters": json.dumps({"values": {"colour": 1}})}, "colour"),
        ({"parameters": json.dumps({"version": 1, "in": ["photo"]})}, "photo"),
        ({"in_1": ["latent", 0]}, "LATENT"),
        ({"in_2": ["1", 0]}, "in_2"),
    ],
)
def test_what_cannot_work_is_refused_before_anything_runs(master: Master, change: Mapping[str, Any], told: str) -> None:
    workflow = master.define("Invert", INVERT)
    node = remote(workflow, in_1=["1", 0])
    node["inputs"].update(change)
    latent = {"class_type": "EmptyLatentImage", "inputs": {"width": 64, "height": 64, "batch_size": 1}}
    refusal = master.refused({"1": example(), "latent": latent, "2": node, "3": save(["2", 2])})
    assert told in json.dumps(refusal["node_errors"]["2"])


TEXT = {
    "1": {"class_type": "StringConcatenate", "inputs": {"string_a": "a", "string_b": "b", "delimiter": "-"}},
    "2": {"class_type": "PreviewAny", "inputs": {"source": ["1", 0]}},
}
LATENT = {
    "1": {"class_type": "EmptyLatentImage", "inputs": {"width": 64, "height": 64, "batch_size": 1}},
    "2": {"class_type": "SaveLatent", "inputs": {"samples": ["1", 0], "filename_prefix": "alone"}},
}


@pytest.mark.parametrize("workflow", [TEXT, LATENT], ids=["text", "latent"])
@pytest.mark.parametrize("end", [None, "OrchestratorMerge", "OrchestratorCondition"])
def test_nodes_of_the_pack_alone_run_whatever_they_make(
    master: Master, workflow: dict[str, Any], end: str | None
) -> None:
    graph = {"1": remote(master.define(f"Alone {uuid.uuid4().hex[:6]}", workflow))}
    if end == "OrchestratorMerge":
        inputs = {"mode": "list", "sizes": "error", "separator": ",", "in_1": ["1", 2]}
        graph["2"] = {"class_type": end, "inputs": inputs}
    elif end is not None:
        graph["2"] = {"class_type": end, "inputs": {"expression": "true", "names": "", "value_1": ["1", 2]}}
    (job,) = master.jobs(master.run(graph))
    assert (job["status"], list(job["outputs"])) == ("succeeded", ["text" if workflow is TEXT else "latent"])


def test_a_peer_that_is_killed_costs_no_result(master: Master, comfy_farm: Farm) -> None:
    workflow = master.define("Sleep a while", sleeping(3.0))
    queued = master.queue({"1": example(), "2": remote(workflow, in_1=["1", 0]), "3": save(["2", 2])})
    job = master.until(lambda: next((j for j in master.jobs(queued) if j["status"] == "running"), None))
    comfy_farm.instances[job["attempts"][0]["backend"]].kill()
    assert len(master.images(queued, "3")) == 1
    (job,) = master.jobs(queued)
    assert [a["status"] for a in job["attempts"]] == ["failed", "succeeded"]
    assert job["attempts"][0]["failure"]["cause"] == "vanished"


def test_without_any_other_backend_auto_runs_here(comfy_farm: Farm) -> None:
    (instance,) = comfy_farm.with_pack("rw-alone")
    alone = Master(instance)
    workflow = alone.define("Invert", INVERT)
    done = alone.run({"1": example(), "2": remote(workflow, in_1=["1", 0]), "3": save(["2", 2])})
    (result,) = alone.images(done, "3")
    assert np.array_equal(pixels(result), inverted(source_pixels(alone)))


def _ended(run: dict[str, Any]) -> dict[str, Any] | None:
    return run if run["status"] != "running" else None
