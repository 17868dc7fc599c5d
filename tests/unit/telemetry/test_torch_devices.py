from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from comfy_orchestrator_nodes.agent.telemetry.models import Device
from comfy_orchestrator_nodes.agent.telemetry.torch_devices import Torch, TorchDevice, merge

GIB = 1 << 30
NOWHERE: frozenset[str] = frozenset()


def a_torch(*, cuda: Any = None, xpu: Any = None, mps: Any = None) -> Any:
    absent = SimpleNamespace(is_available=lambda: False)
    mps_backend = SimpleNamespace(is_available=lambda: mps is not None)
    return SimpleNamespace(cuda=cuda or absent, xpu=xpu or absent, mps=mps, backends=SimpleNamespace(mps=mps_backend))


def a_cuda(*, initialized: bool = True, **properties: Any) -> Any:
    stats = {"allocated_bytes.all.current": 3 * GIB, "reserved_bytes.all.current": 4 * GIB}
    return SimpleNamespace(
        is_available=lambda: True,
        is_initialized=lambda: initialized,
        device_count=lambda: 1,
        get_device_properties=lambda index: SimpleNamespace(name="Some GPU", **properties),
        memory_stats=lambda index: stats,
        mem_get_info=lambda index: (14 * GIB, 24 * GIB),
    )


def test_a_gpu_without_a_driver_source_is_told_by_torch() -> None:
    found, source = Torch(a_torch(cuda=a_cuda())).read(NOWHERE)
    (device,) = merge([], found)
    assert source.state == "ok"
    assert (device.id, device.name, device.kind) == ("cuda:0", "Some GPU", "cuda")
    assert device.values == {
        "torch_allocated_bytes": 3 * GIB,
        "torch_reserved_bytes": 4 * GIB,
        "vram_used_bytes": 10 * GIB,
        "vram_total_bytes": 24 * GIB,
    }


def test_a_device_that_comfyui_did_not_start_is_not_started_by_looking() -> None:
    assert Torch(a_torch(cuda=a_cuda(initialized=False))).read(NOWHERE)[0] == []


def test_an_intel_gpu_is_told_by_torch() -> None:
    xpu = SimpleNamespace(
        is_available=lambda: True,
        device_count=lambda: 1,
        get_device_properties=lambda index: SimpleNamespace(name="Intel Arc A770", total_memory=16 * GIB),
        memory_allocated=lambda index: GIB,
        memory_reserved=lambda index: 2 * GIB,
    )
    (device,) = merge([], Torch(a_torch(xpu=xpu)).read(NOWHERE)[0])
    assert (device.name, device.values["vram_used_bytes"]) == ("Intel Arc A770", 2 * GIB)


def test_an_apple_gpu_is_told_by_torch_old_and_new() -> None:
    mps = SimpleNamespace(current_allocated_memory=lambda: GIB, driver_allocated_memory=lambda: 5 * GIB)
    (old,) = merge([], Torch(a_torch(mps=mps)).read(NOWHERE)[0])
    mps.recommended_max_memory = lambda: 48 * GIB
    (new,) = merge([], Torch(a_torch(mps=mps)).read(NOWHERE)[0])
    assert old.values["vram_used_bytes"] == new.values["vram_used_bytes"] == 5 * GIB
    assert "vram_total_bytes" not in old.values
    assert new.values["vram_total_bytes"] == 48 * GIB


def test_a_device_without_a_module_in_torch_is_told_by_comfyui() -> None:
    directml = TorchDevice("privateuseone:0", "directml", "DirectML", total=8 * GIB)
    (device,) = merge([], Torch(a_torch(), lambda: directml).read(NOWHERE)[0])
    assert (device.kind, device.values) == ("directml", {"vram_total_bytes": 8 * GIB})


def test_a_torch_that_fails_is_told_and_costs_nothing_else() -> None:
    broken = SimpleNamespace(cuda=SimpleNamespace(is_available=lambda: 1 / 0))
    found, source = Torch(broken).read(NOWHERE)
    assert (found, source.state) == ([], "failed")
    assert "ZeroDivisionError" in source.message


def nvidia(number: int, **values: float) -> Device:
    uuid = f"0000000{number}-aaaa"
    return Device(
        f"GPU-{uuid}", "NVIDIA", "nvidia", values, unsupported=("vram_used_bytes",), pci=f"0000:0{number}:00.0"
    )


def test_torchs_own_allocations_join_the_drivers_gpu_by_uuid_or_by_place() -> None:
    by_uuid = TorchDevice("cuda:0", "cuda", "x", uuid="00000002-aaaa", allocated=1, reserved=2)
    by_place = TorchDevice("cuda:1", "cuda", "x", pci="0000:01:00.0", allocated=3, reserved=4)
    first, second = merge([nvidia(1, power_w=10), nvidia(2, power_w=20)], [by_uuid, by_place])
    assert first.values == {"power_w": 10, "torch_allocated_bytes": 3, "torch_reserved_bytes": 4}
    assert second.values == {"power_w": 20, "torch_allocated_bytes": 1, "torch_reserved_bytes": 2}


def test_a_lone_gpu_is_the_lone_one_of_an_older_torch() -> None:
    (device,) = merge([nvidia(1)], [TorchDevice("cuda:0", "cuda", "x", allocated=1, reserved=2)])
    assert device.values["torch_reserved_bytes"] == 2


def test_with_several_gpus_nothing_is_guessed() -> None:
    devices = [nvidia(1), nvidia(2)]
    assert merge(devices, [TorchDevice("cuda:0", "cuda", "x", allocated=1, reserved=2)]) == devices


def test_torch_fills_in_what_the_driver_cannot_tell() -> None:
    (device,) = merge([nvidia(1)], [TorchDevice("cuda:0", "cuda", "x", used=5, total=8)])
    assert (device.values["vram_used_bytes"], device.unsupported) == (5, ())
