"""A backend whose Python stands still for a moment, as it does while it collects garbage, has no fault."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path

from comfy_orchestrator_nodes.domain import BackendStatus, JobStatus
from comfy_orchestrator_nodes.health import ProbeTimes
from comfy_orchestrator_nodes.service import Settings
from tests.fakes.execution import until
from tests.fakes.fake_comfy import FakeComfy
from tests.support.proxy import proxy_before
from tests.unit.scheduler.test_faults import opened

STALLS_S = (0.4, 2.0, 0.4, 0.4, 2.0)
OFTEN = ProbeTimes(interval_s=0.1)
"""So that every stall meets several questions; how long an answer may take is what everybody has who set nothing."""


async def test_stalls_while_a_job_runs_move_and_lose_nothing(tmp_path: Path, fake: FakeComfy) -> None:
    go = asyncio.Event()
    seen: set[BackendStatus] = set()
    async with (
        proxy_before(fake.url) as proxy,
        FakeComfy() as other,
        opened(tmp_path, replace(Settings(), probes=OFTEN)) as master,
    ):
        stalling = await master.add_url(proxy.url, "stalling")
        fake.behave(until(go))
        ticket = await master.submit(await master.define())
        await master.until_kind(ticket.job_id, "started")
        await master.add(other, "idle")
        for stall_s in STALLS_S:
            proxy.freeze()
            for _ in range(round(stall_s / 0.1)):
                await asyncio.sleep(0.1)
                seen.add(master.service.health.of(stalling).status)
            proxy.thaw()
            await asyncio.sleep(0.3)
            seen.add(master.service.health.of(stalling).status)
        go.set()
        job = await master.end(ticket)
        assert job.status is JobStatus.SUCCEEDED
        assert len(await master.service.attempts.for_job(job.id)) == 1
        assert (sum(fake.executions.values()), sum(other.executions.values())) == (1, 0)
    assert seen == {BackendStatus.ONLINE}
