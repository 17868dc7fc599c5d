"""The agent as a pack of its own in a real ComfyUI, and beside the whole pack."""

from __future__ import annotations

import json
import shutil
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from tools.devtools.agent_pack import write_agent_pack
from tools.devtools.instances import Farm, Instance, Spec
from tools.devtools.pack import Install

pytestmark = pytest.mark.comfy

TROUBLE = ("error", "traceback", "failed", "deprecated")


def get(url: str) -> Any:
    with urllib.request.urlopen(url, timeout=10) as answer:
        return json.load(answer)


def complaints(instance: Instance) -> list[str]:
    lines = instance.log_path.read_text(encoding="utf-8").splitlines()
    return [line for line in lines if any(sign in line.lower() for sign in TROUBLE)]


def test_the_agent_alone_is_an_agent_and_no_master(comfy_farm: Farm) -> None:
    (alone,) = comfy_farm.start(Spec("agent-alone", Install.AGENT))
    assert complaints(alone) == []
    told = get(f"{alone.url}/orchestrator/agent")
    assert {"blobs", "values", "stalls"} <= set(told["capabilities"])
    classes = get(f"{alone.url}/object_info")
    assert {"OrchestratorValueIn", "OrchestratorValueOut"} <= set(classes)
    assert "OrchestratorRemoteWorkflow" not in classes
    assert "/extensions/comfyui-orchestrator-agent/orchestrator-agent.js" in get(f"{alone.url}/extensions")


@pytest.mark.parametrize("folder", ["aa-agent", "zz-agent"])
def test_beside_the_whole_pack_one_of_them_stands_back_and_says_so(
    comfy_farm: Farm, tmp_path: Path, folder: str
) -> None:
    name = f"agent-twice-{folder}"
    shutil.copytree(write_agent_pack(tmp_path), comfy_farm.directory / name / "custom_nodes" / folder)
    (both,) = comfy_farm.start(Spec(name, Install.LINK))
    assert complaints(both) == []
    assert both.log_path.read_text(encoding="utf-8").count("agent is installed twice") == 1
    assert get(f"{both.url}/orchestrator/agent")["protocol"]["major"] == 1
    classes = get(f"{both.url}/object_info")
    assert {"OrchestratorValueIn", "OrchestratorValueOut", "OrchestratorRemoteWorkflow"} <= set(classes)
    assert get(f"{both.url}/orchestrator/status") is not None
