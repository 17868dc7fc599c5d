"""A TCP proxy on loopback that stands before a backend and spoils what passes: whole connections, or one exchange.

Connections: ``cut_all`` breaks those that stand, ``refuse`` lets nobody connect, ``freeze`` leaves them half-open
(nothing moves, nobody is told), ``delay_s`` and ``bytes_per_s`` slow everything down. One exchange: a ``Fault`` for the
next request to a route cuts, holds or garbles the request or its answer at a chosen byte. What it holds it delivers
later, even when the client has given up meanwhile: that is how a submit arrives twice.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from enum import Enum
from urllib.parse import urlsplit


class Part(Enum):
    """Which half of an exchange."""

    REQUEST = "request"
    ANSWER = "answer"


class Where(Enum):
    """Before which byte of that half."""

    BEFORE = "before"
    IN_HEAD = "in the head"
    IN_BODY = "in the body"
    AFTER = "after"

    def position(self, head_bytes: int, total_bytes: int) -> int:
        """Return how many bytes pass first."""
        if self is Where.BEFORE:
            return 0
        if self is Where.IN_HEAD:
            return head_bytes // 2
        return (head_bytes + total_bytes) // 2 if self is Where.IN_BODY else total_bytes


class Act(Enum):
    """What happens there."""

    CUT = "cut"
    HOLD = "hold"
    GARBLE = "garble"


@dataclass
class Fault:
    """Of one exchange. ``arrived`` tells that it was met; a held one waits for ``let_go``."""

    part: Part
    where: Where
    act: Act
    arrived: asyncio.Event = field(default_factory=asyncio.Event)
    let_go: asyncio.Event = field(default_factory=asyncio.Event)


class _Over(Exception):
    """The connection was cut on purpose."""


@dataclass
class _Message:
    """A request or an answer as it was read, whole."""

    first_line: bytes
    head: bytes
    body: bytes

    @property
    def whole(self) -> bytes:
        return self.head + self.body


class Proxy:
    """Stands before one server; its own port stays the same while the server's may change."""

    def __init__(self, target_url: str) -> None:
        self.target_url = target_url
        self.delay_s = 0.0
        self.bytes_per_s: float | None = None
        self.exchanges: list[str] = []
        """Method and path of each request that came."""
        self._flow = asyncio.Event()
        self._flow.set()
        self._faults: dict[tuple[str, str], deque[Fault]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._writers: set[asyncio.StreamWriter] = set()
        self._server: asyncio.Server | None = None
        self._port = 0

    @property
    def url(self) -> str:
        """The base URL to give to the client."""
        return f"http://127.0.0.1:{self._port}{urlsplit(self.target_url).path}"

    def fail(self, method: str, path: str, *faults: Fault) -> None:
        """Let the next requests to this path (without its query) meet these faults, one each."""
        self._faults.setdefault((method, path), deque()).extend(faults)

    def freeze(self) -> None:
        """Let nothing pass in either direction; connections stand and new ones are accepted."""
        self._flow.clear()

    def thaw(self) -> None:
        """Let everything pass again, what was held back first."""
        self._flow.set()

    def cut_all(self) -> None:
        """Break every connection that stands."""
        for writer in list(self._writers):
            writer.transport.abort()

    async def refuse(self) -> None:
        """Break every connection and accept no new ones."""
        if self._server is not None:
            self._server.close()
            self._server = None
        self.cut_all()

    async def accept(self) -> None:
        """Accept connections, at the same port as before."""
        if self._server is None:
            self._server = await asyncio.start_server(self._serve, "127.0.0.1", self._port)
            self._port = self._server.sockets[0].getsockname()[1]

    async def close(self) -> None:
        """End everything."""
        await self.refuse()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    # --- one connection

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        self._writers.add(writer)
        upstream: asyncio.StreamWriter | None = None
        try:
            target = urlsplit(self.target_url)
            server, upstream = await asyncio.open_connection(target.hostname, target.port)
            self._writers.add(upstream)
            while await self._exchange(reader, writer, server, upstream):
                continue
        except (OSError, asyncio.IncompleteReadError, _Over, asyncio.CancelledError):
            # One side hung up, a fault hung up for it, or the test is over.
            pass
        finally:
            for one in (writer, upstream):
                if one is not None:
                    self._writers.discard(one)
                    one.transport.abort()
            self._tasks.discard(task)

    async def _exchange(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        server: asyncio.StreamReader,
        upstream: asyncio.StreamWriter,
    ) -> bool:
        """Pass one request and its answer on; return whether the connection can serve another."""
        head = await reader.readuntil(b"\r\n\r\n")
        method, target, _ = head.split(b"\r\n", 1)[0].decode("latin-1").split(" ")
        path = target.split("?", 1)[0]
        self.exchanges.append(f"{method} {path}")
        if b"upgrade: websocket" in head.lower():
            await self._send(upstream, head)
            await self._pump_both(reader, writer, server, upstream)
            return False
        faults = self._faults.get((method, path))
        fault = faults.popleft() if faults else None
        request = await _rest(reader, head, has_body=True)
        await self._pass(request, upstream, fault if fault is not None and fault.part is Part.REQUEST else None)
        answer_head = await server.readuntil(b"\r\n\r\n")
        answer = await _rest(server, answer_head, has_body=method != "HEAD", answer=True)
        await self._pass(answer, writer, fault if fault is not None and fault.part is Part.ANSWER else None)
        return b"connection: close" not in answer.head.lower()

    async def _pass(self, message: _Message, to: asyncio.StreamWriter, fault: Fault | None) -> None:
        if fault is None:
            await self._send(to, message.whole)
            return
        position = fault.where.position(len(message.head), len(message.whole))
        await self._send(to, message.whole[:position])
        fault.arrived.set()
        if fault.act is Act.CUT:
            raise _Over
        if fault.act is Act.HOLD:
            await fault.let_go.wait()
            await self._send(to, message.whole[position:])
            return
        await self._send(to, bytes(byte ^ 0x5A for byte in message.whole[position:]) or b"\x5a")

    async def _pump_both(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        server: asyncio.StreamReader,
        upstream: asyncio.StreamWriter,
    ) -> None:
        pumps = [
            asyncio.ensure_future(self._pump(reader, upstream)),
            asyncio.ensure_future(self._pump(server, writer)),
        ]
        try:
            await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for pump in pumps:
                pump.cancel()
            await asyncio.gather(*pumps, return_exceptions=True)

    async def _pump(self, source: asyncio.StreamReader, to: asyncio.StreamWriter) -> None:
        while data := await source.read(65536):
            await self._send(to, data)

    async def _send(self, to: asyncio.StreamWriter, data: bytes) -> None:
        await self._flow.wait()
        if self.delay_s:
            await asyncio.sleep(self.delay_s)
        step = len(data) if self.bytes_per_s is None else max(1, int(self.bytes_per_s / 20))
        for start in range(0, len(data), max(1, step)):
            to.write(data[start : start + step])
            await to.drain()
            if self.bytes_per_s is not None:
                await asyncio.sleep(step / self.bytes_per_s)


async def _rest(reader: asyncio.StreamReader, head: bytes, *, has_body: bool, answer: bool = False) -> _Message:
    """Read the body that a head announces."""
    if not has_body:
        return _Message(head.split(b"\r\n", 1)[0], head, b"")
    first_line, *lines = head.split(b"\r\n")
    fields = {name.lower(): value.strip() for name, _, value in (line.partition(b":") for line in lines)}
    if fields.get(b"transfer-encoding", b"").lower() == b"chunked":
        body = b""
        while not body.endswith(b"0\r\n\r\n"):
            size_line = await reader.readuntil(b"\r\n")
            body += size_line + await reader.readexactly(int(size_line, 16) + 2)
        return _Message(first_line, head, body)
    if b"content-length" in fields:
        return _Message(first_line, head, await reader.readexactly(int(fields[b"content-length"])))
    bodyless = not answer or first_line.split(b" ")[1] in (b"204", b"304")
    return _Message(first_line, head, b"" if bodyless else await reader.read())


@asynccontextmanager
async def proxy_before(url: str) -> AsyncIterator[Proxy]:
    """Run a proxy before the server at ``url`` while the block runs."""
    proxy = Proxy(url)
    await proxy.accept()
    try:
        yield proxy
    finally:
        await proxy.close()
