from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from tools.devtools.demo import run_demo
from tools.devtools.environments import ComfyUI
from tools.devtools.instances import Farm, Spec
from tools.devtools.pack import Install

pytestmark = pytest.mark.comfy


def test_two_peers_run_a_workflow_each_on_the_masters_image(
    comfy_farm: Farm, comfyui: ComfyUI, capsys: pytest.CaptureFixture[str]
) -> None:
    names = ("demo-master", Install.COPY), ("plain-1", Install.NOTHING), ("agent-1", Install.LINK)
    master, *peers = comfy_farm.start(*(Spec(name, install) for name, install in names))
    result = run_demo(master, peers)
    before, after = brightness(comfyui.source / "input" / "example.png"), brightness(result)
    assert after.size == (before.size[0] * 2, before.size[1] * 2)
    mean = (sum(pixels(before)) + sum(pixels(after.resize(before.size)))) / len(pixels(before))
    assert mean == pytest.approx(255, abs=3), "enlarged and inverted, so a picture and its result make white"
    rows = [line.split() for line in capsys.readouterr().out.splitlines() if line.startswith(("enlarge", "invert"))]
    assert [row[:3] for row in rows] == [["enlarge-and-sharpen", "plain-1", "1"], ["invert", "agent-1", "1"]]
    assert all(int(row[4]) > 0 for row in rows)


def brightness(path: Path) -> Image.Image:
    with Image.open(path) as image:
        grey: Image.Image = image.convert("RGB").convert("L")
        return grey


def pixels(image: Image.Image) -> bytes:
    return image.tobytes()
