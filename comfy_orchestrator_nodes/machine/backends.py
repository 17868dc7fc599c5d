"""The health of a backend as one table: ``(status, event) -> status``. Pure.

``unknown -> online`` on the first answer. A missed probe or a failed exchange makes an online backend ``degraded``
(still used, but last); ``OFFLINE_AFTER`` failures in a row, or a refused connection, make it ``offline``. Jobs that
keep failing there make it ``suspended``: it gets nothing until an exponential back-off has passed and a probe succeeds.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TypeAlias

from ..domain import BackendStatus

OFFLINE_AFTER = 3
"""Failed probes in a row after which a backend counts as offline."""

SUSPEND_AFTER = 3
"""Job faults in a row, with no success between them, after which a backend is suspended."""

BACKOFF_FIRST_S = 30.0
BACKOFF_LIMIT_S = 600.0

LATENCY_WEIGHT = 0.2
"""Weight of the newest sample in the latency's exponentially weighted moving average."""


@dataclass(frozen=True)
class BackendHealth:
    """What is known of a backend's health. ``latency_s`` is None before the first answer."""

    status: BackendStatus = BackendStatus.UNKNOWN
    since: float = 0.0
    latency_s: float | None = None
    failed_probes: int = 0
    job_faults: int = 0
    suspensions: int = 0
    suspended_until: float | None = None
    last_error: str = ""
    last_seen_at: float | None = None

    @property
    def usable(self) -> bool:
        """Whether placement may send it a job."""
        return self.status in (BackendStatus.ONLINE, BackendStatus.DEGRADED)


@dataclass(frozen=True)
class ProbeAnswered:
    """A cheap request was answered after ``latency_s``."""

    latency_s: float


@dataclass(frozen=True)
class ProbeFailed:
    """A probe or an exchange failed. ``refused`` tells that nobody listens there, which no waiting mends."""

    error: str
    refused: bool = False


@dataclass(frozen=True)
class JobFaulted:
    """An attempt failed there in a way that may be the backend's fault."""

    error: str


@dataclass(frozen=True)
class JobSucceeded:
    """An attempt succeeded there."""


HealthEvent: TypeAlias = ProbeAnswered | ProbeFailed | JobFaulted | JobSucceeded


def advance(health: BackendHealth, event: HealthEvent, now: float) -> BackendHealth:
    """Return the health after one event; every pair of status and event has a row."""
    after = _TABLE[type(event)](health, event, now)
    return after if after.status is health.status else replace(after, since=now)


def suspension_s(suspensions: int) -> float:
    """Return how long the n-th suspension in a row lasts, in seconds: it doubles up to a limit."""
    return float(min(BACKOFF_LIMIT_S, BACKOFF_FIRST_S * 2 ** max(0, suspensions - 1)))


def _answered(health: BackendHealth, event: ProbeAnswered, now: float) -> BackendHealth:
    old = health.latency_s
    latency = event.latency_s if old is None else old + LATENCY_WEIGHT * (event.latency_s - old)
    seen = replace(health, latency_s=latency, failed_probes=0, last_seen_at=now)
    if health.status is BackendStatus.SUSPENDED and now < (health.suspended_until or 0.0):
        return seen
    return replace(seen, status=BackendStatus.ONLINE, suspended_until=None, last_error="")


def _failed(health: BackendHealth, event: ProbeFailed, now: float) -> BackendHealth:
    failed = replace(health, failed_probes=health.failed_probes + 1, last_error=event.error)
    if health.status is BackendStatus.SUSPENDED:
        return failed
    # Of a backend that never answered, one failure tells as much as three.
    if event.refused or failed.failed_probes >= OFFLINE_AFTER or not health.usable:
        return replace(failed, status=BackendStatus.OFFLINE)
    return replace(failed, status=BackendStatus.DEGRADED)


def _faulted(health: BackendHealth, event: JobFaulted, now: float) -> BackendHealth:
    faulted = replace(health, job_faults=health.job_faults + 1, last_error=event.error)
    if faulted.job_faults < SUSPEND_AFTER or not health.usable:
        return faulted
    count = health.suspensions + 1
    return replace(
        faulted,
        status=BackendStatus.SUSPENDED,
        suspensions=count,
        suspended_until=now + suspension_s(count),
        job_faults=0,
    )


def _succeeded(health: BackendHealth, event: JobSucceeded, now: float) -> BackendHealth:
    return replace(health, job_faults=0, suspensions=0)


_TABLE: dict[type, Callable[..., BackendHealth]] = {
    ProbeAnswered: _answered,
    ProbeFailed: _failed,
    JobFaulted: _faulted,
    JobSucceeded: _succeeded,
}
