"""The codecs against ComfyUI's own loaders and savers, in ComfyUI's own environment."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tools.devtools.environments import ComfyUI

pytestmark = pytest.mark.comfy
SCRIPT = Path(__file__).with_name("codecs_in_comfyui.py")
PROJECT = Path(__file__).parents[2]


def test_files_are_bit_for_bit_what_comfyuis_own_nodes_load_and_save(comfyui: ComfyUI, tmp_path: Path) -> None:
    command = [str(comfyui.python), str(SCRIPT), str(comfyui.source), str(PROJECT), str(tmp_path)]
    command += ["--mend-torchvision"] if comfyui.provided else []
    run = subprocess.run(command, capture_output=True, text=True, timeout=110, check=False, cwd=tmp_path)
    assert run.returncode == 0, run.stdout + run.stderr
    assert run.stdout.endswith("all equal\n")
