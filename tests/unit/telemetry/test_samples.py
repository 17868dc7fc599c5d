from __future__ import annotations

import logging
import sqlite3
from collections.abc import AsyncIterator, Callable
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from comfy_orchestrator_nodes.metrics import METRICS
from comfy_orchestrator_nodes.store.samples import blocks
from comfy_orchestrator_nodes.store.samples.encoding import UnreadableBlockError, decode, encode
from comfy_orchestrator_nodes.store.samples.levels import COARSE, COARSEST, MIDDLE, RAW, choose_grid
from comfy_orchestrator_nodes.store.samples.repository import MOST_DEVICES, Answer, Question, SampleStore
from tests.unit.telemetry.clock import Clock

NAN = float("nan")
START = 1_700_000_000 // 86_400 * 86_400 + 3 * 3600
"""Three in the morning of some day."""
GPU = "GPU-1"
SOUND = encode(np.ones((3, 300)), 1.0)


@pytest.fixture
def clock() -> Clock:
    return Clock(START)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "telemetry.sqlite3"


@pytest.fixture
async def store(path: Path, clock: Clock) -> AsyncIterator[SampleStore]:
    opened = await SampleStore.open(path, clock=clock)
    yield opened
    await opened.close()


class Feed:
    """A GPU that is sampled while the clock goes on."""

    def __init__(self, store: SampleStore, clock: Clock, backend: str = "attic") -> None:
        self.store, self.clock, self.backend = store, clock, backend

    async def run(
        self, seconds: int, power: Callable[[int], float] = lambda second: 100.0, *, every: int = 1, save: bool = True
    ) -> None:
        for second in range(0, seconds, every):
            self.clock.pass_(every)
            values = {"power_w": power(second), "not_known": 1.0}
            self.store.add(self.backend, GPU, "A GPU", self.clock.now, values)
            if save and int(self.clock.now) % 60 == 0:
                await self.store.save()


@pytest.fixture
def feed(store: SampleStore, clock: Clock) -> Feed:
    return Feed(store, clock)


async def ask(
    store: SampleStore, start: float, end: float, step: int | None = None, stats: tuple[str, ...] = ("avg",)
) -> Answer:
    return await store.ask(Question(("attic",), ("power_w",), start, end, step, stats))


def values(answer: Answer, stat: str = "avg") -> list[float | None]:
    (series,) = answer.series
    return [None if np.isnan(value) else float(value) for value in series.values[stat]]


async def test_a_machine_that_makes_up_new_devices_does_not_fill_the_memory(store: SampleStore, clock: Clock) -> None:
    for number in range(3 * MOST_DEVICES):
        store.add("attic", f"GPU-{number}", "A GPU", clock.now, {"power_w": 1.0})
    store.add("cellar", GPU, "A GPU", clock.now, {"power_w": 1.0})
    answer = await store.ask(Question(("attic", "cellar"), ("power_w",), clock.now - 60, clock.now + 60))
    assert len(answer.series) == MOST_DEVICES + 1


# --- levels and blocks


@pytest.mark.parametrize(
    ("ago", "length", "step", "level", "steps"),
    [
        (300, 300, None, RAW, 1),
        (300, 300, 7, RAW, 7),
        (3600, 3600, None, MIDDLE, 10),
        (3600, 3600, 1, RAW, 1),
        (86_400, 86_400, None, COARSE, 300),
        (86_400, 3600, None, MIDDLE, 10),
        (7 * 86_400, 7 * 86_400, None, COARSEST, 1800),
        (7 * 86_400, 7 * 86_400, 900, COARSE, 900),
        (7 * 86_400, 7 * 86_400, 600, COARSEST, 600),
        (7 * 86_400, 600, 1, COARSE, 60),
        (30 * 86_400, 30 * 86_400, 90, COARSE, 120),
    ],
)
def test_a_question_gets_the_finest_level_that_reaches_back_so_far(
    ago: int, length: int, step: int | None, level: object, steps: int
) -> None:
    now = 1_700_000_123.0
    grid = choose_grid(now - ago, now - ago + length, step, now)
    assert (grid.level, grid.step_s) == (level, steps)
    assert grid.start % steps == 0
    assert grid.start <= now - ago < grid.start + steps
    assert grid.end >= now - ago + length


finite = st.floats(-1e6, 1e6)
columns = st.lists(st.one_of(finite, st.just(NAN)), min_size=1, max_size=400)


@given(columns, st.sampled_from([0.01, 0.5, 1.0, 1e3]))
def test_a_block_comes_back_to_the_quantum_with_its_gaps(column: list[float], quantum: float) -> None:
    block = np.array([column])
    found = decode(encode(block, quantum), len(column), quantum)
    np.testing.assert_allclose(found, block, atol=quantum / 2 + 1e-6, equal_nan=True)


@given(st.lists(st.tuples(finite, finite, finite), min_size=1, max_size=60))
def test_a_roll_up_comes_back_whole_or_with_its_averages_alone(rows: list[tuple[float, float, float]]) -> None:
    ordered = np.array([(sorted(row)[1], min(row), max(row)) for row in rows]).T
    data = encode(ordered, 0.5)
    np.testing.assert_allclose(decode(data, len(rows), 0.5), ordered, atol=0.26)
    np.testing.assert_array_equal(decode(data, len(rows), 0.5, first_only=True)[0], decode(data, len(rows), 0.5)[0])


@pytest.mark.parametrize(
    "damage",
    [b"", b"\x01\x01\x01", b"\x07" + SOUND[1:], b"\x01\x02" + SOUND[2:], SOUND[:-3], SOUND[:3] + b"\xff" + SOUND[4:]],
)
def test_a_damaged_block_is_told(damage: bytes) -> None:
    with pytest.raises(UnreadableBlockError):
        decode(damage, 300, 1.0)


def test_a_block_of_another_size_is_told() -> None:
    with pytest.raises(UnreadableBlockError):
        decode(encode(np.ones((1, 10)), 1.0), 300, 1.0)


@pytest.mark.parametrize("metric", METRICS.values(), ids=lambda m: m.name)
def test_every_metric_has_words_and_a_unit(metric: object) -> None:
    told = vars(metric)
    assert told["meaning"].endswith(".")
    assert told["label"]
    assert told["quantum"] > 0


# --- questions


async def test_seconds_are_there_at_once_and_after_saving(store: SampleStore, feed: Feed, clock: Clock) -> None:
    await feed.run(10, lambda second: float(second), save=False)
    assert values(await ask(store, START + 1, START + 11)) == [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]
    await store.save()
    assert values(await ask(store, START + 1, START + 11)) == [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]


async def test_a_step_has_average_minimum_and_maximum(store: SampleStore, feed: Feed) -> None:
    await feed.run(20, lambda second: float(second % 10))
    answer = await ask(store, START, START + 20, 10, ("avg", "min", "max"))
    (series,) = answer.series
    assert {stat: list(found) for stat, found in series.values.items()} == {
        "avg": [4.0, 4.5],
        "min": [0, 0],
        "max": [8, 9],
    }


async def test_a_sample_stands_for_the_time_since_the_one_before(store: SampleStore, feed: Feed) -> None:
    await feed.run(60, lambda second: float(second), every=10)
    found = values(await ask(store, START + 11, START + 31))
    assert found == [10.0] * 10 + [20.0] * 10


async def test_a_gap_is_a_gap(store: SampleStore, feed: Feed, clock: Clock) -> None:
    await feed.run(5)
    clock.pass_(60)
    await feed.run(5)
    found = values(await ask(store, START + 1, START + 71))
    assert found[:5] == [100.0] * 5
    assert found[5:65] == [None] * 60
    assert found[65:] == [100.0] * 5


async def test_what_comes_late_fills_its_gap_and_what_comes_too_late_is_left_out(
    store: SampleStore, clock: Clock
) -> None:
    store.add("attic", GPU, "A GPU", START + 100, {"power_w": 1})
    await store.save()
    store.add("attic", GPU, "A GPU", START + 50, {"power_w": 2})
    store.add("attic", GPU, "A GPU", START - 500, {"power_w": 3})
    clock.pass_(101)
    found = values(await ask(store, START - 500, START + 101, 1))
    assert (found[600], found[550], found[0]) == (1, 2, None)


async def test_hours_days_and_weeks_agree_on_the_same_time(store: SampleStore, feed: Feed, clock: Clock) -> None:
    await feed.run(3 * 3600, lambda second: 100.0 + second // 3600, every=5)
    end = START + 3 * 3600
    for step, level in ((10, MIDDLE), (60, COARSE), (600, COARSEST), (3600, COARSEST)):
        answer = await ask(store, START, end, step, ("avg", "min", "max"))
        assert answer.grid.level is level
        assert values(answer)[-1] == 102
        assert values(answer, "min")[1] == 100
        assert values(answer, "max")[-1] == 102
        assert np.mean([v for v in values(answer) if v is not None]) == pytest.approx(101, abs=0.02)


async def test_a_restart_goes_on_where_it_was(store: SampleStore, feed: Feed, clock: Clock, path: Path) -> None:
    await feed.run(1800, lambda second: 50.0)
    await store.close()
    again = await SampleStore.open(path, clock=clock)
    assert values(await ask(again, START + 60, START + 1800, 60)) == [50.0] * 29
    await Feed(again, clock).run(5400, lambda second: 70.0)
    found = values(await ask(again, START, START + 7200, 1800))
    assert found == pytest.approx([50, 70, 70, 70], abs=0.1)
    await again.close()


async def test_hours_of_before_a_long_pause_are_rolled_up_when_it_is_over(
    store: SampleStore, feed: Feed, clock: Clock, path: Path
) -> None:
    await feed.run(1800, lambda second: 50.0)
    await store.close()
    clock.pass_(3 * 86_400)
    again = await SampleStore.open(path, clock=clock)
    await again.save()
    assert values(await ask(again, START, START + 1800, 600)) == [50.0] * 3
    await again.close()


async def test_a_kill_costs_at_most_what_was_not_saved(
    store: SampleStore, feed: Feed, clock: Clock, path: Path
) -> None:
    await feed.run(60 - START % 60 + 90)
    other = await SampleStore.open(path, clock=clock)
    found = values(await ask(other, START + 1, clock.now + 1, 1))
    assert found.count(None) <= 60
    await other.close()


async def test_what_is_too_old_is_deleted_level_by_level(
    store: SampleStore, feed: Feed, clock: Clock, path: Path
) -> None:
    await feed.run(3 * 3600, every=10)

    def counts() -> dict[int, int]:
        with closing(sqlite3.connect(path)) as connection:
            return dict(connection.execute("SELECT level, count(*) FROM block GROUP BY level"))

    # Two hours, and what begins or ends in between.
    assert counts()[RAW.number] <= 2 * 12 + 2
    assert counts()[MIDDLE.number] == 2
    clock.pass_(2 * 86_400)
    await store.save()
    clock.pass_(3600)
    await store.save()
    assert counts() == {COARSE.number: 1, COARSEST.number: 1}
    clock.pass_(33 * 86_400)
    await store.save()
    assert counts().keys() <= {COARSEST.number}
    clock.pass_(7 * 86_400)
    await store.save()
    assert counts() == {}


async def test_the_minutes_of_the_oldest_day_go_when_the_limit_is_reached_and_its_ten_minutes_stay(
    path: Path, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    store = await SampleStore.open(path, clock=clock, limit_bytes=60_000)
    feed = Feed(store, clock)
    random = np.random.default_rng(1)
    for _ in range(6):
        await feed.run(4 * 3600, lambda second: float(random.integers(0, 400)), every=10)
        clock.pass_(20 * 3600)
        await store.save()
    assert "at its limit" in caplog.text
    minutes = values(await ask(store, START, clock.now, 60))
    assert minutes[60] is None
    assert minutes[5 * 1440 + 60] is not None
    assert values(await ask(store, START, clock.now, 600))[6] is not None
    await store.close()


async def test_ten_minutes_have_what_their_minutes_have_over_a_week_with_gaps(
    store: SampleStore, feed: Feed, clock: Clock
) -> None:
    random = np.random.default_rng(3)
    for _ in range(8):
        await feed.run(7200, lambda second: float(random.integers(0, 400)), every=20)
        clock.pass_(22 * 3600)
        await store.save()
    stats = ("avg", "min", "max")
    end = START + 8 * 86_400
    (minutes,) = (by_minutes := await ask(store, START, end, 60, stats)).series
    (tens,) = (by_tens := await ask(store, START, end, 600, stats)).series
    assert (by_minutes.grid.level, by_tens.grid.level) == (COARSE, COARSEST)
    assert by_minutes.grid.start == by_tens.grid.start
    shape = (by_tens.grid.count, 10)
    filled = ~np.isnan(np.resize(minutes.values["avg"], shape)).any(axis=1)
    # Of the first minute there is a part, which an average of minutes takes for a whole one.
    whole = filled & np.roll(filled, 1)
    assert whole.sum() > 8 * 10
    np.testing.assert_array_equal(
        np.isnan(np.resize(minutes.values["avg"], shape)).all(axis=1), np.isnan(tens.values["avg"])
    )
    for stat, reduce in (("avg", np.mean), ("min", np.min), ("max", np.max)):
        expected = reduce(np.resize(minutes.values[stat], shape)[whole], axis=1)
        np.testing.assert_allclose(tens.values[stat][whole], expected, atol=0.51)


async def test_a_file_from_before_there_were_ten_minutes_gets_them(
    store: SampleStore, feed: Feed, path: Path, clock: Clock
) -> None:
    for _ in range(9):
        await feed.run(7200, lambda second: 100.0 + second // 60, every=20)
        clock.pass_(22 * 3600)
        await store.save()
    stats = ("avg", "min", "max")
    (before,) = (await ask(store, START, clock.now, 600, stats)).series
    await store.close()
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("DELETE FROM block WHERE level = ?", (COARSEST.number,))
        connection.execute("PRAGMA user_version = 1")
        connection.commit()
    again = await SampleStore.open(path, clock=clock)
    (after,) = (await ask(again, START, clock.now, 600, stats)).series
    for stat in stats:
        np.testing.assert_allclose(after.values[stat], before.values[stat], atol=0.51)
    assert not list(path.parent.glob("*.bak"))
    await again.close()


async def test_a_removed_backend_leaves_nothing(store: SampleStore, feed: Feed, path: Path) -> None:
    await feed.run(120)
    await store.forget("attic")
    assert (await ask(store, START, START + 120)).series == ()
    with closing(sqlite3.connect(path)) as connection:
        assert [connection.execute(f"SELECT count(*) FROM {t}").fetchone() for t in ("block", "series", "device")] == [
            (0,),
            (0,),
            (0,),
        ]


async def test_several_backends_are_answered_in_the_order_asked_for(store: SampleStore, clock: Clock) -> None:
    for name in ("attic", "cellar", "garage"):
        await Feed(store, clock, name).run(3)
    store.add("cellar", "", "", clock.now, {"cpu_ratio": 0.5})
    answer = await store.ask(Question(("cellar", "attic"), ("cpu_ratio", "power_w"), START, clock.now + 1, 1))
    assert [(s.backend_id, s.device, s.device_name, s.metric) for s in answer.series] == [
        ("cellar", "", "", "cpu_ratio"),
        ("cellar", GPU, "A GPU", "power_w"),
        ("attic", GPU, "A GPU", "power_w"),
    ]


# --- what can go wrong


async def test_a_damaged_file_is_put_aside_and_begun_anew(
    path: Path, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    path.write_bytes(b"this is no database, but long enough to look like one" * 100)
    store = await SampleStore.open(path, clock=clock)
    await Feed(store, clock).run(3)
    assert values(await ask(store, START + 1, START + 4)) == [100.0] * 3
    await store.close()
    assert "begins anew" in caplog.text
    assert len(list(path.parent.glob("*.bak"))) == 1


async def test_a_file_of_another_version_is_put_aside(path: Path, clock: Clock) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA user_version = 99")
    await (await SampleStore.open(path, clock=clock)).close()
    assert len(list(path.parent.glob("*.bak"))) == 1


async def test_a_damaged_block_is_a_gap(
    store: SampleStore, feed: Feed, path: Path, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    await feed.run(900)
    await store.save()
    await store.close()
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("UPDATE block SET data = X'00' WHERE start = ?", (RAW.block_of(START + 301),))
        connection.commit()
    again = await SampleStore.open(path, clock=clock)
    found = values(await ask(again, START + 1, START + 901, 1))
    assert (found[0], found[450], found[899]) == (100.0, None, 100.0)
    assert "is damaged and left out" in caplog.text
    await again.close()


async def test_a_full_disk_is_told_and_nothing_recent_is_lost(
    store: SampleStore, feed: Feed, clock: Clock, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def full(*_: object) -> None:
        raise sqlite3.OperationalError("database or disk is full")

    await feed.run(30, save=False)
    with monkeypatch.context() as patched:
        patched.setattr(blocks, "save_raw", full)
        await store.save()
    assert "no space left" in caplog.text
    with caplog.at_level(logging.WARNING):
        caplog.clear()
        await store.save()
    assert caplog.text == ""
    assert values(await ask(store, START + 1, START + 31)) == [100.0] * 30
