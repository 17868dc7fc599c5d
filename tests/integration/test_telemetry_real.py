"""Telemetry on real ComfyUIs: a server with the pack tells everything, a plain one its memory."""

from __future__ import annotations

import shutil
import time
from pathlib import Path
from typing import Any

import pytest

from tests.fakes.nvml.library import build, why_not
from tests.support.master import Master
from tools.devtools.instances import Farm, Instance, Spec
from tools.devtools.pack import Install

pytestmark = pytest.mark.comfy


def test_a_server_with_the_pack_tells_everything_and_a_plain_one_its_memory(
    master: Instance, plain_peer: Instance
) -> None:
    farm = Master(master)
    farm.register(plain_peer)
    farm.wait_online(plain_peer.name)

    def machines() -> dict[str, Any] | None:
        told = {m["source"]: m for m in farm.api.get("/orchestrator/telemetry")["machines"]}
        agent = told.get("agent")
        # Rates need two readings.
        return told if agent is not None and "plain" in told and "cpu_ratio" in agent["host"] else None

    told = farm.until(machines)
    agent, plain = told["agent"], told["plain"]
    assert agent["backend_id"] == "local"
    assert agent["problem"] == plain["problem"] == ""
    assert set(plain["host"]) == {"ram_used_bytes", "ram_total_bytes"}
    assert {"process_ram_bytes", "disk_free_bytes", "network_sent_bytes_s"} <= set(agent["host"])
    full = farm.api.get("/orchestrator/backends/local/telemetry")
    assert {source["name"] for source in full["sources"]} == {"nvml", "amd", "torch"}
    assert all(source["message"] or source["state"] != "failed" for source in full["sources"])
    path = f"/orchestrator/samples?metrics=ram_used_bytes&from={time.time() - 60}&step=1"
    series = farm.api.get(path)["series"]
    assert {found["backend_id"] for found in series} == {agent["backend_id"], plain["backend_id"]}
    used = [value for found in series for value in found["avg"] if value is not None]
    assert all(value > 1 << 28 for value in used)


NODES = Path(__file__).parents[1] / "data" / "nodes" / "orchestrator_test_nodes.py"
SLEEP_S = 4.0
PROMPT = {
    "1": {"class_type": "EmptyImage", "inputs": {"width": 64, "height": 64, "batch_size": 1, "color": 0}},
    "2": {"class_type": "OrchestratorTestSleep", "inputs": {"image": ["1", 0], "seconds": SLEEP_S}},
    "3": {"class_type": "SaveImage", "inputs": {"images": ["2", 0], "filename_prefix": "x"}},
}


@pytest.mark.skipif(bool(why_not()), reason=why_not() or "there is a compiler")
def test_a_job_on_a_gpu_has_its_peak_and_its_energy(
    comfy_farm: Farm, master: Instance, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    build(tmp_path)
    nodes = comfy_farm.directory / "gpu-peer" / "custom_nodes"
    nodes.mkdir(parents=True)
    shutil.copy(NODES, nodes / NODES.name)
    with monkeypatch.context() as patched:
        # Where the loader looks first: the real binding in a real ComfyUI finds the made-up driver by itself.
        patched.setenv("LD_LIBRARY_PATH", str(tmp_path))
        (peer,) = comfy_farm.start(Spec("gpu-peer", Install.AGENT))
    farm = Master(master)
    farm.register(peer)
    backend = next(b["id"] for b in farm.api.get("/orchestrator/backends")["backends"] if b["name"] == peer.name)
    body = {"definition": farm.define("Sleep", PROMPT), "backend": peer.name, "cache": False}
    job = farm.api.send("POST", "/orchestrator/jobs", body)["id"]
    done = farm.api.get(f"/orchestrator/jobs/{job}?wait_s=60")
    assert done["status"] == "succeeded", done["failure"]

    def measured() -> dict[str, Any] | None:
        (attempt,) = farm.api.get(f"/orchestrator/jobs/{job}")["attempts"]
        return attempt if attempt["energy_j"] is not None else None

    attempt = farm.until(measured)
    assert attempt["peak_vram_bytes"] == 6 << 30
    length_s = attempt["ended_at"] - attempt["started_at"]
    assert attempt["energy_j"] == pytest.approx(310.5 * length_s, rel=0.01)
    (gpu,) = farm.api.get(f"/orchestrator/backends/{backend}/telemetry")["devices"]
    assert (gpu["name"], gpu["values"]["temperature_c"]) == ("NVIDIA Fake 4090", 61)
