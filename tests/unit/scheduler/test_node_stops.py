"""Stop is pressed while a node waits for a job: it returns at once, whatever the job is at, and the job ends."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest

from comfy_orchestrator_nodes.domain import Definition, JobStatus
from comfy_orchestrator_nodes.nodes.batch import Updates, run_batch
from comfy_orchestrator_nodes.nodes.crossing import Crossing, Interrupted
from comfy_orchestrator_nodes.orchestrator.jobs import Request
from comfy_orchestrator_nodes.scheduler.updates import JobChanged
from comfy_orchestrator_nodes.store.invariants import check_invariants
from tests.fakes import faults
from tests.fakes.execution import raising, showing, until
from tests.fakes.fake_comfy import FakeComfy
from tests.unit.scheduler.conftest import TIMEOUT_S, Master
from tests.unit.scheduler.test_faults import define_unchanged, foreign, stored_image

AT_ONCE_S = 0.5
"""The promise: ComfyUI's whole queue stands still until the node has returned."""


@pytest.fixture(autouse=True)
async def sound_store(master: Master) -> AsyncIterator[None]:
    """After every test, the store holds what it promises."""
    yield
    assert await check_invariants(master.service.database) == []


@dataclass
class Scene:
    """A node on a loop of its own, as ComfyUI runs it, that waits for one job."""

    master: Master
    fake: FakeComfy
    stopped: threading.Event = field(default_factory=threading.Event)
    hold: faults.Hold = field(default_factory=faults.Hold)
    changes: dict[str, Any] = field(default_factory=dict)
    release: Callable[[], None] = lambda: None

    async def begin(self) -> asyncio.Task[float]:
        """Let the node run in a thread; the task's result is how long it took to return once it was stopped."""
        definition = await define_unchanged(self.master)
        request = Request(definition.id, {"image": await stored_image(self.master)}, use_cache=False, **self.changes)
        crossing = Crossing(asyncio.get_running_loop(), self.stopped.is_set)

        async def node() -> float:
            with pytest.raises(Interrupted):
                await crossing.run(run_batch(self.master.service, [request], Updates(), _decode))
            return time.monotonic()

        return asyncio.create_task(asyncio.to_thread(asyncio.run, node()))

    async def until_status(self, *statuses: JobStatus) -> None:
        await self.master.until(lambda: self.status() in statuses)

    def status(self) -> JobStatus | None:
        changes = [u for u in self.master.updates if isinstance(u, JobChanged)]
        return changes[-1].job.status if changes else None


def _decode(_: object) -> Mapping[str, Any]:
    return {}


async def queued(scene: Scene) -> None:
    await scene.master.service.registry.drain(scene.master.service.registry.list()[-1].backend.id, draining=True)


async def uploading(scene: Scene) -> None:
    scene.fake.fail("POST", "/upload/image", scene.hold.fault())


async def submitting(scene: Scene) -> None:
    scene.fake.fail("POST", "/prompt", scene.hold.fault())


async def unanswered(scene: Scene) -> None:
    scene.hold.handle_first = True
    scene.fake.fail("POST", "/prompt", scene.hold.fault())


async def accepted(scene: Scene) -> None:
    scene.fake.behave(until(asyncio.Event(), then=showing({})), "theirs")
    scene.fake.put(foreign("theirs"))


async def running(scene: Scene) -> None:
    scene.fake.behave(until(asyncio.Event()))


async def lost(scene: Scene) -> None:
    scene.fake.behave(until(asyncio.Event()))


async def fetching(scene: Scene) -> None:
    scene.fake.fail("GET", "/view", scene.hold.fault())


async def asking(scene: Scene) -> None:
    scene.fake.behave(raising("ValueError", "no"))
    scene.changes = {"on_failure": "ask", "max_attempts": 1}


@pytest.mark.parametrize(
    "at",
    [queued, uploading, submitting, unanswered, accepted, running, lost, fetching, asking],
    ids=lambda f: f.__name__,
)
async def test_the_node_returns_at_once_and_the_job_ends_behind_it(
    master: Master, fake: FakeComfy, at: Callable[[Scene], Awaitable[None]]
) -> None:
    await master.add(fake, "one")
    scene = Scene(master, fake)
    await at(scene)
    node = await scene.begin()
    await _reached(scene, at)

    pressed = time.monotonic()
    scene.stopped.set()
    assert await asyncio.wait_for(node, TIMEOUT_S) - pressed < AT_ONCE_S

    scene.hold.let_go.set()
    fake.clear_faults()
    await scene.until_status(JobStatus.CANCELLED)
    ours = {submission["prompt_id"] for submission in fake.submissions}
    await master.until(lambda: not ours & {waiting.prompt_id for waiting in (*fake.running, *fake.pending)})
    assert not {interrupt.get("prompt_id") for interrupt in fake.interrupts} - ours


async def _reached(scene: Scene, at: Callable[[Scene], Awaitable[None]]) -> None:
    """Wait until the job is where the test wants it."""
    if at in (uploading, submitting, unanswered, fetching):
        await asyncio.wait_for(scene.hold.arrived.wait(), TIMEOUT_S)
    elif at is queued:
        await scene.until_status(JobStatus.QUEUED)
    elif at is accepted:
        await scene.master.until(lambda: len(scene.fake.pending) == 1)
    elif at is asking:
        await scene.until_status(JobStatus.WAITING)
    else:
        await scene.until_status(JobStatus.RUNNING)
    if at is lost:
        scene.fake.fail("GET", "/queue", *[faults.answer(500)] * 10_000)
        scene.fake.drop_sockets()
        await scene.until_status(JobStatus.LOST)


async def test_a_job_that_was_being_stored_when_its_node_was_stopped_is_cancelled(
    master: Master, fake: FakeComfy
) -> None:
    await master.add(fake, "one")
    fake.behave(until(asyncio.Event()))
    definition: Definition = await master.define()
    let_go = threading.Event()
    # The store's one writer is busy with something else.
    busy = asyncio.create_task(master.service.database.write(lambda _: let_go.wait(TIMEOUT_S)))
    submit = asyncio.create_task(master.submit(definition))
    await asyncio.sleep(0)  # it must have begun
    await master.until(lambda: any(t.get_name().startswith("submit ") for t in asyncio.all_tasks()))
    submit.cancel()
    await asyncio.gather(submit, return_exceptions=True)
    assert submit.cancelled()
    let_go.set()
    await busy
    await master.until(lambda: not master.service.orchestrator.live and master.service.orchestrator.idle)
    (job,) = (await master.service.jobs.list()).jobs
    assert job.status is JobStatus.CANCELLED
