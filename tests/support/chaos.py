"""Jobs on real servers that are killed, frozen and cut off at random, and what must hold in the end all the same.

Meanwhile somebody moves jobs about and drains servers, and some jobs carry a large file, so that a busy server is sent
the next one early.

Everything that is random follows from the seed; what the servers make of it does not, so a seed that fails may pass the
next time, and the report tells what was done.
"""

from __future__ import annotations

import asyncio
import io
import random
import shutil
import sys
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from PIL import Image

from comfy_orchestrator_nodes.backend.client import ComfyClient
from comfy_orchestrator_nodes.backend.http import Timeouts
from comfy_orchestrator_nodes.domain import (
    LOCAL_BACKEND_ID,
    Backend,
    Definition,
    Job,
    JobStatus,
    Output,
    Parameter,
    Value,
)
from comfy_orchestrator_nodes.errors import BackendError, Conflict, NotFound
from comfy_orchestrator_nodes.health import ProbeTimes
from comfy_orchestrator_nodes.orchestrator.jobs import Request
from comfy_orchestrator_nodes.scheduler.follow import Patience
from comfy_orchestrator_nodes.service import Service, Settings, open_service
from comfy_orchestrator_nodes.store.invariants import check_invariants
from tests.support.proxy import Act, Fault, Part, Proxy, Where, proxy_before
from tools.devtools.instances import Farm, Instance

PEERS = ("chaos-1", "chaos-2", "chaos-3")
NODES = tuple((Path(__file__).parents[1] / "data" / "nodes").glob("orchestrator_*.py"))
MAX_ATTEMPTS = 20
END_S = 180.0
"""For the jobs to end once everything is whole again."""

SETTINGS = Settings(
    placement_wait_s=150.0,
    patience=Patience(
        connect_s=5.0, poll_s=0.25, stall_s=30.0, lost_s=8.0, refused_s=2.0, arrive_s=1.5, disown_s=600.0, answer_s=3.0
    ),
    probes=ProbeTimes(interval_s=1.0, retry_s=0.5, offline_interval_s=0.5),
    timeouts=Timeouts(
        connect_s=2.0, control_s=3.0, submit_s=5.0, document_s=10.0, idle_s=5.0, heartbeat_s=3.0,
        retry_min_s=0.1, retry_max_s=1.0,
    ),
)  # fmt: skip

PROMPT = {
    "1": {"class_type": "EmptyImage", "inputs": {"width": 16, "height": 16, "batch_size": 1, "color": 0}},
    "2": {"class_type": "OrchestratorTestSleep", "inputs": {"image": ["1", 0], "seconds": 0.5}},
    "3": {"class_type": "OrchestratorTestCount", "inputs": {"image": ["2", 0], "token": ""}},
}
PARAMETERS = (
    Parameter("color", "INT", "1", "color", 0),
    Parameter("seconds", "FLOAT", "2", "seconds", 0.5),
    Parameter("token", "STRING", "3", "token", ""),
)


WITH_FILE = {
    **PROMPT,
    "1": {"class_type": "LoadImage", "inputs": {"image": "example.png"}},
}
EVERY = 6
"""One in so many jobs carries a file."""
FILE_BYTES = 14_000_000
"""More than a quarter of a second on the network that placement reckons with."""


@dataclass
class Report:
    """What was done and what came of it. ``problems`` is empty when all that is promised held."""

    seed: int
    faults: Counter[str] = field(default_factory=Counter)
    verbs: Counter[str] = field(default_factory=Counter)
    """What somebody did to the jobs and servers meanwhile."""
    ends: Counter[str] = field(default_factory=Counter)
    causes: Counter[str] = field(default_factory=Counter)
    attempts: int = 0
    executions: int = 0
    seconds: float = 0.0
    problems: list[str] = field(default_factory=list)


async def run_chaos(farm: Farm, seed: int, *, jobs: int, kills: int = 2) -> Report:
    """Run jobs while faults happen, then make everything whole and check what is promised.

    Args:
        farm: where the peers run.
        seed: decides the jobs and the faults.
        jobs: how many.
        kills: how many times a server is killed at most; each start of one takes seconds.
    """
    report = Report(seed)
    started = time.monotonic()
    rng = random.Random(seed)
    async with AsyncExitStack() as stack:
        peers = await asyncio.to_thread(_peers, farm)
        for peer in peers:
            (peer.directory / "output" / "executions.log").unlink(missing_ok=True)
        proxies = [await stack.enter_async_context(proxy_before(peer.url)) for peer in peers]
        service = await stack.enter_async_context(_master())
        constant, with_file = await _prepare(service, proxies)
        tickets = []
        for index in range(jobs):
            image: dict[str, Any] = {"color": index} if index % EVERY else {"image": await _file(service, index)}
            values = {**image, "seconds": round(rng.uniform(0.05, 1.0), 2), "token": f"{seed}-{index}"}
            definition = constant if index % EVERY else with_file
            request = Request(definition.id, values, max_attempts=MAX_ATTEMPTS, use_cache=False)
            tickets.append(await service.orchestrator.submit(request))
        waiting = asyncio.gather(*(ticket.done for ticket in tickets))
        meddling = asyncio.create_task(_meddle(random.Random(seed), service, waiting, report.verbs))
        try:
            await _disturb(rng, peers, proxies, kills, waiting, report.faults)
        finally:
            await _mend(peers, proxies)
            await meddling
        done, _ = await asyncio.wait({waiting}, timeout=END_S)
        if not done:
            alive = [state.story[-4:] for state in service.orchestrator.live_states()]
            report.problems.append(f"jobs did not end within {END_S:.0f} s: {alive}")
            waiting.cancel()
            return report
        await _judge(service, waiting.result(), peers, report)
    report.seconds = time.monotonic() - started
    return report


def _peers(farm: Farm) -> list[Instance]:
    for name in PEERS:
        folder = farm.directory / name / "custom_nodes"
        folder.mkdir(parents=True, exist_ok=True)
        for nodes in NODES:
            shutil.copy(nodes, folder / nodes.name)
    return farm.plain(*PEERS)


@asynccontextmanager
async def _master() -> AsyncIterator[Service]:
    nowhere = Backend(LOCAL_BACKEND_ID, "This server", "http://127.0.0.1:9", enabled=False)
    with tempfile.TemporaryDirectory() as folder:
        async with open_service(Path(folder), nowhere, lambda _: None, clock=time.time, settings=SETTINGS) as service:
            yield service


async def _prepare(service: Service, proxies: list[Proxy]) -> tuple[Definition, Definition]:
    """Register the servers; return what makes an image, and what takes one from a file."""
    for name, proxy in zip(PEERS, proxies, strict=True):
        await service.registry.add(Backend("", name, proxy.url))
    outputs = (Output("image", "IMAGE", "3", 0),)
    image = Parameter("image", "IMAGE", "1", "image")
    constant = Definition("", 0, "chaos", PROMPT, PARAMETERS, outputs)
    with_file = Definition("", 0, "chaos with a file", WITH_FILE, (image, *PARAMETERS[1:]), outputs)
    return await service.library.create(constant), await service.library.create(with_file)


async def _file(service: Service, index: int) -> Value:
    """Store the image that the job of that number is to return, in a file that takes its time to send."""
    image = io.BytesIO()
    Image.new("RGB", (16, 16), (0, index >> 8, index & 0xFF)).save(image, "PNG")
    with service.artifacts.writer("image/png", owner=f"chaos {index}") as writer:
        writer.write(image.getvalue() + b"\xff" * FILE_BYTES)
        return Value("IMAGE", files=(await asyncio.to_thread(writer.publish),))


async def _meddle(rng: random.Random, service: Service, until: asyncio.Future[list[Job]], counts: Counter[str]) -> None:
    """Move jobs about and drain servers, as users do, until the jobs are done."""
    while not until.done():
        states = service.orchestrator.live_states()
        backend = rng.choice([state.backend for state in service.registry.list() if state.backend.enabled])
        verb = rng.choice(["prioritise", "move", "move", "drain"])
        counts[verb] += 1
        if verb == "drain":
            await service.registry.drain(backend.id, draining=True)
            await asyncio.wait({until}, timeout=rng.uniform(0.2, 1.0))
            await service.registry.drain(backend.id, draining=False)
        elif states:
            job, other = rng.choice(states).job, rng.choice(states).job
            # Jobs go on while this is decided: what no longer fits is refused, and nothing else may happen.
            with suppress(Conflict, NotFound):
                if verb == "move":
                    await service.order.move(job.id, rng.choice([None, other.id]), "chaos")
                else:
                    await service.order.prioritise(job.id, rng.randint(-2, 2), "chaos")
        await asyncio.wait({until}, timeout=rng.uniform(0.1, 0.5))


# --- faults


async def _disturb(
    rng: random.Random,
    peers: list[Instance],
    proxies: list[Proxy],
    kills: int,
    until: asyncio.Future[list[Job]],
    counts: Counter[str],
) -> None:
    """Do something to a random server every now and then until the jobs are done."""
    starting: list[asyncio.Task[None]] = []
    kinds = ["cut all", "cut submit", "cut submit", "refuse", "freeze line", "slow line", "cut result"]
    kinds += ["stop"] if sys.platform != "win32" else []
    while not until.done():
        index = rng.randrange(len(peers))
        kind = "kill" if kills and rng.random() < 0.2 else rng.choice(kinds)
        span_s = rng.uniform(0.3, 2.5)
        peer, proxy = peers[index], proxies[index]
        if kind in ("kill", "stop") and not peer.alive:
            kind = "cut all"
        counts[kind] += 1
        if kind == "kill":
            kills -= 1
            await asyncio.to_thread(peer.kill)
            starting.append(asyncio.create_task(asyncio.to_thread(peer.start)))
        elif kind == "stop":
            await _stopped(peer, span_s)
        else:
            await _spoil(rng, proxy, kind, span_s)
        await asyncio.wait({until}, timeout=rng.uniform(0.1, 1.0))
    await asyncio.gather(*starting)


async def _stopped(peer: Instance, span_s: float) -> None:
    await asyncio.to_thread(peer.sigstop)
    try:
        await asyncio.sleep(span_s)
    finally:
        await asyncio.to_thread(peer.sigcont)


async def _spoil(rng: random.Random, proxy: Proxy, kind: str, span_s: float) -> None:
    if kind == "cut all":
        proxy.cut_all()
    elif kind == "cut submit":
        proxy.fail("POST", "/prompt", Fault(rng.choice(list(Part)), rng.choice(list(Where)), Act.CUT))
    elif kind == "cut result":
        proxy.fail("GET", "/view", Fault(Part.ANSWER, rng.choice(list(Where)), Act.CUT))
    elif kind == "refuse":
        await proxy.refuse()
        await asyncio.sleep(span_s)
        await proxy.accept()
    elif kind == "freeze line":
        proxy.freeze()
        await asyncio.sleep(span_s)
        proxy.thaw()
    else:
        proxy.delay_s = 0.02
        await asyncio.sleep(span_s)
        proxy.delay_s = 0.0


async def _mend(peers: list[Instance], proxies: list[Proxy]) -> None:
    for peer in peers:
        await asyncio.to_thread(peer.sigcont)
        if not peer.alive:
            await asyncio.to_thread(peer.start)
    for proxy in proxies:
        proxy.delay_s = 0.0
        proxy.thaw()
        await proxy.accept()


# --- what must hold


async def _judge(service: Service, jobs: list[Job], peers: list[Instance], report: Report) -> None:
    report.problems += await check_invariants(service.database)
    executions = _executions(peers)
    for index, job in enumerate(jobs):
        attempts = await service.attempts.for_job(job.id)
        report.attempts += len(attempts)
        report.ends[job.status.value] += 1
        report.causes.update(a.failure.cause.value for a in attempts if a.failure is not None)
        times = executions.get(f"{report.seed}-{index}", 0)
        report.executions += times
        if times > len(attempts):
            report.problems.append(f"job {index} was executed {times} times in {len(attempts)} attempts")
        if job.status is JobStatus.SUCCEEDED:
            _judge_result(service, index, job, times, report)
        elif job.failure is None or len([a for a in attempts if a.charged]) < MAX_ATTEMPTS:
            report.problems.append(f"job {index} is {job.status.value} without a good reason: {job.failure}")
    report.problems += [problem for peer in peers if (problem := await _left_behind(peer)) is not None]


def _judge_result(service: Service, index: int, job: Job, times: int, report: Report) -> None:
    if times == 0:
        report.problems.append(f"job {index} has a result, but no server executed it")
    (ref,) = job.outputs["image"].files
    with service.artifacts.open(ref) as file, Image.open(file) as image:
        pixel = image.convert("RGB").getpixel((0, 0))
    if pixel != (0, index >> 8, index & 0xFF):
        report.problems.append(f"job {index} has another job's result: {pixel}")


def _executions(peers: list[Instance]) -> Mapping[str, int]:
    counted: Counter[str] = Counter()
    for peer in peers:
        log = peer.directory / "output" / "executions.log"
        if log.is_file():
            counted.update(log.read_text(encoding="utf-8").split())
    return counted


async def _left_behind(peer: Instance) -> str | None:
    """Return what is still in a server's queue, after giving the master time to remove what it gave up."""
    deadline = time.monotonic() + 60.0
    async with ComfyClient(Backend(peer.name, peer.name, peer.url)) as client:
        while True:
            try:
                queue = await client.queue()
            except BackendError as error:
                left = f"{peer.name} does not answer: {error}"
            else:
                if not queue.running and not queue.pending:
                    return None
                left = f"{peer.name} still has {[p.prompt_id for p in (*queue.running, *queue.pending)]}"
            if time.monotonic() >= deadline:
                return left
            await asyncio.sleep(0.2)
