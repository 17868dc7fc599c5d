"""How values travel between a real master and real peers, with the pack and without: exactly, no more than needed."""

from __future__ import annotations

import asyncio
import hashlib
import json
import shutil
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.support.master import Master
from tests.support.proxy import Act, Fault, Part, Where, proxy_before
from tools.devtools.demo import Api
from tools.devtools.instances import Farm, Instance

pytestmark = [pytest.mark.comfy, pytest.mark.timeout(300)]

DATA = Path(__file__).parents[1] / "data" / "nodes"
NODES = (DATA / "orchestrator_value_nodes.py", DATA / "orchestrator_test_nodes.py")
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
    "VIDEO": "VIDEO",
    "SVG": "SVG",
    "MESH": "MESH",
    "VOXEL": "VOXEL",
}
AGENT, PLAIN = "values-agent", "values-plain"


@pytest.fixture(scope="module")
def servers(comfy_farm: Farm) -> Master:
    """A master, a peer with the pack and a plain one, all with the test nodes."""
    for name in ("values-master", AGENT, PLAIN):
        folder = comfy_farm.directory / name / "custom_nodes"
        folder.mkdir(parents=True, exist_ok=True)
        for nodes in NODES:
            shutil.copy(nodes, folder / nodes.name)
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
    loss = job["outputs"]["made"]["loss"]
    # Whether a video comes from a file is not known before it is there.
    assert ("made of frames" in loss) if kind == "VIDEO" else not loss


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


def test_a_video_keeps_every_byte_from_an_agent_to_a_plain_backend(master: Master) -> None:
    graph = {
        "made": remote(making(master, "VIDEO"), values={"seed": 5}),
        "rw": remote(telling(master, "VIDEO"), PLAIN, in_1=["made", 2]),
        "told": {"class_type": "PreviewAny", "inputs": {"source": ["rw", 2]}},
        "here": make("VIDEO", 5),
        "wanted": digest(["here", 0]),
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


def test_what_jobs_took_may_go_when_they_have_ended_well_or_not(master: Master, comfy_farm: Farm) -> None:
    agent, _ = comfy_farm.with_pack(AGENT, "values-master")
    fail = {"class_type": "OrchestratorTestFail", "inputs": {"image": ["in", 0], "message": "x"}}
    failing = master.define("Fail", {"in": given("image", "IMAGE"), "x": fail, "out": yielded("image", ["x", 0])})

    def leased() -> int:
        return int(Api(agent.url).get("/orchestrator/agent/blobs")["leased_bytes"])

    for workflow, ends in ((telling(master, "IMAGE"), "success"), (failing, "error")):
        graph = {"here": make("IMAGE", 31, 512), "rw": remote(workflow, in_1=["here", 0])}
        graph["told"] = {"class_type": "PreviewAny", "inputs": {"source": ["rw", 2]}}
        before = leased()
        prompt = master.queue(graph)
        assert master.wait(prompt)["status"]["status_str"] == ends
        # Within seconds, where it would be an hour if nobody told.
        master.until(lambda: leased() < before + 512 * 512)  # noqa: B023 - called at once


def test_a_value_that_two_jobs_take_is_sent_once(master: Master) -> None:
    tell = telling(master, "IMAGE")
    graph = {"here": make("IMAGE", 21, 256), "1": remote(tell, in_1=["here", 0]), "2": remote(tell, in_1=["here", 0])}
    for number in ("1", "2"):
        graph[f"told {number}"] = {"class_type": "PreviewAny", "inputs": {"source": [number, 2]}}
    sent = [moved(job)[0] for job in master.jobs(master.run(graph))]
    assert sorted(sent) == [0, max(sent)]
    assert max(sent) > 2 * 256 * 256 * 3 * 4


def test_one_list_runs_on_both_kinds_and_tells_what_each_lost(master: Master) -> None:
    brighten = brightening(master)
    graph: dict[str, Any] = {
        "here": make("IMAGE", 5),
        "items": {"class_type": "OrchestratorFanOut", "inputs": {"source": "batch", "value": ["here", 0]}},
        "exact": remote(brighten, AGENT, in_1=["items", 0]),
        "rounded": remote(brighten, PLAIN, in_1=["items", 0]),
        "by hand": {"class_type": "OrchestratorTestBrighten", "inputs": {"image": ["items", 0], "by": 0.0003}},
        "wanted": digest(["by hand", 0]),
        "agent": digest(["exact", 2]),
        "plain": digest(["rounded", 2]),
    }
    done = master.run(graph)
    assert digests(master, done, "agent") == digests(master, done, "wanted")
    assert digests(master, done, "plain") != digests(master, done, "wanted")
    shown = master.wait(done)["outputs"]
    assert [(info["lossless"], info["loss"]) for info in shown["exact"]["orchestrator"]] == [(True, "")] * 2
    for info in shown["rounded"]["orchestrator"]:
        assert not info["lossless"]
        assert "came as 8 bits a channel" in info["loss"]
        assert "its input 'image': it was rounded to 8 bits" in info["loss"]


def test_what_eight_bits_hold_is_not_called_lost_on_its_way_to_a_plain_backend(master: Master) -> None:
    graph = {
        "here": make("IMAGE of 8 bits", 5),
        "rw": remote(telling(master, "IMAGE"), PLAIN, in_1=["here", 0]),
        "wanted": digest(["here", 0]),
        "told": {"class_type": "PreviewAny", "inputs": {"source": ["rw", 2]}},
    }
    done = master.run(graph)
    assert master.wait(done)["outputs"]["told"]["text"] == digests(master, done, "wanted")
    (job,) = master.jobs(done)
    assert job["outputs"]["digest"]["loss"] == ""


def test_conditioning_goes_to_the_backend_that_can_take_it(master: Master) -> None:
    graph = {
        "here": make("CONDITIONING", 2),
        "rw": remote(telling(master, "CONDITIONING"), "auto", in_1=["here", 0]),
        "told": {"class_type": "PreviewAny", "inputs": {"source": ["rw", 2]}},
    }
    (job,) = master.jobs(master.run(graph))
    assert job["attempts"][0]["backend"] == AGENT


def test_conditioning_is_refused_for_a_plain_backend_in_words(master: Master) -> None:
    graph = {
        "here": make("CONDITIONING", 1),
        "rw": remote(telling(master, "CONDITIONING"), PLAIN, in_1=["here", 0]),
        "told": {"class_type": "PreviewAny", "inputs": {"source": ["rw", 2]}},
    }
    entry = master.wait(master.queue(graph))
    assert "CONDITIONING cannot travel between servers that lack this pack" in str(entry["status"]["messages"][-1])


def chain(master: Master, seed: int, then: str, on: str = AGENT) -> dict[str, Any]:
    """Return a graph of two Remote Workflow nodes, of which the second tells the digest of what the first makes."""
    return {
        "made": remote(making(master, "IMAGE"), values={"seed": seed}),
        "told": remote(then, on, in_1=["made", 2]),
        "shown": {"class_type": "PreviewAny", "inputs": {"source": ["told", 2]}},
        "here": make("IMAGE", seed),
        "wanted": digest(["here", 0]),
    }


def changed(graph: Mapping[str, Any], **inputs: Any) -> dict[str, Any]:
    """Return the graph with other inputs of its second node: ComfyUI runs that one again, and the first one not."""
    node = graph["told"]
    return {**graph, "told": {**node, "inputs": {**node["inputs"], **inputs}}}


def told(master: Master, prompt_id: str) -> tuple[list[str], list[str]]:
    """Return the digest that came from afar, and the right one."""
    return list(master.wait(prompt_id)["outputs"]["shown"]["text"]), digests(master, prompt_id, "wanted")


def test_what_stayed_on_a_backend_goes_on_to_another_one(master: Master) -> None:
    graph = chain(master, 31, telling(master, "IMAGE"))
    master.run(graph)
    to_plain = master.run(changed(graph, backend=PLAIN))
    (job,) = master.jobs(to_plain)
    assert job["attempts"][0]["backend"] == PLAIN
    sent, fetched = moved(job)
    assert 0 < sent < fetched, "the value came here, and went on as 8-bit files"
    came, wanted = told(master, master.run(changed(graph, backend="This server")))
    assert came == wanted


def test_a_handle_whose_backend_was_restarted_is_made_again(master: Master, comfy_farm: Farm) -> None:
    graph = chain(master, 41, telling(master, "IMAGE"))
    master.run(graph)
    (agent,) = comfy_farm.with_pack(AGENT)
    agent.kill()
    comfy_farm.with_pack(AGENT)
    master.wait_online(AGENT)
    # The first node is not run again: ComfyUI still has its handle.
    done = master.run(changed(graph, attempts=4))
    assert told(master, done)[0] == told(master, done)[1]
    (job,) = master.jobs(done)
    assert job["definition"].startswith("tell")


def test_a_value_that_is_lost_while_its_job_waits_is_made_again(master: Master, comfy_farm: Farm) -> None:
    graph = chain(master, 46, telling(master, "IMAGE"))
    master.run(graph)
    # Another job keeps the backend busy, so that the one that takes the value waits for it.
    blank = {"class_type": "EmptyImage", "inputs": {"width": 8, "height": 8, "batch_size": 1, "color": 0}}
    slept = {"class_type": "OrchestratorTestSleep", "inputs": {"image": ["blank", 0], "seconds": 600.0}}
    sleep = master.define("Sleep", {"blank": blank, "slept": slept, "out": yielded("image", ["slept", 0])})
    busy = master.api.send("POST", "/orchestrator/jobs", {"definition": sleep, "backend": AGENT, "cache": False})["id"]
    master.until(lambda: master.api.get(f"/orchestrator/jobs/{busy}")["status"] == "running")
    done = master.queue(changed(graph, attempts=6))
    master.until(lambda: master.jobs(done))
    (agent,) = comfy_farm.with_pack(AGENT)
    agent.kill()
    master.api.send("POST", f"/orchestrator/jobs/{busy}/cancel", {})
    comfy_farm.with_pack(AGENT)
    assert told(master, done)[0] == told(master, done)[1]


def test_a_value_that_its_agent_deleted_is_made_again(master: Master, comfy_farm: Farm) -> None:
    graph = chain(master, 51, telling(master, "IMAGE"))
    maker, taker = master.jobs(master.run(graph))
    (agent,) = comfy_farm.with_pack(AGENT)
    delete(
        agent,
        maker["outputs"]["made"]["files"][0]["sha256"],
        maker["attempts"][0]["id"],
        f"inputs of {taker['attempts'][0]['id']}",
    )
    done = master.run(changed(graph, attempts=4))
    assert told(master, done)[0] == told(master, done)[1]


def delete(agent: Instance, sha256: str, *owners: str) -> None:
    """Delete a value on its backend as if there were no room for it."""
    blobs = f"{agent.url}/orchestrator/agent/blobs"
    headers = {"X-Orchestrator": "1", "Content-Type": "application/json"}
    for owner in (*owners, "a prompt on its way into the queue"):
        body = json.dumps({"owner": owner}).encode()
        urllib.request.urlopen(urllib.request.Request(f"{blobs}/release", body, headers), timeout=10).close()
    urllib.request.urlopen(
        urllib.request.Request(f"{blobs}/{sha256}", headers=headers, method="DELETE"), timeout=10
    ).close()


def test_a_result_that_stayed_is_fetched_when_somebody_downloads_it(master: Master) -> None:
    maker, _ = master.jobs(master.run(chain(master, 56, telling(master, "IMAGE"))))
    (file,) = maker["outputs"]["made"]["files"]
    with urllib.request.urlopen(f"{master.instance.url}{file['url']}", timeout=30) as answer:
        data = answer.read()
    assert (hashlib.sha256(data).hexdigest(), len(data)) == (file["sha256"], file["size_bytes"])


def test_a_result_that_stayed_is_shown_as_a_picture(master: Master) -> None:
    maker, _ = master.jobs(master.run(chain(master, 57, telling(master, "IMAGE"))))
    (file,) = maker["outputs"]["made"]["files"]
    with urllib.request.urlopen(f"{master.instance.url}{file['preview_url']}", timeout=30) as answer:
        assert answer.headers["Content-Type"] == "image/webp"
        data = answer.read()
    assert data[8:12] == b"WEBP"


def test_a_restart_of_the_master_finds_what_stayed_on_the_backends(master: Master, comfy_farm: Farm) -> None:
    graph = chain(master, 61, telling(master, "IMAGE"))
    graph["made"]["inputs"]["cache"] = True
    master.run(graph)
    master.instance.kill()
    comfy_farm.with_pack("values-master")
    master.api.wait("the orchestrator", master.api.is_ready)
    master.wait_online(AGENT)
    done = master.run(graph)
    assert told(master, done)[0] == told(master, done)[1]
    made, tell = master.jobs(done)
    assert made["attempts"] == [], "its result is in the cache, and was found where it stayed"
    assert moved(tell) == (0, 0)


def test_a_wrong_token_is_told_and_the_backend_serves_as_a_plain_one(master: Master) -> None:
    path = f"/orchestrator/backends/{backend(master, AGENT)['id']}"
    master.api.send("PATCH", path, {"credentials": {"agent_token": "wrong"}})
    try:
        master.wait_online(AGENT)
        shown = backend(master, AGENT)
        assert shown["credentials"]["has_agent_token"]
        assert not shown["capabilities"]["agent"]["trusted"]
        assert "refuses the token" in shown["capabilities"]["agent"]["problem"]
        graph = {"rw": remote(making(master, "IMAGE"), values={"seed": 71}), "came": digest(["rw", 2])}
        (job,) = master.jobs(master.run(graph))
        assert job["outputs"]["made"]["files"][0]["media_type"] == "image/png"
    finally:
        master.api.send("PATCH", path, {"credentials": {}})
    master.until(lambda: (backend(master, AGENT)["capabilities"] or {}).get("agent", {}).get("trusted"))


@pytest.mark.parametrize("act", [Act.CUT, Act.GARBLE])
async def test_a_value_that_is_cut_or_damaged_on_its_way_arrives_whole(
    master: Master, comfy_farm: Farm, act: Act
) -> None:
    (agent,) = comfy_farm.with_pack(AGENT)
    async with proxy_before(agent.url) as proxy:
        name = f"behind a proxy that will {act.value}"
        seed = 81 if act is Act.CUT else 82
        body = {"name": name, "base_url": proxy.url}
        added = await asyncio.to_thread(master.api.send, "POST", "/orchestrator/backends", body)
        try:
            await asyncio.to_thread(master.wait_online, name)
            graph = chain(master, seed, telling(master, "IMAGE"), name)
            graph["made"]["inputs"]["backend"] = name
            maker, _ = master.jobs(await asyncio.to_thread(master.run, graph))
            sha256 = maker["outputs"]["made"]["files"][0]["sha256"]
            proxy.fail("GET", f"/orchestrator/agent/blobs/{sha256}", Fault(Part.ANSWER, Where.IN_BODY, act))
            graph["came"] = digest(["made", 2])
            done = await asyncio.to_thread(master.run, graph)
            assert digests(master, done, "came") == digests(master, done, "wanted")
            fetches = [seen for seen in proxy.exchanges if seen == f"GET /orchestrator/agent/blobs/{sha256}"]
            assert len(fetches) == 2
        finally:
            await asyncio.to_thread(master.api.send, "DELETE", f"/orchestrator/backends/{added['id']}", {})
