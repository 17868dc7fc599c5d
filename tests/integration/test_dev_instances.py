"""dev.py's instances with the real ComfyUI: what every other test on real servers stands on."""

from __future__ import annotations

import json
import subprocess
import sys
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from tests.support.processes import is_gone, left_after
from tools.devtools.environments import ComfyUI
from tools.devtools.instances import Farm, Spec
from tools.devtools.pack import Install
from tools.devtools.paths import ROOT

pytestmark = pytest.mark.comfy

PARENT = """
import sys, threading
from pathlib import Path
from tools.devtools.environments import find_comfyui
from tools.devtools.instances import Farm
(instance,) = Farm(find_comfyui(), Path(sys.argv[1])).plain("orphan")
print(instance.pid, flush=True)
threading.Event().wait()
"""


def get(url: str) -> Any:
    with urllib.request.urlopen(url, timeout=10) as answer:
        return json.load(answer)


def test_a_plain_peer_and_a_master_run_side_by_side_from_one_source(comfy_farm: Farm) -> None:
    plain, master = comfy_farm.start(Spec("plain-1"), Spec("master", Install.LINK))
    for instance in (plain, master):
        assert get(f"{instance.url}/object_info/LoadImage")["LoadImage"]["input"]["required"]["image"][0] == [
            "example.png"
        ]
    assert list((plain.directory / "custom_nodes").iterdir()) == []
    assert [p.resolve() for p in (master.directory / "custom_nodes").iterdir()] == [ROOT]


def test_the_front_end_that_was_asked_for_is_served(
    comfyui: ComfyUI, comfy_farm: Farm, front_end_arguments: tuple[str, ...]
) -> None:
    name = "front-end-second" if front_end_arguments else "front-end-own"
    (instance,) = comfy_farm.start(Spec(name, arguments=front_end_arguments))
    with urllib.request.urlopen(instance.url, timeout=10) as answer:
        served = answer.read()
    if front_end_arguments:
        assert served == (Path(front_end_arguments[1]) / "index.html").read_bytes()
    else:
        where = "import comfyui_frontend_package as p; print(p.__path__[0])"
        package = subprocess.check_output([comfyui.python, "-c", where], text=True).strip()
        assert served == (Path(package) / "static" / "index.html").read_bytes()


def test_a_real_comfyui_ends_with_a_parent_that_is_killed(comfyui: ComfyUI, tmp_path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", PARENT, tmp_path / "farm"], cwd=ROOT, stdout=subprocess.PIPE
    ) as parent:
        assert parent.stdout is not None
        pid = int(parent.stdout.readline())
        assert not is_gone(pid)
        parent.kill()
    assert left_after([pid], timeout_s=30) == []
