"""The catalogue of what is measured: names, units, and how exactly values are kept. Pure.

The names are those of the agent's telemetry; a name that is not here comes from a newer agent and is left alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

HOST = "host"
DEVICE = "device"

RATIO, BYTES, BYTES_S, CELSIUS, WATT, HERTZ, COUNT = "ratio", "bytes", "bytes/s", "°C", "W", "Hz", "count"

MIB = float(1 << 20)


@dataclass(frozen=True)
class Metric:
    """One thing that is measured."""

    name: str
    scope: str
    """``host``: once for each backend; ``device``: for each of its GPUs."""
    unit: str
    label: str
    meaning: str
    quantum: float
    """Values are kept as multiples of this, so that they take little room; no sensor is better."""


_ALL = (
    Metric("gpu_busy_ratio", DEVICE, RATIO, "GPU load", "Share of the time in which the GPU computed.", 0.01),
    Metric("memory_busy_ratio", DEVICE, RATIO, "GPU memory load", "Share of the time in which memory was used.", 0.01),
    Metric("vram_used_bytes", DEVICE, BYTES, "VRAM", "Memory of the GPU in use, by whatever process.", MIB),
    Metric("vram_total_bytes", DEVICE, BYTES, "VRAM size", "Memory of the GPU.", MIB),
    Metric("torch_allocated_bytes", DEVICE, BYTES, "VRAM of tensors", "What tensors of that ComfyUI take.", MIB),
    Metric("torch_reserved_bytes", DEVICE, BYTES, "VRAM held by torch", "What that ComfyUI keeps, unused too.", MIB),
    Metric("temperature_c", DEVICE, CELSIUS, "Temperature", "Of the GPU's core.", 1.0),
    Metric("power_w", DEVICE, WATT, "Power", "What the whole card draws.", 0.5),
    Metric("power_limit_w", DEVICE, WATT, "Power limit", "What it may draw.", 0.5),
    Metric("core_clock_hz", DEVICE, HERTZ, "Core clock", "Clock of the processors.", 1e6),
    Metric("memory_clock_hz", DEVICE, HERTZ, "Memory clock", "Clock of the GPU's memory.", 1e6),
    Metric("fan_ratio", DEVICE, RATIO, "Fan", "Speed of the fan, of its full one.", 0.01),
    Metric("pcie_received_bytes_s", DEVICE, BYTES_S, "PCIe in", "What the GPU receives, over 20 ms each 5 s.", 1e5),
    Metric("pcie_sent_bytes_s", DEVICE, BYTES_S, "PCIe out", "What the GPU sends, over 20 ms each 5 s.", 1e5),
    Metric("throttled", DEVICE, RATIO, "Throttled", "Share of the time below full clock for some reason.", 0.01),
    Metric("ecc_errors", DEVICE, COUNT, "Memory errors", "Since the driver was loaded, corrected ones too.", 1.0),
    Metric("cpu_ratio", HOST, RATIO, "CPU load", "Of all cores together.", 0.01),
    Metric("ram_used_bytes", HOST, BYTES, "RAM", "Memory in use that the system cannot give up.", MIB),
    Metric("ram_total_bytes", HOST, BYTES, "RAM size", "Memory of the machine.", MIB),
    Metric("swap_used_bytes", HOST, BYTES, "Swap", "Memory that was put to the disk.", MIB),
    Metric("process_ram_bytes", HOST, BYTES, "RAM of ComfyUI", "Memory of that ComfyUI's process.", MIB),
    Metric("disk_read_bytes_s", HOST, BYTES_S, "Disk read", "From all disks.", 1e4),
    Metric("disk_written_bytes_s", HOST, BYTES_S, "Disk written", "To all disks.", 1e4),
    Metric("disk_free_bytes", HOST, BYTES, "Disk free", "On the disk of ComfyUI's folder.", 16 * MIB),
    Metric("network_received_bytes_s", HOST, BYTES_S, "Network in", "Over all cards.", 1e3),
    Metric("network_sent_bytes_s", HOST, BYTES_S, "Network out", "Over all cards.", 1e3),
)

METRICS: Mapping[str, Metric] = {metric.name: metric for metric in _ALL}
"""Every metric by name, in the order in which they are shown."""
