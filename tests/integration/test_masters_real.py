"""Real masters that are killed in the middle of a run, and two that use each other."""

from __future__ import annotations

import shutil
import uuid
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.support.master import Master
from tools.devtools.instances import Farm, Instance

pytestmark = [pytest.mark.comfy, pytest.mark.timeout(400)]

NODES = tuple((Path(__file__).parents[1] / "data" / "nodes").glob("orchestrator_*.py"))


def gated(token: str) -> dict[str, Any]:
    """Return a workflow that counts its executions and waits for a gate of that name."""
    return {
        "1": {"class_type": "EmptyImage", "inputs": {"width": 8, "height": 8, "batch_size": 1, "color": 255}},
        "2": {"class_type": "OrchestratorTestCount", "inputs": {"image": ["1", 0], "token": token}},
        "3": {"class_type": "OrchestratorTestGate", "inputs": {"image": ["2", 0], "name": token}},
        "4": {"class_type": "SaveImage", "inputs": {"images": ["3", 0], "filename_prefix": token}},
    }


def graph(*workflows: str) -> dict[str, Any]:
    """Return a meta-graph that runs workflows beside each other."""
    nodes: dict[str, Any] = {}
    for number, workflow in enumerate(workflows):
        inputs = {"workflow": workflow, "backend": "auto", "parameters": "{}"}
        nodes[f"remote-{number}"] = {"class_type": "OrchestratorRemoteWorkflow", "inputs": inputs}
        kept = {"images": [f"remote-{number}", 2], "filename_prefix": "kept"}
        nodes[f"save-{number}"] = {"class_type": "SaveImage", "inputs": kept}
    return nodes


def with_nodes(farm: Farm, *names: str) -> None:
    """Give instances the test nodes, before they start."""
    for name in names:
        folder = farm.directory / name / "custom_nodes"
        folder.mkdir(parents=True, exist_ok=True)
        for nodes in NODES:
            shutil.copy(nodes, folder / nodes.name)


def executions(peers: list[Instance]) -> Mapping[str, int]:
    """Count what the peers noted."""
    logs = [peer.directory / "output" / "executions.log" for peer in peers]
    return Counter(token for log in logs if log.is_file() for token in log.read_text(encoding="utf-8").split())


def open_gate(peers: list[Instance], token: str) -> None:
    """Let whatever waits for a gate go on."""
    for peer in peers:
        (peer.directory / "output" / token).touch()


def test_a_master_that_is_killed_finds_its_running_jobs_again_and_repeats_nothing(comfy_farm: Farm) -> None:
    with_nodes(comfy_farm, "kill-one", "kill-two", "kill-master")
    peers = comfy_farm.plain("kill-one", "kill-two")
    (instance,) = comfy_farm.with_pack("kill-master")
    master = Master(instance)
    for peer in peers:
        master.register(peer)
    quick, slow = (f"{kind}-{uuid.uuid4().hex[:8]}" for kind in ("quick", "slow"))
    open_gate(peers, quick)
    meta_graph = graph(master.define("Quick", gated(quick)), master.define("Slow", gated(slow)))
    queued = master.queue(meta_graph)
    master.until(lambda: executions(peers)[slow] == 1 and "succeeded" in {j["status"] for j in master.jobs(queued)})
    before = {job["id"]: job for job in master.jobs(queued)}

    instance.kill()
    instance.start()
    master = Master(instance)
    (found,) = (job for job in master.jobs(queued) if job["status"] not in ("succeeded", "failed", "cancelled"))
    again = master.queue(meta_graph)
    master.until(lambda: len(master.api.get(f"/orchestrator/jobs?run={again}")["jobs"]) == 1)
    open_gate(peers, slow)

    assert len(master.images(again, "save-0")) == len(master.images(again, "save-1")) == 1
    after = master.api.get(f"/orchestrator/jobs/{found['id']}")
    assert after["status"] == "succeeded"
    assert [a["prompt_id"] for a in after["attempts"]] == [a["prompt_id"] for a in before[found["id"]]["attempts"]]
    assert executions(peers) == {quick: 1, slow: 1}


@pytest.fixture(scope="module")
def mutual(comfy_farm: Farm) -> tuple[Master, Master]:
    """Two masters, each the other's only backend."""
    with_nodes(comfy_farm, "mutual-one", "mutual-two")
    first, second = (Master(instance) for instance in comfy_farm.with_pack("mutual-one", "mutual-two"))
    first.register(second.instance)
    second.register(first.instance)
    return first, second


def held_meta_graph(master: Master) -> tuple[dict[str, Any], str]:
    """Return a meta-graph that waits for a gate before it asks for another server, and the gate's name."""
    gate = f"held-{uuid.uuid4().hex[:8]}"
    inputs = {"workflow": master.define("Grey", _grey()), "backend": "auto", "parameters": "{}", "in_1": ["gate", 0]}
    nodes = {
        "empty": {"class_type": "EmptyImage", "inputs": {"width": 8, "height": 8, "batch_size": 1, "color": 1}},
        "gate": {"class_type": "OrchestratorTestGate", "inputs": {"image": ["empty", 0], "name": gate}},
        "remote": {"class_type": "OrchestratorRemoteWorkflow", "inputs": {**inputs, "cache": False}},
        "save": {"class_type": "SaveImage", "inputs": {"images": ["remote", 2], "filename_prefix": "kept"}},
    }
    return nodes, gate


def assert_ended_well(master: Master, prompt_id: str) -> None:
    """Wait for a prompt's end and look at what it saved."""
    entry = master.wait(prompt_id)
    assert entry["status"]["status_str"] == "success", entry["status"]["messages"][-1]
    assert len(master.images(prompt_id, "save")) == 1


def test_two_masters_that_use_each_other_never_wait_for_each_other_for_ever(mutual: tuple[Master, Master]) -> None:
    queued = []
    for master in mutual:
        nodes, gate = held_meta_graph(master)
        queued.append((master, master.queue(nodes), gate))
    # Both queues are taken before either of them asks the other.
    for master, _, gate in queued:
        open_gate([master.instance], gate)
    for master, prompt_id, _ in queued:
        assert_ended_well(master, prompt_id)


def test_a_job_that_comes_to_wait_behind_a_meta_graph_is_taken_back_and_runs_here(
    mutual: tuple[Master, Master],
) -> None:
    first, second = mutual
    ordinary = f"ordinary-{uuid.uuid4().hex[:8]}"
    second.queue(gated(ordinary))
    nodes, theirs = held_meta_graph(second)
    meta_graph = second.queue(nodes)
    nodes, ours = held_meta_graph(first)
    open_gate([first.instance], ours)
    queued = first.queue(nodes)
    first.until(lambda: [a for j in first.jobs(queued) for a in j["attempts"] if a["status"] == "accepted"])
    open_gate([second.instance], ordinary)
    assert_ended_well(first, queued)
    (job,) = first.jobs(queued)
    assert [(a["failure"]["cause"], a["started_at"]) for a in job["attempts"]] == [("busy", None)]
    open_gate([second.instance], theirs)
    assert_ended_well(second, meta_graph)


def _grey() -> dict[str, Any]:
    """Return a workflow that takes an image."""
    return {
        "1": {"class_type": "LoadImage", "inputs": {"image": "example.png"}},
        "2": {"class_type": "ImageInvert", "inputs": {"image": ["1", 0]}},
        "3": {"class_type": "SaveImage", "inputs": {"images": ["2", 0], "filename_prefix": "grey"}},
    }
