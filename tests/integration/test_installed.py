"""The pack as ComfyUI Manager installs it: published files in custom_nodes, requirements in ComfyUI's environment."""

from __future__ import annotations

import json
import subprocess
import urllib.request
from typing import Any

import pytest

from tools.devtools.environments import ComfyUI
from tools.devtools.instances import Farm, Instance, Spec
from tools.devtools.pack import Install, published_files
from tools.devtools.paths import PACK_NAME, ROOT

pytestmark = pytest.mark.comfy

TROUBLE = ("error", "traceback", "warning", "failed", "deprecated")


@pytest.fixture
def installed(comfy_farm: Farm) -> Instance:
    return comfy_farm.start(Spec("installed", Install.COPY))[0]


def get(url: str) -> Any:
    with urllib.request.urlopen(url, timeout=10) as answer:
        return json.load(answer)


def test_requirements_txt_is_satisfied_in_comfyuis_environment(comfyui: ComfyUI) -> None:
    command = [
        str(comfyui.python),
        "-m",
        "pip",
        "install",
        "--dry-run",
        "--no-deps",
        "--no-index",
        "--quiet",
        "--report",
        "-",
    ]
    done = subprocess.run([*command, "-r", str(ROOT / "requirements.txt")], capture_output=True, text=True, check=True)
    assert json.loads(done.stdout)["install"] == []


def test_comfyui_starts_with_the_pack_and_without_a_complaint(installed: Instance) -> None:
    lines = installed.log_path.read_text(encoding="utf-8").splitlines()
    assert any(f"seconds: {installed.directory / 'custom_nodes' / PACK_NAME}" in line for line in lines)
    assert [line for line in lines if any(sign in line.lower() for sign in TROUBLE)] == []


def test_its_nodes_are_there(installed: Instance) -> None:
    classes = get(f"{installed.url}/object_info")
    ours = [name for name, told in classes.items() if told["python_module"] == f"custom_nodes.{PACK_NAME}"]
    assert "OrchestratorRemoteWorkflow" in ours


def test_its_routes_are_there_under_both_addresses(installed: Instance) -> None:
    assert get(f"{installed.url}/orchestrator/openapi.json")["openapi"].startswith("3.")
    assert get(f"{installed.url}/api/orchestrator/backends")["backends"][0]["id"] == "local"


def test_nothing_is_written_into_the_installed_folder(installed: Instance) -> None:
    folder = installed.directory / "custom_nodes" / PACK_NAME
    written = [p for p in folder.rglob("*") if p.is_file() and "__pycache__" not in p.parts]
    assert {p.relative_to(folder) for p in written} <= set(published_files(ROOT))
