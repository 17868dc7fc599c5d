"""What a simulation is about: what may go wrong, what a policy sees and does, and how it went."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

from comfy_orchestrator_nodes.domain import Cause
from comfy_orchestrator_nodes.placement import Outcome
from tests.sim.farms import FarmSpec


@dataclass(frozen=True)
class Outage:
    """A backend that is away for a while; what it runs then is lost, unless only the network was ``cut``."""

    backend_id: str
    from_s: float
    until_s: float
    cut: bool = False


@dataclass(frozen=True)
class Faults:
    """How often what goes wrong, as probabilities for each attempt."""

    unanswered: float = 0.0
    """The backend has the prompt, but the answer to the submit is lost."""
    error: float = 0.0
    """The prompt fails with an execution error."""
    broken: frozenset[str] = frozenset()
    """Backends whose outputs never arrive whole."""


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
    """Backends that are offline or suspended."""
    refused: dict[str, set[str]] = field(default_factory=dict)
    """Job id to the backends that must not get it again."""
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
    failed: Counter[Cause] = field(default_factory=Counter)
    """Cause to jobs that were given up."""
    attempts: int = 0
    switches: int = 0
    out_of_memory: int = 0
    lost: int = 0
    executed: int = 0
    """Prompts that backends ran to their end: more than the results where one was disowned and ran on."""
    withdrawn: int = 0
    """Disowned prompts that were found and removed."""
    suspensions: int = 0
    spans: list[tuple[str, str, float, float]] = field(default_factory=list)
    """(backend, definition, from, to) of each run, if asked for."""

    @property
    def ratio(self) -> float:
        """Makespan over lower bound."""
        return self.makespan_s / self.farm.lower_bound_s
