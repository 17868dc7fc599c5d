"""Takes samples in a thread of its own: often while somebody looks or a prompt runs, seldom otherwise.

Each sample is encoded once, where it is taken, so that answering a request is a copy of bytes.
"""

from __future__ import annotations

import json
import logging
import math
import secrets
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from .models import Sample

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Pace:
    """How often is sampled, in seconds."""

    watched_s: float = 1.0
    idle_s: float = 10.0
    tick_s: float = 1.0
    """How soon the start of a prompt is noticed."""
    keep_s: float = 300.0
    """How long samples are kept for a master that was away."""
    rest_s: float = 600.0
    """After so long without a question nothing is sampled until the next one."""
    stalled_s: float = 5.0
    """A reading that takes longer is told: a driver may hang for minutes."""


@dataclass(frozen=True)
class _Kept:
    sequence: int
    at: float
    encoded: bytes


class Sampler:
    """The latest samples of this machine. ``watch`` and ``answer`` may be called from any thread; they never block."""

    def __init__(
        self,
        read: Callable[[], Sample],
        *,
        busy: Callable[[], bool] = lambda: False,
        pace: Pace | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Make it; the thread starts with the first question.

        Args:
            read: takes one sample; called on the thread only.
            busy: whether a prompt runs; called on the thread, must be quick.
            pace: how often.
            clock: seconds, never going back.
        """
        self._read = read
        self._busy = busy
        self._pace = pace or Pace()
        self._clock = clock
        # Tells a master that the numbering began anew.
        self._boot = secrets.token_hex(4)
        self._kept: deque[_Kept] = deque()
        self._sequence = 0
        self._watched_until = float("-inf")
        self._asked_at = float("-inf")
        self._reading_since: float | None = None
        self._problem = ""
        self._wake = threading.Event()
        self._closed = False
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None

    def watch(self, for_s: float) -> None:
        """Sample often for so long from now."""
        self._watched_until = max(self._watched_until, self._clock() + for_s)
        self._wake.set()

    def answer(self, after: str = "") -> bytes:
        """Return the samples after a cursor as JSON; only the latest one without a cursor.

        Samples that nobody fetched within ``keep_s`` are gone. A cursor of before a restart gets all there are.
        """
        self._asked_at = self._clock()
        self._start()
        with self._lock:
            kept = list(self._kept)
        boot, _, number = after.partition("-")
        if boot == self._boot and number.isascii() and number.isdigit():
            known = int(number[:18])
            kept = [sample for sample in kept if sample.sequence > known]
        elif not after:
            kept = kept[-1:]
        cursor = f"{self._boot}-{self._sequence}"
        head = {
            "cursor": cursor,
            "now": self._clock(),
            "interval_s": self._interval_s(),
            "problem": self._problem or self._stalled(),
        }
        return b"".join((json.dumps(head).encode()[:-1], b', "samples": [', b",".join(s.encoded for s in kept), b"]}"))

    def close(self) -> None:
        """End the thread after the reading under way."""
        self._closed = True
        self._wake.set()

    def join(self, timeout_s: float) -> None:
        """Wait for the thread to end."""
        if self._thread is not None:
            self._thread.join(timeout_s)

    def _start(self) -> None:
        if self._thread is None and not self._closed:
            # A daemon: a process must be able to end while a driver hangs.
            self._thread = threading.Thread(target=self._run, name="orchestrator telemetry", daemon=True)
            self._thread.start()
        self._wake.set()

    def _run(self) -> None:
        due = self._clock()
        while not self._closed:
            now = self._clock()
            if now - self._asked_at > self._pace.rest_s:
                self._wake.wait()
            elif now < due and due - now > self._interval_s():
                # Somebody began to look: what was due in ten seconds is due in one.
                due = now + self._interval_s()
            elif now < due:
                self._wake.wait(min(due - now, self._pace.tick_s))
            else:
                self._take(now)
                due = max(due + self._interval_s(), self._clock())
            self._wake.clear()

    def _interval_s(self) -> float:
        pace = self._pace
        return pace.watched_s if self._clock() < self._watched_until or self._busy() else pace.idle_s

    def _take(self, now: float) -> None:
        self._reading_since = now
        try:
            sample = self._read()
            encoded = _encode(sample)
        except Exception as error:
            # The boundary of the thread: one reading that fails must not end all that follow.
            if not self._problem:
                log.exception("The telemetry of this machine could not be read")
            self._problem = f"Reading the telemetry failed ({type(error).__name__}); the server's log tells more."
            return
        finally:
            self._reading_since = None
        self._problem = ""
        with self._lock:
            self._sequence += 1
            self._kept.append(_Kept(self._sequence, sample.at, encoded))
            while self._kept and self._kept[0].at < sample.at - self._pace.keep_s:
                self._kept.popleft()

    def _stalled(self) -> str:
        since = self._reading_since
        if since is None or self._clock() - since < self._pace.stalled_s:
            return ""
        return f"A driver has not answered for {self._clock() - since:.0f} s."


def _encode(sample: Sample) -> bytes:
    told = sample.to_json()
    told["host"] = _finite(told["host"])
    for device in told["devices"]:
        device["values"] = _finite(device["values"])
    return json.dumps(told, separators=(",", ":"), allow_nan=False).encode()


def _finite(values: dict[str, float]) -> dict[str, float]:
    """Return the values that JSON can carry, without digits that nobody measured."""
    return {name: _short(value) for name, value in values.items() if math.isfinite(value)}


def _short(value: float) -> float:
    return round(value) if abs(value) >= 1000 else round(value, 4)
