from __future__ import annotations

import os
from pathlib import Path

import pytest

from comfy_orchestrator_nodes.agent.telemetry.amd import Amd
from comfy_orchestrator_nodes.agent.telemetry.amd_processes import KfdProcesses
from comfy_orchestrator_nodes.agent.telemetry.processes import ProcessNames

GIB = 1 << 30
CARD = {
    "vendor": "0x1002\n",
    "device": "0x744c\n",
    "unique_id": "8d3b5a\n",
    "product_name": "Radeon RX 7900 XTX\n",
    "gpu_busy_percent": "87\n",
    "mem_busy_percent": "31\n",
    "mem_info_vram_total": f"{24 * GIB}\n",
    "mem_info_vram_used": f"{9 * GIB}\n",
    "hwmon/hwmon3/temp1_input": "64000\n",
    "hwmon/hwmon3/power1_average": "287000000\n",
    "hwmon/hwmon3/power1_cap": "339000000\n",
    "hwmon/hwmon3/freq1_input": "2482000000\n",
    "hwmon/hwmon3/freq2_input": "1249000000\n",
    "hwmon/hwmon3/pwm1": "102\n",
    "hwmon/hwmon3/pwm1_max": "255\n",
}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path / "drm"
    folder.mkdir()
    return folder


def plug(root: Path, number: int, files: dict[str, str], pci: str = "0000:03:00.0") -> Path:
    """Make a card as the kernel shows it: a link to its device, and a plug that is no card."""
    device = root.parent / "pci" / pci
    for name, content in files.items():
        (device / name).parent.mkdir(parents=True, exist_ok=True)
        (device / name).write_text(content)
    card = root / f"card{number}"
    card.mkdir()
    (card / "device").symlink_to(device, target_is_directory=True)
    (root / f"card{number}-HDMI-A-1").mkdir()
    return device


def amd_at(root: Path) -> Amd:
    """Return the GPUs below a folder, with the driver for computing beside it."""
    return Amd(KfdProcesses(ProcessNames(), root.parent / "kfd"), root)


def compute(root: Path, files: dict[str, str]) -> None:
    """Show what the driver for computing would."""
    for name, content in files.items():
        path = root.parent / "kfd" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)


NODES = {
    "topology/nodes/0/gpu_id": "0\n",
    "topology/nodes/0/properties": "cpu_cores_count 16\nlocation_id 0\n",
    "topology/nodes/1/gpu_id": "51110\n",
    "topology/nodes/1/properties": "simd_count 192\nlocation_id 768\ndomain 0\n",
}


def test_a_card_tells_which_processes_compute_on_it(root: Path) -> None:
    plug(root, 0, CARD)
    plug(root, 1, CARD | {"unique_id": "other"}, "0000:0a:00.0")
    compute(root, NODES | {f"proc/{os.getpid()}/vram_51110": f"{3 * GIB}\n", "proc/4194303/vram_51110": "4096\n"})
    first, second = amd_at(root).read()[0]
    assert [(p.pid, p.vram_used_bytes, p.own) for p in first.processes] == [
        (os.getpid(), 3 * GIB, True),
        (4194303, 4096, False),
    ]
    assert first.processes[0].name
    assert second.processes == ()


@pytest.mark.parametrize(
    "files",
    [
        {"topology/nodes/1/properties": "what is this\n"},
        {"topology/nodes/1/gpu_id": "7\n"},
        {"proc/1/vram_51110": "gone\n"},
        {"proc/1/vram_51110": "0\n"},
    ],
    ids=["unreadable properties", "an unknown GPU", "a process that ends", "nothing in use"],
)
def test_what_the_driver_for_computing_does_not_tell_is_left_out(root: Path, files: dict[str, str]) -> None:
    plug(root, 0, CARD)
    compute(root, NODES | {"proc/1/vram_51110": "4096\n"} | files)
    (gpu,), source = amd_at(root).read()
    assert (gpu.processes, source.state) == ((), "ok")


def test_a_gpu_that_comes_later_is_found(root: Path) -> None:
    plug(root, 0, CARD)
    compute(root, {"proc/1/vram_51110": "4096\n"})
    amd = amd_at(root)
    assert amd.read()[0][0].processes == ()
    compute(root, NODES)
    assert [process.pid for process in amd.read()[0][0].processes] == [1]


def test_a_card_tells_everything_in_the_units_of_the_names(root: Path) -> None:
    plug(root, 1, CARD)
    (gpu,), source = amd_at(root).read()
    assert source.state == "ok"
    assert (gpu.id, gpu.name, gpu.kind, gpu.pci) == ("8d3b5a", "Radeon RX 7900 XTX", "amd", "0000:03:00.0")
    assert gpu.values == pytest.approx(
        {
            "gpu_busy_ratio": 0.87,
            "memory_busy_ratio": 0.31,
            "vram_used_bytes": 9 * GIB,
            "vram_total_bytes": 24 * GIB,
            "temperature_c": 64,
            "power_w": 287,
            "power_limit_w": 339,
            "core_clock_hz": 2.482e9,
            "memory_clock_hz": 1.249e9,
            "fan_ratio": 0.4,
        }
    )
    assert gpu.unsupported == ()


def test_other_vendors_cards_are_left_to_other_sources(root: Path) -> None:
    plug(root, 0, CARD | {"vendor": "0x8086\n"})
    devices, source = amd_at(root).read()
    assert (devices, source.state) == ([], "absent")


@pytest.mark.parametrize("content", ["", "N/A\n", "\x00\xff"])
def test_a_file_that_says_nothing_costs_only_its_value(root: Path, content: str) -> None:
    plug(root, 0, CARD | {"gpu_busy_percent": content})
    (gpu,), _ = amd_at(root).read()
    assert gpu.unsupported == ("gpu_busy_ratio",)
    assert gpu.values["temperature_c"] == 64


def test_a_card_without_sensors_tells_its_memory(root: Path) -> None:
    plug(root, 0, {name: content for name, content in CARD.items() if "/" not in name})
    (gpu,), _ = amd_at(root).read()
    assert gpu.values["vram_used_bytes"] == 9 * GIB
    assert "temperature_c" in gpu.unsupported


def test_newer_kernels_tell_the_power_of_the_moment_and_the_speed_of_the_fan(root: Path) -> None:
    files = {name: content for name, content in CARD.items() if "pwm1" not in name and "power1_average" not in name}
    sensors = {"power1_input": "90500000", "fan1_input": "900", "fan1_max": "3000"}
    plug(root, 0, files | {f"hwmon/hwmon3/{name}": text for name, text in sensors.items()})
    (gpu,), _ = amd_at(root).read()
    assert (gpu.values["power_w"], gpu.values["fan_ratio"]) == (90.5, 0.3)


def test_a_card_that_vanishes_stays_as_lost(root: Path) -> None:
    plug(root, 0, CARD)
    device = plug(root, 1, CARD | {"unique_id": "other"}, "0000:0a:00.0")
    amd = amd_at(root)
    amd.read()
    (device / "vendor").unlink()
    here, gone = amd.read()[0]
    assert (here.state, gone.state, gone.id) == ("ok", "lost", "other")


def test_a_system_without_such_files_has_no_amd_gpu(tmp_path: Path) -> None:
    assert amd_at(tmp_path / "nothing").read()[1].state == "absent"
