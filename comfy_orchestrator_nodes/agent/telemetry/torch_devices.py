"""What torch says of its devices: the only source for Apple and Intel, and its own allocations for all others.

Nothing here starts a device: a figure that would need that is left out until ComfyUI has started it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Any

from .models import ABSENT, FAILED, OK, Device, Source


@dataclass(frozen=True)
class TorchDevice:
    """One device as torch knows it. Sizes in bytes; None where torch does not tell."""

    id: str
    """Torch's spelling, such as ``cuda:0``."""
    kind: str
    name: str
    uuid: str = ""
    pci: str = ""
    allocated: int | None = None
    reserved: int | None = None
    used: int | None = None
    total: int | None = None

    def own_values(self) -> dict[str, float]:
        """Return what torch itself holds."""
        held = {"torch_allocated_bytes": self.allocated, "torch_reserved_bytes": self.reserved}
        return {name: float(value) for name, value in held.items() if value is not None}

    def to_device(self) -> Device:
        """Return it as a device of its own, for one that no better source knows."""
        values = self.own_values()
        if self.used is not None:
            values["vram_used_bytes"] = float(self.used)
        if self.total is not None:
            values["vram_total_bytes"] = float(self.total)
        return Device(self.id, self.name, self.kind, values)


class Torch:
    """Reads torch's devices. Belongs to the sampling thread."""

    name = "torch"

    def __init__(self, torch: Any, other: Callable[[], TorchDevice | None] = lambda: None) -> None:
        """Make it.

        Args:
            torch: the module, or None where there is none.
            other: returns a device that torch has no module for, such as DirectML's.
        """
        self._torch = torch
        self._other = other

    def read(self, known_pci: frozenset[str]) -> tuple[list[TorchDevice], Source]:
        """Return torch's devices. Never raises what torch does.

        Args:
            known_pci: unused memory of devices on these places of the bus is not asked for: somebody else knows it.
        """
        if self._torch is None:
            return [], Source(self.name, ABSENT, "There is no torch in this process.")
        try:
            devices = [*_cuda(self._torch, known_pci), *_xpu(self._torch), *_mps(self._torch)]
            if not devices and (other := self._other()) is not None:
                devices = [other]
        except Exception as error:  # noqa: BLE001 - torch raises anything from RuntimeError to its own classes
            return [], Source(self.name, FAILED, f"torch cannot tell about its devices: {type(error).__name__}.")
        return devices, Source(self.name, OK if devices else ABSENT)


def merge(devices: list[Device], found: Iterable[TorchDevice]) -> list[Device]:
    """Return the devices with torch's own figures, and those that only torch knows.

    A device is recognised by its UUID or its place on the bus. Where torch tells neither (before 2.8), a lone GPU of a
    driver is the lone one of torch; with several nothing is guessed, since CUDA_VISIBLE_DEVICES may reorder them.
    """
    merged = list(devices)
    pending = list(found)
    for torch_device in pending:
        index = _place_of(torch_device, merged, alone=len(pending) == 1)
        if index is None:
            if not merged or torch_device.kind != "cuda":
                merged.append(torch_device.to_device())
            continue
        device = merged[index]
        values = {**torch_device.to_device().values, **device.values, **torch_device.own_values()}
        unsupported = tuple(name for name in device.unsupported if name not in values)
        merged[index] = replace(device, values=values, unsupported=unsupported)
    return merged


def _place_of(wanted: TorchDevice, devices: list[Device], *, alone: bool) -> int | None:
    for index, device in enumerate(devices):
        same_id = wanted.uuid and device.id.lower().removeprefix("gpu-").removeprefix("mig-") == wanted.uuid.lower()
        if same_id or (wanted.pci and device.pci == wanted.pci):
            return index
    drivers = [i for i, device in enumerate(devices) if device.kind in ("nvidia", "amd") and device.parent is None]
    if alone and wanted.kind == "cuda" and not wanted.uuid and not wanted.pci and len(drivers) == 1:
        return drivers[0]
    return None


def _cuda(torch: Any, known_pci: frozenset[str]) -> list[TorchDevice]:
    """CUDA and ROCm, which torch calls CUDA as well."""
    cuda = torch.cuda
    if not cuda.is_available() or not cuda.is_initialized():
        return []
    devices = []
    for index in range(cuda.device_count()):
        properties = cuda.get_device_properties(index)
        # Flat once: memory_allocated() and memory_reserved() make the same dictionary anew each.
        stats = cuda.memory_stats(index)
        device = TorchDevice(
            id=f"cuda:{index}",
            kind="cuda",
            name=str(properties.name),
            uuid=str(getattr(properties, "uuid", "")),
            pci=_pci(properties),
            allocated=stats.get("allocated_bytes.all.current", 0),
            reserved=stats.get("reserved_bytes.all.current", 0),
        )
        if device.pci not in known_pci or not device.pci:
            free, total = cuda.mem_get_info(index)
            device = replace(device, used=total - free, total=total)
        devices.append(device)
    return devices


def _xpu(torch: Any) -> list[TorchDevice]:
    xpu = getattr(torch, "xpu", None)
    if xpu is None or not xpu.is_available():
        return []
    devices = []
    for index in range(xpu.device_count()):
        properties = xpu.get_device_properties(index)
        reserved = xpu.memory_reserved(index)
        devices.append(
            TorchDevice(
                id=f"xpu:{index}",
                kind="xpu",
                name=str(properties.name),
                allocated=xpu.memory_allocated(index),
                reserved=reserved,
                # Intel's torch tells nothing of other processes.
                used=reserved,
                total=properties.total_memory,
            )
        )
    return devices


def _mps(torch: Any) -> list[TorchDevice]:
    if not torch.backends.mps.is_available():
        return []
    held = torch.mps.driver_allocated_memory()
    limit = getattr(torch.mps, "recommended_max_memory", None)
    return [
        TorchDevice(
            id="mps",
            kind="mps",
            name="Apple GPU (shares the system's memory)",
            allocated=torch.mps.current_allocated_memory(),
            reserved=held,
            used=held,
            total=limit() if limit is not None else None,
        )
    ]


def _pci(properties: Any) -> str:
    """Return the place on the bus; torch tells it since 2.8."""
    bus = getattr(properties, "pci_bus_id", None)
    if not isinstance(bus, int):
        return ""
    domain, slot = getattr(properties, "pci_domain_id", 0), getattr(properties, "pci_device_id", 0)
    return f"{domain:04x}:{bus:02x}:{slot:02x}.0"
