"""Telemetry on real ComfyUIs: a server with the pack tells everything, a plain one its memory."""

from __future__ import annotations

import time
from typing import Any

import pytest

from tests.support.master import Master
from tools.devtools.instances import Instance

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
