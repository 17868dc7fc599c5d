"""Whether processes are gone."""

from __future__ import annotations

import time
from collections.abc import Sequence

import psutil


def is_gone(pid: int) -> bool:
    """Whether a process ended; one that nobody has waited for yet counts as ended."""
    try:
        return bool(psutil.Process(pid).status() == psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return True


def left_after(pids: Sequence[int], timeout_s: float) -> list[int]:
    """Wait until processes are gone; return those that are still there after the time."""
    deadline = time.monotonic() + timeout_s
    while (left := [pid for pid in pids if not is_gone(pid)]) and time.monotonic() < deadline:
        time.sleep(0.02)
    return left
