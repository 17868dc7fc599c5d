"""What a month of a busy farm takes, and how soon a week of it is answered: 50 backends of two GPUs and a host each.

No server is needed. The blocks are written as the store writes them, from eight made-up courses of each metric that all
devices share; the file's size is that of what they would write.
"""

from __future__ import annotations

import asyncio
import sqlite3
import statistics
import tempfile
import time
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from comfy_orchestrator_nodes.api.telemetry_schemas import SamplesView
from comfy_orchestrator_nodes.metrics import DEVICE, METRICS, Metric
from comfy_orchestrator_nodes.store.samples.blocks import Key, number_of
from comfy_orchestrator_nodes.store.samples.encoding import encode
from comfy_orchestrator_nodes.store.samples.levels import COARSE, COARSEST, DAY_S, LEVELS, MIDDLE, RAW, Level
from comfy_orchestrator_nodes.store.samples.repository import HOST_DEVICE, Question, SampleStore
from tools.devtools.bench import Result
from tools.devtools.instances import Farm

BACKENDS, GPUS, DAYS, COURSES, REPEATS = 50, 2, 31, 8, 15
MOST = {"ratio": 1.0, "bytes": 24e9, "bytes/s": 1e9, "°C": 85.0, "W": 450.0, "Hz": 2.5e9, "count": 3.0}
CONSTANT = frozenset({"vram_total_bytes", "ram_total_bytes", "power_limit_w", "ecc_errors"})


async def run(farm: Farm) -> Result:
    """Measure."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "telemetry.sqlite3"
        now = time.time()
        store = await SampleStore.open(path, clock=time.time)
        blocks, by_level = await asyncio.to_thread(fill, path, now)
        size = path.stat().st_size
        add_s, save_s = await measure_writing(store, now)
        questions = {
            "week_of_50_one_metric": week(now, ("gpu_busy_ratio",)),
            "week_of_50_three_metrics": week(now, ("gpu_busy_ratio", "vram_used_bytes", "power_w")),
            "week_of_50_three_metrics_by_10_min": week(
                now, ("gpu_busy_ratio", "vram_used_bytes", "power_w"), step_s=600
            ),
            "week_of_50_with_min_max": week(now, ("gpu_busy_ratio",), ("avg", "min", "max")),
            "hour_of_50_one_metric": hour(now, ("gpu_busy_ratio",)),
            "month_of_one_all_metrics": Question(("backend-7",), tuple(METRICS), now - 30 * DAY_S, now),
        }
        asked: dict[str, float] = {}
        for name, question in questions.items():
            asked[f"{name}_ms"], asked[f"{name}_cpu_ms"] = await measured(partial(ask, store, question))
        await store.close()
    return Result(
        figures={
            "file_mb": size / 1e6,
            **{f"file_{name}_mb": taken / 1e6 for name, taken in by_level.items()},
            "blocks": float(blocks),
            "bytes_for_each_minute_of_a_series": by_level["minutes"] / (series_count() * DAYS * 1440),
            **asked,
            "add_a_second_of_50_ms": add_s * 1e3,
            "save_a_minute_of_50_ms": save_s * 1e3,
        }
    )


def series_count() -> int:
    """Return how many series the farm has."""
    devices = sum(metric.scope == DEVICE for metric in METRICS.values())
    return BACKENDS * (GPUS * devices + len(METRICS) - devices)


def keys() -> list[tuple[Key, list[Metric]]]:
    """Return every device with its metrics."""
    found = []
    for backend in range(BACKENDS):
        for gpu in range(-1, GPUS):
            device = f"GPU-{gpu}" if gpu >= 0 else HOST_DEVICE
            metrics = [m for m in METRICS.values() if (m.scope == DEVICE) == (gpu >= 0)]
            found.append(((f"backend-{backend}", device), metrics))
    return found


def courses(metric: Metric, level: Level, random: np.random.Generator) -> list[bytes]:
    """Return encoded blocks of a busy machine: phases of minutes, and noise on top."""
    return [encode(course(metric, level, random), metric.quantum) for _ in range(COURSES)]


def course(metric: Metric, level: Level, random: np.random.Generator) -> NDArray[np.float64]:
    """Return one block's columns."""
    most = MOST[metric.unit]
    if metric.name in CONSTANT:
        return np.full((1 if level is RAW else 3, level.buckets), most)
    phase = max(1, 180 // level.bucket_s)
    phases = np.repeat(random.random(level.buckets // phase + 1), phase)[: level.buckets]
    average = most * np.clip(phases + random.normal(0, 0.03, level.buckets), 0, 1)
    if level is RAW:
        return average[None, :]
    spread = most * np.abs(random.normal(0, 0.05, (2, level.buckets)))
    return np.stack((average, average - spread[0], average + spread[1]))


def fill(path: Path, now: float) -> tuple[int, dict[str, float]]:
    """Write a month of minutes, a day of ten seconds, an hour of seconds; return how many blocks, and their bytes."""
    random = np.random.default_rng(7)
    spans = (
        (RAW, 2 * 3600, "seconds"),
        (MIDDLE, 26 * 3600, "ten_seconds"),
        (COARSE, DAYS * DAY_S, "minutes"),
        (COARSEST, DAYS * DAY_S, "ten_minutes"),
    )
    taken = dict.fromkeys((name for *_, name in spans), 0.0)
    count = 0
    made = {(m.name, level): courses(m, level, random) for m in METRICS.values() for level in LEVELS}
    connection = sqlite3.connect(path, isolation_level=None)
    for level, span, name in spans:
        for start in range(level.block_of(now - span), _end_of(level, now), level.block_s):
            connection.execute("BEGIN")
            for key, metrics in keys():
                for metric in metrics:
                    data = made[metric.name, level][int(random.integers(COURSES))]
                    row = (number_of(connection, key, metric.name), level.number, start, data)
                    connection.execute("INSERT INTO block VALUES (?, ?, ?, ?)", row)
                    taken[name] += len(data)
                    count += 1
            connection.execute("COMMIT")
    connection.close()
    return count, taken


def _end_of(level: Level, now: float) -> int:
    # The week that is not over has been written every hour; the others' last blocks are still in memory.
    return level.block_of(now) + (level is COARSEST) - (level is RAW)


async def measure_writing(store: SampleStore, now: float) -> tuple[float, float]:
    """Return the seconds to take one second of all devices, and to save a minute of them."""
    random = np.random.default_rng(8)
    devices = keys()
    adds = []
    for second in range(60):
        values = {metric.name: MOST[metric.unit] * float(random.random()) for metric in METRICS.values()}
        started = time.perf_counter()
        for (backend, device), metrics in devices:
            store.add(backend, device, "A GPU", now - 60 + second, {m.name: values[m.name] for m in metrics})
        adds.append(time.perf_counter() - started)
    started = time.perf_counter()
    await store.save()
    return statistics.median(adds), time.perf_counter() - started


def week(
    now: float, metrics: tuple[str, ...], stats: tuple[str, ...] = ("avg",), step_s: int | None = None
) -> Question:
    """Return the question for a week of all backends."""
    return Question(tuple(f"backend-{n}" for n in range(BACKENDS)), metrics, now - 7 * DAY_S, now, step_s, stats)


def hour(now: float, metrics: tuple[str, ...]) -> Question:
    """Return the question for an hour of all backends."""
    return Question(tuple(f"backend-{n}" for n in range(BACKENDS)), metrics, now - 3600, now)


async def ask(store: SampleStore, question: Question) -> str:
    """Return the answer as the route sends it."""
    return SamplesView.of(await store.ask(question)).model_dump_json(by_alias=True)


async def measured(once: Callable[[], Awaitable[object]]) -> tuple[float, float]:
    """Return the median milliseconds of a call: by the clock, and on the processor (which a busy machine spares)."""
    times, used = [], []
    for _ in range(REPEATS):
        started, cpu = time.perf_counter(), time.process_time()
        await once()
        times.append(time.perf_counter() - started)
        used.append(time.process_time() - cpu)
    return statistics.median(times) * 1e3, statistics.median(used) * 1e3
