from __future__ import annotations

import asyncio
import time

from comfy_orchestrator_nodes.health import HealthMonitor, ProbeTimes

PATIENCE_S = 20.0


async def test_a_backend_is_forgotten_although_a_probe_was_asked_for_at_the_same_moment() -> None:
    probed = asyncio.Event()

    async def probe(_: str) -> float:
        probed.set()
        return 0.001

    monitor = HealthMonitor(
        probe,
        clock=time.time,
        changed=lambda *_: None,
        name_of=lambda backend_id: backend_id,
        times=ProbeTimes(interval_s=1000),
    )
    monitor.watch("peer")
    await asyncio.wait_for(probed.wait(), PATIENCE_S)
    # Once more around the loop, so that the task waits for its next turn.
    await asyncio.sleep(0)
    monitor.probe_soon("peer")
    await asyncio.wait_for(monitor.forget("peer"), PATIENCE_S)
