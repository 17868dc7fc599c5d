"""Synthetic farms: backends of mixed speed, definitions with their own models, all jobs queued at the start.

A farm can be read from JSON (``{"name", "seed", "backends": [{"id", "vram_gb"}], "definitions": [{"id", "jobs"}],
"run_s": {definition: {backend: seconds}}, "switch_s": {backend: seconds}, "noise": sigma, "lower_bound_s"}``) or
made from a family's name and a seed. A pair that is absent from ``run_s`` does not fit.
"""

from __future__ import annotations

import json
import math
import random
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

GIB = 2**30


@dataclass(frozen=True)
class FarmSpec:
    """A farm, its work, and a makespan that no schedule can beat."""

    name: str
    seed: int
    vram_bytes: Mapping[str, int]
    """Backend id to its VRAM."""
    jobs: Mapping[str, int]
    """Definition to how often it is to be run."""
    run_s: Mapping[str, Mapping[str, float]]
    """Definition, backend: seconds of a run with its models loaded."""
    switch_s: Mapping[str, float]
    """Backend: seconds to load another definition's models."""
    noise: float
    """Sigma of the log-normal factor on each run."""
    lower_bound_s: float


@dataclass(frozen=True)
class Family:
    """What farms of one kind have in common."""

    backends: int
    definitions: int
    jobs: int
    spread: float
    """Speeds lie between exp(-spread) and exp(spread)."""
    switch_s: float
    noise: float
    fit: float
    """Probability that a backend with enough VRAM has a definition's models; 1: everything fits everywhere."""


FAMILIES = {
    "pair": Family(2, 3, 120, 0.5, 15.0, 0.1, 1.0),
    "equal": Family(4, 1, 160, 0.0, 0.0, 0.0, 1.0),
    "speeds": Family(6, 1, 240, 1.2, 0.0, 0.1, 1.0),
    "models": Family(6, 4, 400, 0.4, 20.0, 0.0, 1.0),
    "memory": Family(8, 5, 400, 0.6, 12.0, 0.1, 0.6),
    "studio": Family(40, 8, 2000, 0.8, 15.0, 0.15, 0.8),
    "hundred": Family(100, 10, 4000, 1.0, 15.0, 0.15, 0.8),
    "thousand": Family(1000, 16, 20000, 1.0, 15.0, 0.15, 0.8),
}


def make(family_name: str, seed: int) -> FarmSpec:
    """Return the farm of a family that a seed gives."""
    family = FAMILIES[family_name]
    dice = random.Random(f"{family_name} {seed}")
    backends = [f"b{i}" for i in range(family.backends)]
    vram = {b: dice.choice((8, 12, 16, 24, 48)) for b in backends}
    speed = {b: math.exp(dice.uniform(-family.spread, family.spread)) for b in backends}
    shares = [dice.uniform(0.5, 2.0) for _ in range(family.definitions)]
    jobs: dict[str, int] = {}
    run_s: dict[str, dict[str, float]] = {}
    for i, share in enumerate(shares):
        need = dice.choice((6, 8, 10, 14, 20))
        base = math.exp(dice.uniform(math.log(2), math.log(40)))
        able = [b for b in backends if family.fit == 1.0 or (vram[b] >= need and dice.random() < family.fit)]
        able = able or [max(backends, key=lambda b: vram[b])]
        jobs[f"d{i}"] = max(1, round(family.jobs * share / sum(shares)))
        run_s[f"d{i}"] = {b: base / speed[b] * math.exp(dice.gauss(0.0, 0.15 if family.spread else 0.0)) for b in able}
    switch_s = {b: family.switch_s * dice.uniform(0.6, 1.6) for b in backends}
    sizes = {b: gib * GIB for b, gib in vram.items()}
    bound = lower_bound_s(jobs, run_s)
    return FarmSpec(family_name, seed, sizes, jobs, run_s, switch_s, family.noise, bound)


def load(path: Path) -> FarmSpec:
    """Read a farm from its JSON file; without a lower bound of its own it gets one."""
    data: dict[str, Any] = json.loads(path.read_text())
    jobs = {d["id"]: int(d["jobs"]) for d in data["definitions"]}
    run_s = {d: dict(data["run_s"][d]) for d in jobs}
    return FarmSpec(
        name=str(data["name"]),
        seed=int(data["seed"]),
        vram_bytes={b["id"]: int(b["vram_gb"] * GIB) for b in data["backends"]},
        jobs=jobs,
        run_s=run_s,
        switch_s=dict(data["switch_s"]),
        noise=float(data["noise"]),
        lower_bound_s=float(data.get("lower_bound_s") or lower_bound_s(jobs, run_s)),
    )


def lower_bound_s(jobs: Mapping[str, int], run_s: Mapping[str, Mapping[str, float]], rounds: int = 400) -> float:
    """Return a makespan that no schedule can beat, switches and noise left out.

    Any prices y >= 0 of definitions prove one: work worth ``sum(jobs * y)`` is to be done, and a backend can do at most
    ``max(y / run)`` of it a second (weak duality of the assignment programme). The prices are improved by
    multiplicative updates, and the best proof is kept. The shortest run of the longest job is a bound as well.
    """
    by_backend: dict[str, list[tuple[str, float]]] = {}
    for definition, times in run_s.items():
        for backend, seconds in times.items():
            by_backend.setdefault(backend, []).append((definition, seconds))
    price = {d: min(times.values()) for d, times in run_s.items()}
    best = max(price.values())
    for step in range(rounds):
        supply = dict.fromkeys(jobs, 0.0)
        capacity = 0.0
        sharpness = 5.0 + step
        for options in by_backend.values():
            worth = [price[d] / seconds for d, seconds in options]
            top = max(worth)
            capacity += top
            weights = [(w / top) ** sharpness for w in worth]
            total = sum(weights)
            for (d, seconds), weight in zip(options, weights, strict=True):
                supply[d] += weight / total / seconds
        value = sum(count * price[d] for d, count in jobs.items())
        best = max(best, value / capacity)
        time = value / capacity
        for d, count in jobs.items():
            late = math.log(count / max(supply[d], 1e-9) / time)
            price[d] *= math.exp(max(-0.5, min(0.5, late)) / (2.0 + 0.25 * step))
    return best
