"""Asks every backend what its machine does: each second while somebody looks or a job of ours runs there, else seldom.

One task for each backend; a backend that is offline is not asked. What comes is in memory at once and in the database
within a minute.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from http import HTTPStatus

from ..backend.peer import Farm, Peer
from ..backend.readings import Reading, from_system_stats
from ..domain import BackendStatus
from ..errors import BackendError, BackendFault, BackendRefused, StoreError
from ..machine.backends import BackendHealth
from ..store.samples.repository import HOST_DEVICE, SampleStore
from .latest import AGENT, PLAIN, Latest

log = logging.getLogger(__name__)

CAPABILITY = "telemetry"
"""By which an agent says in its handshake that it measures."""

NO_AGENT = frozenset({HTTPStatus.NOT_FOUND, HTTPStatus.METHOD_NOT_ALLOWED, HTTPStatus.NOT_IMPLEMENTED})


@dataclass(frozen=True)
class CollectorTimes:
    """How often is asked, in seconds."""

    watched_s: float = 1.0
    idle_s: float = 10.0
    plain_s: float = 5.0
    """A ComfyUI without an agent, whoever looks: ``/system_stats`` costs it about a millisecond."""
    refused_s: float = 60.0
    """After how long an agent that wants its token is tried again."""
    watch_lease_s: float = 5.0
    """For how long the agent is asked to go on each second."""
    save_s: float = 60.0


@dataclass
class _State:
    """What is known of one backend's agent."""

    version: tuple[object, ...] = ()
    """The peer's version when that was found out; another one means to look again."""
    cursor: str = ""
    agent: bool | None = None
    refused_until: float = float("-inf")
    problem: str = ""


class Collector:
    """Reads every backend's machine. Lives on the server loop."""

    def __init__(
        self,
        farm: Farm,
        samples: SampleStore,
        *,
        health: Callable[[str], BackendHealth],
        clock: Callable[[], float],
        times: CollectorTimes | None = None,
    ) -> None:
        self._farm = farm
        self._samples = samples
        self._health = health
        self._clock = clock
        self._times = times or CollectorTimes()
        self._latest: dict[str, Latest] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._nudges: dict[str, asyncio.Event] = {}
        self._watched_until = float("-inf")
        self._saver: asyncio.Task[None] | None = None
        self.on_reading: Callable[[str], None] = lambda backend_id: None
        """Called with a backend's id after each of its readings; must not raise."""

    @property
    def latest(self) -> Mapping[str, Latest]:
        """The latest reading of each backend, by id. Of one that is offline it is the last one."""
        return self._latest

    def start(self) -> None:
        """Begin to ask, and to save."""
        self.follow_farm()
        self._saver = asyncio.create_task(self._save_regularly(), name="save telemetry")

    async def close(self) -> None:
        """Ask nobody any more."""
        tasks = [*self._tasks.values(), *([self._saver] if self._saver is not None else [])]
        self._tasks.clear()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def follow_farm(self) -> None:
        """Ask those backends that there are now. Call it whenever some were added, edited or removed."""
        present = {peer.backend.id for peer in self._farm if peer.backend.enabled}
        for backend_id in present - self._tasks.keys():
            self._nudges[backend_id] = asyncio.Event()
            self._tasks[backend_id] = asyncio.create_task(self._follow(backend_id), name=f"telemetry of {backend_id}")
        for backend_id in self._tasks.keys() - present:
            self._tasks.pop(backend_id).cancel()
            self._nudges.pop(backend_id)
            self._latest.pop(backend_id, None)

    async def forget(self, backend_id: str) -> None:
        """Drop what was ever read of a backend that was removed."""
        try:
            await self._samples.forget(backend_id)
        except StoreError as error:
            log.warning("The history of telemetry of backend %s could not be deleted: %s", backend_id, error)

    def watch(self, for_s: float) -> None:
        """Read every backend often for so long from now: somebody looks."""
        now = self._clock()
        asleep = self._watched_until <= now
        self._watched_until = max(self._watched_until, now + for_s)
        if asleep:
            for backend_id in self._nudges:
                self.nudge(backend_id)

    def nudge(self, backend_id: str) -> None:
        """Read a backend now: a job began there, or the pace changed."""
        nudge = self._nudges.get(backend_id)
        if nudge is not None:
            nudge.set()

    async def _follow(self, backend_id: str) -> None:
        nudge, state = self._nudges[backend_id], _State()
        while True:
            started = self._clock()
            await self._read_once(backend_id, state)
            # However many jobs begin and end there, it is not read more often than when somebody looks.
            least_s = self._times.watched_s if state.agent is not False else self._times.plain_s
            await asyncio.sleep(max(0.0, started + least_s - self._clock()))
            pause_s = max(0.0, started + self._interval_s(backend_id, state) - self._clock())
            # Not wait_for: before Python 3.12 it swallows a cancel that comes together with the nudge.
            alarm = asyncio.get_running_loop().call_later(pause_s, nudge.set)
            try:
                await nudge.wait()
            finally:
                alarm.cancel()
            nudge.clear()

    async def _read_once(self, backend_id: str, state: _State) -> None:
        peer = self._farm.get(backend_id)
        if peer is None or not self._answers(backend_id):
            return
        try:
            await self._read(peer, state)
        except BackendError as error:
            # The health probe finds out for itself whether it is gone; here it is a gap.
            log.debug("No telemetry of %s: %s", peer.backend.name, error)
        except Exception:
            # The task must outlive a fault of our own, or the backend would have no chart until the next start.
            log.exception("Reading the telemetry of %s failed unexpectedly", peer.backend.name)

    async def _read(self, peer: Peer, state: _State) -> None:
        version = (*peer.version, peer.agent_can(CAPABILITY))
        if state.version != version:
            state.version, state.agent, state.refused_until = version, None, float("-inf")
        if peer.capabilities is not None and not peer.agent_can(CAPABILITY):
            # Its handshake says so. Before there was one, the route itself is asked.
            state.agent, state.problem = False, ""
        if state.agent is not False and self._clock() >= state.refused_until and await self._read_agent(peer, state):
            return
        stats = await peer.client.system_stats()
        self._take(peer, PLAIN, state.problem, [from_system_stats(stats)], self._times.plain_s)

    async def _read_agent(self, peer: Peer, state: _State) -> bool:
        """Take what the agent tells; return whether there is one that does."""
        fast = self._is_fast(peer)
        try:
            told = await peer.client.telemetry(state.cursor, self._times.watch_lease_s if fast else 0.0)
        except BackendRefused as error:
            state.refused_until = self._clock() + self._times.refused_s
            state.problem = f"Its agent does not tell more than memory: {error.message}"
            return False
        except BackendFault as fault:
            if fault.status not in NO_AGENT:
                raise
            state.agent, state.problem = False, ""
            return False
        state.agent, state.cursor, state.problem = True, told.cursor, ""
        self._take(peer, AGENT, told.problem, told.readings, told.interval_s)
        return True

    def _take(
        self, peer: Peer, source: str, problem: str, readings: list[Reading] | tuple[Reading, ...], interval_s: float
    ) -> None:
        backend_id, now = peer.backend.id, self._clock()
        if self._farm.get(backend_id) is not peer:
            # Removed or edited while it answered.
            return
        for reading in readings:
            self._samples.add(backend_id, HOST_DEVICE, "", now - reading.age_s, reading.host)
            for device in reading.devices:
                self._samples.add(backend_id, device.id, device.name, now - reading.age_s, device.values)
        known = self._latest.get(backend_id)
        if readings:
            at = now - readings[-1].age_s
            self._latest[backend_id] = Latest(backend_id, at, source, interval_s, readings[-1], problem)
        elif known is not None:
            self._latest[backend_id] = replace(known, interval_s=interval_s, problem=problem)
            return
        self.on_reading(backend_id)

    def _interval_s(self, backend_id: str, state: _State) -> float:
        peer = self._farm.get(backend_id)
        if state.agent and peer is not None:
            return self._times.watched_s if self._is_fast(peer) else self._times.idle_s
        return self._times.plain_s

    def _is_fast(self, peer: Peer) -> bool:
        return self._clock() < self._watched_until or peer.in_flight > 0

    def _answers(self, backend_id: str) -> bool:
        return self._health(backend_id).status in (BackendStatus.ONLINE, BackendStatus.DEGRADED)

    async def _save_regularly(self) -> None:
        while True:
            await asyncio.sleep(self._times.save_s)
            try:
                await self._samples.save()
            except Exception:
                log.exception("Saving the telemetry failed unexpectedly")
