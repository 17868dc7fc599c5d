"""The plan behind decisions while there is more work than backends: prices for groups of jobs.

Which backend should work on what is a linear programme: minimise the time T in which all queued jobs can be done, when
backend b needs t(g, b) seconds for a job of group g. Its dual gives every group a price (what finishing one job of it
is worth), and a backend is well used on a group where price / t is greatest. Decisions need the prices only, and need
them roughly, so they are not solved for but followed: each decision lets a few backends choose anew at the present
prices (softly, so that the plan does not jump), and moves the prices of groups that would be done late upwards, those
that would be done early downwards. The work of a decision is bounded, whatever the size of the farm.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from .backlog import Backlog, Group, Lane
from .estimates import Estimates
from .views import BackendView

PAIRS_A_DECISION = 120
"""How many (backend, group) pairs a decision looks at again."""
SHARPNESS = 30.0
"""Exponent of the soft choice: a group worth 3 % less gets 40 % of the share."""
PRICE_STEP = 0.05
"""How far prices move when every backend's choice was looked at once, for a group that is late by a factor of e."""
LAST_RUN_RATIO = 0.5
"""When the last job of a group has begun, those that run are half done on the average."""
NEGLIGIBLE = 1e-4

CanRun = Callable[[Group, BackendView], bool]


def improve(backlog: Backlog, backends: Sequence[BackendView], estimates: Estimates, can_run: CanRun) -> None:
    """Let some backends choose again at the present prices, then move the prices. ``backends`` are the usable ones."""
    groups = list(backlog.groups.values())
    if not groups or not backends:
        return
    count = min(len(backends), max(1, PAIRS_A_DECISION // len(groups)))
    first = backlog.turn % len(backends)
    backlog.turn = first + count
    horizon = backlog.horizon_s
    priced = [(g, g.log_price + estimates.level(g.definition_key)) for g in groups]
    for step in range(count):
        if first + step == len(backends):
            for group in groups:
                group.saw_all()
        backend = backends[(first + step) % len(backends)]
        _choose(backlog.lane(backend.id), backend, priced, estimates, can_run, horizon)
    backlog.rounds += count / len(backends)
    _move_prices(backlog, groups, estimates, count / len(backends))


def _choose(
    lane: Lane,
    backend: BackendView,
    priced: Sequence[tuple[Group, float]],
    estimates: Estimates,
    can_run: CanRun,
    horizon_s: float | None,
) -> None:
    for group, rate in lane.shares:
        group.supply -= rate
    lane.shares = []
    switch = estimates.switch_s(backend.id)
    kept = 1.0 if horizon_s is None else max(horizon_s, 1e-6) / (max(horizon_s, 1e-6) + switch)
    options: list[tuple[float, Group, float]] = []
    best = -math.inf
    for group, price in priced:
        if not can_run(group, backend):
            continue
        run_s = estimates.run(group.definition_key, backend.id).run_s
        group.saw_run(run_s)
        rate = 1.0 / run_s
        if not group.models <= backend.warm:
            rate *= kept
        worth = price + math.log(rate)
        options.append((worth, group, rate))
        if worth > best:
            best = worth
    weighted = [(math.exp(SHARPNESS * (worth - best)), group, rate) for worth, group, rate in options]
    total = sum(weight for weight, _, _ in weighted)
    for weight, group, rate in weighted:
        share = weight / total
        if share > NEGLIGIBLE:
            group.supply += share * rate
            lane.shares.append((group, share * rate))


def _move_prices(backlog: Backlog, groups: Sequence[Group], estimates: Estimates, fraction: float) -> None:
    # A group is done when its last run ends: long runs have to begin earlier than short ones.
    run_s = [math.exp(estimates.level(group.definition_key)) for group in groups]
    late = [
        math.log(min(1e9, len(group.jobs) / max(group.supply, 1e-9) + LAST_RUN_RATIO * run))
        for group, run in zip(groups, run_s, strict=True)
    ]
    worth = [len(group.jobs) * math.exp(group.log_price + estimates.level(group.definition_key)) for group in groups]
    mean = sum(x * w for x, w in zip(late, worth, strict=True)) / sum(worth)
    for group, lateness in zip(groups, late, strict=True):
        group.log_price += PRICE_STEP * fraction * max(-1.0, min(1.0, lateness - mean))
    top = max(group.log_price for group in groups)
    for group in groups:
        group.log_price -= top
    backlog.horizon_s = math.exp(mean)
