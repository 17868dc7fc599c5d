"""A job's life on backends that misbehave in every way of the table in docs/states.md."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import pytest

from comfy_orchestrator_nodes.domain import (
    LOCAL_BACKEND_ID,
    Backend,
    BackendStatus,
    Cause,
    Decision,
    JobStatus,
    Output,
    RunStatus,
    TlsOptions,
)
from comfy_orchestrator_nodes.errors import BindingFailed, Conflict, NotFound
from comfy_orchestrator_nodes.orchestrator.jobs import Request
from comfy_orchestrator_nodes.scheduler.updates import JobProgressed
from comfy_orchestrator_nodes.service import open_service
from comfy_orchestrator_nodes.store.invariants import check_invariants
from tests.fakes import faults
from tests.fakes.execution import out_of_memory, raising, until, vanishing
from tests.fakes.fake_comfy import FakeComfy
from tests.unit.scheduler.conftest import QUICK, Master, nowhere


@pytest.fixture(autouse=True)
async def sound_store(master: Master) -> object:
    """After every test, the store holds what it promises."""
    yield
    assert await check_invariants(master.service.database) == []


async def test_a_job_runs_on_a_backend_and_its_image_is_stored(master: Master, fake: FakeComfy) -> None:
    await master.add(fake, "one")
    job = await master.run(await master.define(), values={"color": 0x808080})
    assert job.status is JobStatus.SUCCEEDED
    (ref,) = job.outputs["image"].files
    assert master.service.artifacts.path(ref).read_bytes().startswith(b"\x89PNG")
    assert master.kinds(job.id) == ["created", "placed", "accepted", "started", "succeeded"] or set(
        master.kinds(job.id)
    ) == {"created", "placed", "accepted", "started", "succeeded"}


async def test_progress_goes_from_none_to_all(master: Master, fake: FakeComfy) -> None:
    await master.add(fake, "one")
    job = await master.run(await master.define())
    told = [u.done_ratio for u in master.updates if isinstance(u, JobProgressed) and u.job_id == job.id]
    assert told == sorted(told)
    assert 0.0 <= told[0] < told[-1] <= 1.0


async def test_a_scalar_output_comes_back_with_its_type(master: Master, fake: FakeComfy) -> None:
    await master.add(fake, "one")
    prompt = {"1": {"class_type": "PrimitiveInt", "inputs": {"value": 41}}}
    definition = await master.define(prompt=prompt, parameters=(), outputs=(Output("number", "INT", "1", 0),))
    job = await master.run(definition)
    assert job.outputs["number"].data == 41


async def test_a_node_error_is_tried_once_elsewhere_and_then_told_in_full(
    master: Master, fake: FakeComfy, other: FakeComfy
) -> None:
    await master.add(fake, "one")
    await master.add(other, "two")
    for server in (fake, other):
        server.behave(raising("ValueError", "no such colour"))
    job = await master.run(await master.define())
    assert job.status is JobStatus.FAILED
    assert job.failure is not None
    assert job.failure.cause is Cause.EXECUTION_ERROR
    assert "no such colour" in job.failure.message
    assert "EmptyImage" in job.failure.message
    assert job.failure.node_id == "1"
    assert [len(s.submissions) for s in (fake, other)] == [1, 1]


async def test_a_backend_out_of_memory_is_freed_and_the_job_goes_where_there_is_more(
    master: Master, fake: FakeComfy, other: FakeComfy
) -> None:
    first = await master.add(fake, "one")
    other.vram_bytes = 2 * fake.vram_bytes
    go = asyncio.Event()
    fake.behave(until(go, then=out_of_memory()))
    ticket = await master.submit(await master.define())
    await master.until_kind(ticket.job_id, "started")
    await master.add(other, "two")
    go.set()
    job = await master.end(ticket)
    assert job.status is JobStatus.SUCCEEDED
    attempts = await master.service.attempts.for_job(job.id)
    assert attempts[0].backend_id == first
    assert attempts[0].failure is not None
    assert attempts[0].failure.cause is Cause.OUT_OF_MEMORY
    assert fake.freed == [{"unload_models": True, "free_memory": True}]


async def test_a_job_goes_elsewhere_when_its_backend_dies(master: Master, fake: FakeComfy, other: FakeComfy) -> None:
    await master.add(fake, "one")
    never = asyncio.Event()
    fake.behave(until(never))
    ticket = await master.submit(await master.define())
    await master.until_kind(ticket.job_id, "started")
    await master.add(other, "two")
    await fake.stop()
    job = await master.end(ticket)
    assert job.status is JobStatus.SUCCEEDED
    first = (await master.service.attempts.for_job(job.id))[0]
    assert first.failure is not None
    assert (first.failure.cause, first.charged) == (Cause.VANISHED, True)


async def test_a_job_whose_backend_restarted_is_run_again_there(master: Master, fake: FakeComfy) -> None:
    await master.add(fake, "one")
    never = asyncio.Event()
    fake.behave(until(never))
    ticket = await master.submit(await master.define())
    await master.until_kind(ticket.job_id, "started")
    await fake.restart()
    job = await master.end(ticket)
    assert job.status is JobStatus.SUCCEEDED
    assert len(await master.service.attempts.for_job(job.id)) == 2


async def test_a_lost_socket_costs_no_second_run(master: Master, fake: FakeComfy) -> None:
    await master.add(fake, "one")
    go = asyncio.Event()
    fake.behave(until(go))
    ticket = await master.submit(await master.define())
    await master.until_kind(ticket.job_id, "started")
    fake.drop_sockets()
    await master.until(lambda: len(fake.sockets) > 0)
    go.set()
    job = await master.end(ticket)
    assert job.status is JobStatus.SUCCEEDED
    assert sum(fake.executions.values()) == 1


@pytest.mark.parametrize("fault", [faults.cut_before, faults.cut_after])
async def test_a_submit_without_an_answer_leads_to_exactly_one_run(
    master: Master, fake: FakeComfy, fault: object
) -> None:
    await master.add(fake, "one")
    fake.fail("POST", "/prompt", fault())  # type: ignore[operator]
    job = await master.run(await master.define())
    assert job.status is JobStatus.SUCCEEDED
    assert sum(fake.executions.values()) == 1
    assert len(await master.service.attempts.for_job(job.id)) == 1


async def test_a_prompt_that_disappears_is_run_again(master: Master, fake: FakeComfy) -> None:
    await master.add(fake, "one")
    fake.behave(vanishing)
    job = await master.run(await master.define())
    assert job.status is JobStatus.SUCCEEDED


async def test_an_interrupt_by_somebody_else_costs_one_attempt(master: Master, fake: FakeComfy) -> None:
    await master.add(fake, "one")
    never = asyncio.Event()
    fake.behave(until(never))
    ticket = await master.submit(await master.define())
    await master.until_kind(ticket.job_id, "started")
    fake.interrupt(None)
    job = await master.end(ticket)
    assert job.status is JobStatus.SUCCEEDED
    assert [a.failure.cause for a in await master.service.attempts.for_job(job.id) if a.failure] == [Cause.INTERRUPTED]


async def test_an_output_cut_short_costs_another_attempt_and_never_a_broken_result(
    master: Master, fake: FakeComfy, other: FakeComfy
) -> None:
    await master.add(fake, "one")
    fake.fail("GET", "/view", faults.truncate(10))
    go = asyncio.Event()
    fake.behave(until(go))
    ticket = await master.submit(await master.define())
    await master.until_kind(ticket.job_id, "started")
    await master.add(other, "two")
    go.set()
    job = await master.end(ticket)
    assert job.status is JobStatus.SUCCEEDED
    (ref,) = job.outputs["image"].files
    master.service.artifacts.verify(ref)


async def test_a_job_without_any_backend_fails_and_says_what_to_do(master: Master) -> None:
    job = await master.run(await master.define())
    assert job.failure is not None
    assert job.failure.cause is Cause.NO_BACKEND


async def test_a_missing_node_class_is_named_at_once(master: Master, fake: FakeComfy) -> None:
    await master.add(fake, "one")
    prompt = {"1": {"class_type": "FancySampler", "inputs": {}}}
    job = await master.run(await master.define(prompt=prompt, parameters=()))
    assert job.failure is not None
    assert job.failure.cause is Cause.NO_BACKEND
    assert "FancySampler" in job.failure.message
    assert "one" in job.failure.message
    assert fake.submissions == []


async def test_a_node_class_installed_with_a_restart_is_noticed(master: Master, fake: FakeComfy) -> None:
    removed = fake.classes.pop("EmptyImage")
    backend_id = await master.add(fake, "one")
    definition = await master.define()
    assert (await master.run(definition)).status is JobStatus.FAILED
    await fake.stop()
    await master.until(lambda: not master.service.health.of(backend_id).usable)
    fake.classes["EmptyImage"] = removed
    await fake.start()
    await master.until(lambda: master.service.health.of(backend_id).usable)
    assert (await master.run(definition)).status is JobStatus.SUCCEEDED


async def test_a_pinned_job_waits_for_its_backend_and_fails_if_it_does_not_come(
    master: Master, fake: FakeComfy, other: FakeComfy
) -> None:
    await master.add(fake, "one")
    await master.add(other, "two")
    await fake.stop()
    job = await master.run(await master.define(), selector="one")
    assert job.failure is not None
    assert "offline" in job.failure.message
    assert other.submissions == []


async def test_a_tag_restricts_where_a_job_runs(master: Master, fake: FakeComfy, other: FakeComfy) -> None:
    await master.add(fake, "one")
    second = await master.add(other, "two", tags=("fast",))
    definition = await master.define()
    for _ in range(3):
        job = await master.run(definition, selector="tag:fast")
        (attempt,) = await master.service.attempts.for_job(job.id)
        assert attempt.backend_id == second


async def test_jobs_are_spread_over_backends_one_at_a_time(master: Master, fake: FakeComfy, other: FakeComfy) -> None:
    await master.add(fake, "one")
    await master.add(other, "two")
    go = asyncio.Event()
    for server in (fake, other):
        server.behave(until(go))
    definition = await master.define()
    tickets = [await master.submit(definition, values={"color": n}) for n in range(4)]
    await master.until(lambda: len(fake.submissions) + len(other.submissions) == 2)
    assert [len(fake.submissions), len(other.submissions)] == [1, 1]
    go.set()
    assert {(await master.end(t)).status for t in tickets} == {JobStatus.SUCCEEDED}


async def test_cancelling_a_running_job_interrupts_that_prompt_only(master: Master, fake: FakeComfy) -> None:
    await master.add(fake, "one")
    never = asyncio.Event()
    fake.behave(until(never))
    ticket = await master.submit(await master.define())
    await master.until_kind(ticket.job_id, "started")
    await master.service.orchestrator.cancel(ticket.job_id, "the test")
    job = await master.end(ticket)
    assert job.status is JobStatus.CANCELLED
    (attempt,) = await master.service.attempts.for_job(job.id)
    assert fake.interrupts == [{"prompt_id": attempt.prompt_id}]
    assert fake.remaining == 0


async def test_a_shared_job_is_cancelled_only_when_nobody_waits_any_more(master: Master, fake: FakeComfy) -> None:
    await master.add(fake, "one")
    go = asyncio.Event()
    fake.behave(until(go))
    definition = await master.define()
    first = await master.submit(definition, use_cache=True)
    second = await master.submit(definition, use_cache=True)
    assert first.job_id == second.job_id
    await master.service.orchestrator.give_back(first, "the test")
    go.set()
    assert (await master.end(second)).status is JobStatus.SUCCEEDED
    assert sum(fake.executions.values()) == 1


async def test_the_same_work_is_answered_from_the_cache(master: Master, fake: FakeComfy) -> None:
    await master.add(fake, "one")
    definition = await master.define()
    first = await master.run(definition, use_cache=True)
    await master.until(lambda: master.service.orchestrator.idle)
    ticket = await master.submit(definition, use_cache=True)
    assert ticket.cached
    assert (await master.end(ticket)).outputs == first.outputs
    assert sum(fake.executions.values()) == 1


async def test_a_job_that_asks_goes_on_when_somebody_answers(master: Master, fake: FakeComfy) -> None:
    await master.add(fake, "one")
    fake.behave(raising("ValueError", "not today"))
    ticket = await master.submit(await master.define(), on_failure="ask", max_attempts=1)
    await master.until(lambda: _status(master, ticket.job_id) is JobStatus.WAITING)
    await master.service.orchestrator.decide(ticket.job_id, Decision.RETRY, "the test")
    assert (await master.end(ticket)).status is JobStatus.SUCCEEDED


async def test_a_job_that_asks_is_run_by_none_of_those_that_had_it_if_somebody_says_so(
    master: Master, fake: FakeComfy, other: FakeComfy
) -> None:
    await master.add(fake, "one")
    await master.add(other, "two")
    fake.behave(raising("ValueError", "not today"))
    ticket = await master.submit(await master.define(), on_failure="ask", max_attempts=1, prefer=("one",))
    await master.until(lambda: _status(master, ticket.job_id) is JobStatus.WAITING)
    await master.service.orchestrator.decide(ticket.job_id, Decision.RETRY_ELSEWHERE, "the test")
    assert (await master.end(ticket)).status is JobStatus.SUCCEEDED
    assert (sum(fake.executions.values()), sum(other.executions.values())) == (1, 1)


async def test_a_job_to_be_run_elsewhere_is_run_where_it_was_if_there_is_no_other(
    master: Master, fake: FakeComfy
) -> None:
    await master.add(fake, "one")
    fake.behave(raising("ValueError", "not today"))
    ticket = await master.submit(await master.define(), on_failure="ask", max_attempts=1, selector="one")
    await master.until(lambda: _status(master, ticket.job_id) is JobStatus.WAITING)
    await master.service.orchestrator.decide(ticket.job_id, Decision.RETRY_ELSEWHERE, "the test")
    assert (await master.end(ticket)).status is JobStatus.SUCCEEDED
    assert sum(fake.executions.values()) == 2


async def test_a_job_that_asks_fails_when_nobody_answers_in_time(master: Master, fake: FakeComfy) -> None:
    await master.add(fake, "one")
    fake.behave(raising("ValueError", "not today"))
    job = await master.run(await master.define(), on_failure="ask", max_attempts=1)
    assert job.status is JobStatus.FAILED
    assert job.failure is not None
    assert job.failure.dropped is False


async def test_a_job_over_its_time_limit_is_given_up_and_removed_from_its_backend(
    master: Master, fake: FakeComfy
) -> None:
    await master.add(fake, "one")
    never = asyncio.Event()
    fake.behave(until(never))
    job = await master.run(await master.define(), time_limit_s=0.2, max_attempts=1)
    assert job.failure is not None
    assert job.failure.cause is Cause.STALLED
    await master.until(lambda: fake.remaining == 0)


async def test_a_job_whose_backend_is_away_when_the_master_comes_back_waits_for_it(
    tmp_path: Path, fake: FakeComfy
) -> None:
    folder = tmp_path / "restarted"
    go = asyncio.Event()
    fake.behave(until(go))
    async with open_service(folder, nowhere(), lambda _: None, clock=time.time, settings=QUICK) as service:
        before = Master(service)
        service.orchestrator.subscribe(before.updates.append)
        await before.add(fake, "one")
        ticket = await before.submit(await before.define())
        await before.until_kind(ticket.job_id, "started")
    fake.fail("GET", "/object_info/{node_class}", *[faults.answer(503)] * 3)
    go.set()
    async with open_service(folder, nowhere(), lambda _: None, clock=time.time, settings=QUICK) as service:
        await Master(service).until(lambda: service.orchestrator.idle and not service.orchestrator.live)
        job = await service.jobs.get(ticket.job_id)
        assert job.status is JobStatus.SUCCEEDED
        assert len(await service.attempts.for_job(job.id)) == 1
    assert sum(fake.executions.values()) == 1


async def test_a_certificate_file_that_disappeared_is_that_backends_problem_only(
    tmp_path: Path, fake: FakeComfy
) -> None:
    folder, authority = tmp_path / "restarted", tmp_path / "ca.pem"
    authority.write_text((Path(__file__).parents[2] / "data" / "tls" / "ca.pem").read_text())
    async with open_service(folder, nowhere(), lambda _: None, clock=time.time, settings=QUICK) as service:
        draft = Backend("", "private", "https://127.0.0.1:9", tls=TlsOptions(ca_file=str(authority)))
        private = await service.registry.add(draft)
    authority.unlink()
    async with open_service(folder, nowhere(), lambda _: None, clock=time.time, settings=QUICK) as service:
        again = Master(service)
        await again.until(lambda: service.health.of(private.backend.id).status is BackendStatus.OFFLINE)
        assert "PEM" in service.health.of(private.backend.id).last_error
        await again.add(fake, "one")
        assert (await again.run(await again.define())).status is JobStatus.SUCCEEDED


async def test_a_run_of_one_job_ends_with_it(master: Master, fake: FakeComfy) -> None:
    await master.add(fake, "one")
    job = await master.run(await master.define())
    await master.until(lambda: master.service.orchestrator.idle)
    assert (await master.service.runs.get(job.run_id)).status is RunStatus.SUCCEEDED


async def test_bad_values_are_refused_before_a_job_exists(master: Master) -> None:
    definition = await master.define()
    with pytest.raises(BindingFailed) as caught:
        await master.submit(definition, values={"color": "blue", "colour": 3})
    assert set(caught.value.problems) == {"color", "colour"}
    with pytest.raises(NotFound):
        await master.submit(definition, outputs=("picture",))
    with pytest.raises(NotFound):
        await master.service.orchestrator.submit(Request("no-such-workflow"))


async def test_only_a_job_that_ended_can_be_run_again(master: Master, fake: FakeComfy) -> None:
    await master.add(fake, "one")
    go = asyncio.Event()
    fake.behave(until(go))
    ticket = await master.submit(await master.define())
    with pytest.raises(Conflict):
        await master.service.orchestrator.retry(ticket.job_id)
    go.set()
    await master.end(ticket)
    again = await master.end(await master.service.orchestrator.retry(ticket.job_id))
    assert again.status is JobStatus.SUCCEEDED
    assert again.id != ticket.job_id


async def test_a_job_that_runs_on_while_the_master_is_down_is_taken_over_not_repeated(
    tmp_path: Path, fake: FakeComfy
) -> None:
    folder = tmp_path / "restarted"
    go = asyncio.Event()
    fake.behave(until(go))
    async with open_service(folder, nowhere(), lambda _: None, clock=time.time, settings=QUICK) as service:
        before = Master(service)
        service.orchestrator.subscribe(before.updates.append)
        await before.add(fake, "one")
        ticket = await before.submit(await before.define())
        await before.until_kind(ticket.job_id, "started")
    go.set()
    async with open_service(folder, nowhere(), lambda _: None, clock=time.time, settings=QUICK) as service:
        await Master(service).until(lambda: not service.orchestrator.live)
        assert (await service.jobs.get(ticket.job_id)).status is JobStatus.SUCCEEDED
        assert await check_invariants(service.database) == []
    assert sum(fake.executions.values()) == 1


def _status(master: Master, job_id: str) -> JobStatus | None:
    live = [u for u in master.updates if getattr(getattr(u, "job", None), "id", None) == job_id]
    return live[-1].job.status if live else None  # type: ignore[union-attr]


async def test_this_server_is_taken_only_once_it_is_known_that_no_other_can(
    tmp_path: Path, fake: FakeComfy, other: FakeComfy
) -> None:
    here = Backend(LOCAL_BACKEND_ID, "This server", fake.url)
    async with open_service(tmp_path / "own", here, lambda _: None, clock=time.time, settings=QUICK) as service:
        own = Master(service)
        await own.until(lambda: service.health.of(LOCAL_BACKEND_ID).status is BackendStatus.ONLINE)
        definition = await own.define()
        await service.registry.add(Backend("", "two", other.url))
        job = await own.run(definition)
        assert job.status is JobStatus.SUCCEEDED
        assert fake.submissions == []
        await other.stop()
        await own.until(lambda: service.registry.list()[1].health.status is BackendStatus.OFFLINE)
        assert (await own.run(definition)).status is JobStatus.SUCCEEDED
        assert len(fake.submissions) == 1
