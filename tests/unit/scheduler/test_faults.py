"""The rows of the table of faults, and the restarts and cancels, that need more than one line to set up."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from comfy_orchestrator_nodes.domain import (
    BackendStatus,
    Cause,
    Credentials,
    Decision,
    Definition,
    FileRef,
    JobStatus,
    Parameter,
    Run,
    RunStatus,
    Value,
)
from comfy_orchestrator_nodes.orchestrator.jobs import Ticket
from comfy_orchestrator_nodes.scheduler.updates import JobProgressed
from comfy_orchestrator_nodes.service import Settings, open_service
from comfy_orchestrator_nodes.store.invariants import check_invariants
from tests.fakes import faults
from tests.fakes.execution import raising, showing, stepping, until, vanishing
from tests.fakes.fake_comfy import FakeComfy, Waiting
from tests.fakes.node_classes import png
from tests.unit.scheduler.conftest import QUICK, TIMEOUT_S, Master, nowhere

SOON_STALLED = replace(QUICK, patience=replace(QUICK.patience, stall_s=0.3, pending_s=0.05))
PATIENT = replace(QUICK, patience=replace(QUICK.patience, refused_s=30.0, lost_s=60.0))


@asynccontextmanager
async def opened(folder: Path, settings: Settings = QUICK) -> AsyncIterator[Master]:
    """Open a master on a folder, which may hold what an earlier one left there."""
    async with open_service(folder, nowhere(), lambda _: None, clock=time.time, settings=settings) as service:
        master = Master(service)
        service.orchestrator.subscribe(master.updates.append)
        yield master
        assert await check_invariants(service.database) == []


async def running(master: Master, fake: FakeComfy, **changes: object) -> Ticket:
    """Submit a job that runs on the fake until it is interrupted."""
    fake.behave(until(asyncio.Event()))
    ticket = await master.submit(await master.define(), **changes)
    await master.until_kind(ticket.job_id, "started")
    return ticket


async def stored_image(master: Master, extra_bytes: int = 0) -> Value:
    """Store an image and return it as a value."""
    with master.service.artifacts.writer("image/png", owner="the test") as writer:
        writer.write(png(8, 8, 7) + bytes(extra_bytes))
        ref: FileRef = await asyncio.to_thread(writer.publish)
    return Value("IMAGE", files=(ref,))


async def define_unchanged(master: Master) -> Definition:
    """Store a definition that takes an image and returns it."""
    prompt = {"1": {"class_type": "LoadImage", "inputs": {"image": "example.png"}}}
    return await master.define(prompt=prompt, parameters=(Parameter("image", "IMAGE", "1", "image"),))


def foreign(prompt_id: str, number: float = -1.0, class_type: str = "EmptyImage") -> Waiting:
    """Return a prompt of somebody else, first in the queue."""
    return Waiting(number, prompt_id, {"1": {"class_type": class_type, "inputs": {}}}, {}, ["1"])


# --- silence


async def test_a_job_that_goes_silent_is_taken_off_its_backend_and_tried_again(tmp_path: Path, fake: FakeComfy) -> None:
    async with opened(tmp_path, SOON_STALLED) as master:
        await master.add(fake, "one")
        ticket = await running(master, fake)
        job = await master.end(ticket)
        assert job.status is JobStatus.SUCCEEDED
        first, _ = await master.service.attempts.for_job(job.id)
        assert first.failure is not None
        assert (first.failure.cause, first.charged) == (Cause.STALLED, True)
        await master.until(lambda: fake.remaining == 0)


async def test_a_job_that_goes_silent_after_its_socket_broke_is_taken_off_its_backend_too(
    tmp_path: Path, fake: FakeComfy
) -> None:
    async with opened(tmp_path, SOON_STALLED) as master:
        await master.add(fake, "one")
        ticket = await running(master, fake)
        fake.drop_sockets()
        job = await master.end(ticket)
        assert job.status is JobStatus.SUCCEEDED
        first, _ = await master.service.attempts.for_job(job.id)
        assert first.failure is not None
        assert first.failure.cause is Cause.STALLED
        await master.until(lambda: fake.remaining == 0)


async def test_a_job_whose_socket_broke_is_heard_to_go_on_and_is_left_alone(tmp_path: Path, fake: FakeComfy) -> None:
    async with opened(tmp_path, SOON_STALLED) as master:
        await master.add(fake, "one")
        gates = [asyncio.Event() for _ in range(8)]
        fake.behave(stepping(gates))
        ticket = await master.submit(await master.define())
        await master.until_kind(ticket.job_id, "started")
        fake.drop_sockets()
        # The master's own new socket, and the one under the id of the old.
        await master.until(lambda: fake.requests.count(("GET", "/ws")) >= 3)
        began, told = time.monotonic(), len(progress(master, ticket))
        for gate in gates:
            gate.set()
            # Each step comes well before the stall limit, all of them together take longer than it twice.
            await asyncio.sleep(SOON_STALLED.patience.stall_s / 3)
        job = await master.end(ticket)
        # Not each step is told for itself where several come at once, but it is heard that they go on.
        assert len(progress(master, ticket)) >= told + len(gates) // 2
        assert time.monotonic() - began > 2 * SOON_STALLED.patience.stall_s
        assert job.status is JobStatus.SUCCEEDED
        assert len(await master.service.attempts.for_job(job.id)) == 1


def progress(master: Master, ticket: Ticket) -> list[float]:
    """Return what was told of a job's progress."""
    return [u.done_ratio for u in master.updates if isinstance(u, JobProgressed) and u.job_id == ticket.job_id]


async def test_a_job_that_waits_behind_others_for_longer_than_the_stall_limit_is_not_stalled(
    tmp_path: Path, fake: FakeComfy
) -> None:
    async with opened(tmp_path, SOON_STALLED) as master:
        await master.add(fake, "one")
        go = asyncio.Event()
        fake.behave(until(go, then=showing({})), "theirs")
        fake.put(foreign("theirs"))
        ticket = await master.submit(await master.define())
        await master.until_kind(ticket.job_id, "accepted")
        looks = fake.requests.count(("GET", "/queue"))
        # Two looks of the follower: the stall limit has passed twice.
        await master.until(lambda: fake.requests.count(("GET", "/queue")) >= looks + 2)
        go.set()
        job = await master.end(ticket)
        assert job.status is JobStatus.SUCCEEDED
        assert len(await master.service.attempts.for_job(job.id)) == 1


async def test_a_backend_that_is_gone_for_long_with_the_job_costs_an_attempt(
    master: Master, fake: FakeComfy, other: FakeComfy
) -> None:
    await master.add(fake, "one")
    ticket = await running(master, fake)
    await fake.stop()
    await master.until_kind(ticket.job_id, "vanished")
    await master.add(other, "two")
    job = await master.end(ticket)
    assert job.status is JobStatus.SUCCEEDED
    assert sum(other.executions.values()) == 1


async def test_a_job_given_up_as_vanished_is_removed_when_its_backend_comes_back_with_it(
    tmp_path: Path, fake: FakeComfy, other: FakeComfy
) -> None:
    watchful = replace(QUICK, patience=replace(QUICK.patience, disown_s=60.0))
    async with opened(tmp_path, watchful) as master:
        await master.add(fake, "one")
        ticket = await running(master, fake)
        prompt_id = fake.running[0].prompt_id
        # Every answer about the queue fails for longer than anybody waits; the prompt runs on all the same.
        fake.fail("GET", "/queue", *[faults.answer(500)] * 10_000)
        fake.drop_sockets()
        await master.add(other, "two")
        assert (await master.end(ticket)).status is JobStatus.SUCCEEDED
        assert fake.running[0].prompt_id == prompt_id
        fake.clear_faults()
        await master.until(lambda: fake.remaining == 0)


async def test_a_backend_that_is_removed_loses_its_prompt_and_the_job_goes_elsewhere(
    master: Master, fake: FakeComfy, other: FakeComfy
) -> None:
    backend_id = await master.add(fake, "one")
    ticket = await running(master, fake)
    await master.add(other, "two")
    await master.service.registry.remove(backend_id)
    job = await master.end(ticket)
    assert job.status is JobStatus.SUCCEEDED
    await master.until(lambda: fake.remaining == 0)


async def test_a_job_goes_elsewhere_when_its_backend_is_removed_while_its_inputs_are_under_way(
    master: Master, fake: FakeComfy, other: FakeComfy
) -> None:
    hold = faults.Hold()
    backend_id = await master.add(fake, "one")
    fake.fail("POST", "/upload/image", hold.fault())
    values = {"image": await stored_image(master)}
    ticket = await master.submit(await define_unchanged(master), values=values)
    await hold.arrived.wait()
    await master.add(other, "two")
    await master.service.registry.remove(backend_id)
    hold.let_go.set()
    assert (await master.end(ticket)).status is JobStatus.SUCCEEDED
    assert other.executions.total() == 1


# --- refusals


async def test_an_input_that_is_too_large_for_one_backend_goes_to_another(
    master: Master, fake: FakeComfy, other: FakeComfy
) -> None:
    fake.max_upload_bytes = 1000
    await master.add(fake, "one")
    definition, image = await define_unchanged(master), await stored_image(master, extra_bytes=2000)
    alone = await master.run(definition, values={"image": image})
    assert alone.failure is not None
    assert alone.failure.cause is Cause.TOO_LARGE
    assert fake.executions.total() == 0
    await master.add(other, "two")
    assert (await master.run(definition, values={"image": image})).status is JobStatus.SUCCEEDED


async def test_credentials_that_are_refused_are_told_and_not_tried_again(master: Master, fake: FakeComfy) -> None:
    await master.add(fake, "one")
    fake.fail("POST", "/prompt", faults.answer(401))
    job = await master.run(await master.define())
    assert job.failure is not None
    assert job.failure.cause is Cause.REFUSED
    assert "credentials" in job.failure.message
    assert fake.executions.total() == 0


async def test_a_backend_wants_its_credentials_with_every_request(master: Master, fake: FakeComfy) -> None:
    fake.required_header = ("Authorization", "Bearer secret")
    await master.add(fake, "one", credentials=Credentials(bearer_token="secret"))
    assert (await master.run(await master.define())).status is JobStatus.SUCCEEDED


async def test_a_rejected_prompt_names_the_node_and_never_goes_there_again(master: Master, fake: FakeComfy) -> None:
    await master.add(fake, "one")
    error = (
        b'{"error": {"type": "prompt_outputs_failed_validation", "message": "Prompt outputs failed validation", '
        b'"details": "", "extra_info": {}}, "node_errors": {"1": {"errors": [{"type": "value_not_in_list", '
        b'"message": "Value not in list", "details": "color", "extra_info": {}}], "class_type": "EmptyImage"}}}'
    )
    fake.fail("POST", "/prompt", faults.answer(400, error))
    job = await master.run(await master.define())
    assert job.failure is not None
    assert (job.failure.cause, job.failure.node_id) == (Cause.REJECTED, "1")
    assert fake.executions.total() == 0


async def test_a_backend_whose_jobs_keep_failing_is_suspended(tmp_path: Path, fake: FakeComfy) -> None:
    async with opened(tmp_path, SOON_STALLED) as master:
        backend_id = await master.add(fake, "one")
        for _ in range(3):
            fake.behave(vanishing)
        ticket = await master.submit(await master.define(), max_attempts=5)
        await master.until(lambda: master.service.health.of(backend_id).status is BackendStatus.SUSPENDED)
        assert sum(fake.executions.values()) == 3
        await master.service.orchestrator.cancel(ticket.job_id, "the test")
        await master.end(ticket)


# --- meta-graphs


async def test_a_job_that_waits_behind_a_meta_graph_is_taken_back_and_runs_elsewhere(
    tmp_path: Path, fake: FakeComfy, other: FakeComfy
) -> None:
    async with opened(tmp_path, SOON_STALLED) as master:
        fake.classes["OrchestratorRemoteWorkflow"] = fake.classes["EmptyImage"]
        await master.add(fake, "one")
        go = asyncio.Event()
        fake.behave(until(go, then=showing({})), "ordinary")
        fake.behave(until(asyncio.Event()), "meta")
        fake.put(foreign("ordinary", -2.0))
        fake.put(foreign("meta", -1.0, "OrchestratorRemoteWorkflow"))
        ticket = await master.submit(await master.define())
        await master.until_kind(ticket.job_id, "accepted")
        go.set()
        await master.until_kind(ticket.job_id, "faulted")
        await master.add(other, "two")
        job = await master.end(ticket)
        assert job.status is JobStatus.SUCCEEDED
        first, _ = await master.service.attempts.for_job(job.id)
        assert first.failure is not None
        assert (first.failure.cause, first.charged) == (Cause.BUSY, False)
        assert fake.executions[first.prompt_id] == 0


# --- cancel


@pytest.mark.parametrize("route", [("POST", "/prompt"), ("POST", "/upload/image")], ids=["submitting", "uploading"])
async def test_a_job_is_cancelled_before_its_backend_has_it(
    master: Master, fake: FakeComfy, route: tuple[str, str]
) -> None:
    await master.add(fake, "one")
    hold = faults.Hold()
    fake.fail(*route, hold.fault())
    fake.behave(until(asyncio.Event()))
    ticket = await master.submit(await define_unchanged(master), values={"image": await stored_image(master)})
    await hold.arrived.wait()
    await master.service.orchestrator.cancel(ticket.job_id, "the test")
    hold.let_go.set()
    assert (await master.end(ticket)).status is JobStatus.CANCELLED
    await master.until(lambda: fake.remaining == 0)


async def test_a_queued_job_is_cancelled_at_once(master: Master, fake: FakeComfy) -> None:
    backend_id = await master.add(fake, "one")
    await master.service.registry.drain(backend_id, draining=True)
    ticket = await master.submit(await master.define())
    await master.service.orchestrator.cancel(ticket.job_id, "the test")
    job = await master.end(ticket)
    assert job.status is JobStatus.CANCELLED
    assert await master.service.attempts.for_job(job.id) == ()


async def test_a_lost_job_is_cancelled_and_removed_when_its_backend_answers_again(
    tmp_path: Path, fake: FakeComfy
) -> None:
    async with opened(tmp_path) as master:
        await master.add(fake, "one")
        ticket = await running(master, fake)
        fake.fail("GET", "/queue", *[faults.answer(500)] * 10_000)
        fake.drop_sockets()
        await master.until_kind(ticket.job_id, "vanished")
        await master.service.orchestrator.cancel(ticket.job_id, "the test")
        assert (await master.end(ticket)).status is JobStatus.CANCELLED
        fake.clear_faults()
        await master.until(lambda: fake.remaining == 0)


async def test_a_job_that_waits_for_a_person_is_cancelled_at_once(master: Master, fake: FakeComfy) -> None:
    await master.add(fake, "one")
    fake.behave(raising("ValueError", "not today"))
    ticket = await master.submit(await master.define(), on_failure="ask", max_attempts=1)
    await master.until(lambda: _live_status(master, ticket) is JobStatus.WAITING)
    await master.service.orchestrator.cancel(ticket.job_id, "the test")
    assert (await master.end(ticket)).status is JobStatus.CANCELLED


async def test_a_result_that_is_on_its_way_when_the_job_is_cancelled_is_not_accepted(
    master: Master, fake: FakeComfy
) -> None:
    await master.add(fake, "one")
    hold = faults.Hold()
    fake.fail("GET", "/view", hold.fault())
    ticket = await master.submit(await master.define())
    await hold.arrived.wait()
    await master.service.orchestrator.cancel(ticket.job_id, "the test")
    hold.let_go.set()
    assert (await master.end(ticket)).status is JobStatus.CANCELLED


async def test_a_run_is_cancelled_with_all_its_jobs_but_not_those_that_others_wait_for(
    master: Master, fake: FakeComfy
) -> None:
    await master.add(fake, "one")
    go = asyncio.Event()
    fake.behave(until(go))
    definition = await master.define()
    mine, theirs = (Run(name, RunStatus.RUNNING, time.time()) for name in ("mine", "theirs"))
    shared = await master.submit(definition, run=mine, use_cache=True)
    joined = await master.submit(definition, run=theirs, use_cache=True)
    alone = await master.submit(definition, run=mine, values={"color": 2})
    assert joined.job_id == shared.job_id
    assert await master.service.orchestrator.cancel_run("mine", "the test") == 2
    assert (await master.end(shared)).status is JobStatus.CANCELLED
    assert (await master.end(alone)).status is JobStatus.CANCELLED
    go.set()
    assert (await master.end(joined)).status is JobStatus.SUCCEEDED


async def test_work_that_is_being_cancelled_is_not_joined(master: Master, fake: FakeComfy) -> None:
    await master.add(fake, "one")
    first = await running(master, fake, use_cache=True)
    definition_id = (await master.service.jobs.get(first.job_id)).spec.definition_id
    await master.service.orchestrator.give_back(first, "the test")
    second = await master.submit(await master.service.library.version(definition_id, None), use_cache=True)
    assert second.job_id != first.job_id
    assert (await master.end(second)).status is JobStatus.SUCCEEDED
    assert (await master.end(first)).status is JobStatus.CANCELLED


# --- order, joining, reuse


async def test_urgent_jobs_go_first(master: Master, fake: FakeComfy) -> None:
    await master.add(fake, "one")
    go = asyncio.Event()
    fake.behave(until(go))
    definition = await master.define()
    first = await master.submit(definition)
    await master.until_kind(first.job_id, "started")
    ordinary = await master.submit(definition, values={"color": 1})
    urgent = await master.submit(definition, values={"color": 2}, priority=1)
    go.set()
    for ticket in (ordinary, urgent):
        await master.end(ticket)
    colors = [body["prompt"]["1"]["inputs"]["color"] for body in fake.submissions]
    assert colors == [0, 2, 1]


async def test_the_same_work_submitted_many_times_at_once_is_done_once(master: Master, fake: FakeComfy) -> None:
    await master.add(fake, "one")
    definition = await master.define()
    tickets = await asyncio.gather(*(master.submit(definition, use_cache=True) for _ in range(8)))
    results = [await master.end(ticket) for ticket in tickets]
    assert {job.status for job in results} == {JobStatus.SUCCEEDED}
    assert sum(fake.executions.values()) == 1


async def test_work_asked_for_again_at_the_moment_of_its_end_is_not_done_twice(master: Master, fake: FakeComfy) -> None:
    await master.add(fake, "one")
    definition = await master.define()
    first = await master.run(definition, use_cache=True)
    # Its result may not be in the cache yet.
    again = await master.submit(definition, use_cache=True)
    assert again.cached
    assert (await master.end(again)).outputs == first.outputs
    assert sum(fake.executions.values()) == 1


async def test_without_the_cache_the_same_work_is_done_again(master: Master, fake: FakeComfy) -> None:
    await master.add(fake, "one")
    definition = await master.define()
    await master.run(definition, use_cache=False)
    await master.until(lambda: master.service.orchestrator.idle)
    await master.run(definition, use_cache=False)
    assert sum(fake.executions.values()) == 2


async def test_a_cached_result_whose_file_is_gone_is_made_anew(master: Master, fake: FakeComfy) -> None:
    await master.add(fake, "one")
    definition = await master.define()
    job = await master.run(definition, use_cache=True)
    await master.until(lambda: master.service.orchestrator.idle)
    (ref,) = job.outputs["image"].files
    master.service.artifacts.path(ref).unlink()
    again = await master.submit(definition, use_cache=True)
    assert not again.cached
    assert (await master.end(again)).status is JobStatus.SUCCEEDED
    assert sum(fake.executions.values()) == 2


# --- restarts of the master


async def test_a_queued_job_is_placed_by_the_next_master(tmp_path: Path, fake: FakeComfy) -> None:
    async with opened(tmp_path, replace(QUICK, placement_wait_s=60.0)) as master:
        await master.add(fake, "one")
        await fake.stop()
        await master.until(lambda: all(not s.health.usable for s in master.service.registry.list()))
        ticket = await master.submit(await master.define())
    await fake.start()
    async with opened(tmp_path, replace(QUICK, placement_wait_s=60.0)) as master:
        assert await _ended(master, ticket) is JobStatus.SUCCEEDED
    assert sum(fake.executions.values()) == 1


@pytest.mark.parametrize("arrived", [True, False], ids=["taken", "not taken"])
async def test_a_job_whose_submit_was_under_way_is_run_once_by_the_next_master(
    tmp_path: Path, fake: FakeComfy, arrived: bool
) -> None:
    hold = faults.Hold(handle_first=arrived)
    async with opened(tmp_path) as master:
        await master.add(fake, "one")
        fake.fail("POST", "/prompt", hold.fault())
        ticket = await master.submit(await master.define(), max_attempts=1)
        await hold.arrived.wait()
    async with opened(tmp_path) as master:
        assert await _ended(master, ticket) is JobStatus.SUCCEEDED
        assert len(await master.service.attempts.for_job(ticket.job_id)) == 1
        assert sum(fake.executions.values()) == 1
        hold.let_go.set()


async def test_a_job_that_the_next_master_sends_again_is_not_taken_for_a_second_copy(
    tmp_path: Path, fake: FakeComfy
) -> None:
    hold = faults.Hold()
    go = asyncio.Event()
    async with opened(tmp_path) as master:
        await master.add(fake, "one")
        fake.fail("POST", "/prompt", hold.fault())
        ticket = await master.submit(await master.define())
        await hold.arrived.wait()
    fake.behave(until(go))
    async with opened(tmp_path) as master:
        await master.until(lambda: bool(fake.executions))
        looks = fake.requests.count(("GET", "/queue")) + 10
        await master.until(lambda: fake.requests.count(("GET", "/queue")) >= looks)
        go.set()
        assert await _ended(master, ticket) is JobStatus.SUCCEEDED
        assert sum(fake.executions.values()) == 1
        hold.let_go.set()


async def test_a_second_copy_that_comes_after_a_restart_of_the_master_is_removed(
    tmp_path: Path, fake: FakeComfy
) -> None:
    go = asyncio.Event()
    fake.behave(until(go))
    async with opened(tmp_path) as master:
        await master.add(fake, "one")
        ticket = await master.submit(await master.define())
        await master.until_kind(ticket.job_id, "started")
    sent = fake.submissions[-1]
    async with opened(tmp_path) as master:
        (peer,) = [peer for peer in master.service.farm if peer.backend.name == "one"]
        await peer.client.submit(sent["prompt"], prompt_id=sent["prompt_id"])
        assert len(fake.pending) == 1
        await master.until(lambda: not fake.pending)
        go.set()
        assert await _ended(master, ticket) is JobStatus.SUCCEEDED
        assert sum(fake.executions.values()) == 1


async def test_a_job_whose_inputs_were_under_way_is_run_by_the_next_master(tmp_path: Path, fake: FakeComfy) -> None:
    hold = faults.Hold()
    async with opened(tmp_path) as master:
        await master.add(fake, "one")
        fake.fail("POST", "/upload/image", hold.fault())
        values = {"image": await stored_image(master)}
        ticket = await master.submit(await define_unchanged(master), values=values, max_attempts=1)
        await hold.arrived.wait()
    hold.let_go.set()
    async with opened(tmp_path) as master:
        assert await _ended(master, ticket) is JobStatus.SUCCEEDED
    assert sum(fake.executions.values()) == 1


async def test_a_lost_job_is_looked_for_by_the_next_master(tmp_path: Path, fake: FakeComfy) -> None:
    go = asyncio.Event()
    async with opened(tmp_path, PATIENT) as master:
        await master.add(fake, "one")
        fake.behave(until(go))
        ticket = await master.submit(await master.define())
        await master.until_kind(ticket.job_id, "started")
        fake.fail("GET", "/queue", *[faults.answer(500)] * 10_000)
        fake.drop_sockets()
        await master.until_kind(ticket.job_id, "vanished")
    fake.clear_faults()
    go.set()
    async with opened(tmp_path, PATIENT) as master:
        assert await _ended(master, ticket) is JobStatus.SUCCEEDED
    assert sum(fake.executions.values()) == 1


async def test_a_job_that_is_being_cancelled_is_cancelled_by_the_next_master(tmp_path: Path, fake: FakeComfy) -> None:
    async with opened(tmp_path, PATIENT) as master:
        await master.add(fake, "one")
        ticket = await running(master, fake)
        hold = faults.Hold()
        fake.fail("POST", "/interrupt", hold.fault())
        await master.service.orchestrator.cancel(ticket.job_id, "the test")
        await hold.arrived.wait()
    async with opened(tmp_path) as master:
        assert await _ended(master, ticket) is JobStatus.CANCELLED
    assert fake.remaining == 0
    hold.let_go.set()


async def test_a_job_that_waits_for_a_person_waits_on_with_the_next_master(tmp_path: Path, fake: FakeComfy) -> None:
    patient = replace(QUICK, decision_limit_s=60.0)
    async with opened(tmp_path, patient) as master:
        await master.add(fake, "one")
        fake.behave(raising("ValueError", "not today"))
        ticket = await master.submit(await master.define(), on_failure="ask", max_attempts=1)
        await master.until(lambda: _live_status(master, ticket) is JobStatus.WAITING)
    async with opened(tmp_path, patient) as master:
        await master.service.orchestrator.decide(ticket.job_id, Decision.RETRY, "the test")
        assert await _ended(master, ticket) is JobStatus.SUCCEEDED


async def test_a_prompt_given_up_before_a_restart_is_still_removed_after_it(
    tmp_path: Path, fake: FakeComfy, other: FakeComfy
) -> None:
    async with opened(tmp_path) as master:
        await master.add(fake, "one")
        ticket = await running(master, fake)
        fake.fail("GET", "/queue", *[faults.answer(500)] * 10_000)
        fake.drop_sockets()
        await master.add(other, "two")
        assert (await master.end(ticket)).status is JobStatus.SUCCEEDED
    assert fake.remaining > 0
    fake.clear_faults()
    async with opened(tmp_path) as master:
        await master.until(lambda: fake.remaining == 0)


async def test_the_same_work_after_a_restart_joins_what_still_runs_and_reuses_what_is_done(
    tmp_path: Path, fake: FakeComfy
) -> None:
    go = asyncio.Event()
    async with opened(tmp_path) as master:
        await master.add(fake, "one")
        definition = await master.define()
        done = await master.run(definition, values={"color": 1}, use_cache=True)
        await master.until(lambda: master.service.orchestrator.idle)
        fake.behave(until(go))
        under_way = await master.submit(definition, values={"color": 2}, use_cache=True)
        await master.until_kind(under_way.job_id, "started")
    async with opened(tmp_path) as master:
        reused = await master.submit(definition, values={"color": 1}, use_cache=True)
        joined = await master.submit(definition, values={"color": 2}, use_cache=True)
        assert reused.cached
        assert joined.job_id == under_way.job_id
        go.set()
        assert (await master.end(reused)).outputs == done.outputs
        assert (await master.end(joined)).status is JobStatus.SUCCEEDED
    assert sum(fake.executions.values()) == 2


def _live_status(master: Master, ticket: Ticket) -> JobStatus | None:
    states = [u.job.status for u in master.updates if getattr(getattr(u, "job", None), "id", None) == ticket.job_id]  # type: ignore[union-attr]
    return states[-1] if states else None


async def _ended(master: Master, ticket: Ticket) -> JobStatus:
    """Wait until a job that an earlier master started is over; return what it came to."""

    async def wait() -> JobStatus:
        while not (job := await master.service.jobs.get(ticket.job_id)).status.final:
            await asyncio.sleep(0.01)
        return job.status

    return await asyncio.wait_for(wait(), TIMEOUT_S)
