"""The command-line client against a real master with a real peer, as a script would use it."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests.support.master import Master
from tools.devtools.instances import Farm

pytestmark = [pytest.mark.comfy, pytest.mark.timeout(300)]

ROOT = Path(__file__).resolve().parents[2]
NODES = ROOT / "tests" / "data" / "nodes" / "orchestrator_test_nodes.py"

INVERT: dict[str, Any] = {
    "version": 0.4,
    "nodes": [
        {
            "id": 1,
            "type": "LoadImage",
            "mode": 0,
            "inputs": [],
            "outputs": [
                {"name": "IMAGE", "type": "IMAGE", "links": [1]},
                {"name": "MASK", "type": "MASK", "links": []},
            ],
            "widgets_values": ["example.png", "image"],
        },
        {
            "id": 2,
            "type": "ImageInvert",
            "mode": 0,
            "inputs": [{"name": "image", "type": "IMAGE", "link": 1}],
            "outputs": [{"name": "IMAGE", "type": "IMAGE", "links": [2]}],
        },
        {
            "id": 3,
            "type": "SaveImage",
            "mode": 0,
            "inputs": [{"name": "images", "type": "IMAGE", "link": 2}],
            "outputs": [],
            "widgets_values": ["inverted"],
        },
    ],
    "links": [[1, 1, 0, 2, 0, "IMAGE"], [2, 2, 0, 3, 0, "IMAGE"]],
}


def sleeping(seconds: float) -> dict[str, Any]:
    """Return a workflow that takes its time, in API format."""
    return {
        "1": {"class_type": "EmptyImage", "inputs": {"width": 8, "height": 8, "batch_size": 1, "color": 0}},
        "2": {"class_type": "OrchestratorTestSleep", "inputs": {"image": ["1", 0], "seconds": seconds}},
        "3": {"class_type": "SaveImage", "inputs": {"images": ["2", 0], "filename_prefix": "slept"}},
    }


@pytest.fixture(scope="module")
def real_master(comfy_farm: Farm) -> Master:
    """A master with the pack and one plain peer, both with the test nodes."""
    for name in ("cli-master", "cli-peer"):
        folder = comfy_farm.directory / name / "custom_nodes"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / NODES.name).write_bytes(NODES.read_bytes())
    (peer,) = comfy_farm.plain("cli-peer")
    (instance,) = comfy_farm.with_pack("cli-master")
    master = Master(instance)
    master.register(peer)
    master.wait_online("cli-peer")
    return master


def command(master: Master, *arguments: str) -> list[str]:
    return [sys.executable, "-m", "comfy_orchestrator_nodes", *arguments, "--master", master.instance.url]


def run(master: Master, *arguments: str) -> Any:
    """Run a command that must succeed and return what it printed with ``--json``."""
    done = subprocess.run(
        command(master, *arguments, "--json"), cwd=ROOT, capture_output=True, text=True, check=False, timeout=120
    )
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    return json.loads(done.stdout)


def saved(folder: Path, name: str, value: Any) -> str:
    path = folder / name
    path.write_text(json.dumps(value), "utf-8")
    return str(path)


def test_a_saved_workflow_runs_on_a_peer_with_a_photo_from_here(real_master: Master, tmp_path: Path) -> None:
    pixels = np.random.default_rng(1).integers(0, 256, (24, 32, 3), np.uint8)
    Image.fromarray(pixels).save(tmp_path / "photo.png")
    assert run(real_master, "convert", saved(tmp_path, "Invert.json", INVERT))["3"]["class_type"] == "SaveImage"

    imported = run(real_master, "import", str(tmp_path / "Invert.json"))
    parameters = imported["imported"][0]["definition"]["parameters"]
    assert [(p["name"], p["type"]) for p in parameters] == [("image", "IMAGE")]
    photo = f"image={tmp_path / 'photo.png'}"
    done = run(real_master, "run", "invert", "--image", photo, "--backend", "cli-peer", "--out", str(tmp_path / "out"))

    assert [attempt["backend"] for attempt in done["job"]["attempts"]] == ["cli-peer"]
    with Image.open(tmp_path / "out" / "image.png") as image:
        # ComfyUI cuts off below the 8th bit when it saves, which 1 - x / 255 does not survive exactly.
        difference = np.abs(np.asarray(image.convert("RGB")).astype(int) - (255 - pixels.astype(int)))
    assert difference.max() <= 1
    real_master.until(lambda: real_master.api.get("/orchestrator/thumbnails")["thumbnails"].get("invert"))


def test_ctrl_c_stops_the_peer(real_master: Master, tmp_path: Path) -> None:
    run(real_master, "import", saved(tmp_path, "Sleeping.json", sleeping(60)))
    process = subprocess.Popen(
        command(real_master, "run", "sleeping", "--backend", "cli-peer", "--no-cache", "--out", str(tmp_path / "out")),
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        path = "/orchestrator/jobs?definition=sleeping&status=running"
        job = real_master.until(lambda: real_master.api.get(path)["jobs"])[0]["id"]
        process.send_signal(signal.SIGINT)
        _, told = process.communicate(timeout=60)
    finally:
        process.kill()
        process.wait()

    assert process.returncode == 130, told
    assert f"Job {job} is" in told
    real_master.until(lambda: real_master.api.get(f"/orchestrator/jobs/{job}")["status"] == "cancelled")
