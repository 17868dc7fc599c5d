"""The machine itself, by psutil: processor, memory, disks, network, and this process."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import psutil

_LOOPBACK = ("lo", "lo0", "Loopback Pseudo-Interface 1")


class Host:
    """Reads the machine. Rates are over the time since the reading before, so the first one has none."""

    def __init__(self, folder: str, *, system: Any = psutil, clock: Callable[[], float] = time.monotonic) -> None:
        """Make it.

        Args:
            folder: on the disk whose free space counts: where ComfyUI keeps its models and results.
            system: psutil.
            clock: seconds, never going back.
        """
        self._folder = folder
        self._system = system
        self._clock = clock
        self._process = system.Process()
        self._cpu: tuple[float, float] | None = None
        """Seconds of all cores when they were read before: idle, and in all."""
        self._counted: dict[str, tuple[float, float]] = {}
        """Counter to when it was read and what it was."""

    def read(self) -> dict[str, float]:
        """Return every value that this system tells; what it does not tell is left out."""
        values: dict[str, float] = {}
        for read in (self._processor, self._memory, self._swap, self._disks, self._space, self._network, self._own):
            try:
                values.update(read())
            except (psutil.Error, OSError, RuntimeError, AttributeError, ValueError):  # noqa: PERF203
                # Each for itself: containers hide counters, and some systems have none.
                continue
        return values

    def _processor(self) -> dict[str, float]:
        # Not cpu_percent: its time is counted from whoever in this process called it last.
        times = self._system.cpu_times()
        idle = times.idle + getattr(times, "iowait", 0.0)
        # Linux counts guests in user and nice already.
        total = sum(times) - getattr(times, "guest", 0.0) - getattr(times, "guest_nice", 0.0)
        before, self._cpu = self._cpu, (idle, total)
        if before is None or total <= before[1]:
            return {}
        return {"cpu_ratio": min(1.0, max(0.0, 1 - (idle - before[0]) / (total - before[1])))}

    def _memory(self) -> dict[str, float]:
        memory = self._system.virtual_memory()
        # What is available counts caches that the system gives up on demand.
        return {"ram_used_bytes": float(memory.total - memory.available), "ram_total_bytes": float(memory.total)}

    def _swap(self) -> dict[str, float]:
        return {"swap_used_bytes": float(self._system.swap_memory().used)}

    def _disks(self) -> dict[str, float]:
        counters = self._system.disk_io_counters()
        if counters is None:
            return {}
        return {
            **self._rate("disk_read_bytes_s", counters.read_bytes),
            **self._rate("disk_written_bytes_s", counters.write_bytes),
        }

    def _space(self) -> dict[str, float]:
        return {"disk_free_bytes": float(self._system.disk_usage(self._folder).free)}

    def _network(self) -> dict[str, float]:
        cards = self._system.net_io_counters(pernic=True)
        real = [counters for name, counters in cards.items() if name not in _LOOPBACK]
        return {
            **self._rate("network_received_bytes_s", sum(c.bytes_recv for c in real)),
            **self._rate("network_sent_bytes_s", sum(c.bytes_sent for c in real)),
        }

    def _own(self) -> dict[str, float]:
        return {"process_ram_bytes": float(self._process.memory_info().rss)}

    def _rate(self, name: str, total: float) -> dict[str, float]:
        now = self._clock()
        before = self._counted.get(name)
        self._counted[name] = (now, total)
        if before is None or now <= before[0] or total < before[1]:
            return {}
        return {name: (total - before[1]) / (now - before[0])}
