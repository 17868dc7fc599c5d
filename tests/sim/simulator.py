"""A virtual clock over a synthetic farm: a policy places jobs, runs take their time, nothing sleeps.

Every job lives in the real machine (``machine/jobs.py``): what happens on a backend is fed in as events, and what the
machine instructs is done. Backends have the real health (``machine/backends.py``), so one whose jobs keep failing is
suspended. What backends execute is counted on their side, not in our records.
"""

from __future__ import annotations

import heapq
import math
import random
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from comfy_orchestrator_nodes.domain import Attempt, BackendStatus, Cause, Failure, JobStatus
from comfy_orchestrator_nodes.machine import backends as health
from comfy_orchestrator_nodes.machine import events as ev
from comfy_orchestrator_nodes.machine.policy import exclusions
from comfy_orchestrator_nodes.placement import Outcome
from tests.sim.farms import FarmSpec
from tests.sim.life import RESULT, Lives
from tests.sim.world import Faults, Outage, Policy, Result, State

LOST_NOTICED_S = 5.0
"""How long it takes to notice that a backend is gone."""
GRACE_S = 30.0
"""How long a backend that is gone is waited for before its job is given to another."""
LOOK_UP_S = 1.0
ERROR_AFTER_RATIO = 0.5
"""An execution error comes when this part of the run is done."""


def simulate(
    farm: FarmSpec,
    policy: Policy,
    *,
    seed: int = 0,
    outages: Sequence[Outage] = (),
    faults: Faults | None = None,
    attempts: int = 3,
    knows_fit: bool = True,
    spans: bool = False,
) -> Result:
    """Run all jobs of a farm under a policy; each may be tried ``attempts`` times.

    Raises:
        RuntimeError: the policy leaves jobs queued for ever.
        Broken: the machine reached a state that must not be.
    """
    return _Simulation(farm, policy, random.Random(seed), outages, faults or Faults(), attempts, knows_fit, spans).run()


@dataclass
class _Prompt:
    """What a backend executes, as it knows it."""

    attempt: Attempt
    definition: str
    cold: bool
    elapsed_s: float
    cause: Cause | None
    """Why it will fail, or None."""
    done: bool = False


class _Simulation:
    def __init__(
        self,
        farm: FarmSpec,
        policy: Policy,
        dice: random.Random,
        outages: Sequence[Outage],
        faults: Faults,
        attempts: int,
        knows_fit: bool,
        spans: bool,
    ) -> None:
        self.farm, self.policy, self.dice, self.faults = farm, policy, dice, faults
        self.state = State(farm, knows_fit=knows_fit)
        self.lives = Lives(farm.jobs, attempts, self.obey)
        self.state.queued = dict(self.lives.definition)
        self.result = Result(farm, 0.0, Counter())
        self.keep_spans = spans
        self.events: list[tuple[float, int, Callable[[], None]]] = []
        self.sequence = 0
        self.peer: dict[str, _Prompt] = {}
        """Backend id to what it executes: the truth, which we only hear of while the network is up."""
        self.history: dict[str, _Prompt] = {}
        """Prompt id to what ended while nobody could be told."""
        self.unreachable: set[str] = set()
        self.disowned: dict[str, list[str]] = {}
        """Backend id to the prompts it may still have though we gave them up."""
        self.health = {b: health.BackendHealth(BackendStatus.ONLINE) for b in farm.vram_bytes}
        for outage in outages:
            self.at(outage.from_s, lambda o=outage: self.leave(o))  # type: ignore[misc]

    def at(self, when: float, what: Callable[[], None]) -> None:
        self.sequence += 1
        heapq.heappush(self.events, (when, self.sequence, what))

    def run(self) -> Result:
        self.decide()
        while self.lives.open:
            if not self.events:
                raise RuntimeError(f"{len(self.state.queued)} jobs of {self.farm.name} are left queued for ever")
            self.state.now, _, what = heapq.heappop(self.events)
            what()
            while self.events and self.events[0][0] == self.state.now:
                heapq.heappop(self.events)[2]()
            self.decide()
        self.result.makespan_s = self.state.now
        self.lives.check_end()
        return self.result

    def decide(self) -> None:
        chosen = self.policy.place(self.state)
        self.state.changed.clear()
        for job_id, backend_id in chosen:
            if not self.state.free(backend_id):
                raise RuntimeError(f"{backend_id} is not free")
            self.result.attempts += 1
            name = f"{self.result.attempts}"
            self.lives.feed(job_id, ev.Placed(f"attempt-{name}", f"prompt-{name}", backend_id), self.state.now)

    # --- what the machine instructs

    def obey(self, job_id: str, instruction: ev.Instruction) -> None:
        if isinstance(instruction, ev.Execute):
            self.execute(job_id, instruction.attempt)
        elif isinstance(instruction, ev.Locate):
            attempt = instruction.attempt
            self.at(self.state.now + LOOK_UP_S, lambda: self.locate(attempt, self.state.now + GRACE_S))
        elif isinstance(instruction, ev.Place):
            self.queue(job_id)
        elif isinstance(instruction, ev.FreeMemory):
            self.state.warm.pop(instruction.backend_id, None)
        elif isinstance(instruction, ev.Disown):
            self.disowned.setdefault(instruction.attempt.backend_id, []).append(instruction.attempt.prompt_id)
        elif isinstance(instruction, ev.Settle):
            job = self.lives.jobs[job_id].job
            if job.status is JobStatus.SUCCEEDED:
                self.result.done[self.lives.definition[job_id]] += 1
            elif job.failure is not None:
                self.result.failed[job.failure.cause] += 1

    def queue(self, job_id: str) -> None:
        definition = self.lives.definition[job_id]
        refused = set(exclusions(self.lives.jobs[job_id].attempts))
        if refused:
            self.state.refused[job_id] = refused
        if all(b in refused or not self.state.fits(definition, b) for b in self.farm.vram_bytes):
            self.at(self.state.now, lambda: self.give_up(job_id))
            return
        self.state.queued[job_id] = definition

    def give_up(self, job_id: str) -> None:
        failure = Failure(Cause.NO_BACKEND, "No backend is left.")
        self.lives.feed(job_id, ev.Unplaceable(failure), self.state.now)

    def execute(self, job_id: str, attempt: Attempt) -> None:
        state, backend_id = self.state, attempt.backend_id
        definition = state.queued.pop(job_id)
        cold = state.warm.get(backend_id) != definition
        self.result.switches += cold
        state.changed.add(backend_id)
        state.warm[backend_id] = definition
        state.running[backend_id] = (job_id, definition, state.now, cold)
        prompt = self.peer[backend_id] = self.prompt(attempt, definition, cold)
        self.at(state.now + prompt.elapsed_s, lambda: self.end(prompt))
        if self.chance(self.faults.unanswered):
            self.lives.feed(job_id, ev.Unanswered(attempt.id), state.now)
            return
        self.lives.feed(job_id, ev.Accepted(attempt.id), state.now)
        self.lives.feed(job_id, ev.Started(attempt.id), state.now)

    def prompt(self, attempt: Attempt, definition: str, cold: bool) -> _Prompt:
        backend_id = attempt.backend_id
        switch = self.farm.switch_s[backend_id] if cold else 0.0
        run = self.farm.run_s[definition].get(backend_id)
        if run is None:
            return _Prompt(attempt, definition, cold, switch, Cause.OUT_OF_MEMORY)
        run *= math.exp(self.dice.gauss(0.0, self.farm.noise))
        if self.chance(self.faults.error):
            return _Prompt(attempt, definition, cold, switch + ERROR_AFTER_RATIO * run, Cause.EXECUTION_ERROR)
        cause = Cause.OUTPUT_INVALID if backend_id in self.faults.broken else None
        return _Prompt(attempt, definition, cold, switch + run, cause)

    def chance(self, probability: float) -> bool:
        return probability > 0.0 and self.dice.random() < probability

    # --- what happens on backends

    def end(self, prompt: _Prompt) -> None:
        """A backend is done with a prompt, unless it lost or was relieved of it."""
        backend_id = prompt.attempt.backend_id
        if self.peer.get(backend_id) is not prompt:
            return
        del self.peer[backend_id]
        prompt.done = True
        self.result.executed += prompt.cause is None
        if backend_id in self.unreachable:
            self.history[prompt.attempt.prompt_id] = prompt
        else:
            self.hear(prompt)

    def hear(self, prompt: _Prompt) -> None:
        """We are told how a prompt ended."""
        attempt, definition, state = prompt.attempt, prompt.definition, self.state
        if self.lives.jobs[attempt.job_id].current is None or self.let_go(attempt) is None:
            return
        if prompt.cause is not None:
            self.fault(attempt, prompt.cause)
            return
        if self.keep_spans:
            started = state.now - prompt.elapsed_s
            self.result.spans.append((attempt.backend_id, definition, started, state.now))
        vram = self.farm.vram_bytes[attempt.backend_id]
        self.policy.finished(state, Outcome(definition, attempt.backend_id, prompt.elapsed_s, prompt.cold, vram))
        self.heal(attempt.backend_id, health.JobSucceeded())
        self.lives.feed(attempt.job_id, ev.Succeeded(attempt.id, RESULT), state.now)

    def let_go(self, attempt: Attempt) -> str | None:
        """Free the slot an attempt holds; return its job, or None if the slot is another's by now."""
        held = self.state.running.get(attempt.backend_id)
        if held is None or held[0] != attempt.job_id:
            return None
        del self.state.running[attempt.backend_id]
        self.state.changed.add(attempt.backend_id)
        return held[0]

    def fault(self, attempt: Attempt, cause: Cause) -> None:
        if cause is Cause.OUT_OF_MEMORY:
            self.result.out_of_memory += 1
            self.policy.out_of_memory(
                self.state, attempt.job_id, self.lives.definition[attempt.job_id], attempt.backend_id
            )
        if cause in (Cause.VANISHED, Cause.OUTPUT_INVALID):
            self.heal(attempt.backend_id, health.JobFaulted(cause.value))
        failure = Failure(cause, f"It was {cause.value}.")
        self.lives.feed(attempt.job_id, ev.Faulted(attempt.id, failure), self.state.now)

    def heal(self, backend_id: str, event: health.HealthEvent) -> None:
        """Tell a backend's health of an event; a suspended one is probed when its time is over."""
        before = self.health[backend_id]
        after = self.health[backend_id] = health.advance(before, event, self.state.now)
        if after.status is before.status:
            return
        self.state.changed.add(backend_id)
        if after.usable:
            self.state.away.discard(backend_id)
            return
        self.state.away.add(backend_id)
        if after.status is BackendStatus.SUSPENDED and after.suspended_until is not None:
            self.result.suspensions += 1
            self.at(after.suspended_until, lambda: self.probe(backend_id))

    def probe(self, backend_id: str) -> None:
        if backend_id not in self.unreachable:
            self.heal(backend_id, health.ProbeAnswered(0.01))

    # --- doubt

    def locate(self, attempt: Attempt, until_s: float) -> None:
        """Look a prompt up, again and again, until it is known what became of it or the grace period is over."""
        state, backend_id = self.state, attempt.backend_id
        current = self.lives.jobs[attempt.job_id].current
        if current is None or current.id != attempt.id:
            return
        if backend_id not in self.unreachable:
            running = self.peer.get(backend_id)
            if running is not None and running.attempt.id == attempt.id:
                self.lives.feed(attempt.job_id, ev.Found(attempt.id, running=True), state.now)
                return
            ended = self.history.pop(attempt.prompt_id, None)
            if ended is not None:
                self.hear(ended)
                return
        elif state.now < until_s:
            self.at(state.now + LOOK_UP_S, lambda: self.locate(attempt, until_s))
            return
        self.let_go(attempt)
        self.fault(attempt, Cause.VANISHED)

    def leave(self, outage: Outage) -> None:
        state, backend_id = self.state, outage.backend_id
        self.unreachable.add(backend_id)
        self.heal(backend_id, health.ProbeFailed("It is gone.", refused=True))
        if not outage.cut:
            state.warm.pop(backend_id, None)
            self.peer.pop(backend_id, None)
        held = state.running.get(backend_id)
        current = None if held is None else self.lives.jobs[held[0]].current
        if current is not None and current.backend_id == backend_id:
            self.result.lost += 1
            self.at(state.now + LOST_NOTICED_S, lambda: self.lose(current))
        self.at(outage.until_s, lambda: self.come_back(backend_id))

    def lose(self, attempt: Attempt) -> None:
        current = self.lives.jobs[attempt.job_id].current
        if (
            current is not None
            and current.id == attempt.id
            and self.lives.jobs[attempt.job_id].job.status
            in (
                JobStatus.DISPATCHED,
                JobStatus.RUNNING,
            )
        ):
            self.lives.feed(attempt.job_id, ev.Vanished(attempt.id), self.state.now)

    def come_back(self, backend_id: str) -> None:
        """A backend answers again: what we disowned there is looked for and removed before it gets anything new."""
        self.unreachable.discard(backend_id)
        running = self.peer.get(backend_id)
        if running is not None and running.attempt.prompt_id in self.disowned.pop(backend_id, []):
            del self.peer[backend_id]
            self.result.withdrawn += 1
        self.heal(backend_id, health.ProbeAnswered(0.01))
