"""The route that tells what this machine does."""

from __future__ import annotations

from aiohttp import web

from .routing import PREFIX, Part
from .telemetry.sampler import Sampler

PATH = PREFIX + "/telemetry"

MOST_WATCH_S = 60.0


def telemetry_part(sampler: Sampler) -> Part:
    """Return what telemetry adds to the agent.

    ``GET …/telemetry?after=CURSOR&watch_s=SECONDS``: the samples after a cursor of the answer before, the latest one
    without; ``watch_s`` has samples taken each second for so long (at most 60 s) from now.
    """

    async def get_telemetry(request: web.Request) -> web.Response:
        """Return the latest samples of this machine."""
        watch_s = _seconds(request.query.get("watch_s", ""))
        if watch_s > 0:
            sampler.watch(min(watch_s, MOST_WATCH_S))
        return web.Response(
            body=sampler.answer(request.query.get("after", "")[:64]),
            content_type="application/json",
            headers={"Cache-Control": "no-store"},
        )

    return Part(capabilities=("telemetry",), routes=[web.get(PATH, get_telemetry)])


def _seconds(text: str) -> float:
    """Return a time that was asked for; none for what is no number, since nothing depends on it."""
    try:
        value = float(text)
    except ValueError:
        return 0.0
    return value if value == value else 0.0
