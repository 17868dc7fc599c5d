"""Waiting for a limited time, so that a cancel is never swallowed.

Before Python 3.12 ``asyncio.wait_for`` does that when the cancel comes together with what was waited for: a loop that
is cancelled then goes on, and whoever waits for its end waits for ever.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

ResultT = TypeVar("ResultT")


async def within(work: Coroutine[Any, Any, ResultT], limit_s: float | None) -> ResultT:
    """Return what ``work`` returns, if it does in time; in any case it has ended when this does.

    Raises:
        asyncio.TimeoutError: it did not; it was cancelled.
        asyncio.CancelledError: we were cancelled, whatever came of the work in the same moment.
    """
    task = asyncio.ensure_future(work)
    try:
        await asyncio.wait({task}, timeout=limit_s)
        if not task.done():
            task.cancel()
            await asyncio.wait({task})
            if task.cancelled():
                raise asyncio.TimeoutError
    except asyncio.CancelledError:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        raise
    return task.result()


async def nudged(event: asyncio.Event, within_s: float | None) -> None:
    """Wait until an event is set, which happens by itself after a time, if there is one."""
    alarm = asyncio.get_running_loop().call_later(within_s, event.set) if within_s is not None else None
    try:
        await event.wait()
    finally:
        if alarm is not None:
            alarm.cancel()
