"""Everything together: one sample of this machine."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from .amd import Amd
from .amd_processes import KfdProcesses
from .host import Host
from .loaded import loaded_models
from .models import Device, Sample
from .nvml import Nvml
from .processes import ProcessNames
from .torch_devices import Torch, TorchDevice, merge


@dataclass(frozen=True)
class Surroundings:
    """What the machine's telemetry is told by whoever runs it: nothing of ComfyUI or torch is imported here."""

    folder: str
    """On the disk whose free space counts."""
    torch: Any = None
    """The module, or None."""
    other_device: Callable[[], TorchDevice | None] = lambda: None
    """A device that torch has no module for."""
    loaded: Callable[[], Iterable[Any]] = lambda: ()
    """ComfyUI's list of loaded models."""


class Machine:
    """Reads this machine. Belongs to one thread."""

    def __init__(
        self,
        surroundings: Surroundings,
        *,
        nvml: Nvml | None = None,
        amd: Amd | None = None,
        host: Host | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Make it without touching any device."""
        names = ProcessNames()
        self._nvml = nvml or Nvml(names, clock=clock)
        self._amd = amd or Amd(KfdProcesses(names))
        self._host = host or Host(surroundings.folder, clock=clock)
        self._torch = Torch(surroundings.torch, surroundings.other_device)
        self._loaded = surroundings.loaded
        self._clock = clock

    def read(self) -> Sample:
        """Return everything as it is now. A source that fails says so, and costs only what it knows."""
        at = self._clock()
        nvidia, nvml = self._nvml.read()
        amd, sysfs = self._amd.read()
        devices = [*nvidia, *amd]
        allocated, torch = self._torch.read(_told_memory(devices))
        return Sample(
            at=at,
            host=self._host.read(),
            devices=tuple(merge(devices, allocated)),
            models=loaded_models(self._loaded),
            sources=(nvml, sysfs, torch),
        )

    def close(self) -> None:
        """Let go of the driver."""
        self._nvml.close()


def _told_memory(devices: list[Device]) -> frozenset[str]:
    return frozenset(device.pci for device in devices if device.pci and "vram_total_bytes" in device.values)
