"""How near placement comes to the best possible schedule, and what a decision costs.

Synthetic farms under a virtual clock (``tests/sim``): all jobs queued at the start, nothing known of run times and
model switches. The makespan is divided by a bound that no schedule can beat, and set beside four other policies.
``decision_*_ms`` is the CPU time of one decision with 100 backends, one of them free, and 1,000 queued jobs of ten
definitions; ``first_assignment_ms`` that of one assignment when all are free.

``PLACEMENT_FARMS`` names a folder of farm files to be judged instead; ``PLACEMENT_FAMILIES`` chooses families of
``tests/sim/farms.py``, comma-separated (``thousand`` takes a few minutes). The plot of the standard families is
``docs/images/placement.svg``.
"""

from __future__ import annotations

import asyncio
import math
import os
import statistics
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from benchmarks._chart import bars
from comfy_orchestrator_nodes.placement import BackendView, Backlog, Estimates, JobView, Outcome, decide
from tests.sim.farms import FAMILIES, FarmSpec, load, make
from tests.sim.policies import LeastQueue, Placement, Pull, Random, RoundRobin
from tests.sim.simulator import simulate
from tests.sim.world import Policy
from tools.devtools.bench import Result
from tools.devtools.instances import Farm

SEEDS = (1, 2, 3)
STANDARD = [name for name in FAMILIES if name != "thousand"]
POLICIES: dict[str, Callable[[], Policy]] = {
    "placement": Placement,
    "pull": Pull,
    "least queue": LeastQueue,
    "round-robin": RoundRobin,
    "random": Random,
}
PLOT = Path(__file__).parent.parent / "docs" / "images" / "placement.svg"


async def run(farm: Farm) -> Result:
    """Measure; no server is needed."""
    return await asyncio.to_thread(measure)


def measure() -> Result:
    farms = farms_to_judge()
    found: dict[str, dict[str, list[float]]] = {}
    for spec in farms:
        for policy, new in POLICIES.items():
            ratio = simulate(spec, new(), seed=spec.seed).ratio
            found.setdefault(spec.name, {}).setdefault(policy, []).append(ratio)
    means = {name: {policy: geometric(ratios) for policy, ratios in group.items()} for name, group in found.items()}
    if list(means) == STANDARD:
        PLOT.parent.mkdir(parents=True, exist_ok=True)
        title = "Makespan / lower bound (1.0 cannot be beaten)"
        PLOT.write_text(bars(title, means, least=0.9, most=5.0, unit=""), encoding="utf-8", newline="\n")
    every = {policy: [r for group in found.values() for r in group[policy]] for policy in POLICIES}
    figures = {f"{name}_ratio": group["placement"] for name, group in means.items()}
    figures |= {f"all_{slug(policy)}_ratio": geometric(ratios) for policy, ratios in every.items()}
    figures["all_placement_worst_ratio"] = max(every["placement"])
    decisions, first = time_decisions()
    figures["decision_median_ms"] = statistics.median(decisions) * 1e3
    figures["decision_p99_ms"] = sorted(decisions)[int(0.99 * len(decisions))] * 1e3
    figures["first_assignment_ms"] = first * 1e3
    ratios = {
        f"{slug(policy)} / placement": geometric(every[policy]) / geometric(every["placement"]) for policy in every
    }
    del ratios["placement / placement"]
    return Result(figures=figures, ratios=ratios)


def farms_to_judge() -> list[FarmSpec]:
    folder = os.environ.get("PLACEMENT_FARMS")
    if folder:
        return [load(path) for path in sorted(Path(folder).glob("*.json"))]
    families = os.environ.get("PLACEMENT_FAMILIES", ",".join(STANDARD)).split(",")
    return [make(name, seed) for name in families for seed in SEEDS]


def slug(policy: str) -> str:
    return policy.replace(" ", "_").replace("-", "_")


def geometric(values: list[float]) -> float:
    return math.exp(statistics.fmean(math.log(value) for value in values))


def time_decisions(backends: int = 100, jobs: int = 1000, definitions: int = 10) -> tuple[list[float], float]:
    """Return CPU seconds of 1,000 decisions with one free backend, and per assignment with all of them free."""
    models = [frozenset({f"m{d}.safetensors"}) for d in range(definitions)]
    estimates = Estimates()
    busy = [
        BackendView(f"b{i}", f"B{i}", slots_free=0, in_flight=1, busy_s=5.0, warm=models[i % definitions])
        for i in range(backends)
    ]
    for i, backend in enumerate(busy):
        for d in {i % definitions, (i * 7 + 3) % definitions}:
            for cold in (True, False):
                estimates.observe(Outcome(f"d{d}", backend.id, 5.0 + (i * d) % 17 + 12.0 * cold, cold))
    kinds = [i % definitions for i in range(jobs)]
    backlog = Backlog(JobView(f"j{i}", f"d{d}", models[d], queued_at=float(i)) for i, d in enumerate(kinds))
    began = time.thread_time()
    everywhere = decide(backlog, [replace(b, slots_free=1, in_flight=0, busy_s=0.0) for b in busy], estimates, 1e3)
    first = (time.thread_time() - began) / len(everywhere.assignments)
    taken = []
    for turn in range(1000):
        views = list(busy)
        views[turn % backends] = replace(busy[turn % backends], slots_free=1, in_flight=0, busy_s=0.0)
        began = time.thread_time()
        decision = decide(backlog, views, estimates, 1e3 + turn)
        taken.append(time.thread_time() - began)
        for assignment in decision.assignments:
            job = backlog.jobs[assignment.job_id]
            backlog.discard(job.id)
            backlog.put(replace(job, queued_at=1e3 + turn))
            estimates.observe(Outcome(job.definition_key, assignment.backend_id, 5.0 + turn % 17, cold=False))
    return taken, first
