"""A virtual clock over a synthetic farm: a policy places jobs, runs take their time, nothing sleeps."""

from __future__ import annotations

import heapq
import math
import random
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from comfy_orchestrator_nodes.placement import Outcome
from tests.sim.farms import FarmSpec

LOST_NOTICED_S = 5.0
"""How long it takes to notice that a backend is gone."""


@dataclass(frozen=True)
class Outage:
    """A backend that is away for a while; what it runs then is lost."""

    backend_id: str
    from_s: float
    until_s: float


@dataclass
class State:
    """What a policy may look at: never the run times."""

    farm: FarmSpec
    now: float = 0.0
    queued: dict[str, str] = field(default_factory=dict)
    """Job id to definition, in order of arrival."""
    running: dict[str, tuple[str, str, float, bool]] = field(default_factory=dict)
    """Backend id to (job id, definition, since, models loaded)."""
    warm: dict[str, str] = field(default_factory=dict)
    """Backend id to the definition it ran last."""
    away: set[str] = field(default_factory=set)
    refused: dict[str, set[str]] = field(default_factory=dict)
    """Job id to the backends where it failed."""
    changed: set[str] = field(default_factory=set)
    """Backends that started, ended, came or went since the policy was asked last."""
    knows_fit: bool = True

    def fits(self, definition: str, backend_id: str) -> bool:
        """Whether the backend is known to have what the definition needs."""
        return not self.knows_fit or backend_id in self.farm.run_s[definition]

    def free(self, backend_id: str) -> bool:
        """Whether the backend is there and idle."""
        return backend_id not in self.running and backend_id not in self.away


class Policy(Protocol):
    """Places jobs. ``place`` is called whenever something changed."""

    def place(self, state: State) -> Sequence[tuple[str, str]]:
        """Return (job id, idle backend id) pairs to start now."""

    def finished(self, state: State, outcome: Outcome) -> None:
        """Hear of a run that succeeded."""

    def out_of_memory(self, state: State, job_id: str, definition: str, backend_id: str) -> None:
        """Hear of a run that did not fit."""


@dataclass
class Result:
    """How a simulation went."""

    farm: FarmSpec
    makespan_s: float
    done: Counter[str]
    """Definition to accepted results."""
    switches: int = 0
    out_of_memory: int = 0
    lost: int = 0
    spans: list[tuple[str, str, float, float]] = field(default_factory=list)
    """(backend, definition, from, to) of each run, if asked for."""

    @property
    def ratio(self) -> float:
        """Makespan over lower bound."""
        return self.makespan_s / self.farm.lower_bound_s


def simulate(
    farm: FarmSpec,
    policy: Policy,
    *,
    seed: int = 0,
    outages: Sequence[Outage] = (),
    knows_fit: bool = True,
    spans: bool = False,
) -> Result:
    """Run all jobs of a farm under a policy.

    Raises:
        RuntimeError: the policy leaves jobs queued for ever.
    """
    return _Simulation(farm, policy, random.Random(seed), outages, knows_fit, spans).run()


class _Simulation:
    def __init__(
        self,
        farm: FarmSpec,
        policy: Policy,
        dice: random.Random,
        outages: Sequence[Outage],
        knows_fit: bool,
        spans: bool,
    ) -> None:
        self.farm, self.policy, self.dice = farm, policy, dice
        self.state = State(farm, knows_fit=knows_fit)
        order = [(d, i) for d, count in farm.jobs.items() for i in range(count)]
        self.state.queued = {f"{d}/{i}": d for d, i in order}
        self.total = len(order)
        self.result = Result(farm, 0.0, Counter())
        self.keep_spans = spans
        self.events: list[tuple[float, int, Callable[[], None]]] = []
        self.sequence = 0
        self.attempt: dict[str, int] = {}
        for outage in outages:
            self.at(outage.from_s, lambda o=outage: self.leave(o))  # type: ignore[misc]

    def at(self, when: float, what: Callable[[], None]) -> None:
        self.sequence += 1
        heapq.heappush(self.events, (when, self.sequence, what))

    def run(self) -> Result:
        self.decide()
        while sum(self.result.done.values()) < self.total:
            if not self.events:
                raise RuntimeError(f"{len(self.state.queued)} jobs of {self.farm.name} are left queued for ever")
            self.state.now, _, what = heapq.heappop(self.events)
            what()
            while self.events and self.events[0][0] == self.state.now:
                heapq.heappop(self.events)[2]()
            self.decide()
        self.result.makespan_s = self.state.now
        return self.result

    def decide(self) -> None:
        chosen = self.policy.place(self.state)
        self.state.changed.clear()
        for job_id, backend_id in chosen:
            self.start(job_id, backend_id)

    def start(self, job_id: str, backend_id: str) -> None:
        state = self.state
        if not state.free(backend_id):
            raise RuntimeError(f"{backend_id} is not free")
        definition = state.queued.pop(job_id)
        cold = state.warm.get(backend_id) != definition
        switch = self.farm.switch_s[backend_id] if cold else 0.0
        self.result.switches += cold
        state.changed.add(backend_id)
        state.warm[backend_id] = definition
        state.running[backend_id] = (job_id, definition, state.now, cold)
        number = self.attempt[backend_id] = self.attempt.get(backend_id, 0) + 1
        run = self.farm.run_s[definition].get(backend_id)
        if run is None:
            self.at(state.now + switch, lambda: self.fail(number, backend_id))
            return
        elapsed = switch + run * math.exp(self.dice.gauss(0.0, self.farm.noise))
        self.at(state.now + elapsed, lambda: self.finish(number, backend_id, elapsed))

    def finish(self, number: int, backend_id: str, elapsed: float) -> None:
        if self.attempt[backend_id] != number:
            return
        _, definition, since, cold = self.state.running.pop(backend_id)
        self.state.changed.add(backend_id)
        self.result.done[definition] += 1
        if self.keep_spans:
            self.result.spans.append((backend_id, definition, since, self.state.now))
        vram = self.farm.vram_bytes[backend_id]
        self.policy.finished(self.state, Outcome(definition, backend_id, elapsed, cold, vram))

    def fail(self, number: int, backend_id: str) -> None:
        if self.attempt[backend_id] != number:
            return
        job_id, definition, _, _ = self.state.running.pop(backend_id)
        self.state.changed.add(backend_id)
        self.result.out_of_memory += 1
        self.state.warm.pop(backend_id, None)
        self.state.refused.setdefault(job_id, set()).add(backend_id)
        self.state.queued[job_id] = definition
        self.policy.out_of_memory(self.state, job_id, definition, backend_id)

    def leave(self, outage: Outage) -> None:
        state, backend_id = self.state, outage.backend_id
        state.away.add(backend_id)
        state.changed.add(backend_id)
        state.warm.pop(backend_id, None)
        self.attempt[backend_id] = self.attempt.get(backend_id, 0) + 1
        lost = state.running.pop(backend_id, None)
        if lost is not None:
            self.result.lost += 1
            self.at(state.now + LOST_NOTICED_S, lambda: self.requeue(lost[0], lost[1]))
        self.at(outage.until_s, lambda: self.come_back(backend_id))

    def come_back(self, backend_id: str) -> None:
        self.state.away.discard(backend_id)
        self.state.changed.add(backend_id)

    def requeue(self, job_id: str, definition: str) -> None:
        self.state.queued[job_id] = definition
