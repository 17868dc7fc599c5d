"""The scheduler's own promises, with parts in its place that fail."""

from __future__ import annotations

import asyncio
from typing import Any

from comfy_orchestrator_nodes.domain import Cause, Job, JobSpec, JobStatus, Run, RunStatus
from comfy_orchestrator_nodes.errors import StoreFull
from comfy_orchestrator_nodes.machine.events import Placed
from comfy_orchestrator_nodes.scheduler.core import Scheduler


class FillingStore:
    """Stores the placement of a job, and then its disk is full."""

    def __init__(self) -> None:
        self.applied = 0

    async def create(self, job: Job, *, run: Run | None = None) -> None:
        pass

    async def apply(self, change: Any) -> None:
        self.applied += 1
        if self.applied > 1:
            raise StoreFull("No space is left.")


class SlowStore:
    """Stores only when it is let go."""

    def __init__(self) -> None:
        self.begun, self.go = asyncio.Event(), asyncio.Event()

    async def create(self, job: Job, *, run: Run | None = None) -> None:
        pass

    async def apply(self, change: Any) -> None:
        self.begun.set()
        await self.go.wait()


class BrokenExecutor:
    """Has a fault of its own."""

    async def execute(self, *_: Any) -> None:
        raise RuntimeError("a fault of our own")

    locate = withdraw = disown = free_memory = execute


class NoQueue:
    """Places nothing."""

    def put(self, _: Any) -> None:
        pass

    reorder = occupy = leave = put


async def admitted(scheduler: Scheduler) -> asyncio.Future[Job]:
    """Let a scheduler have one job, which is called j."""
    spec = JobSpec("d", 1, "hash", {}, ("image",))
    job = Job("j", "j", spec.key(), spec, JobStatus.QUEUED, 1.0)
    return await scheduler.admit(job, run=Run("j", RunStatus.RUNNING, 1.0))


async def test_a_job_whose_failure_cannot_even_be_stored_does_not_hang() -> None:
    scheduler = Scheduler(FillingStore(), BrokenExecutor(), NoQueue(), clock=lambda: 1.0, publish=lambda _: None)
    done = await admitted(scheduler)
    await scheduler.feed("j", Placed("a", "p", "b"))
    ended = await asyncio.wait_for(asyncio.shield(done), 5)
    assert ended.status is JobStatus.FAILED
    assert ended.failure is not None
    assert ended.failure.cause is Cause.INTERNAL
    await scheduler.close()


async def test_a_job_that_is_cancelled_at_the_moment_of_its_placement_stays_cancelled_without_a_fault() -> None:
    store = SlowStore()
    scheduler = Scheduler(store, BrokenExecutor(), NoQueue(), clock=lambda: 1.0, publish=lambda _: None)
    done = await admitted(scheduler)
    cancelling = asyncio.create_task(scheduler.cancel("j", "the test"))
    await store.begun.wait()
    placing = asyncio.create_task(scheduler.feed("j", Placed("a", "p", "b")))
    await asyncio.sleep(0)
    store.go.set()
    await asyncio.gather(cancelling, placing)
    assert (await asyncio.wait_for(done, 5)).status is JobStatus.CANCELLED
    await scheduler.close()
