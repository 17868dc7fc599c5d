"""How much memory processes take beyond what they had, at most, while something goes on."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import psutil

_PERIOD_S = 0.005


@contextmanager
def watched(processes: Sequence[psutil.Process]) -> Iterator[list[int]]:
    """Yield the bytes by which each has grown at most, which go on rising while the block runs."""
    over = threading.Event()
    before = [process.memory_info().rss for process in processes]
    found = [0] * len(processes)

    def watch() -> None:
        while not over.wait(_PERIOD_S):
            for index, process in enumerate(processes):
                found[index] = max(found[index], process.memory_info().rss - before[index])

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        yield found
    finally:
        over.set()
        watcher.join()
