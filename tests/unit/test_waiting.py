"""A cancel is never swallowed, whatever comes together with it."""

from __future__ import annotations

import asyncio

import pytest

from comfy_orchestrator_nodes.waiting import nudged, within


async def test_a_cancel_that_comes_with_a_nudge_ends_the_waiting() -> None:
    event = asyncio.Event()
    waiting = asyncio.create_task(nudged(event, 60.0))
    await asyncio.sleep(0)
    event.set()
    await asyncio.sleep(0)
    waiting.cancel()
    await asyncio.wait({waiting}, timeout=5)
    assert waiting.done()


async def test_a_loop_that_is_nudged_and_cancelled_at_once_ends() -> None:
    event, rounds = asyncio.Event(), 0

    async def work() -> None:
        nonlocal rounds
        while True:
            await nudged(event, 60.0)
            event.clear()
            rounds += 1

    working = asyncio.create_task(work())
    await asyncio.sleep(0)
    event.set()
    working.cancel()
    await asyncio.wait({working}, timeout=5)
    assert working.cancelled()
    assert rounds == 0


async def test_a_nudge_comes_by_itself() -> None:
    await asyncio.wait_for(nudged(asyncio.Event(), 0.0), 5)


async def test_a_cancel_that_comes_with_the_result_is_not_swallowed() -> None:
    inbox: asyncio.Queue[int] = asyncio.Queue()
    waiting = asyncio.create_task(within(inbox.get(), 60.0))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    inbox.put_nowait(1)
    await asyncio.sleep(0)
    waiting.cancel()
    await asyncio.wait({waiting}, timeout=5)
    assert waiting.cancelled()


async def test_work_that_takes_too_long_has_ended_when_that_is_told() -> None:
    ended = False

    async def work() -> None:
        nonlocal ended
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0)
            ended = True

    with pytest.raises(asyncio.TimeoutError):
        await within(work(), 0.01)
    assert ended


async def test_work_that_ends_in_time_is_told_by_its_result_or_error() -> None:
    async def work(fails: bool) -> int:
        await asyncio.sleep(0)
        if fails:
            raise KeyError("the work")
        return 7

    assert await within(work(False), 60.0) == 7
    assert await within(work(False), None) == 7
    with pytest.raises(KeyError):
        await within(work(True), 60.0)


async def test_whoever_gives_up_sees_the_work_end() -> None:
    started, ended = asyncio.Event(), asyncio.Event()

    async def work() -> None:
        started.set()
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    waiting = asyncio.create_task(within(work(), 60.0))
    await started.wait()
    waiting.cancel()
    await asyncio.wait({waiting}, timeout=5)
    assert waiting.cancelled()
    assert ended.is_set()
