"""Policies for the simulator: placement itself, and what others do."""

from __future__ import annotations

import itertools
import random
import time
from collections import deque
from collections.abc import Callable, Container, Sequence

from comfy_orchestrator_nodes.domain import BackendStatus
from comfy_orchestrator_nodes.placement import (
    BackendView,
    Backlog,
    Estimates,
    JobView,
    Outcome,
    Reason,
    Refusal,
    decide,
)
from tests.sim.world import State

_MISSING = Refusal(Reason.MISSING_MODEL, "it lacks a model file")
_FAILED = Refusal(Reason.EXCLUDED, "it ran out of memory in an earlier attempt")


class Placement:
    """The subject: starts with nothing learned but what it is given."""

    def __init__(self, estimates: Estimates | None = None, clock: Callable[[], float] = time.perf_counter) -> None:
        self.estimates = estimates or Estimates()
        self.backlog = Backlog()
        self.decisions: list[tuple[int, float]] = []
        """For each decision that placed something: how many jobs, and the real seconds it took."""
        self._clock = clock
        self._views: dict[str, BackendView] = {}
        self._refused: dict[str, dict[str, Refusal]] = {}

    def place(self, state: State) -> Sequence[tuple[str, str]]:
        for job_id, definition in _news(state, self.backlog.jobs):
            self.backlog.put(self._job(state, job_id, definition))
        stale = (set(state.farm.vram_bytes) if not self._views else set()) | state.changed
        if len(state.queued) <= 2 * len(state.farm.vram_bytes):
            # Only towards the end does it matter how long a backend is still busy.
            stale |= state.running.keys()
        for backend_id in stale:
            self._views[backend_id] = self._backend(state, backend_id)
        views = [self._views[b] for b in state.farm.vram_bytes]
        began = self._clock()
        decision = decide(self.backlog, views, self.estimates, state.now)
        if decision.assignments:
            self.decisions.append((len(decision.assignments), self._clock() - began))
        for assignment in decision.assignments:
            self.backlog.discard(assignment.job_id)
        return [(a.job_id, a.backend_id) for a in decision.assignments]

    def finished(self, state: State, outcome: Outcome) -> None:
        self.estimates.observe(outcome)

    def out_of_memory(self, state: State, job_id: str, definition: str, backend_id: str) -> None:
        self.estimates.out_of_memory(definition, backend_id, state.farm.vram_bytes[backend_id], state.now)

    def _job(self, state: State, job_id: str, definition: str) -> JobView:
        refused = self._refused.get(definition)
        if refused is None:
            refused = {b: _MISSING for b in state.farm.vram_bytes if not state.fits(definition, b)}
            self._refused[definition] = refused
        failed = state.refused.get(job_id)
        if failed:
            refused = {**refused, **dict.fromkeys(failed, _FAILED)}
        return JobView(job_id, definition, frozenset({f"{definition}.safetensors"}), refused=refused)

    def _backend(self, state: State, backend_id: str) -> BackendView:
        running, warm = state.running.get(backend_id), state.warm.get(backend_id)
        busy = 0.0
        if running:
            _, definition, since, cold = running
            busy = self.estimates.remaining_s(definition, backend_id, cold=cold, elapsed_s=state.now - since)
        return BackendView(
            backend_id,
            backend_id.upper(),
            BackendStatus.OFFLINE if backend_id in state.away else BackendStatus.ONLINE,
            slots_free=0 if running else 1,
            in_flight=1 if running else 0,
            busy_s=busy,
            warm=frozenset({f"{warm}.safetensors"}) if warm else frozenset(),
            vram_bytes=state.farm.vram_bytes[backend_id],
        )


def _news(state: State, known: Container[str]) -> list[tuple[str, str]]:
    """Return the jobs at the end of the queue that a policy does not know yet, oldest first."""
    new = list(itertools.takewhile(lambda item: item[0] not in known, reversed(state.queued.items())))
    new.reverse()
    return new


class _Learnless:
    """A policy that does not listen."""

    def finished(self, state: State, outcome: Outcome) -> None:
        """Learn nothing."""

    def out_of_memory(self, state: State, job_id: str, definition: str, backend_id: str) -> None:
        """Learn nothing."""


class _Queues(_Learnless):
    """Jobs are given to backends when they arrive; each backend works its own queue off."""

    def __init__(self, seed: int = 0) -> None:
        self.queues: dict[str, deque[str]] = {}
        self.known: set[str] = set()
        self.turn = 0
        self.dice = random.Random(seed)

    def choose(self, able: list[str]) -> str:
        raise NotImplementedError

    def place(self, state: State) -> Sequence[tuple[str, str]]:
        if not self.queues:
            self.queues = {b: deque() for b in state.farm.vram_bytes}
        able: dict[str, list[str]] = {}
        for job_id, definition in _news(state, self.known):
            if definition not in able:
                able[definition] = [b for b in state.farm.vram_bytes if state.fits(definition, b)]
            self.known.add(job_id)
            self.queues[self.choose(able[definition])].append(job_id)
        chosen = [(queue.popleft(), b) for b, queue in self.queues.items() if queue and state.free(b)]
        self.known.difference_update(job_id for job_id, _ in chosen)
        return chosen


class RoundRobin(_Queues):
    """Each job to the next backend that can run it."""

    def choose(self, able: list[str]) -> str:
        self.turn += 1
        return able[self.turn % len(able)]


class Random(_Queues):
    """Each job to any backend that can run it."""

    def choose(self, able: list[str]) -> str:
        return self.dice.choice(able)


class LeastQueue(_Queues):
    """Each job to the backend with the fewest queued, of those that can run it."""

    def choose(self, able: list[str]) -> str:
        return min(able, key=lambda b: len(self.queues[b]))


class Pull(_Learnless):
    """An idle backend takes a job of the definition with the most queued, of those it can run."""

    def __init__(self) -> None:
        self.waiting: dict[str, deque[str]] = {}
        self.known: set[str] = set()

    def place(self, state: State) -> Sequence[tuple[str, str]]:
        for job_id, definition in _news(state, self.known):
            self.known.add(job_id)
            self.waiting.setdefault(definition, deque()).append(job_id)
        chosen = []
        for backend_id in state.farm.vram_bytes:
            if not state.free(backend_id):
                continue
            able = [d for d, jobs in self.waiting.items() if jobs and state.fits(d, backend_id)]
            if able:
                chosen.append((self.waiting[max(able, key=lambda d: len(self.waiting[d]))].popleft(), backend_id))
        self.known.difference_update(job_id for job_id, _ in chosen)
        return chosen
