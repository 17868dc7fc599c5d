"""Waiting for a limited time, so that a cancel is never swallowed.

Before Python 3.12 ``asyncio.wait_for`` does that when the cancel comes together with what was waited for: a loop that
is cancelled then goes on, and whoever waits for its end waits for ever.
"""

from __future__ import annotations

import asyncio


async def nudged(event: asyncio.Event, within_s: float | None) -> None:
    """Wait until an event is set, which happens by itself after a time, if there is one."""
    alarm = asyncio.get_running_loop().call_later(within_s, event.set) if within_s is not None else None
    try:
        await event.wait()
    finally:
        if alarm is not None:
            alarm.cancel()
