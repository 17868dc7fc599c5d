"""The nouns of telemetry, and how they look as JSON. Names of values end in their unit."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

OK = "ok"
ABSENT = "absent"
"""There is nothing of this kind here, and nothing is wrong."""
FAILED = "failed"
"""It should answer and does not; the message says why and how to mend it."""
LOST = "lost"
"""A GPU that was there and does not answer any more."""
SPLIT = "split"
"""A GPU that MIG has split into instances, which are devices of their own."""


@dataclass(frozen=True)
class Source:
    """Where readings come from (``nvml``, ``amd``, ``torch``) and how it is there."""

    name: str
    state: str
    message: str = ""

    def to_json(self) -> dict[str, Any]:
        """Return it as it is sent."""
        return {"name": self.name, "state": self.state, "message": self.message}


@dataclass(frozen=True)
class Process:
    """A process that holds memory of a GPU."""

    pid: int
    name: str
    vram_used_bytes: int | None
    """None where the system does not tell (Windows with a display driver)."""
    own: bool
    """Whether it is this ComfyUI. In a container the driver tells the host's numbers, so that nothing is its own."""

    def to_json(self) -> dict[str, Any]:
        """Return it as it is sent."""
        return {"pid": self.pid, "name": self.name, "vram_used_bytes": self.vram_used_bytes, "own": self.own}


@dataclass(frozen=True)
class Device:
    """One GPU, or one instance of a split one, at one moment."""

    id: str
    name: str
    kind: str
    """``nvidia``, ``amd``, or torch's name of the device type."""
    values: Mapping[str, float] = field(default_factory=dict)
    state: str = OK
    message: str = ""
    parent: str | None = None
    """The id of the GPU that this is an instance of."""
    throttled_by: tuple[str, ...] = ()
    """Why it runs below its full clock, in words."""
    processes: tuple[Process, ...] = ()
    unsupported: tuple[str, ...] = ()
    """Names of the values that this device does not tell."""
    pci: str = ""
    """Its place on the bus, ``0000:01:00.0``; empty where unknown."""

    def to_json(self) -> dict[str, Any]:
        """Return it as it is sent."""
        return {
            "id": self.id,
            "name": self.name,
            "kind": self.kind,
            "state": self.state,
            "message": self.message,
            "parent": self.parent,
            "values": dict(self.values),
            "throttled_by": list(self.throttled_by),
            "processes": [process.to_json() for process in self.processes],
            "unsupported": list(self.unsupported),
        }


@dataclass(frozen=True)
class LoadedModel:
    """A model that ComfyUI holds loaded. ``device`` is torch's spelling, such as ``cuda:0``."""

    name: str
    size_bytes: int
    loaded_bytes: int
    """How much of it is on the device now."""
    device: str

    def to_json(self) -> dict[str, Any]:
        """Return it as it is sent."""
        return {
            "name": self.name,
            "size_bytes": self.size_bytes,
            "loaded_bytes": self.loaded_bytes,
            "device": self.device,
        }


@dataclass(frozen=True)
class Sample:
    """Everything at one moment. ``at`` is the agent's own steady clock in seconds."""

    at: float
    host: Mapping[str, float]
    devices: tuple[Device, ...]
    models: tuple[LoadedModel, ...]
    sources: tuple[Source, ...]

    def to_json(self) -> dict[str, Any]:
        """Return it as it is sent."""
        return {
            "at": self.at,
            "host": dict(self.host),
            "devices": [device.to_json() for device in self.devices],
            "models": [model.to_json() for model in self.models],
            "sources": [source.to_json() for source in self.sources],
        }
