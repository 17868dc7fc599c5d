"""What happens, told to the browsers: ``orchestrator.*`` messages over ComfyUI's own socket, few and batched.

However many jobs run, a tab gets at most ``1 / TICK_S`` messages of each kind a second: progress as the latest state of
each job, changes in their order. Previews go only to those who asked for them, the latest of each job, and at most
``PREVIEWS_PER_TICK`` at a time.
"""

from __future__ import annotations

import asyncio
import base64
import logging
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

from ..scheduler.updates import JobChanged, JobPreviewed, JobProgressed, JobUpdate
from ..service import Service
from .backend_schemas import BackendView
from .job_schemas import FailureView, JobSummary

log = logging.getLogger(__name__)

TICK_S = 0.1
"""The least time between two batches."""

PREVIEWS_PER_TICK = 4
"""Of how many jobs previews are sent at once; the others take their turn."""

WATCH_S = 300.0
"""How long a tab that asked for previews gets them unless it asks again: tabs are closed without a word."""

Send = Callable[[str, dict[str, Any], "str | None"], None]
"""``send(event, data, client_id)``: to one client, or with None to all. Called on the server loop; must not block."""


@dataclass
class _Watch:
    """What one client wants previews of, and until when."""

    until: float
    jobs: set[str] = field(default_factory=set)
    everything: bool = False


class BrowserEvents:
    """Turns updates of jobs and backends into messages. Lives on the server loop; subscribe it with ``attach``."""

    def __init__(self, send: Send, *, clock: Callable[[], float] = time.monotonic) -> None:
        """Make it without a service.

        Args:
            send: sends one message; see ``Send``.
            clock: seconds, never going back.
        """
        self._send = send
        self._clock = clock
        self._service: Service | None = None
        self._progress: dict[str, JobProgressed] = {}
        """The latest of each job that runs."""
        self._moved: dict[str, None] = {}
        """Jobs whose progress was not told yet, in order."""
        self._changes: list[dict[str, Any]] = []
        self._previews: dict[str, JobPreviewed] = {}
        self._backends_changed = False
        self._watches: dict[str, _Watch] = {}
        self._owners: dict[str, str] = {}
        """Live job to the client that queued its run."""
        self._timer: asyncio.TimerHandle | None = None
        self._ticked_at = float("-inf")
        self._unsubscribe: Callable[[], None] | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    def attach(self, service: Service) -> None:
        """Begin to tell what happens in a service."""
        self._service = service
        self._unsubscribe = service.orchestrator.subscribe(self)
        # What changed while the service was being opened could not be told yet.
        self.backends_changed()

    async def detach(self) -> None:
        """Tell nothing more."""
        if self._unsubscribe is not None:
            self._unsubscribe()
        self._service, self._unsubscribe = None, None
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def backends_changed(self) -> None:
        """Tell soon that a backend was added, edited, removed or changed its status. Fits ``open_service``."""
        self._backends_changed = True
        self._tick_soon()

    def watch(self, client_id: str, *job_ids: str, everything: bool = False) -> None:
        """Send a client previews of these jobs, or of all, for ``WATCH_S`` from now."""
        watch = self._watches.setdefault(client_id, _Watch(0.0))
        watch.until = self._clock() + WATCH_S
        watch.jobs.update(job_ids)
        watch.everything |= everything

    def unwatch(self, client_id: str) -> None:
        """Forget what a client asked for."""
        self._watches.pop(client_id, None)

    def progress_of(self, job_id: str) -> JobProgressed | None:
        """Return how far a job's running attempt is, or None when nothing was reported of it."""
        return self._progress.get(job_id)

    def __call__(self, update: JobUpdate) -> None:
        """Take an update; it is told with the next batch."""
        match update:
            case JobChanged():
                self._note_change(update)
            case JobProgressed():
                self._progress[update.job_id] = update
                self._moved[update.job_id] = None
            case JobPreviewed():
                self._previews[update.job_id] = update
        self._tick_soon()

    def _note_change(self, change: JobChanged) -> None:
        job = change.job
        self._changes.append(_described(change))
        if change.kind == "created":
            self._look_up_owner(job.id, job.run_id)
        if job.status.final or (change.attempt is not None and change.attempt.status.final):
            self._progress.pop(job.id, None)
            self._moved.pop(job.id, None)
            self._previews.pop(job.id, None)
        if job.status.final:
            self._owners.pop(job.id, None)

    def _look_up_owner(self, job_id: str, run_id: str) -> None:
        """Find out which tab queued the run that a job belongs to: it sees the previews."""
        service = self._service
        if service is None or run_id == job_id:
            return

        async def look_up() -> None:
            run = await service.runs.get(run_id)
            if run.client_id is not None:
                self._owners[job_id] = run.client_id

        self._spawn(look_up(), f"owner of {job_id}")

    def _spawn(self, work: Awaitable[None], name: str) -> None:
        async def guarded() -> None:
            try:
                await work
            except Exception:
                # A task boundary: nobody awaits this task.
                log.exception("Task %r failed unexpectedly", name)

        task = asyncio.create_task(guarded(), name=name)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _tick_soon(self) -> None:
        if self._timer is not None:
            return
        wait_s = max(0.0, self._ticked_at + TICK_S - self._clock())
        self._timer = asyncio.get_running_loop().call_later(wait_s, self._tick)

    def _tick(self) -> None:
        self._timer = None
        self._ticked_at = self._clock()
        self._send_changes()
        self._send_progress()
        self._send_previews()
        self._send_backends()

    def _send_changes(self) -> None:
        changes, self._changes = self._changes, []
        if changes:
            self._send("orchestrator.jobs", {"changes": changes}, None)

    def _send_progress(self) -> None:
        moved, self._moved = self._moved, {}
        jobs = [vars(self._progress[job_id]) for job_id in moved if job_id in self._progress]
        if jobs:
            self._send("orchestrator.progress", {"jobs": [dict(job) for job in jobs]}, None)

    def _send_previews(self) -> None:
        now = self._clock()
        self._watches = {client: watch for client, watch in self._watches.items() if watch.until > now}
        sent = 0
        for job_id in list(self._previews):
            if sent == PREVIEWS_PER_TICK:
                self._tick_soon()
                return
            preview = self._previews.pop(job_id)
            clients = self._clients_of(job_id)
            if clients:
                self._send_preview(preview, clients)
                sent += 1

    def _clients_of(self, job_id: str) -> list[str]:
        clients = {c for c, watch in self._watches.items() if watch.everything or job_id in watch.jobs}
        if job_id in self._owners:
            clients.add(self._owners[job_id])
        return sorted(clients)

    def _send_preview(self, preview: JobPreviewed, clients: list[str]) -> None:
        data = {
            "job_id": preview.job_id,
            "backend_id": preview.backend_id,
            "media_type": preview.media_type,
            "image": base64.b64encode(preview.image).decode(),
        }
        for client in clients:
            self._send("orchestrator.preview", data, client)

    def _send_backends(self) -> None:
        if not self._backends_changed or self._service is None:
            return
        self._backends_changed = False
        shown = [BackendView.of(state).model_dump(mode="json") for state in self._service.registry.list()]
        self._send("orchestrator.backends", {"backends": shown}, None)


def _described(change: JobChanged) -> dict[str, Any]:
    """Return one change as it is told: the job as it is now, what happened, and to which attempt."""
    attempt = change.attempt
    told: dict[str, Any] = {"kind": change.kind, "job": JobSummary.of(change.job).model_dump(mode="json")}
    if attempt is not None:
        failure = FailureView.of(attempt.failure).model_dump(mode="json") if attempt.failure is not None else None
        told["attempt"] = {
            "id": attempt.id,
            "number": attempt.number,
            "backend_id": attempt.backend_id,
            "status": attempt.status.value,
            "failure": failure,
        }
    return told
