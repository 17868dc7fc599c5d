from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Iterator
from typing import Any

import pynvml
import pytest

from comfy_orchestrator_nodes.agent.telemetry.models import Device, Sample
from comfy_orchestrator_nodes.agent.telemetry.nvml import REOPEN_S, Nvml
from comfy_orchestrator_nodes.agent.telemetry.processes import ProcessNames
from comfy_orchestrator_nodes.agent.telemetry.sampler import Pace, Sampler
from tests.fakes.nvml.library import FakeNvml, why_not
from tests.unit.telemetry.clock import Clock

pytestmark = pytest.mark.skipif(bool(why_not()), reason=why_not() or "there is a compiler")

GIB = 1 << 30
WITHOUT_A_VALUE = {
    "nvmlDeviceGetTemperature": {"temperature_c"},
    "nvmlDeviceGetPowerUsage": {"power_w"},
    "nvmlDeviceGetEnforcedPowerLimit": {"power_limit_w"},
    "nvmlDeviceGetClockInfo": {"core_clock_hz", "memory_clock_hz"},
    "nvmlDeviceGetFanSpeed": {"fan_ratio"},
    "nvmlDeviceGetPcieThroughput": {"pcie_received_bytes_s", "pcie_sent_bytes_s"},
    "nvmlDeviceGetTotalEccErrors": {"ecc_errors"},
    "nvmlDeviceGetUtilizationRates": {"gpu_busy_ratio", "memory_busy_ratio"},
}


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> FakeNvml:
    return FakeNvml(tmp_path_factory.mktemp("nvml"))


@pytest.fixture
def fake(library: FakeNvml) -> Iterator[FakeNvml]:
    library.clear(pynvml)
    yield library
    library.clear(pynvml)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def nvml(fake: FakeNvml, clock: Clock) -> Nvml:
    return Nvml(ProcessNames(), clock=clock)


def only(nvml: Nvml) -> Device:
    devices, _ = nvml.read()
    (device,) = devices
    return device


def test_a_gpu_tells_everything_in_the_units_of_the_names(nvml: Nvml) -> None:
    devices, source = nvml.read()
    assert (source.state, source.message) == ("ok", "")
    (gpu,) = devices
    assert (gpu.id, gpu.name, gpu.kind, gpu.state) == ("GPU-00000000-aaaa", "NVIDIA Fake 4090", "nvidia", "ok")
    assert gpu.pci == "0000:01:00.0"
    assert gpu.values == {
        "gpu_busy_ratio": 0.75,
        "memory_busy_ratio": 0.4,
        "vram_used_bytes": 6 * GIB,
        "vram_total_bytes": 24 * GIB,
        "temperature_c": 61,
        "power_w": 310.5,
        "power_limit_w": 450,
        "core_clock_hz": 2.52e9,
        "memory_clock_hz": 10.501e9,
        "fan_ratio": 0.55,
        "pcie_received_bytes_s": 3e6,
        "pcie_sent_bytes_s": 2e6,
        "ecc_errors": 6,
        "throttled": 0,
    }
    assert gpu.unsupported == ()


def test_several_gpus_are_told_apart(nvml: Nvml, fake: FakeNvml) -> None:
    fake.set(gpus=3)
    assert [device.pci for device in nvml.read()[0]] == ["0000:01:00.0", "0000:02:00.0", "0000:03:00.0"]


@pytest.mark.parametrize("function", sorted(WITHOUT_A_VALUE))
def test_a_gpu_that_cannot_answer_one_query_shows_the_rest(nvml: Nvml, fake: FakeNvml, function: str) -> None:
    everything = set(only(nvml).values)
    nvml.close()
    fake.clear(pynvml)
    fake.fail(function, pynvml.NVML_ERROR_NOT_SUPPORTED)
    gpu = only(Nvml(ProcessNames()))
    assert gpu.state == "ok"
    assert everything - set(gpu.values) == WITHOUT_A_VALUE[function]
    assert set(gpu.unsupported) & everything <= WITHOUT_A_VALUE[function]


def test_a_passing_failure_costs_one_value_once(nvml: Nvml, fake: FakeNvml) -> None:
    fake.fail("nvmlDeviceGetPowerUsage", pynvml.NVML_ERROR_UNKNOWN)
    assert "power_w" not in only(nvml).values
    fake.mend()
    gpu = only(nvml)
    assert gpu.values["power_w"] == 310.5
    assert gpu.unsupported == ()


def test_throttling_is_told_in_words(nvml: Nvml, fake: FakeNvml) -> None:
    fake.set(throttle=0x4 | 0x40 | 0x8000 | 0x1)
    gpu = only(nvml)
    assert gpu.throttled_by == ("power limit", "too hot (hardware)", "reason 0x8000")
    assert gpu.values["throttled"] == 1


def test_an_older_driver_tells_throttling_by_the_older_name(nvml: Nvml, fake: FakeNvml) -> None:
    fake.set(throttle=0x4)
    fake.fail("nvmlDeviceGetCurrentClocksEventReasons", pynvml.NVML_ERROR_FUNCTION_NOT_FOUND)
    assert only(nvml).throttled_by == ("power limit",)


@pytest.mark.parametrize("code", ["NVML_ERROR_FUNCTION_NOT_FOUND", "NVML_ERROR_ARGUMENT_VERSION_MISMATCH"])
def test_an_older_driver_tells_memory_with_its_own_share(nvml: Nvml, fake: FakeNvml, code: str) -> None:
    fake.fail("nvmlDeviceGetMemoryInfo_v2", getattr(pynvml, code))
    assert only(nvml).values["vram_used_bytes"] == 7 * GIB


def test_processes_are_named_and_our_own_is_known(nvml: Nvml, fake: FakeNvml) -> None:
    fake.set(processes=1, pid=os.getpid(), drawing=2)
    found = only(nvml).processes
    assert [(p.pid, p.vram_used_bytes, p.own) for p in found] == [
        (9001, 2 * GIB, False),
        (os.getpid(), GIB, True),
        (9000, GIB, False),
    ]
    assert "py" in next(p.name for p in found if p.own)


def test_an_older_driver_lists_processes_by_the_older_structure(nvml: Nvml, fake: FakeNvml) -> None:
    fake.set(processes=2)
    fake.fail("nvmlDeviceGetComputeRunningProcesses_v3", pynvml.NVML_ERROR_FUNCTION_NOT_FOUND)
    assert [p.pid for p in only(nvml).processes] == [4243, 4242]


def test_memory_that_windows_hides_is_unknown_and_not_huge(nvml: Nvml, fake: FakeNvml) -> None:
    fake.set(processes=1, memory_hidden=1)
    assert [p.vram_used_bytes for p in only(nvml).processes] == [None]


def test_a_split_gpu_shows_its_instances(nvml: Nvml, fake: FakeNvml) -> None:
    fake.set(mig=2)
    gpu, first, second = nvml.read()[0]
    assert (gpu.state, gpu.message) == ("split", "Split by MIG into 2 instances, which are shown below it.")
    assert "gpu_busy_ratio" not in gpu.values
    assert gpu.values["power_w"] == 310.5
    assert [first.id, second.id] == ["MIG-00000000-0", "MIG-00000000-1"]
    assert first.parent == second.parent == gpu.id
    assert first.values == {"vram_used_bytes": 6 * GIB, "vram_total_bytes": 10 * GIB}


def test_a_jetson_shares_its_memory_and_says_so(nvml: Nvml, fake: FakeNvml) -> None:
    for function in ("nvmlDeviceGetMemoryInfo", "nvmlDeviceGetMemoryInfo_v2"):
        fake.fail(function, pynvml.NVML_ERROR_NOT_SUPPORTED)
    gpu = only(nvml)
    assert gpu.state == "ok"
    assert "Jetson" in gpu.message
    assert "vram_used_bytes" in gpu.unsupported
    assert gpu.values["gpu_busy_ratio"] == 0.75


def test_a_lost_gpu_is_shown_as_lost_beside_the_others_and_comes_back(nvml: Nvml, fake: FakeNvml, clock: Clock) -> None:
    fake.set(gpus=2)
    nvml.read()
    fake.fail("*", pynvml.NVML_ERROR_GPU_IS_LOST, gpu=1)
    healthy, lost = nvml.read()[0]
    assert (healthy.state, lost.state) == ("ok", "lost")
    assert (lost.id, lost.name) == ("GPU-00000001-aaaa", "NVIDIA Fake 4090")
    assert "lost this GPU" in lost.message
    clock.pass_(REOPEN_S)
    assert [device.state for device in nvml.read()[0]] == ["ok", "lost"]
    fake.mend()
    clock.pass_(REOPEN_S)
    assert [device.state for device in nvml.read()[0]] == ["ok", "ok"]
    assert fake.opened == 1


def test_a_gpu_that_was_lost_from_the_start_has_a_place(nvml: Nvml, fake: FakeNvml) -> None:
    fake.set(gpus=2)
    fake.fail("nvmlDeviceGetHandleByIndex_v2", pynvml.NVML_ERROR_GPU_IS_LOST, gpu=1)
    assert [(d.id, d.state) for d in nvml.read()[0]] == [("GPU-00000000-aaaa", "ok"), ("nvidia-1", "lost")]


def test_a_reset_driver_is_opened_again(nvml: Nvml, fake: FakeNvml, clock: Clock) -> None:
    nvml.read()
    fake.reset_driver()
    gpu = only(nvml)
    assert (gpu.state, gpu.id) == ("lost", "GPU-00000000-aaaa")
    assert "was reset" in gpu.message
    clock.pass_(REOPEN_S)
    assert only(nvml).state == "ok"


def test_a_driver_that_is_not_loaded_is_told_and_looked_for_again(nvml: Nvml, fake: FakeNvml, clock: Clock) -> None:
    fake.fail("nvmlInitWithFlags", pynvml.NVML_ERROR_DRIVER_NOT_LOADED)
    devices, source = nvml.read()
    assert (devices, source.state) == ([], "failed")
    assert "not loaded" in source.message
    fake.mend()
    assert nvml.read()[0] == []
    clock.pass_(REOPEN_S)
    assert len(nvml.read()[0]) == 1


def test_a_driver_that_was_updated_underneath_says_restart(nvml: Nvml, fake: FakeNvml) -> None:
    fake.fail("nvmlInitWithFlags", pynvml.NVML_ERROR_LIB_RM_VERSION_MISMATCH)
    assert "restart the machine" in nvml.read()[1].message


def test_no_gpu_is_no_fault(nvml: Nvml, fake: FakeNvml) -> None:
    fake.set(gpus=0)
    devices, source = nvml.read()
    assert (devices, source.state, source.message) == ([], "absent", "The NVIDIA driver sees no GPU.")


def test_no_driver_is_no_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any) -> None:
        raise OSError("cannot open shared object file")

    monkeypatch.setattr(pynvml, "CDLL", refuse)
    monkeypatch.setattr(pynvml, "nvmlLib", None)
    monkeypatch.setattr(pynvml, "_nvmlGetFunctionPointer_cache", {})
    assert Nvml(ProcessNames()).read()[1].message == "There is no NVIDIA driver on this machine."


@pytest.mark.parametrize(
    ("error", "state", "word"),
    [(ModuleNotFoundError("pynvml"), "absent", "not installed"), (SyntaxError("half a file"), "failed", "broken")],
)
def test_a_missing_or_broken_binding_is_told(error: Exception, state: str, word: str) -> None:
    def load() -> Any:
        raise error

    devices, source = Nvml(ProcessNames(), load=load).read()
    assert (devices, source.state) == ([], state)
    assert word in source.message


def test_what_cannot_be_answered_is_not_asked_again(nvml: Nvml, fake: FakeNvml, clock: Clock) -> None:
    fake.fail("nvmlDeviceGetUtilizationRates", pynvml.NVML_ERROR_NOT_SUPPORTED)
    nvml.read()
    fake.mend()
    clock.pass_(1)
    assert "gpu_busy_ratio" not in only(nvml).values


def test_a_driver_that_takes_its_time_is_told_and_holds_up_nobody(nvml: Nvml, fake: FakeNvml) -> None:
    fake.delay("nvmlDeviceGetTemperature", 300)
    sampler = Sampler(
        lambda: Sample(time.monotonic(), {}, tuple(nvml.read()[0]), (), ()), pace=Pace(stalled_s=0.05, watched_s=0.01)
    )
    sampler.watch(60)
    deadline = time.monotonic() + 20
    told: set[str] = set()
    while time.monotonic() < deadline:
        started = time.monotonic()
        answer = json.loads(sampler.answer())
        assert time.monotonic() - started < 0.25
        told.add(answer["problem"])
        if answer["samples"] and len(told) > 1:
            break
        threading.Event().wait(0.01)
    sampler.close()
    sampler.join(20)
    assert "A driver has not answered for 0 s." in told
    assert answer["samples"][0]["devices"][0]["values"]["temperature_c"] == 61
