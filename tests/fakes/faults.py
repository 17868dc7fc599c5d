"""What a test may do to one request of the fake backend: hold it, cut it, or answer something else."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from aiohttp import web

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
Fault = Callable[[web.Request, Handler], Awaitable[web.StreamResponse]]
"""Gets the request and the ordinary handler; returns the response that is sent."""


def cut_before() -> Fault:
    """Read the request and hang up without doing anything."""

    async def fault(request: web.Request, _handler: Handler) -> web.StreamResponse:
        await request.read()
        return _hang_up(request)

    return fault


def cut_after() -> Fault:
    """Do what was asked, then hang up instead of answering."""

    async def fault(request: web.Request, handler: Handler) -> web.StreamResponse:
        await handler(request)
        return _hang_up(request)

    return fault


def answer(status: int, body: bytes = b"", content_type: str = "application/json", **headers: str) -> Fault:
    """Answer this and do nothing."""

    async def fault(request: web.Request, _handler: Handler) -> web.StreamResponse:
        await request.read()
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return web.Response(status=status, body=body, headers={**named, "Content-Type": content_type})

    return fault


def truncate(sent_bytes: int) -> Fault:
    """Announce the whole answer, send its first bytes, and hang up."""

    async def fault(request: web.Request, handler: Handler) -> web.StreamResponse:
        whole = await handler(request)
        assert isinstance(whole, web.Response)
        assert isinstance(whole.body, bytes)
        stream = web.StreamResponse(status=whole.status)
        stream.content_type = whole.content_type
        stream.content_length = len(whole.body)
        await stream.prepare(request)
        await stream.write(whole.body[:sent_bytes])
        _hang_up(request)
        return stream

    return fault


@dataclass
class Hold:
    """Hold a request until the test lets go: ``fault()`` is what to give to the backend.

    With ``handle_first`` what was asked is done first and only the answer is held.
    """

    handle_first: bool = False
    arrived: asyncio.Event = field(default_factory=asyncio.Event)
    let_go: asyncio.Event = field(default_factory=asyncio.Event)

    def fault(self) -> Fault:
        """Return the fault for one request."""

        async def fault(request: web.Request, handler: Handler) -> web.StreamResponse:
            done = await handler(request) if self.handle_first else None
            self.arrived.set()
            await self.let_go.wait()
            return done if done is not None else await handler(request)

        return fault


def endless(content_type: str = "application/json") -> Fault:
    """Answer with a body that never ends."""

    async def fault(request: web.Request, _handler: Handler) -> web.StreamResponse:
        stream = web.StreamResponse()
        stream.content_type = content_type
        stream.enable_chunked_encoding()
        await stream.prepare(request)
        while request.transport is not None and not request.transport.is_closing():
            await stream.write(b" " * 65536)
        return stream

    return fault


def _hang_up(request: web.Request) -> web.Response:
    if request.transport is not None:
        request.transport.abort()
    return web.Response()
