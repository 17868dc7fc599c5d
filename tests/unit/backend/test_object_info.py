from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Mapping

import pytest

from comfy_orchestrator_nodes.backend.object_info import ObjectInfoCache
from comfy_orchestrator_nodes.domain import Capabilities
from comfy_orchestrator_nodes.errors import ConnectionLost
from comfy_orchestrator_nodes.workflow.nodeinfo import NodeInfo, parse_node_info

ALL = "*"


class Source:
    """A backend's node classes, counted; ``gate`` holds its answers."""

    def __init__(self, *names: str) -> None:
        self.infos = {name: info(name) for name in names}
        self.asked: Counter[str] = Counter()
        self.arrived = asyncio.Event()
        self.gate = asyncio.Event()
        self.gate.set()
        self.failure: Exception | None = None

    async def object_info(self, class_type: str) -> NodeInfo | None:
        await self._answer(class_type)
        return self.infos.get(class_type)

    async def all_object_info(self) -> Mapping[str, NodeInfo]:
        await self._answer(ALL)
        return dict(self.infos)

    async def _answer(self, key: str) -> None:
        self.asked[key] += 1
        self.arrived.set()
        await self.gate.wait()
        if self.failure is not None:
            raise self.failure


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def info(name: str, *choices: str) -> NodeInfo:
    return parse_node_info(name, {"input": {"required": {"file": [list(choices), {}]}}, "output": []})


def capabilities(version: str, *classes: str) -> Capabilities:
    return Capabilities(version, "3.11", "posix", (), None, frozenset(classes), {}, 0.0)


@pytest.fixture
def source() -> Source:
    return Source("A", "B")


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def cache(source: Source, clock: Clock) -> ObjectInfoCache:
    return ObjectInfoCache(source, refresh_interval_s=10.0, clock=clock)


async def test_a_class_is_read_once(source: Source, cache: ObjectInfoCache) -> None:
    assert [await cache.get("A") for _ in range(3)] == [source.infos["A"]] * 3
    assert source.asked == {"A": 1}


async def test_a_missing_class_is_asked_for_once(source: Source, cache: ObjectInfoCache) -> None:
    assert [await cache.get("No") for _ in range(3)] == [None] * 3
    assert source.asked == {"No": 1}


async def test_all_at_once_share_one_request(source: Source, cache: ObjectInfoCache) -> None:
    source.gate.clear()
    waiting = [asyncio.create_task(cache.get("A")) for _ in range(20)]
    whole = [asyncio.create_task(cache.all()) for _ in range(20)]
    await asyncio.sleep(0)
    source.gate.set()
    await asyncio.gather(*waiting, *whole)

    assert source.asked == {"A": 1, ALL: 1}


async def test_one_who_gives_up_leaves_the_request_to_the_others(source: Source, cache: ObjectInfoCache) -> None:
    source.gate.clear()
    first, second = asyncio.create_task(cache.get("A")), asyncio.create_task(cache.get("A"))
    await asyncio.sleep(0)
    first.cancel()
    source.gate.set()

    assert await second == source.infos["A"]
    assert source.asked == {"A": 1}


async def test_an_error_is_told_to_all_and_not_kept(source: Source, cache: ObjectInfoCache) -> None:
    source.failure = ConnectionLost("b", "gone")
    results = await asyncio.gather(*(cache.get("A") for _ in range(3)), return_exceptions=True)
    assert [type(result) for result in results] == [ConnectionLost] * 3

    source.failure = None
    assert await cache.get("A") == source.infos["A"]


async def test_the_whole_document_answers_for_every_class(source: Source, cache: ObjectInfoCache) -> None:
    assert set(await cache.all()) == {"A", "B"}
    assert await cache.get("B") == source.infos["B"]
    assert await cache.get("No") is None
    assert source.asked == {ALL: 1}


async def test_a_document_read_elsewhere_is_taken_over(source: Source, cache: ObjectInfoCache) -> None:
    cache.fill(source.infos)

    assert set(await cache.all()) == {"A", "B"}
    assert source.asked == {}


async def test_many_returns_those_that_exist(source: Source, cache: ObjectInfoCache) -> None:
    assert await cache.many(["B", "No", "A", "B"]) == {"B": source.infos["B"], "A": source.infos["A"]}
    assert source.asked == {"A": 1, "B": 1, "No": 1}


async def test_a_refresh_sees_what_is_new_but_not_too_often(
    source: Source, cache: ObjectInfoCache, clock: Clock
) -> None:
    await cache.all()
    source.infos["A"] = info("A", "new.safetensors")
    assert (await cache.refresh("A")) != source.infos["A"], "it was read a moment ago"
    clock.now += 11
    assert (await cache.refresh("A")) == source.infos["A"]
    assert await cache.get("A") == source.infos["A"]
    await cache.refresh("A")

    assert source.asked == {ALL: 1, "A": 1}


async def test_a_refresh_finds_a_class_that_was_installed_later(
    source: Source, cache: ObjectInfoCache, clock: Clock
) -> None:
    await cache.all()
    assert await cache.get("C") is None
    source.infos["C"] = info("C")
    clock.now += 11

    assert await cache.refresh("C") == source.infos["C"]
    assert await cache.get("C") == source.infos["C"]


async def test_a_class_missing_for_long_is_not_asked_for_at_every_refresh(
    source: Source, cache: ObjectInfoCache
) -> None:
    for _ in range(5):
        await cache.refresh("No")

    assert source.asked == {"No": 1}


@pytest.mark.parametrize(
    ("later", "forgotten"),
    [
        (capabilities("1", "A", "B"), False),
        (capabilities("2", "A", "B"), True),
        (capabilities("1", "A"), True),
    ],
)
async def test_a_change_of_version_or_classes_forgets_everything(
    source: Source, cache: ObjectInfoCache, later: Capabilities, forgotten: bool
) -> None:
    assert cache.revalidate(capabilities("1", "A", "B")) is False
    await cache.all()
    assert cache.revalidate(later) is forgotten
    await cache.all()

    assert source.asked == {ALL: 2 if forgotten else 1}


async def test_what_was_asked_before_a_change_is_not_kept(source: Source, cache: ObjectInfoCache) -> None:
    source.gate.clear()
    old = asyncio.create_task(cache.get("A"))
    await source.arrived.wait()
    cache.clear()
    source.gate.set()
    await old
    await cache.get("A")

    assert source.asked == {"A": 2}
