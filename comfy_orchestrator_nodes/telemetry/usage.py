"""What each attempt took of its backend: the highest VRAM and the energy, from the samples of its time."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import numpy as np

from ..domain import Attempt, AttemptStatus
from ..errors import StoreError
from ..store.attempts import AttemptRepository
from ..store.samples.repository import Answer, Question, SampleStore, Series
from .collector import Collector
from .latest import AGENT

log = logging.getLogger(__name__)

LAST_SAMPLE_S = 1.5
"""How long after its end the last sample of an attempt is waited for."""

COVERED_RATIO = 0.8
"""Which share of its time must have been measured for its energy to be told."""

SHORTEST_S = 0.5
"""What is over sooner lies between two samples, and thousands of such attempts are not worth a look each."""

DENSE_S = 5.0
"""From this length on an attempt's peak can hardly lie between two samples of an agent."""


@dataclass(frozen=True)
class Usage:
    """What an attempt took; None where it was not measured."""

    peak_vram_bytes: int | None
    """The most VRAM in use on the backend's fullest GPU while it ran, whatever else was there included."""
    energy_j: float | None
    """What all GPUs of the backend drew meanwhile."""
    dense: bool
    """Whether it was measured often enough to rely on the peak."""


Learn = Callable[[str, int], None]
"""Called as ``learn(definition_key, peak_vram_bytes)`` for a success whose peak is to be relied on; must not raise."""


class UsageKeeper:
    """Measures attempts when they end, and stores what they took. Lives on the server loop."""

    def __init__(
        self,
        collector: Collector,
        samples: SampleStore,
        attempts: AttemptRepository,
        *,
        learn: Learn,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._collector = collector
        self._samples = samples
        self._attempts = attempts
        self._learn = learn
        self._sleep = sleep
        self._tasks: set[asyncio.Task[None]] = set()

    def note(self, attempt: Attempt, definition_key: str) -> None:
        """Take note of an attempt that changed: it is read more often while it runs, and measured when it ended."""
        self._collector.nudge(attempt.backend_id)
        if not attempt.status.final or attempt.started_at is None or attempt.ended_at is None:
            return
        if attempt.ended_at - attempt.started_at < SHORTEST_S:
            return
        task = asyncio.create_task(self._measure_later(attempt, definition_key), name=f"usage of {attempt.id}")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def close(self) -> None:
        """Measure nothing any more: attempts that ended just now stay without."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _measure_later(self, attempt: Attempt, definition_key: str) -> None:
        try:
            await self._sleep(LAST_SAMPLE_S)
            self._collector.nudge(attempt.backend_id)
            await self._sleep(LAST_SAMPLE_S)
            usage = await self.measure(attempt)
            if usage.peak_vram_bytes is None and usage.energy_j is None:
                return
            await self._attempts.note_usage(attempt.id, usage.peak_vram_bytes, usage.energy_j)
            if attempt.status is AttemptStatus.SUCCEEDED and usage.dense and usage.peak_vram_bytes is not None:
                self._learn(definition_key, usage.peak_vram_bytes)
        except StoreError as error:
            log.warning("What attempt %s took is not known: %s", attempt.id, error)
        except Exception:
            # A task boundary: nobody awaits this task, and nothing depends on it.
            log.exception("What attempt %s took could not be measured", attempt.id)

    async def measure(self, attempt: Attempt) -> Usage:
        """Return what an attempt that has ended took.

        Raises:
            StoreError: the samples cannot be read.
        """
        start, end = attempt.started_at or 0.0, attempt.ended_at or 0.0
        question = Question((attempt.backend_id,), ("vram_used_bytes", "power_w"), start, end, 1, ("avg", "max"))
        answer = await self._samples.ask(question)
        latest = self._collector.latest.get(attempt.backend_id)
        dense = latest is not None and latest.source == AGENT and end - start >= DENSE_S
        return Usage(_peak(answer), _energy(answer, start, end), dense and answer.grid.step_s == 1)


def _peak(answer: Answer) -> int | None:
    peaks = [np.nanmax(series.values["max"]) for series in answer.series if series.metric == "vram_used_bytes"]
    return int(max(peaks)) if peaks else None


def _energy(answer: Answer, start: float, end: float) -> float | None:
    powers = [series for series in answer.series if series.metric == "power_w"]
    joules = [_joules(series, answer, start, end) for series in powers]
    # A GPU that was not measured would make the sum too small without a sign of it.
    if not joules or any(energy is None for energy in joules):
        return None
    return round(sum(energy for energy in joules if energy is not None), 1)


def _joules(series: Series, answer: Answer, start: float, end: float) -> float | None:
    """Return power over time: each step counts as far as it lies in the attempt's time."""
    grid = answer.grid
    begins = grid.start + np.arange(grid.count) * grid.step_s
    overlap = np.clip(np.minimum(begins + grid.step_s, end) - np.maximum(begins, start), 0.0, None)
    power = series.values["avg"]
    measured = ~np.isnan(power)
    covered_s = float(overlap[measured].sum())
    length_s = end - start
    if length_s <= 0 or covered_s < COVERED_RATIO * length_s:
        return None
    # What was not measured is taken to have drawn what the rest did.
    return float((power[measured] * overlap[measured]).sum()) * length_s / covered_s
