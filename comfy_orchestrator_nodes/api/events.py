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
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from ..errors import NotFound
from ..orchestrator.preferences import shown
from ..scheduler.updates import JobChanged, JobPreviewed, JobProgressed, JobUpdate
from ..service import Service
from .backend_schemas import BackendView
from .job_schemas import FailureView, JobSummary
from .telemetry_events import TelemetryEvents

log = logging.getLogger(__name__)

TICK_S = 0.1
"""The least time between two batches."""

PREVIEWS_PER_TICK = 4
"""Of how many jobs previews are sent at once; the others take their turn."""

_OWNERS = 256
"""Of how many runs it is remembered who queued them."""

WATCH_S = 300.0
"""How long a tab that listens is told unless it asks again: tabs are closed without a word."""

Send = Callable[[str, dict[str, Any], "str | None"], None]
"""``send(event, data, client_id)``: to one client, or with None to all. Called on the server loop; must not block."""


@dataclass
class _Watch:
    """A client that listens: until when, and which jobs it wants previews of."""

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
        self._library_changed = False
        self._settings_changed = False
        self._watches: dict[str, _Watch] = {}
        self._claims: dict[str, set[str]] = {}
        """Live job to the clients that submitted it."""
        self._runs: dict[str, str] = {}
        """Live job to the run it belongs to, where that is not only this job."""
        self._owners: OrderedDict[str, str | None] = OrderedDict()
        """Run to the client that queued it, as far as somebody needed to know."""
        self._timer: asyncio.TimerHandle | None = None
        self._ticked_at = float("-inf")
        self._unsubscribe: list[Callable[[], None]] = []
        self._lookups: dict[str, asyncio.Task[None]] = {}
        self._telemetry = TelemetryEvents(send, clock=clock)

    def attach(self, service: Service) -> None:
        """Begin to tell what happens in a service."""
        self._service = service
        self._unsubscribe = [
            service.orchestrator.subscribe(self),
            service.preferences.subscribe(lambda _: self.settings_changed()),
        ]
        self._telemetry.attach(service)
        # What changed while the service was being opened could not be told yet.
        self.backends_changed()

    async def detach(self) -> None:
        """Tell nothing more."""
        for unsubscribe in self._unsubscribe:
            unsubscribe()
        self._service, self._unsubscribe = None, []
        self._telemetry.detach()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        tasks = list(self._lookups.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def backends_changed(self) -> None:
        """Tell soon that a backend was added, edited, removed or changed its status. Fits ``open_service``."""
        self._backends_changed = True
        self._tick_soon()

    def library_changed(self) -> None:
        """Tell soon that a definition was stored, renamed or deleted. Fits ``Publisher``."""
        self._library_changed = True
        self._tick_soon()

    def settings_changed(self) -> None:
        """Tell soon that a setting was changed."""
        self._settings_changed = True
        self._tick_soon()

    def watch(self, client_id: str, *job_ids: str, everything: bool = False, telemetry: bool = False) -> None:
        """Tell a client what happens for ``WATCH_S`` from now, with previews of these jobs, or of all.

        With ``telemetry`` also what the backends' machines do, each second.
        """
        if telemetry:
            self._telemetry.listen(client_id, WATCH_S)
        watch = self._watches.setdefault(client_id, _Watch(0.0))
        watch.until = self._clock() + WATCH_S
        watch.jobs.update(job_ids)
        watch.everything |= everything

    def claim(self, client_id: str, job_id: str) -> None:
        """Send the client that submitted a job, which must not have ended yet, its previews while it listens."""
        self._claims.setdefault(job_id, set()).add(client_id)

    def unwatch(self, client_id: str) -> None:
        """Forget what a client asked for."""
        self._watches.pop(client_id, None)
        self._telemetry.stop(client_id)

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
        if job.status.final:
            self._runs.pop(job.id, None)
            self._claims.pop(job.id, None)
        elif job.run_id != job.id:
            self._runs[job.id] = job.run_id
        if job.status.final or (change.attempt is not None and change.attempt.status.final):
            self._progress.pop(job.id, None)
            self._moved.pop(job.id, None)
            self._previews.pop(job.id, None)

    async def _look_up_owner(self, service: Service, run_id: str) -> None:
        """Find out which tab queued a run: it sees the previews."""
        try:
            run = await service.runs.get(run_id)
        except NotFound:
            client_id = None
        else:
            client_id = run.client_id
        self._owners[run_id] = client_id
        if len(self._owners) > _OWNERS:
            self._owners.popitem(last=False)
        self._tick_soon()

    def _look_up_soon(self, service: Service, run_id: str) -> None:
        if run_id in self._lookups:
            return

        async def guarded() -> None:
            try:
                await self._look_up_owner(service, run_id)
            except Exception:
                # A task boundary: nobody awaits this task. Without an answer the run's previews are nobody's.
                log.exception("Who queued run %s could not be found out", run_id)
                self._owners[run_id] = None

        task = asyncio.create_task(guarded(), name=f"owner of {run_id}")
        self._lookups[run_id] = task
        task.add_done_callback(lambda _: self._lookups.pop(run_id, None))

    def _tick_soon(self) -> None:
        if self._timer is not None:
            return
        wait_s = max(0.0, self._ticked_at + TICK_S - self._clock())
        self._timer = asyncio.get_running_loop().call_later(wait_s, self._tick)

    def _tick(self) -> None:
        self._timer = None
        now = self._ticked_at = self._clock()
        self._watches = {client: watch for client, watch in self._watches.items() if watch.until > now}
        self._send_changes()
        self._send_progress()
        self._send_previews()
        self._send_backends()
        self._send_library()
        self._send_settings()

    def _tell(self, event: str, data: dict[str, Any]) -> None:
        """Send to every listening tab, and to no other: ComfyUI's front end warns of messages that nobody handles."""
        for client in self._watches:
            self._send(event, data, client)

    def _send_changes(self) -> None:
        changes, self._changes = self._changes, []
        if changes:
            self._tell("orchestrator.jobs", {"changes": changes})

    def _send_progress(self) -> None:
        moved, self._moved = self._moved, {}
        jobs = [vars(self._progress[job_id]) for job_id in moved if job_id in self._progress]
        if jobs:
            self._tell("orchestrator.progress", {"jobs": [dict(job) for job in jobs]})

    def _send_previews(self) -> None:
        sent = 0
        for job_id in list(self._previews):
            if sent == PREVIEWS_PER_TICK:
                self._tick_soon()
                return
            run_id = self._runs.get(job_id)
            if run_id is not None and run_id not in self._owners and self._service is not None:
                self._look_up_soon(self._service, run_id)
                continue
            preview = self._previews.pop(job_id)
            clients = self._clients_of(job_id, run_id)
            if clients:
                self._send_preview(preview, clients)
                sent += 1

    def _clients_of(self, job_id: str, run_id: str | None) -> list[str]:
        clients = {c for c, watch in self._watches.items() if watch.everything or job_id in watch.jobs}
        wanted_by = set(self._claims.get(job_id, ()))
        owner = self._owners.get(run_id) if run_id is not None else None
        if owner is not None:
            wanted_by.add(owner)
        return sorted(clients | (wanted_by & self._watches.keys()))

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
        self._tell("orchestrator.backends", {"backends": shown})

    def _send_library(self) -> None:
        if not self._library_changed or self._service is None:
            return
        self._library_changed = False
        definitions = self._service.publisher.current.definitions.values()
        self._tell("orchestrator.library", {"versions": {one.id: one.version for one in definitions}})

    def _send_settings(self) -> None:
        if not self._settings_changed or self._service is None:
            return
        self._settings_changed = False
        self._tell("orchestrator.settings", {"settings": shown(self._service.preferences.current)})


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
