"""The names of processes, asked once each."""

from __future__ import annotations

import os

import psutil

_REMEMBERED = 512


class ProcessNames:
    """Remembers which process is called what. Belongs to the sampling thread."""

    def __init__(self) -> None:
        self._own = os.getpid()
        self._names: dict[int, str] = {}

    def is_own(self, pid: int) -> bool:
        """Whether it is this process."""
        return pid == self._own

    def name(self, pid: int) -> str:
        """Return a process's name; empty where the system does not tell it."""
        known = self._names.get(pid)
        if known is not None:
            return known
        try:
            name = psutil.Process(pid).name()
        except (psutil.Error, OSError, ValueError):
            name = ""
        if len(self._names) >= _REMEMBERED:
            self._names.clear()
        self._names[pid] = name
        return name
