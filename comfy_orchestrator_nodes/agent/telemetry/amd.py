"""AMD GPUs, read from the files of Linux's amdgpu driver: nothing needs to be installed.

Source: https://docs.kernel.org/gpu/amdgpu/thermal.html and .../driver-misc.html. ``pcie_bw`` is left out on purpose:
the driver counts for a whole second before it answers.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from .amd_processes import KfdProcesses
from .models import ABSENT, LOST, OK, Device, Process, Source

DRM = Path("/sys/class/drm")
AMD_VENDOR = "0x1002"

_Read = Callable[[Path, "Path | None"], "float | None"]


def _file(name: str, scale: float = 1.0) -> _Read:
    return lambda device, _: _number(device / name, scale)


def _sensor(*names: str, scale: float) -> _Read:
    """Return the first of the sensor's files that answers: newer cards tell an average, others the moment."""

    def read(_: Path, sensors: Path | None) -> float | None:
        if sensors is None:
            return None
        found = (_number(sensors / name, scale) for name in names)
        return next((value for value in found if value is not None), None)

    return read


def _fan(_: Path, sensors: Path | None) -> float | None:
    if sensors is None:
        return None
    duty = _number(sensors / "pwm1", 1.0)
    if duty is not None:
        return duty / (_number(sensors / "pwm1_max", 1.0) or 255.0)
    speed, most = _number(sensors / "fan1_input", 1.0), _number(sensors / "fan1_max", 1.0)
    return speed / most if speed is not None and most else None


_VALUES: tuple[tuple[str, _Read], ...] = (
    ("gpu_busy_ratio", _file("gpu_busy_percent", 0.01)),
    ("memory_busy_ratio", _file("mem_busy_percent", 0.01)),
    ("vram_used_bytes", _file("mem_info_vram_used")),
    ("vram_total_bytes", _file("mem_info_vram_total")),
    ("temperature_c", _sensor("temp1_input", scale=1e-3)),
    ("power_w", _sensor("power1_average", "power1_input", scale=1e-6)),
    ("power_limit_w", _sensor("power1_cap", scale=1e-6)),
    ("core_clock_hz", _sensor("freq1_input", scale=1.0)),
    ("memory_clock_hz", _sensor("freq2_input", scale=1.0)),
    ("fan_ratio", _fan),
)


class Amd:
    """All AMD GPUs of this machine."""

    name = "amd"

    def __init__(self, processes: KfdProcesses, root: Path = DRM) -> None:
        """Make it; ``root`` is where the kernel shows its graphics cards."""
        self._processes = processes
        self._root = root
        self._known: dict[Path, Device] = {}

    def read(self) -> tuple[list[Device], Source]:
        """Return every AMD GPU as it is now. One that vanishes, as on a reset of the bus, stays as lost."""
        cards = self._cards()
        processes = self._processes.read() if cards else {}
        found = {path: _read_card(path, processes) for path in cards}
        missing = [
            Device(d.id, d.name, d.kind, state=LOST, message="The kernel does not show this GPU any more.", pci=d.pci)
            for path, d in self._known.items()
            if path not in found
        ]
        self._known.update(found)
        devices = [*found.values(), *missing]
        return devices, Source(self.name, OK if devices else ABSENT)

    def _cards(self) -> list[Path]:
        try:
            links = sorted(self._root.glob("card[0-9]*"))
        except OSError:
            return []
        # card0-HDMI-A-1 and the like are the plugs of a card.
        devices = (link / "device" for link in links if "-" not in link.name)
        return [device for device in devices if _text(device / "vendor") == AMD_VENDOR]

    def close(self) -> None:
        """Nothing is held open."""


def _read_card(device: Path, processes: Mapping[str, tuple[Process, ...]]) -> Device:
    sensors = next(iter(sorted((device / "hwmon").glob("hwmon*"))), None)
    values: dict[str, float] = {}
    unsupported: list[str] = []
    for name, read in _VALUES:
        value = read(device, sensors)
        if value is None:
            unsupported.append(name)
        else:
            values[name] = value
    pci = device.resolve().name.lower()
    return Device(
        id=_text(device / "unique_id") or pci,
        name=_text(device / "product_name") or f"AMD GPU {_text(device / 'device')}".strip(),
        kind="amd",
        values=values,
        processes=processes.get(pci, ()),
        unsupported=tuple(sorted(unsupported)),
        pci=pci,
    )


def _text(path: Path) -> str:
    try:
        return path.read_text("utf-8", errors="replace").strip()
    except OSError:
        # Also what a card that sleeps or is being reset answers.
        return ""


def _number(path: Path, scale: float) -> float | None:
    try:
        return float(_text(path)) * scale
    except ValueError:
        return None
