from __future__ import annotations

import asyncio
import base64
import time
from dataclasses import replace
from typing import Any

from comfy_orchestrator_nodes.api import BrowserEvents
from comfy_orchestrator_nodes.api.events import PREVIEWS_PER_TICK, TICK_S, WATCH_S
from comfy_orchestrator_nodes.domain import Attempt, AttemptStatus, Job, JobSpec, JobStatus, Run, RunStatus
from comfy_orchestrator_nodes.orchestrator.jobs import Request
from comfy_orchestrator_nodes.scheduler.updates import JobChanged, JobPreviewed, JobProgressed
from tests.fakes.execution import until
from tests.unit.api.conftest import Api, Outbox, definition

SPEC = JobSpec("d", 1, "hash", {}, ("image",))
JOB = Job("j1", "j1", "key", SPEC, JobStatus.RUNNING, 1.0)
ATTEMPT = Attempt("a1", "j1", 1, "b1", "p1", AttemptStatus.FAILED)
PREVIEW = JobPreviewed("j1", "b1", b"\xff\xd8jpeg", "image/jpeg")


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def _progress(job_id: str, ratio: float) -> JobProgressed:
    return JobProgressed(job_id, "b1", ratio, "3", "KSampler")


async def _told(outbox: Outbox, event: str, count: int = 1) -> list[dict[str, Any]]:
    await outbox.wait_for(lambda: len(outbox.of(event)) >= count)
    return outbox.of(event)


async def test_a_flood_of_progress_becomes_few_messages_with_the_latest_of_each_job() -> None:
    outbox = Outbox()
    events = BrowserEvents(outbox.send)
    events.watch("tab")
    started = time.monotonic()
    for step in range(1, 201):
        for job in range(20):
            events(_progress(f"j{job}", step / 200))
        await asyncio.sleep(0)
    while not outbox.of("orchestrator.progress") or outbox.of("orchestrator.progress")[-1]["jobs"][0]["done_ratio"] < 1:
        outbox.came.clear()
        await asyncio.wait_for(outbox.came.wait(), 10)
    messages = outbox.of("orchestrator.progress")
    assert len(messages) <= 2 + (time.monotonic() - started) / TICK_S
    assert {job["job_id"] for job in messages[-1]["jobs"]} == {f"j{job}" for job in range(20)}
    assert messages[-1]["jobs"][0] == {
        "job_id": "j0",
        "backend_id": "b1",
        "done_ratio": 1.0,
        "node_id": "3",
        "class_type": "KSampler",
        "loading_s": None,
        "loading_since": None,
        "fetching_since": None,
    }
    await events.detach()


async def test_every_change_is_told_in_order(outbox: Outbox) -> None:
    events = BrowserEvents(outbox.send)
    events.watch("tab")
    kinds = ["created", "placed", "accepted", "started", "faulted", "placed", "succeeded"]
    for kind in kinds:
        events(JobChanged(replace(JOB, status=JobStatus.RUNNING), kind, ATTEMPT if kind == "faulted" else None))
    (message,) = await _told(outbox, "orchestrator.jobs")
    assert [change["kind"] for change in message["changes"]] == kinds
    assert message["changes"][4]["attempt"]["backend_id"] == "b1"
    assert message["changes"][0]["job"]["definition"] == "d"
    await events.detach()


async def test_progress_is_forgotten_when_the_attempt_ends(outbox: Outbox) -> None:
    events = BrowserEvents(outbox.send)
    events.watch("tab")
    events(_progress("j1", 0.5))
    assert events.progress_of("j1") is not None
    events(JobChanged(JOB, "faulted", ATTEMPT))
    assert events.progress_of("j1") is None
    await _told(outbox, "orchestrator.jobs")
    assert outbox.of("orchestrator.progress") == []
    await events.detach()


async def test_previews_go_only_to_those_who_asked_and_only_for_a_while(outbox: Outbox) -> None:
    clock = Clock()
    events = BrowserEvents(outbox.send, clock=clock)
    events.watch("tab-of-j2", "j2")
    events(PREVIEW)
    events(_progress("j1", 0.1))
    await _told(outbox, "orchestrator.progress")
    assert outbox.of("orchestrator.preview") == []

    events.watch("tab-of-j1", "j1")
    events.watch("tab-of-all", everything=True)
    clock.now += 1
    events(PREVIEW)
    previews = await _told(outbox, "orchestrator.preview", 2)
    assert [client for name, _, client in outbox.sent if name == "orchestrator.preview"] == ["tab-of-all", "tab-of-j1"]
    assert base64.b64decode(previews[0]["image"]) == PREVIEW.image
    assert previews[0]["media_type"] == "image/jpeg"

    clock.now += WATCH_S
    events.watch("tab-of-j2", "j2")
    events(PREVIEW)
    events(_progress("j1", 0.2))
    await _told(outbox, "orchestrator.progress", 2)
    assert len(outbox.of("orchestrator.preview")) == 2
    await events.detach()


async def test_a_tab_that_does_not_listen_is_told_nothing(outbox: Outbox) -> None:
    clock = Clock()
    events = BrowserEvents(outbox.send, clock=clock)
    events.watch("closed")
    clock.now += WATCH_S
    events.watch("tab")
    events.claim("deaf", "j1")
    events(JobChanged(JOB, "started"))
    events(_progress("j1", 0.5))
    events(PREVIEW)
    await _told(outbox, "orchestrator.progress")
    assert {client for _, _, client in outbox.sent} == {"tab"}
    await events.detach()


async def test_of_many_previews_of_a_job_the_latest_is_sent(outbox: Outbox) -> None:
    events = BrowserEvents(outbox.send)
    events.watch("tab", "j1")
    for number in range(50):
        events(replace(PREVIEW, image=bytes([number])))
    (preview,) = await _told(outbox, "orchestrator.preview")
    assert base64.b64decode(preview["image"]) == bytes([49])
    await events.detach()


async def test_previews_of_many_jobs_take_turns(outbox: Outbox) -> None:
    events = BrowserEvents(outbox.send)
    events.watch("tab", everything=True)
    for job in range(3 * PREVIEWS_PER_TICK):
        events(replace(PREVIEW, job_id=f"j{job}"))
    started = time.monotonic()
    previews = await _told(outbox, "orchestrator.preview", 3 * PREVIEWS_PER_TICK)
    assert [preview["job_id"] for preview in previews] == [f"j{job}" for job in range(3 * PREVIEWS_PER_TICK)]
    assert time.monotonic() - started > TICK_S
    await events.detach()


async def test_the_tab_that_queued_a_run_sees_its_previews(api: Api) -> None:
    stored = await api.ask("POST", "/definitions", definition(), status=201)
    gate = asyncio.Event()
    api.local.behave(until(gate))
    await api.ask("PUT", "/listeners/tab-1", {})
    run = Run("run-1", RunStatus.RUNNING, 1.0, client_id="tab-1")
    ticket = await api.service.orchestrator.submit(Request(stored["id"], run=run))
    await api.until(f"/jobs/{ticket.job_id}", lambda found: found["status"] == "running")
    api.service.orchestrator.publish(replace(PREVIEW, job_id=ticket.job_id))
    await _told(api.outbox, "orchestrator.preview")
    assert [client for name, _, client in api.outbox.sent if name == "orchestrator.preview"] == ["tab-1"]
    gate.set()
    await ticket.done


async def test_the_tab_that_submitted_a_job_sees_its_previews(api: Api) -> None:
    stored = await api.ask("POST", "/definitions", definition(), status=201)
    gate = asyncio.Event()
    api.local.behave(until(gate))
    await api.ask("PUT", "/listeners/tab-2", {})
    job = await api.ask("POST", "/jobs", {"definition": stored["id"], "client_id": "tab-2"}, status=201)
    await api.until(f"/jobs/{job['id']}", lambda found: found["status"] == "running")
    api.service.orchestrator.publish(replace(PREVIEW, job_id=job["id"]))
    await _told(api.outbox, "orchestrator.preview")
    assert [client for name, _, client in api.outbox.sent if name == "orchestrator.preview"] == ["tab-2"]
    gate.set()
    await api.ask("GET", f"/jobs/{job['id']}?wait_s=20")
    api.service.orchestrator.publish(replace(PREVIEW, job_id=job["id"]))
    api.service.orchestrator.publish(_progress("j1", 0.5))
    await _told(api.outbox, "orchestrator.progress")
    assert len(api.outbox.of("orchestrator.preview")) == 1


async def test_a_tab_asks_for_previews_and_takes_it_back(api: Api) -> None:
    answer = await api.ask("PUT", "/listeners/tab-3", {"jobs": ["j1"]})
    assert answer == {"expires_in_s": WATCH_S}
    api.service.orchestrator.publish(PREVIEW)
    await _told(api.outbox, "orchestrator.preview")
    await api.ask("DELETE", "/listeners/tab-3")
    await api.ask("PUT", "/listeners/other", {})
    api.service.orchestrator.publish(PREVIEW)
    api.service.orchestrator.publish(_progress("j1", 0.5))
    await _told(api.outbox, "orchestrator.progress")
    assert len(api.outbox.of("orchestrator.preview")) == 1


async def test_backends_are_told_whenever_one_changes(api: Api) -> None:
    await api.ask("PUT", "/listeners/tab", {})
    before = len(api.outbox.of("orchestrator.backends"))
    added = await api.ask("POST", "/backends", {"name": "gone", "base_url": "http://127.0.0.1:9"}, status=201)

    def offline() -> bool:
        told = api.outbox.of("orchestrator.backends")[before:]
        return any(b["id"] == added["id"] and b["status"] == "offline" for m in told for b in m["backends"])

    await api.outbox.wait_for(offline)


async def test_a_change_of_the_library_is_told(api: Api) -> None:
    api.access.events.watch("tab")
    stored = await api.ask("POST", "/definitions", definition(), status=201)
    await api.outbox.wait_for(lambda: {"versions": {stored["id"]: 1}} in api.outbox.of("orchestrator.library"))
    await api.ask("DELETE", f"/definitions/{stored['id']}")
    await api.outbox.wait_for(lambda: {"versions": {}} in api.outbox.of("orchestrator.library"))
