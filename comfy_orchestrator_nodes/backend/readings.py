"""What a backend tells of its machine: the samples of its agent, or the little that every ComfyUI says."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from http import HTTPStatus

from ..domain import Json
from .agent import agent_headers
from .answers import SystemStats
from .fields import array, clipped, number, obj, text
from .http import Http

PATH = "/orchestrator/agent/telemetry"

_TEXT = 300
_MOST_SAMPLES, _MOST_DEVICES, _MOST_VALUES, _MOST_LISTED = 1000, 64, 100, 100


@dataclass(frozen=True)
class GpuProcess:
    """A process that holds memory of a GPU."""

    pid: int
    name: str
    vram_used_bytes: int | None
    own: bool
    """Whether it is that ComfyUI, as far as the driver lets it know."""


@dataclass(frozen=True)
class DeviceReading:
    """One GPU at one moment. ``values`` are by the names of the catalogue."""

    id: str
    name: str
    kind: str
    values: Mapping[str, float]
    state: str = "ok"
    message: str = ""
    parent: str | None = None
    throttled_by: tuple[str, ...] = ()
    processes: tuple[GpuProcess, ...] = ()
    unsupported: tuple[str, ...] = ()


@dataclass(frozen=True)
class ModelReading:
    """A model that the backend holds loaded."""

    name: str
    size_bytes: int
    loaded_bytes: int
    device: str


@dataclass(frozen=True)
class SourceReading:
    """How one of the agent's sources is there."""

    name: str
    state: str
    message: str


@dataclass(frozen=True)
class Reading:
    """A whole machine at one moment, ``age_s`` seconds before the answer that told it."""

    age_s: float
    host: Mapping[str, float]
    devices: tuple[DeviceReading, ...]
    models: tuple[ModelReading, ...] = ()
    sources: tuple[SourceReading, ...] = ()


@dataclass(frozen=True)
class Telemetry:
    """An agent's answer: the readings since the last one, and how to ask for those that follow."""

    cursor: str
    interval_s: float
    problem: str = ""
    readings: tuple[Reading, ...] = field(default=())


async def fetch(http: Http, token: str | None, after: str, watch_s: float) -> Telemetry:
    """Return what an agent measured after a cursor, and have it go on each second for so long; see ``ComfyClient``."""
    query = {"after": after, "watch_s": f"{watch_s:g}"}
    timeout, headers = http.timeout(http.timeouts.control_s), agent_headers(token)
    async with http.request("GET", PATH, timeout=timeout, query=query, headers=headers) as response:
        if response.status != HTTPStatus.OK:
            raise http.fault(response)
        answer = await http.read_json(response, http.limits.answer_bytes)
    return http.parsed(PATH, parse_telemetry, answer)


def parse_telemetry(value: Json) -> Telemetry:
    """Read an agent's answer. The agent's clock is its own: only ages are taken from it.

    Raises:
        Malformed: it is none.
    """
    data = obj(value, "the answer")
    now = number(data.get("now"), "now")
    samples = array(data.get("samples"), "samples")[-_MOST_SAMPLES:]
    return Telemetry(
        cursor=text(data.get("cursor"), "cursor")[:100],
        interval_s=number(data.get("interval_s"), "interval_s"),
        problem=clipped(data.get("problem"), _TEXT),
        readings=tuple(_reading(sample, now) for sample in samples),
    )


def from_system_stats(stats: SystemStats) -> Reading:
    """Return what ``/system_stats`` tells: memory alone. VRAM is what torch sees as free."""
    host = {}
    if stats.ram_total_bytes > 0:
        host["ram_total_bytes"] = float(stats.ram_total_bytes)
        host["ram_used_bytes"] = float(max(0, stats.ram_total_bytes - stats.ram_free_bytes))
    devices = [
        DeviceReading(
            id=f"{gpu.type}:{index}",
            name=gpu.name,
            kind=gpu.type,
            values={
                "vram_total_bytes": float(gpu.vram_total_bytes),
                "vram_used_bytes": float(max(0, gpu.vram_total_bytes - gpu.vram_free_bytes)),
            },
        )
        for index, gpu in enumerate(stats.gpus[:_MOST_DEVICES])
        # On a server without a GPU the device is the processor, whose memory is the host's.
        if gpu.type != "cpu" and gpu.vram_total_bytes > 0
    ]
    return Reading(0.0, host, tuple(devices))


def _reading(value: Json, now: float) -> Reading:
    data = obj(value, "a sample")
    return Reading(
        age_s=max(0.0, now - number(data.get("at"), "at")),
        host=_values(data.get("host")),
        devices=tuple(_device(device) for device in array(data.get("devices"), "devices")[:_MOST_DEVICES]),
        models=tuple(_model(obj(model, "a model")) for model in _listed(data.get("models"))),
        sources=tuple(_source(obj(source, "a source")) for source in _listed(data.get("sources"))),
    )


def _device(value: Json) -> DeviceReading:
    data = obj(value, "a device")
    parent = data.get("parent")
    return DeviceReading(
        id=text(data.get("id"), "a device's id")[:_TEXT],
        name=clipped(data.get("name"), _TEXT),
        kind=clipped(data.get("kind"), _TEXT),
        values=_values(data.get("values")),
        state=clipped(data.get("state"), _TEXT) or "ok",
        message=clipped(data.get("message"), _TEXT),
        parent=parent[:_TEXT] if isinstance(parent, str) else None,
        throttled_by=tuple(clipped(reason, _TEXT) for reason in _listed(data.get("throttled_by"))),
        processes=tuple(_process(obj(process, "a process")) for process in _listed(data.get("processes"))),
        unsupported=tuple(clipped(name, _TEXT) for name in _listed(data.get("unsupported"))),
    )


def _process(data: Mapping[str, Json]) -> GpuProcess:
    used = data.get("vram_used_bytes")
    return GpuProcess(
        pid=_whole(data.get("pid")),
        name=clipped(data.get("name"), _TEXT),
        vram_used_bytes=None if used is None else _whole(used),
        own=data.get("own") is True,
    )


def _model(data: Mapping[str, Json]) -> ModelReading:
    size, loaded = _whole(data.get("size_bytes")), _whole(data.get("loaded_bytes"))
    return ModelReading(clipped(data.get("name"), _TEXT), size, loaded, clipped(data.get("device"), _TEXT))


def _source(data: Mapping[str, Json]) -> SourceReading:
    return SourceReading(
        clipped(data.get("name"), _TEXT), clipped(data.get("state"), _TEXT), clipped(data.get("message"), _TEXT)
    )


def _values(value: Json) -> dict[str, float]:
    """Return the numbers of an object; whatever else a newer agent may send is left out."""
    data = value if isinstance(value, dict) else {}
    found = {}
    for name, given in list(data.items())[:_MOST_VALUES]:
        if isinstance(given, (int, float)) and not isinstance(given, bool) and abs(given) < 1e18:
            found[name] = float(given)
    return {name: value for name, value in found.items() if math.isfinite(value)}


def _listed(value: Json) -> list[Json]:
    return value[:_MOST_LISTED] if isinstance(value, list) else []


def _whole(value: Json) -> int:
    """Return a whole number as it is shown; 0 for what is none."""
    known = isinstance(value, (int, float)) and not isinstance(value, bool) and 0 <= value < 2**53
    return int(value) if known else 0
