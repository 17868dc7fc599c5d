"""How values travel between a real master and real peers, with the pack and without: exactly, no more than needed."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.support.master import Master
from tools.devtools.instances import Farm

pytestmark = [pytest.mark.comfy, pytest.mark.timeout(300)]

NODES = Path(__file__).parents[1] / "data" / "nodes" / "orchestrator_value_nodes.py"
TYPES = {
    "IMAGE": "IMAGE",
    "IMAGE of 8 bits": "IMAGE",
    "IMAGE with alpha": "IMAGE",
    "IMAGE out of range": "IMAGE",
    "MASK": "MASK",
    "LATENT": "LATENT",
    "AUDIO": "AUDIO",
    "CONDITIONING": "CONDITIONING",
    "SIGMAS": "SIGMAS",
}
AGENT, PLAIN = "values-agent", "values-plain"


@pytest.fixture(scope="module")
def servers(comfy_farm: Farm) -> Master:
    """A master, a peer with the pack and a plain one, all with the test nodes."""
    for name in ("values-master", AGENT, PLAIN):
        folder = comfy_farm.directory / name / "custom_nodes"
        folder.mkdir(parents=True, exist_ok=True)
        shutil.copy(NODES, folder / NODES.name)
    instance, agent = comfy_farm.with_pack("values-master", AGENT)
    (plain,) = comfy_farm.plain(PLAIN)
    master = Master(instance)
    master.register(agent)
    master.register(plain)
    return master


@pytest.fixture
def master(servers: Master, comfy_farm: Farm) -> Master:
    """The master, with everything running again that an earlier test stopped."""
    comfy_farm.with_pack("values-master", AGENT)
    comfy_farm.plain(PLAIN)
    servers.wait_online(AGENT, PLAIN)
    servers.until(lambda: backend(servers, AGENT)["capabilities"]["agent"]["trusted"])
    return servers


def backend(master: Master, name: str) -> dict[str, Any]:
    """Return a backend as the master shows it."""
    found = {b["name"]: b for b in master.api.get("/orchestrator/backends")["backends"]}
    return dict(found[name])


def make(kind: str, seed: Any, size: int = 64) -> dict[str, Any]:
    """Return the node that makes a value of a seed."""
    return {"class_type": "OrchestratorTestMake", "inputs": {"kind": kind, "seed": seed, "size": size}}


def digest(source: list[Any]) -> dict[str, Any]:
    """Return the node that tells values apart."""
    return {"class_type": "OrchestratorTestDigest", "inputs": {"value": source}}


def given(name: str, type_: str) -> dict[str, Any]:
    """Return a Workflow Input."""
    return {"class_type": "OrchestratorWorkflowInput", "inputs": {"name": name, "type": type_}}


def yielded(name: str, source: list[Any]) -> dict[str, Any]:
    """Return a Workflow Output."""
    return {"class_type": "OrchestratorWorkflowOutput", "inputs": {"name": name, "value": source}}


def remote(workflow: str, on: str = AGENT, *, values: Mapping[str, Any] | None = None, **inputs: Any) -> dict[str, Any]:
    """Return a Remote Workflow node without a cache."""
    parameters = json.dumps({"values": values or {}})
    return {
        "class_type": "OrchestratorRemoteWorkflow",
        "inputs": {"workflow": workflow, "backend": on, "parameters": parameters, "cache": False, **inputs},
    }


def making(master: Master, kind: str, size: int = 64) -> str:
    """Put a workflow into the library that makes a value of the seed it is given."""
    prompt = {
        "seed": given("seed", "INT"),
        "made": make(kind, ["seed", 0], size),
        "typed": {
            "class_type": "OrchestratorWorkflowInput",
            "inputs": {"name": "x", "type": TYPES[kind], "value": ["made", 0]},
        },
        "out": yielded("made", ["typed", 0]),
    }
    return master.define(f"Make {kind} {size}", prompt)


def telling(master: Master, type_: str) -> str:
    """Put a workflow into the library that tells the digest of the value it is given."""
    prompt = {"in": given("value", type_), "told": digest(["in", 0]), "out": yielded("digest", ["told", 0])}
    return master.define(f"Tell {type_}", prompt)


def brightening(master: Master) -> str:
    """Put a workflow into the library that changes an image so that it needs more than 8 bits."""
    bright = {"class_type": "OrchestratorTestBrighten", "inputs": {"image": ["in", 0], "by": 0.0003}}
    return master.define(
        "Brighten", {"in": given("image", "IMAGE"), "bright": bright, "out": yielded("image", ["bright", 0])}
    )


def digests(master: Master, prompt_id: str, node_id: str) -> list[str]:
    """Return what a Digest node told."""
    return list(master.wait(prompt_id)["outputs"][node_id]["digests"])


def moved(job: Mapping[str, Any]) -> tuple[int, int]:
    """Return the bytes sent and fetched for a job."""
    (attempt,) = job["attempts"]
    return attempt["uploaded_bytes"], attempt["downloaded_bytes"]


@pytest.mark.parametrize("kind", TYPES)
def test_a_value_comes_back_from_an_agent_bit_for_bit(master: Master, kind: str) -> None:
    graph = {
        "rw": remote(making(master, kind), values={"seed": 7}),
        "came": digest(["rw", 2]),
        "here": make(kind, 7),
        "wanted": digest(["here", 0]),
    }
    done = master.run(graph)
    assert digests(master, done, "came") == digests(master, done, "wanted")
    (job,) = master.jobs(done)
    assert job["outputs"]["made"]["loss"] == ""


@pytest.mark.parametrize("kind", TYPES)
def test_a_value_reaches_an_agent_bit_for_bit(master: Master, kind: str) -> None:
    graph = {
        "here": make(kind, 11),
        "wanted": digest(["here", 0]),
        "rw": remote(telling(master, TYPES[kind]), in_1=["here", 0]),
        "told": {"class_type": "PreviewAny", "inputs": {"source": ["rw", 2]}},
    }
    done = master.run(graph)
    assert [master.wait(done)["outputs"]["told"]["text"][0]] == digests(master, done, "wanted")


def test_a_chain_on_one_backend_moves_nothing_between_its_steps(master: Master) -> None:
    brighten = brightening(master)
    graph = {
        "1": remote(making(master, "IMAGE", 256), values={"seed": 3}),
        "2": remote(brighten, in_1=["1", 2]),
        "3": remote(brighten, in_1=["2", 2]),
        "4": digest(["3", 2]),
        "here": make("IMAGE", 3, 256),
        "b1": {"class_type": "OrchestratorTestBrighten", "inputs": {"image": ["here", 0], "by": 0.0003}},
        "b2": {"class_type": "OrchestratorTestBrighten", "inputs": {"image": ["b1", 0], "by": 0.0003}},
        "wanted": digest(["b2", 0]),
    }
    done = master.run(graph)
    assert digests(master, done, "4") == digests(master, done, "wanted")
    first, second, third = (moved(job) for job in master.jobs(done))
    size = 2 * 256 * 256 * 3 * 4
    assert (first, second) == ((0, 0), (0, 0))
    assert third[0] == 0
    assert size < third[1] < size + 1000
