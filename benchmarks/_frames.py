"""What a page's frames took, read from a trace of Chromium. Pure.

A frame begins with the task that calls back for it (``requestAnimationFrame``) and reaches to the next one: messages,
timers, styles, layout and painting in between count, too. Its cost is the processor time of the main thread, which does
not depend on what else the machine does.
"""

from __future__ import annotations

import math
import statistics
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

CATEGORIES = ["devtools.timeline", "disabled-by-default-devtools.timeline"]

_CALLBACK, _TASK, _THREAD = "FireAnimationFrame", "RunTask", "CrRendererMain"


@dataclass(frozen=True)
class Frames:
    """Milliseconds of each frame, in their order."""

    costs_ms: Sequence[float]
    """Of the processor, on the page's main thread."""
    intervals_ms: Sequence[float]
    """From one frame to the next, by the clock on the wall."""

    def added_to(self, control: Frames) -> Frames:
        """Return the costs beyond the median frame of another page."""
        usual = statistics.median(control.costs_ms)
        return Frames([cost - usual for cost in self.costs_ms], self.intervals_ms)

    def figures(self, name: str) -> dict[str, float]:
        """Return median, 95th and 99th percentile and maximum of the costs."""
        hundredths = statistics.quantiles(self.costs_ms, n=100)
        return {
            f"{name}_median_ms": statistics.median(self.costs_ms),
            f"{name}_p95_ms": hundredths[94],
            f"{name}_p99_ms": hundredths[98],
            f"{name}_max_ms": max(self.costs_ms),
        }


def together(parts: Iterable[Frames]) -> Frames:
    """Return the frames of several traces."""
    found = list(parts)
    return Frames([c for p in found for c in p.costs_ms], [i for p in found for i in p.intervals_ms])


def frames_of(events: Iterable[Mapping[str, Any]]) -> Frames:
    """Return the frames of the page that drew most of them.

    Raises:
        ValueError: the trace holds less than two frames.
    """
    threads, callbacks, tasks = set(), [], []
    for event in events:
        thread = (event.get("pid"), event.get("tid"))
        if event["name"] == "thread_name" and event["args"].get("name") == _THREAD:
            threads.add(thread)
        elif event.get("ph") == "X" and event["name"] == _CALLBACK:
            callbacks.append((thread, event["ts"]))
        elif event.get("ph") == "X" and event["name"] == _TASK:
            tasks.append((thread, event["ts"], event["ts"] + event.get("dur", 0), event.get("tdur", 0)))
    drawn = Counter(thread for thread, _ in callbacks if thread in threads)
    if not drawn or max(drawn.values()) < 2:
        raise ValueError("The trace holds no frames.")
    [(page, _)] = drawn.most_common(1)
    return _of_page(
        sorted(at for thread, at in callbacks if thread == page),
        sorted((begin, end, cost) for thread, begin, end, cost in tasks if thread == page),
    )


def _of_page(callbacks: Sequence[float], tasks: Sequence[tuple[float, float, float]]) -> Frames:
    """Add the tasks up to frames: one that calls back, however often, begins a frame."""
    begins: list[float] = []
    costs: list[float] = []
    left = iter([*callbacks, math.inf])
    following, until = next(left), 0.0
    for begin, end, cost in tasks:
        if begin < until:
            continue  # within another task
        until = end
        if end > following:
            begins.append(following)
            costs.append(0.0)
            while end > following:
                following = next(left)
        if costs:
            costs[-1] += cost / 1e3
    # The last frame was cut off.
    return Frames(costs[:-1], [(after - before) / 1e3 for before, after in pairwise(begins)])
