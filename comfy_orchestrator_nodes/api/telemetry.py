"""What the backends' machines do: now, and over time."""

from __future__ import annotations

import time
from collections.abc import Sequence

from ..errors import InvalidRequest, NotFound
from ..metrics import METRICS
from ..store.samples.levels import choose_grid
from ..store.samples.repository import STATS, Question
from .table import Call, Route
from .telemetry_schemas import (
    MOST_STEPS,
    MOST_VALUES,
    MachineDetailView,
    MachineList,
    MachineView,
    ManySamplesQuery,
    MetricList,
    SamplesQuery,
    SamplesView,
    catalogue,
)

_HOUR_S = 3600.0


async def list_metrics(call: Call) -> MetricList:
    """List what may be measured: names, units, what it means."""
    return catalogue()


async def list_machines(call: Call) -> MachineList:
    """Say what every backend's machine does now, as far as it was read since this server started."""
    latest = call.service.telemetry.latest
    return MachineList(machines=[MachineView.of(latest[backend_id]) for backend_id in sorted(latest)])


async def get_machine(call: Call, backend_id: str) -> MachineDetailView:
    """Say everything that is known of a backend's machine now, with processes and loaded models."""
    call.service.registry.get(backend_id)
    latest = call.service.telemetry.latest.get(backend_id)
    if latest is None:
        raise NotFound("reading", backend_id)
    return MachineDetailView.of(latest)


async def get_samples(call: Call, backend_id: str, query: SamplesQuery) -> SamplesView:
    """Return what was measured on one backend over some time."""
    call.service.registry.get(backend_id)
    return await _samples(call, (backend_id,), query)


async def get_many_samples(call: Call, query: ManySamplesQuery) -> SamplesView:
    """Return what was measured on several backends over some time. Backends that there are none of have no series."""
    wanted = query.backends or [state.backend.id for state in call.service.registry.list()]
    return await _samples(call, tuple(dict.fromkeys(wanted)), query)


async def _samples(call: Call, backend_ids: tuple[str, ...], query: SamplesQuery) -> SamplesView:
    now = time.time()
    end = min(query.to if query.to is not None else now, now)
    start = query.from_ if query.from_ is not None else end - _HOUR_S
    if start >= end:
        raise InvalidRequest("`from` must be before `to`, and not in the future.", field="from")
    metrics = _metrics(query.metrics)
    stats = tuple(stat for stat in STATS if stat in query.stats) or ("avg",)
    steps = choose_grid(start, end, query.step, now).count
    if steps > MOST_STEPS:
        raise InvalidRequest(
            f"That would be {steps} steps, more than the {MOST_STEPS} that are answered: ask for a longer step or a "
            "shorter time.",
            field="step",
        )
    answer = await call.service.samples.ask(Question(backend_ids, metrics, start, end, query.step, stats))
    count = len(answer.series) * steps * len(stats)
    if count > MOST_VALUES:
        raise InvalidRequest(
            f"That would be {count} values, more than the {MOST_VALUES} that are answered at once: ask for fewer "
            "backends, metrics or stats, or for a longer step.",
            field="step",
        )
    return SamplesView.of(answer)


def _metrics(names: Sequence[str]) -> tuple[str, ...]:
    unknown = [name for name in names if name not in METRICS]
    if unknown:
        raise InvalidRequest(
            f"There is no metric {unknown[0]!r}; GET /orchestrator/metrics lists those there are.", field="metrics"
        )
    return tuple(dict.fromkeys(names)) or tuple(METRICS)


ROUTES = (
    Route("GET", "/metrics", list_metrics),
    Route("GET", "/telemetry", list_machines),
    Route("GET", "/samples", get_many_samples, (InvalidRequest,)),
    Route("GET", "/backends/{backend_id}/telemetry", get_machine, (NotFound,)),
    Route("GET", "/backends/{backend_id}/samples", get_samples, (InvalidRequest, NotFound)),
)
