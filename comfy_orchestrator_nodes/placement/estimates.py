"""What is learned from finished jobs: run times, model-switch times, speeds of backends, need of VRAM.

The model is multiplicative, in natural logarithms of seconds::

    log run(definition, backend) = level(definition) - speed(backend) + residual(pair)

so a backend that is known from one definition is predicted for all others, and a definition that ran anywhere is
predicted everywhere. Every part is a mean with a variance; few observations shrink towards the prior (a ridge, or
empirical Bayes, estimate solved by one Gauss-Seidel step an observation). Old observations fade, so a backend that
became slower is noticed. A run whose models were not loaded yet tells run and switch time together; the two are told
apart as soon as one of them is known from elsewhere.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import NamedTuple

from ..domain import Json
from ..errors import InvalidRequest
from .gpus import guess_speed
from .memory import MemoryNeeds

FIRST_GUESS_S = 15.0
MEMORY = 20.0
"""How many runs of a pair count: older ones fade (an EWMA with weight 1/20)."""
RESIDUAL_VAR = 0.2**2
"""How far a pair strays from level and speed: about a fifth."""
SPEED_VAR = 0.5**2
LEVEL_VAR = 1.5**2
NOISE_VAR = 0.15**2
JITTER_S = 0.2
"""What a run takes longer or shorter for no reason of the machine's: a first import, a garbage collection, a poll."""
SWITCH_VAR_RATIO = 0.3**2
"""How far a machine's switch strays from the usual one, relative to that."""
FIRST_SWITCH_S = 5.0
FIRST_SWITCH_VAR = (2 * FIRST_SWITCH_S) ** 2
DOUBT_LIMIT = 0.3
"""Sigma up to which doubt about a run time counts as a risk: of what is quite unknown, nobody expects the worst."""
LEAST_S = 1e-3
MOST_S = 1e8


@dataclass(frozen=True)
class Outcome:
    """A finished run: ``elapsed_s`` from its start to its success on the backend, transfers not included."""

    definition_key: str
    backend_id: str
    elapsed_s: float
    cold: bool
    """Whether model files had to be loaded: not all of the job's were in the backend's warm set."""
    vram_bytes: int | None = None


class Expected(NamedTuple):
    """A predicted run time without model switch.

    The median in seconds, its uncertainty (sigma of the logarithm), and how many warm runs of the pair it rests on.
    """

    run_s: float
    sigma: float
    runs: int


@dataclass
class _Pair:
    runs: int = 0
    weight: float = 0.0
    """Effective number of warm runs, at most MEMORY."""
    log_s: float = 0.0
    """Faded mean of the logarithm of warm runs."""
    cold_weight: float = 0.0
    cold_s: float = 0.0
    """Faded mean of runs that had to load models."""
    evidence: tuple[float, float] | None = None
    """(log seconds, weight in the fit) as entered into the definition's sums."""


@dataclass
class _Level:
    """A definition's run time at usual speed, from sums over its pairs: weight, and weight * (log run + speed)."""

    weight: float = 0.0
    total: float = 0.0
    mean: float = math.log(FIRST_GUESS_S)
    variance: float = LEVEL_VAR
    version: int = 0
    """Counts the changes: what was computed from another version is out of date."""

    def add(self, log_s: float, weight: float) -> None:
        """Count an observation at usual speed, or take it out again with a negative weight."""
        self.version += 1
        self.weight += weight
        self.total += weight * log_s
        all_weight = max(self.weight, 0.0) + 1.0 / LEVEL_VAR
        self.mean = (self.total + math.log(FIRST_GUESS_S) / LEVEL_VAR) / all_weight
        self.variance = 1.0 / all_weight


_NO_LEVEL = _Level()


@dataclass
class _Machine:
    pairs: dict[str, _Pair] = field(default_factory=dict)
    gpu: str = ""
    prior_speed: float = 0.0
    speed: float = 0.0
    speed_var: float = SPEED_VAR
    switch: tuple[float, float] | None = None
    """Seconds and variance of a model switch; None while nothing was seen here."""
    switch_seen: tuple[float, float] | None = None
    """What this machine's own runs tell of it, as it was entered into the sums over all machines."""
    expected: dict[str, tuple[int, Expected]] = field(default_factory=dict)
    """Definition to the prediction, with the version of the level it was made from."""

    @property
    def seen(self) -> bool:
        """Whether anything ran here."""
        return self.speed_var < SPEED_VAR


class _Switches:
    """What a model switch usually takes: the mean over machines, each weighed by how well it is known there.

    The mean is of what was seen, not of what is believed: beliefs contain the mean, which would then never leave the
    first guess.
    """

    def __init__(self) -> None:
        self._weight = 1.0 / FIRST_SWITCH_VAR
        self._total = FIRST_SWITCH_S * self._weight

    @property
    def usual(self) -> tuple[float, float]:
        """Seconds of a switch on a machine where none was seen, and the variance of this prediction."""
        mean = max(0.0, self._total / self._weight)
        return mean, SWITCH_VAR_RATIO * mean**2 + 1.0 / self._weight + 0.01

    def put(self, seconds: float, variance: float) -> tuple[float, float]:
        """Enter what a machine's runs tell; return what to take out again when they tell something else."""
        weight = 1.0 / (variance + SWITCH_VAR_RATIO * self.usual[0] ** 2 + 0.01)
        self._weight += weight
        self._total += weight * seconds
        return seconds, weight

    def take_out(self, entered: tuple[float, float] | None) -> None:
        """Forget what ``put`` entered."""
        if entered is not None:
            self._weight -= entered[1]
            self._total -= entered[1] * entered[0]


class Estimates:
    """Learned run times and needs. Mutable, but pure: the same observations in the same order give the same state."""

    def __init__(self) -> None:
        self._machines: dict[str, _Machine] = {}
        self._levels: dict[str, _Level] = {}
        self._noise_var = NOISE_VAR
        self._noise_weight = 10.0
        self.memory = MemoryNeeds()
        self._switches = _Switches()

    # --- learning

    def introduce(self, backend_id: str, gpu: str) -> None:
        """Tell a backend's device: until it has run something, its speed is guessed from the device's name.

        A backend with the same device that has run something is believed before the table of known devices.
        """
        machine = self._machines.get(backend_id)
        if machine is None:
            machine = self._machines[backend_id] = _Machine()
        elif machine.gpu == gpu:
            return
        machine.gpu = gpu
        machine.prior_speed = self._prior_speed(gpu) if gpu else 0.0
        self._refit(machine)

    def observe(self, outcome: Outcome) -> None:
        """Learn from a run that succeeded. Absurd times are taken as a millisecond, or as three years."""
        elapsed = min(max(LEAST_S, outcome.elapsed_s), MOST_S)
        machine = self._machines.setdefault(outcome.backend_id, _Machine())
        pair = machine.pairs.setdefault(outcome.definition_key, _Pair())
        self.memory.succeeded(outcome.definition_key, outcome.backend_id, outcome.vram_bytes)
        if outcome.cold:
            pair.cold_weight = min(MEMORY, pair.cold_weight + 1)
            pair.cold_s += (elapsed - pair.cold_s) / pair.cold_weight
        else:
            self._warm_run(pair, math.log(elapsed))
        self._refit(machine)

    def out_of_memory(self, definition_key: str, backend_id: str, vram_bytes: int | None, at: float) -> None:
        """Learn that a definition did not fit; ``vram_bytes`` is the backend's total, ``at`` the time of day."""
        self.memory.failed(definition_key, backend_id, vram_bytes, at)

    def forget_backend(self, backend_id: str) -> None:
        """Drop all that was learned about a backend that was removed or got other hardware."""
        self.memory.forget_backend(backend_id)
        machine = self._machines.pop(backend_id, None)
        if machine is None:
            return
        self._switches.take_out(machine.switch_seen)
        for key, pair in machine.pairs.items():
            self._withdraw(key, machine, pair)

    # --- predictions

    def run(self, definition_key: str, backend_id: str) -> Expected:
        """Return the expected run time of a definition on a backend, models loaded."""
        level = self._levels.get(definition_key, _NO_LEVEL)
        machine = self._machines.get(backend_id)
        if machine is None:
            return Expected(math.exp(level.mean), math.sqrt(level.variance + SPEED_VAR + RESIDUAL_VAR), 0)
        known = machine.expected.get(definition_key)
        if known is not None and known[0] == level.version:
            return known[1]
        expected = self._predict(level, machine, machine.pairs.get(definition_key))
        machine.expected[definition_key] = level.version, expected
        return expected

    def _predict(self, level: _Level, machine: _Machine, pair: _Pair | None) -> Expected:
        mean, variance = level.mean - machine.speed, level.variance + machine.speed_var + RESIDUAL_VAR
        evidence = self._evidence(machine, pair) if pair is not None else None
        if evidence is None or pair is None:
            return Expected(math.exp(mean), math.sqrt(variance), 0)
        log_s, seen_var = evidence
        share = variance / (variance + seen_var)
        return Expected(math.exp(mean + share * (log_s - mean)), math.sqrt(variance * (1 - share)), pair.runs)

    def late_s(self, expected: Expected) -> float:
        """Return what a run may well take: one sigma more than expected, of what is not known and of the noise."""
        sigma = math.sqrt(min(expected.sigma, DOUBT_LIMIT) ** 2 + self._noise_var)
        return expected.run_s * math.exp(sigma)

    def level(self, definition_key: str) -> float:
        """Return the natural logarithm of a definition's expected run time on a backend of usual speed."""
        return self._levels.get(definition_key, _NO_LEVEL).mean

    def switch_s(self, backend_id: str) -> float:
        """Return the expected seconds to load another definition's models on a backend."""
        machine = self._machines.get(backend_id)
        if machine is None or machine.switch is None:
            return self._switches.usual[0]
        return machine.switch[0]

    def remaining_s(self, definition_key: str, backend_id: str, *, cold: bool, elapsed_s: float) -> float:
        """Return the seconds a running job is expected to need still; a late one is given a tenth of its time more."""
        total = self.run(definition_key, backend_id).run_s + (self.switch_s(backend_id) if cold else 0.0)
        return max(total - elapsed_s, 0.1 * max(elapsed_s, 0.0), LEAST_S)

    def typical_s(self, backend_id: str) -> float:
        """Return the mean run time on a backend over all definitions: what a stranger's prompt there may take."""
        keys = self._levels
        if not keys:
            return FIRST_GUESS_S
        return math.exp(sum(math.log(self.run(key, backend_id).run_s) for key in keys) / len(keys))

    # --- persistence

    def snapshot(self) -> Json:
        """Return the state as JSON, for the store."""
        return {
            "format": 1,
            "noise": [self._noise_var, self._noise_weight],
            "memory": self.memory.snapshot(),
            "pairs": [
                [key, backend_id, p.runs, p.weight, p.log_s, p.cold_weight, p.cold_s]
                for backend_id, machine in self._machines.items()
                for key, p in machine.pairs.items()
            ],
        }

    @classmethod
    def restore(cls, data: Json) -> Estimates:
        """Return the estimates of a snapshot.

        Raises:
            InvalidRequest: the data is not a snapshot of this format.
        """
        estimates = cls()
        if not isinstance(data, dict) or data.get("format") != 1:
            raise InvalidRequest("The learned run times are of another format; delete them to start anew.")
        try:
            estimates._noise_var = _within(data["noise"][0], 0.0, 1.0)
            estimates._noise_weight = _within(data["noise"][1], 1.0, 1e6)
            estimates.memory = MemoryNeeds.restore(data["memory"])
            for key, backend_id, runs, weight, log_s, cold_weight, cold_s in data["pairs"]:
                machine = estimates._machines.setdefault(str(backend_id), _Machine())
                machine.pairs[str(key)] = _Pair(
                    runs=int(_within(runs, 0, 1e12)),
                    weight=_within(weight, 0, MEMORY),
                    log_s=_within(log_s, math.log(LEAST_S), math.log(MOST_S)),
                    cold_weight=_within(cold_weight, 0, MEMORY),
                    cold_s=_within(cold_s, 0, MOST_S),
                )
        except (KeyError, IndexError, TypeError, ValueError, AttributeError, OverflowError) as error:
            raise InvalidRequest(
                f"The learned run times cannot be read ({error}); delete them to start anew."
            ) from error
        for _ in range(3):
            for machine in estimates._machines.values():
                estimates._refit(machine)
        return estimates

    # --- the fit

    def _warm_run(self, pair: _Pair, log_s: float) -> None:
        if pair.weight >= 1:
            deviation = (log_s - pair.log_s) ** 2 * pair.weight / (pair.weight + 1)
            self._noise_weight = min(200.0, self._noise_weight + 1)
            self._noise_var += (min(deviation, 1.0) - self._noise_var) / self._noise_weight
        pair.runs += 1
        pair.weight = min(MEMORY, pair.weight + 1)
        pair.log_s += (log_s - pair.log_s) / pair.weight

    def _evidence(self, machine: _Machine, pair: _Pair) -> tuple[float, float] | None:
        """Return (log run seconds, its variance) of what was seen of a pair alone."""
        if pair.weight:
            return pair.log_s, max(self._noise_var, 1e-4) / pair.weight
        if not pair.cold_weight:
            return None
        switch, switch_var = machine.switch or self._switches.usual
        run = max(pair.cold_s - switch, 0.15 * pair.cold_s)
        return math.log(run), min(1.0, (switch_var / run**2) + self._noise_var * (pair.cold_s / run) ** 2)

    def _prior_speed(self, gpu: str) -> float:
        known = [(m.speed, 1.0 / m.speed_var) for m in self._machines.values() if m.gpu == gpu and m.seen]
        if known:
            return sum(speed * weight for speed, weight in known) / sum(weight for _, weight in known)
        return guess_speed(gpu) or 0.0

    def _refit(self, machine: _Machine) -> None:
        machine.expected.clear()
        self._refit_switch(machine)
        for key, pair in machine.pairs.items():
            self._withdraw(key, machine, pair)
        weight = 1.0 / SPEED_VAR
        total = machine.prior_speed * weight
        for key, pair in machine.pairs.items():
            evidence = self._evidence(machine, pair)
            if evidence is None:
                continue
            log_s, variance = evidence
            pair.evidence = (log_s, 1.0 / (variance + RESIDUAL_VAR))
            level = self._levels.get(key, _NO_LEVEL)
            # Ten times slower at a hundredth of a second is a hiccup; at ten seconds it is a slow machine.
            jitter = JITTER_S**2 * (math.exp(-2 * log_s) + math.exp(-2 * level.mean))
            trust = 1.0 / (variance + RESIDUAL_VAR + level.variance + jitter)
            total += trust * (level.mean - log_s)
            weight += trust
        machine.speed = total / weight
        machine.speed_var = 1.0 / weight
        for key, pair in machine.pairs.items():
            self._enter(key, machine, pair)

    def _refit_switch(self, machine: _Machine) -> None:
        """Weigh what the machine's own runs tell of its switch against what a switch takes elsewhere."""
        self._switches.take_out(machine.switch_seen)
        total = weight = 0.0
        for pair in machine.pairs.values():
            if not (pair.weight and pair.cold_weight):
                continue
            run = math.exp(pair.log_s)
            difference = pair.cold_s - run
            noise = max(self._noise_var, 1e-4)
            variance = noise * (run**2 / pair.weight + (run**2 + difference**2) / pair.cold_weight) + 0.01
            total += difference / variance
            weight += 1.0 / variance
        if not weight:
            machine.switch = machine.switch_seen = None
            return
        machine.switch_seen = self._switches.put(total / weight, 1.0 / weight)
        usual, usual_var = self._switches.usual
        weight += 1.0 / usual_var
        machine.switch = (max(0.0, (total + usual / usual_var) / weight), 1.0 / weight)

    def _withdraw(self, key: str, machine: _Machine, pair: _Pair) -> None:
        if pair.evidence is None:
            return
        log_s, weight = pair.evidence
        self._levels[key].add(log_s + machine.speed, -weight)
        pair.evidence = None

    def _enter(self, key: str, machine: _Machine, pair: _Pair) -> None:
        if pair.evidence is None:
            return
        log_s, weight = pair.evidence
        self._levels.setdefault(key, _Level()).add(log_s + machine.speed, weight)


def _within(value: Json, least: float, most: float) -> float:
    number = float(value)
    if not least <= number <= most:
        raise ValueError(f"{value!r} is not between {least:g} and {most:g}")
    return number
