"""Which processes hold memory of AMD GPUs for computing, as Linux's driver for that (KFD, below ROCm) tells.

Source: ``Documentation/ABI/testing/sysfs-class-kfd`` is not complete; the files are made by
``drivers/gpu/drm/amd/amdkfd/kfd_process.c`` (``proc/PID/vram_GPUID``, bytes) and ``kfd_topology.c``
(``topology/nodes/N/gpu_id`` and ``properties``). What only draws, such as a desktop, is not among them.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from .models import Process
from .processes import ProcessNames

KFD = Path("/sys/class/kfd/kfd")
_PREFIX = "vram_"


class KfdProcesses:
    """The processes by GPU. Belongs to the sampling thread."""

    def __init__(self, names: ProcessNames, root: Path = KFD) -> None:
        """Make it; ``root`` is where the driver shows its nodes and processes."""
        self._names = names
        self._root = root
        self._places: dict[str, str] = {}
        """The driver's number of a GPU to its place on the bus."""

    def read(self) -> Mapping[str, tuple[Process, ...]]:
        """Return the processes of each GPU that has some, by its place on the bus (``0000:03:00.0``)."""
        found: dict[str, list[Process]] = {}
        for pid, gpu, used_bytes in self._entries():
            place = self._place(gpu)
            if place:
                process = Process(pid, self._names.name(pid), used_bytes, self._names.is_own(pid))
                found.setdefault(place, []).append(process)
        return {place: tuple(processes) for place, processes in found.items()}

    def _entries(self) -> list[tuple[int, str, int]]:
        try:
            files = list(self._root.glob(f"proc/[0-9]*/{_PREFIX}*"))
        except OSError:  # of a process that ended just now
            return []
        found = ((int(file.parent.name), file.name.removeprefix(_PREFIX), _number(file)) for file in files)
        return sorted((pid, gpu, used) for pid, gpu, used in found if used)

    def _place(self, gpu: str) -> str:
        if gpu not in self._places:
            self._places = self._read_places()
        return self._places.get(gpu, "")

    def _read_places(self) -> dict[str, str]:
        places: dict[str, str] = {}
        for node in self._root.glob("topology/nodes/[0-9]*"):
            try:
                gpu = (node / "gpu_id").read_text("ascii").strip()
                lines = (node / "properties").read_text("ascii").splitlines()
                told = {name: int(value) for name, value in (line.split() for line in lines)}
            except (OSError, ValueError):
                continue
            if gpu != "0" and "location_id" in told:  # 0: a processor
                places[gpu] = _bus_place(told.get("domain", 0), told["location_id"])
        return places


def _bus_place(domain: int, location: int) -> str:
    """Return a place on the bus from ``location_id``: bus in bits 8 to 15, device in 3 to 7, function in 0 to 2."""
    return f"{domain:04x}:{location >> 8 & 0xFF:02x}:{location >> 3 & 0x1F:02x}.{location & 7}"


def _number(file: Path) -> int:
    """Return what a file tells; 0 when its process has ended."""
    try:
        return int(file.read_text("ascii"))
    except (OSError, ValueError):
        return 0
