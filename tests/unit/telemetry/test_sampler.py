from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from comfy_orchestrator_nodes.agent.telemetry.models import Device, Sample, Source
from comfy_orchestrator_nodes.agent.telemetry.sampler import Pace, Sampler
from comfy_orchestrator_nodes.agent.telemetry_routes import PATH, telemetry_part
from tests.unit.telemetry.clock import Clock

PATIENCE_S = 20.0
QUICK = Pace(watched_s=0.01, idle_s=0.05, tick_s=0.01, stalled_s=0.02)


def a_sample(at: float, **values: float) -> Sample:
    device = Device("gpu", "A GPU", "nvidia", values)
    return Sample(at, {"cpu_ratio": 0.123456}, (device,), (), (Source("nvml", "ok"),))


class Readings:
    """What the sampler reads, and a way to wait for it."""

    def __init__(self) -> None:
        self.count = 0
        self.clock = Clock()
        self.fail: Exception | None = None
        self.gate = threading.Event()
        self.gate.set()
        self._changed = threading.Condition()

    def __call__(self) -> Sample:
        with self._changed:
            self.count += 1
            self._changed.notify_all()
        self.gate.wait(PATIENCE_S)
        if self.fail is not None:
            raise self.fail
        return a_sample(self.clock(), power_w=float(self.count))

    def wait_for(self, count: int) -> None:
        with self._changed:
            assert self._changed.wait_for(lambda: self.count >= count, PATIENCE_S)


@pytest.fixture
def readings() -> Readings:
    return Readings()


@pytest.fixture
def start() -> Iterator[Callable[..., Sampler]]:
    samplers: list[Sampler] = []

    def make(*arguments: Any, **options: Any) -> Sampler:
        samplers.append(Sampler(*arguments, **options))
        return samplers[-1]

    yield make
    for sampler in samplers:
        sampler.close()
        sampler.join(PATIENCE_S)


def ask(sampler: Sampler, after: str = "") -> Any:
    return json.loads(sampler.answer(after))


def ask_until(sampler: Sampler, condition: Callable[[Any], bool], after: str = "") -> Any:
    pause = threading.Event()
    for _ in range(int(PATIENCE_S / 0.005)):
        answer = ask(sampler, after)
        if condition(answer):
            return answer
        pause.wait(0.005)
    raise AssertionError(answer)


def test_nothing_is_read_before_somebody_asks(start: Callable[..., Sampler], readings: Readings) -> None:
    sampler = start(readings, pace=QUICK)
    sampler.watch(10)
    assert readings.count == 0
    ask(sampler)
    readings.wait_for(1)


def test_each_question_gets_what_came_since_the_one_before(start: Callable[..., Sampler], readings: Readings) -> None:
    sampler = start(readings, pace=QUICK)
    first = ask_until(sampler, lambda a: a["samples"])
    second = ask_until(sampler, lambda a: len(a["samples"]) >= 2, first["cursor"])
    powers = [s["devices"][0]["values"]["power_w"] for s in (*first["samples"], *second["samples"])]
    assert powers == sorted(set(powers))
    assert len(powers) == powers[-1] - powers[0] + 1


def test_without_a_cursor_only_the_latest_is_told(start: Callable[..., Sampler], readings: Readings) -> None:
    sampler = start(readings, pace=QUICK)
    ask(sampler)
    readings.wait_for(5)
    assert len(ask(sampler)["samples"]) == 1


@pytest.mark.parametrize("cursor", ["deadbeef-3", "nonsense", "-", "x-99999999999999999999999"])
def test_a_cursor_of_before_a_restart_gets_all_there_is(
    start: Callable[..., Sampler], readings: Readings, cursor: str
) -> None:
    sampler = start(readings, pace=QUICK)
    ask(sampler)
    readings.wait_for(4)
    assert len(ask(sampler, cursor)["samples"]) >= 3


def test_samples_that_nobody_fetched_are_forgotten_after_a_while(
    start: Callable[..., Sampler], readings: Readings
) -> None:
    sampler = start(readings, pace=QUICK)
    ask(sampler)
    readings.wait_for(3)
    readings.clock.pass_(1000)
    # The one under way may still be of before.
    readings.wait_for(readings.count + 2)
    told = ask(sampler, "other-0")["samples"]
    assert {sample["at"] for sample in told} == {readings.clock()}


def test_who_watches_or_a_prompt_that_runs_makes_the_pace(start: Callable[..., Sampler], readings: Readings) -> None:
    busy = threading.Event()
    clock = Clock()
    sampler = start(readings, busy=busy.is_set, clock=clock)
    assert ask(sampler)["interval_s"] == 10.0
    sampler.watch(30)
    assert ask(sampler)["interval_s"] == 1.0
    clock.pass_(31)
    assert ask(sampler)["interval_s"] == 10.0
    busy.set()
    assert ask(sampler)["interval_s"] == 1.0


def test_watching_brings_the_next_reading_forward(start: Callable[..., Sampler], readings: Readings) -> None:
    sampler = start(readings, pace=Pace(watched_s=0.01, idle_s=1000))
    ask(sampler)
    readings.wait_for(1)
    sampler.watch(1000)
    readings.wait_for(3)


def test_nobody_asking_for_long_ends_the_reading_until_somebody_does(
    start: Callable[..., Sampler], readings: Readings
) -> None:
    clock = Clock()
    sampler = start(readings, pace=QUICK, clock=clock)
    ask(sampler)
    readings.wait_for(1)
    clock.pass_(QUICK.rest_s + 1)
    count = readings.count
    # At most the reading that was under way.
    assert readings.count <= count + 1
    ask(sampler)
    readings.wait_for(count + 2)


def test_a_reading_that_fails_is_told_and_the_next_one_is_taken(
    start: Callable[..., Sampler], readings: Readings, caplog: pytest.LogCaptureFixture
) -> None:
    readings.fail = ZeroDivisionError()
    sampler = start(readings, pace=QUICK)
    answer = ask_until(sampler, lambda a: a["problem"])
    assert "ZeroDivisionError" in answer["problem"]
    readings.wait_for(5)
    assert caplog.text.count("could not be read") == 1
    readings.fail = None
    assert ask_until(sampler, lambda a: a["samples"])["problem"] == ""


def test_a_driver_that_hangs_is_told_while_it_hangs(start: Callable[..., Sampler], readings: Readings) -> None:
    readings.gate.clear()
    sampler = start(readings, pace=QUICK)
    answer = ask_until(sampler, lambda a: a["problem"])
    assert "has not answered" in answer["problem"]
    readings.gate.set()
    assert ask_until(sampler, lambda a: a["samples"])["problem"] == ""


def test_what_is_no_number_is_left_out_and_digits_that_nobody_measured_too(
    start: Callable[..., Sampler],
) -> None:
    sampler = start(lambda: a_sample(0.0, power_w=float("nan"), temperature_c=61.123456), pace=QUICK)
    sample = ask_until(sampler, lambda a: a["samples"])["samples"][0]
    assert sample["devices"][0]["values"] == {"temperature_c": 61.1235}
    assert sample["host"] == {"cpu_ratio": 0.1235}


@pytest.mark.parametrize("watch_s", ["", "abc", "nan", "-5", "1e999", "20"])
async def test_the_route_answers_whatever_is_asked(
    start: Callable[..., Sampler], readings: Readings, watch_s: str
) -> None:
    app = web.Application()
    app.add_routes(telemetry_part(start(readings, pace=QUICK)).routes)
    async with TestClient(TestServer(app)) as client:
        answer = await client.get(PATH, params={"watch_s": watch_s, "after": "x" * 1000})
        assert answer.status == 200
        assert set(await answer.json()) == {"cursor", "now", "interval_s", "problem", "samples"}
