"""A TCP server on loopback that does to each connection what a test says, byte by byte."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Request:
    """An HTTP request as it was read."""

    method: str
    target: str
    headers: dict[str, str]
    body: bytes


@dataclass
class Link:
    """One connection that a client made."""

    number: int
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def read_request(self) -> Request | None:
        """Read one request with a body of known length; None at the end of the connection."""
        try:
            head = (await self.reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        except (asyncio.IncompleteReadError, ConnectionError):
            return None
        first, *lines = head.split("\r\n")[:-2]
        method, target, _ = first.split(" ")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        body = await self.reader.readexactly(int(headers.get("content-length", "0")))
        return Request(method, target, headers, body)

    async def answer(self, body: bytes = b"{}", status: str = "200 OK", **headers: str) -> None:
        """Send a whole response and keep the connection."""
        named = {"Content-Type": "application/json", "Content-Length": str(len(body))}
        named |= {name.replace("_", "-"): value for name, value in headers.items()}
        head = "".join(f"{name}: {value}\r\n" for name, value in named.items())
        self.writer.write(f"HTTP/1.1 {status}\r\n{head}\r\n".encode() + body)
        await self.writer.drain()

    def abort(self) -> None:
        """Hang up with a reset."""
        self.writer.transport.abort()


Script = Callable[[Link], Awaitable[None]]


@dataclass
class RawServer:
    """Where it listens, and the requests that its script noted."""

    port: int
    requests: list[Request] = field(default_factory=list)
    links: int = 0

    @property
    def url(self) -> str:
        """The base URL."""
        return f"http://127.0.0.1:{self.port}"


@asynccontextmanager
async def raw_server(
    script: Callable[[RawServer, Link], Awaitable[None]], *, tls: ssl.SSLContext | None = None
) -> AsyncIterator[RawServer]:
    """Run a server; each connection is served by ``script``, which ends with the block at the latest."""
    state = RawServer(0)
    tasks: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        state.links += 1
        try:
            await script(state, Link(state.links, reader, writer))
            # What was written still arrives, however busy the machine is.
            writer.close()
            await writer.wait_closed()
        except (ConnectionError, asyncio.CancelledError):
            # The client hung up, or the test is over.
            pass
        finally:
            tasks.discard(task)
            writer.transport.abort()

    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=tls)
    state.port = server.sockets[0].getsockname()[1]
    try:
        yield state
    finally:
        server.close()
        for task in list(tasks):
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
