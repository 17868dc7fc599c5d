"""A cancel is never swallowed, whatever comes together with it."""

from __future__ import annotations

import asyncio

from comfy_orchestrator_nodes.waiting import nudged


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
