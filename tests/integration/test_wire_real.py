"""The codec with real torch, in ComfyUI's own environment."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tools.devtools.environments import ComfyUI

pytestmark = pytest.mark.comfy
SCRIPT = Path(__file__).with_name("wire_in_comfyui.py")
PROJECT = Path(__file__).parents[2]


def test_torch_tensors_of_every_type_and_layout_come_back_bit_for_bit(comfyui: ComfyUI, tmp_path: Path) -> None:
    command = [str(comfyui.python), str(SCRIPT), str(comfyui.source), str(PROJECT)]
    run = subprocess.run(command, capture_output=True, text=True, timeout=110, check=False, cwd=tmp_path)
    assert run.returncode == 0, run.stdout + run.stderr
    assert run.stdout.endswith("all equal\n")
