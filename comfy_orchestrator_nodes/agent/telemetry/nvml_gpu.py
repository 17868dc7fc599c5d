"""One NVIDIA GPU: every query for itself, so that one that fails costs only its own value."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from . import nvml_words
from .models import LOST, OK, SPLIT, Device, Process
from .processes import ProcessNames

SLOW_S = 5.0
"""How often that is asked which changes seldom, or which keeps the driver busy (PCIe throughput: 20 ms a call)."""

_NOT_SHOWN = frozenset({"name", "pci", "mig"})
"""Queries whose answer is no value."""

_Query = Callable[[Any, Any], float]

_FAST: tuple[tuple[str, _Query], ...] = (
    ("temperature_c", lambda n, h: n.nvmlDeviceGetTemperature(h, n.NVML_TEMPERATURE_GPU)),
    ("power_w", lambda n, h: n.nvmlDeviceGetPowerUsage(h) / 1000),
    ("core_clock_hz", lambda n, h: n.nvmlDeviceGetClockInfo(h, n.NVML_CLOCK_SM) * 1e6),
    ("memory_clock_hz", lambda n, h: n.nvmlDeviceGetClockInfo(h, n.NVML_CLOCK_MEM) * 1e6),
)
_SLOW: tuple[tuple[str, _Query], ...] = (
    ("power_limit_w", lambda n, h: n.nvmlDeviceGetEnforcedPowerLimit(h) / 1000),
    ("fan_ratio", lambda n, h: n.nvmlDeviceGetFanSpeed(h) / 100),
    # From the GPU's side, in KB/s over the last 20 ms: what it receives is written to it.
    ("pcie_received_bytes_s", lambda n, h: n.nvmlDeviceGetPcieThroughput(h, n.NVML_PCIE_UTIL_RX_BYTES) * 1000),
    ("pcie_sent_bytes_s", lambda n, h: n.nvmlDeviceGetPcieThroughput(h, n.NVML_PCIE_UTIL_TX_BYTES) * 1000),
    ("ecc_errors", lambda n, h: _ecc_errors(n, h)),
)


class Gone(Exception):
    """Nothing can be asked of the GPU until NVML is opened anew; the message says why."""


@dataclass(frozen=True)
class Identity:
    """Which GPU it is: what does not change while it is there."""

    index: int
    id: str
    name: str = "NVIDIA GPU"
    pci: str = ""


class NvmlGpu:
    """One GPU with what is known of it since NVML was opened."""

    def __init__(self, binding: Any, handle: Any, identity: Identity, names: ProcessNames, lost: str = "") -> None:
        self.identity = identity
        self.lost = lost
        """Why it does not answer; empty while it does."""
        self._binding = binding
        self._handle = handle
        self._names = names
        self._unsupported: set[str] = set()
        self._slow: dict[str, float] = {}
        self._processes: tuple[Process, ...] = ()
        self._slow_at = float("-inf")
        self._parts: list[NvmlGpu] = []
        self._split = False

    @classmethod
    def open(cls, binding: Any, index: int, names: ProcessNames, handle: Any = None) -> NvmlGpu:
        """Return the GPU of that index, or that of a handle.

        Raises:
            binding.NVMLError: the driver does not give it.
            Gone: it is lost.
        """
        handle = binding.nvmlDeviceGetHandleByIndex(index) if handle is None else handle
        gpu = cls(binding, handle, Identity(index, binding.nvmlDeviceGetUUID(handle)), names)
        name = gpu._ask("name", lambda n, h: n.nvmlDeviceGetName(h))
        pci = gpu._ask("pci", lambda n, h: _bus_id(n.nvmlDeviceGetPciInfo(h)))
        gpu.identity = replace(gpu.identity, name=name or gpu.identity.name, pci=pci or "")
        return gpu

    def lose(self, message: str) -> None:
        """Note that it does not answer any more, and why."""
        self.lost = message
        self._parts = []

    def read(self, now: float) -> list[Device]:
        """Return it, and its instances if it is split.

        Raises:
            Gone: nothing can be asked of it any more.
        """
        if self.lost:
            return [self._device(state=LOST, message=self.lost)]
        if now - self._slow_at >= SLOW_S:
            self._slow_at = now
            self._read_slow()
        values, throttled_by = self._read_fast()
        state, message = (SPLIT, self._split_message()) if self._split else (OK, self._shared_message(values))
        device = self._device(
            values={**self._slow, **values},
            state=state,
            message=message,
            throttled_by=throttled_by,
            processes=self._processes,
        )
        return [device, *(part._read_part(self.identity.id) for part in self._parts)]

    def _device(self, **told: Any) -> Device:
        identity = self.identity
        unsupported = tuple(sorted(self._unsupported - _NOT_SHOWN))
        return Device(identity.id, identity.name, "nvidia", pci=identity.pci, unsupported=unsupported, **told)

    def _read_fast(self) -> tuple[dict[str, float], tuple[str, ...]]:
        values = self._values(_FAST)
        busy = self._ask("gpu_busy_ratio", lambda n, h: n.nvmlDeviceGetUtilizationRates(h))
        if busy is not None:
            values["gpu_busy_ratio"] = busy.gpu / 100
            values["memory_busy_ratio"] = busy.memory / 100
        values.update(self._memory())
        mask = self._ask("throttled", _throttle_mask)
        if mask is None:
            return values, ()
        reasons = nvml_words.throttle_reasons(mask)
        values["throttled"] = float(bool(reasons))
        return values, reasons

    def _read_slow(self) -> None:
        self._slow = self._values(_SLOW)
        self._processes = self._read_processes()
        modes = self._ask("mig", lambda n, h: n.nvmlDeviceGetMigMode(h))
        self._split = bool(modes and modes[0])
        self._parts = self._instances() if self._split else []

    def _read_part(self, parent: str) -> Device:
        """Return an instance of a split GPU: power, heat and clocks are the parent's, and memory is its own."""
        return self._device(values=self._memory(), parent=parent, processes=self._read_processes())

    def _read_processes(self) -> tuple[Process, ...]:
        found = self._ask("processes", _processes) or []
        names = self._names
        return tuple(Process(p.pid, names.name(p.pid), p.usedGpuMemory, names.is_own(p.pid)) for p in found)

    def _instances(self) -> list[NvmlGpu]:
        parts = []
        for index in range(self._ask("mig", lambda n, h: n.nvmlDeviceGetMaxMigDeviceCount(h)) or 0):
            try:
                handle = self._binding.nvmlDeviceGetMigDeviceHandleByIndex(self._handle, index)
                parts.append(NvmlGpu.open(self._binding, index, self._names, handle))
            except self._binding.NVMLError as error:  # noqa: PERF203 - each place for itself; most are empty
                if nvml_words.gone(self._binding, error.value):
                    raise Gone(nvml_words.gpu_problem(self._binding, error.value)) from error
        return parts

    def _values(self, queries: tuple[tuple[str, _Query], ...]) -> dict[str, float]:
        asked = ((name, self._ask(name, query)) for name, query in queries)
        return {name: float(value) for name, value in asked if value is not None}

    def _memory(self) -> dict[str, float]:
        memory = self._ask("vram_used_bytes", _memory_info)
        if memory is None or memory.total <= 0:
            return {}
        return {"vram_used_bytes": float(memory.used), "vram_total_bytes": float(memory.total)}

    def _ask(self, name: str, query: Callable[[Any, Any], Any]) -> Any:
        """Return what the GPU answers, or None where it cannot say now or ever.

        Raises:
            Gone: it cannot be asked anything any more.
        """
        if name in self._unsupported:
            return None
        try:
            return query(self._binding, self._handle)
        except self._binding.NVMLError as error:
            code = error.value
            if nvml_words.gone(self._binding, code):
                raise Gone(nvml_words.gpu_problem(self._binding, code)) from error
            if nvml_words.cannot(self._binding, code):
                self._unsupported.add(name)
        except AttributeError:
            # An older binding, which does not know the query.
            self._unsupported.add(name)
        return None

    def _split_message(self) -> str:
        return f"Split by MIG into {len(self._parts)} instances, which are shown below it."

    def _shared_message(self, values: dict[str, float]) -> str:
        if "vram_total_bytes" in values or "vram_used_bytes" not in self._unsupported:
            return ""
        return "This GPU tells no memory of its own: as on a Jetson board, it shares the system's."


def _memory_info(binding: Any, handle: Any) -> Any:
    """Ask for memory without what the driver keeps for itself, where the driver can tell it apart."""
    try:
        return binding.nvmlDeviceGetMemoryInfo(handle, version=binding.nvmlMemory_v2)
    except (AttributeError, TypeError):
        return binding.nvmlDeviceGetMemoryInfo(handle)
    except binding.NVMLError as error:
        if not nvml_words.cannot(binding, error.value):
            raise
        return binding.nvmlDeviceGetMemoryInfo(handle)


def _throttle_mask(binding: Any, handle: Any) -> int:
    try:
        return int(binding.nvmlDeviceGetCurrentClocksEventReasons(handle))
    except AttributeError:
        return int(binding.nvmlDeviceGetCurrentClocksThrottleReasons(handle))
    except binding.NVMLError as error:
        if not nvml_words.cannot(binding, error.value):
            raise
        # The older name of the same query, for drivers before 535.
        return int(binding.nvmlDeviceGetCurrentClocksThrottleReasons(handle))


def _processes(binding: Any, handle: Any) -> list[Any]:
    """Return the processes that compute or draw there; one that does both is listed once."""
    found = {process.pid: process for process in _listed(binding, handle, "Compute")}
    try:
        drawing = _listed(binding, handle, "Graphics")
    except binding.NVMLError as error:
        if not nvml_words.cannot(binding, error.value):
            raise
        drawing = []
    for process in drawing:
        found.setdefault(process.pid, process)
    return sorted(found.values(), key=lambda p: -(p.usedGpuMemory or 0))


def _listed(binding: Any, handle: Any, kind: str) -> list[Any]:
    """Ask by the newest structure that binding and driver share: drivers before 510 have the second version only.

    The names without a version are avoided: where the two differ they raise what is no ``NVMLError``.
    """
    for version in ("_v3", "_v2"):
        ask = getattr(binding, f"nvmlDeviceGet{kind}RunningProcesses{version}", None)
        if ask is None:
            continue
        try:
            return list(ask(handle))
        except binding.NVMLError as error:
            if error.value != binding.NVML_ERROR_FUNCTION_NOT_FOUND:
                raise
    raise binding.NVMLError(binding.NVML_ERROR_FUNCTION_NOT_FOUND)


def _ecc_errors(binding: Any, handle: Any) -> float:
    """Return the memory errors since the driver was loaded, corrected ones included."""
    volatile = binding.NVML_VOLATILE_ECC
    corrected = binding.nvmlDeviceGetTotalEccErrors(handle, binding.NVML_MEMORY_ERROR_TYPE_CORRECTED, volatile)
    return float(
        corrected + binding.nvmlDeviceGetTotalEccErrors(handle, binding.NVML_MEMORY_ERROR_TYPE_UNCORRECTED, volatile)
    )


def _bus_id(info: Any) -> str:
    """Return the bus id in the kernel's short spelling: NVML writes eight digits of domain."""
    text = info.busId.decode() if isinstance(info.busId, bytes) else str(info.busId)
    return text.lower()[-12:]
