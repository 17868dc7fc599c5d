"""How what the backends' machines do looks in questions and answers."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from ..backend.readings import DeviceReading, Reading
from ..metrics import METRICS
from ..store.samples.repository import Answer, Series
from ..telemetry.latest import Latest
from .schemas import Query, View

MOST_VALUES = 400_000
"""How many numbers one answer may have: about 3 MB, and a moment of the server loop."""

MOST_STEPS = 20_000

Stat = Literal["avg", "min", "max"]
Values = dict[str, float]
Time = Annotated[float, Field(ge=0, le=1e11)]


class MetricView(View):
    """One thing that is measured."""

    name: str
    scope: str = Field(description="`host`: once for each backend; `device`: for each of its GPUs.")
    unit: str = Field(description="ratio, bytes, bytes/s, °C, W, Hz or count.")
    label: str
    meaning: str


class MetricList(View):
    """Everything that may be measured. No backend tells all of it."""

    metrics: list[MetricView]


class ProcessView(View):
    """A process that holds memory of a GPU."""

    pid: int
    name: str
    vram_used_bytes: int | None = Field(description="null where the system does not tell.")
    own: bool = Field(description="Whether it is that ComfyUI, as far as its driver lets it know.")


class DeviceView(View):
    """One GPU now."""

    id: str
    name: str
    kind: str = Field(description="nvidia, amd, or torch's name of the device type.")
    state: str = Field(description="ok, split (by MIG into devices of their own), or lost.")
    message: str = Field(description="What the state means, in words; empty when there is nothing to say.")
    parent: str | None = Field(description="Id of the GPU that this is an instance of.")
    values: Values = Field(description="By the metrics' names; what it cannot tell is left out.")
    throttled_by: list[str] = Field(description="Why it runs below its full clock, in words.")


class DeviceDetailView(DeviceView):
    """One GPU now, with the processes on it."""

    unsupported: list[str] = Field(description="What it does not tell.")
    processes: list[ProcessView]


class MachineView(View):
    """What a backend's machine does now."""

    backend_id: str
    at: float = Field(description="When that was, seconds since the epoch.")
    source: str = Field(description="`agent`, or `plain`: without this pack a ComfyUI tells its memory alone.")
    interval_s: float = Field(description="How often it is read now.")
    problem: str = Field(description="What keeps it from telling more; empty when nothing does.")
    host: Values
    devices: list[DeviceView]

    @classmethod
    def of(cls, latest: Latest) -> MachineView:
        """Return a backend's latest reading as it is shown."""
        return cls(**_machine_fields(latest), devices=[DeviceView(**_device(d)) for d in latest.reading.devices])


class MachineList(View):
    """Every backend that was read since this server started."""

    machines: list[MachineView]


class LoadedModelView(View):
    """A model that the backend holds loaded."""

    name: str = Field(description="Its architecture: ComfyUI does not keep the file's name.")
    size_bytes: int
    loaded_bytes: int = Field(description="How much of it is on the device now.")
    device: str


class SourceView(View):
    """How one of the agent's sources is there."""

    name: str
    state: str = Field(description="ok, absent, or failed.")
    message: str


class MachineDetailView(View):
    """Everything that is known of a backend's machine now."""

    backend_id: str
    at: float
    source: str
    interval_s: float
    problem: str
    host: Values
    devices: list[DeviceDetailView]
    models: list[LoadedModelView]
    sources: list[SourceView]

    @classmethod
    def of(cls, latest: Latest) -> MachineDetailView:
        """Return a backend's latest reading as it is shown."""
        reading = latest.reading
        return cls(
            **_machine_fields(latest),
            devices=[_detailed(device) for device in reading.devices],
            models=[LoadedModelView(**vars(model)) for model in reading.models],
            sources=[SourceView(**vars(source)) for source in reading.sources],
        )


class SamplesQuery(Query):
    """Which samples. Times are seconds since the epoch."""

    from_: Time | None = Field(default=None, alias="from", description="An hour before `to` if left out.")
    to: Time | None = Field(default=None, description="Now if left out.")
    step: Annotated[int, Field(ge=1, le=31 * 86_400)] | None = Field(
        default=None, description="Seconds for each value; if left out, what gives a chart about 360."
    )
    metrics: Annotated[list[Annotated[str, Field(max_length=60)]], Field(max_length=100)] = Field(
        default_factory=list, description="Names; all if left out."
    )
    stats: Annotated[list[Stat], Field(max_length=3)] = Field(
        default=["avg"], description="Of the values within each step."
    )


class ManySamplesQuery(SamplesQuery):
    """Which samples of which backends."""

    backends: Annotated[list[Annotated[str, Field(max_length=200)]], Field(max_length=500)] = Field(
        default_factory=list, description="Ids; all if left out."
    )


class SeriesView(View):
    """One metric of one device, as long as the answer's time. null is a gap: nothing was measured."""

    backend_id: str
    device: str = Field(description="Its id; empty for the host.")
    device_name: str
    metric: str
    avg: list[float | None] | None = Field(default=None, description="null unless asked for, as the others.")
    min: list[float | None] | None = None
    max: list[float | None] | None = None

    @classmethod
    def of(cls, series: Series) -> SeriesView:
        """Return a series as it is shown; not checked again, since it is long and our own."""
        values = {stat: _listed(found) for stat, found in series.values.items()}
        return cls.model_construct(
            backend_id=series.backend_id,
            device=series.device,
            device_name=series.device_name,
            metric=series.metric,
            avg=values.get("avg"),
            min=values.get("min"),
            max=values.get("max"),
        )


class SamplesView(View):
    """Some series. Value number i of each is that of the time from `from` + i · `step_s` on."""

    from_: float = Field(serialization_alias="from", description="A multiple of the step: the asked, or a bit before.")
    step_s: int
    steps: int
    resolution_s: int = Field(description="How finely the samples of that time are kept: 1, 10 or 60 s.")
    series: list[SeriesView]

    @classmethod
    def of(cls, answer: Answer) -> SamplesView:
        """Return an answer as it is shown."""
        grid = answer.grid
        return cls.model_construct(
            from_=float(grid.start),
            step_s=grid.step_s,
            steps=grid.count,
            resolution_s=grid.level.bucket_s,
            series=[SeriesView.of(series) for series in answer.series],
        )


def catalogue() -> MetricList:
    """Return every metric as it is shown."""
    fields = MetricView.model_fields
    shown = [MetricView(**{name: getattr(metric, name) for name in fields}) for metric in METRICS.values()]
    return MetricList(metrics=shown)


def _machine_fields(latest: Latest) -> dict[str, Any]:
    reading: Reading = latest.reading
    return {
        "backend_id": latest.backend_id,
        "at": latest.at,
        "source": latest.source,
        "interval_s": latest.interval_s,
        "problem": latest.problem,
        "host": reading.host,
    }


def _device(device: DeviceReading) -> dict[str, Any]:
    shown = {name: getattr(device, name) for name in DeviceView.model_fields}
    return {**shown, "throttled_by": list(device.throttled_by)}


def _detailed(device: DeviceReading) -> DeviceDetailView:
    return DeviceDetailView(
        **_device(device),
        unsupported=list(device.unsupported),
        processes=[ProcessView(**vars(process)) for process in device.processes],
    )


def _listed(values: NDArray[np.float64]) -> list[float | None]:
    gaps = np.isnan(values)
    if not gaps.any():
        return list(values.tolist())
    shown = values.astype(object)
    shown[gaps] = None
    return list(shown.tolist())
