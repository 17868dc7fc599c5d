"""The one WebSocket to a backend: opened, kept alive, opened again, and read as typed messages."""

from __future__ import annotations

import asyncio
import json
import logging
import random
import uuid
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from typing import TypeAlias

import aiohttp

from ..errors import BackendError, BackendFault, BackendTimedOut, BackendUnreachable, ConnectionLost, ProtocolViolation
from .fields import Malformed
from .http import CLOSED_UNDERNEATH, Http
from .messages import Connected, Disconnected, Message, UnknownMessage, parse_binary, parse_text
from .urls import socket_url

_log = logging.getLogger(__name__)

Socket: TypeAlias = "aiohttp.ClientWebSocketResponse[bool]"
Frame: TypeAlias = "str | bytes"
"""A text or a binary message as it came."""

_HELLO = json.dumps({"type": "feature_flags", "data": {"supports_preview_metadata": True}})
"""Must be the first message, or the backend ignores it (``server.websocket_handler``)."""

_CLOSE_WAIT_S = 1.0
_MAX_KINDS_LOGGED = 200
_ENDED = (aiohttp.WSMsgType.CLOSE, aiohttp.WSMsgType.CLOSING, aiohttp.WSMsgType.CLOSED)


class Connection:
    """A backend's WebSocket for ever: each connection has a fresh client id.

    The id is not used again for it because a ComfyUI that still holds the old socket drops the new one of the same id
    when the old one ends. A second socket may overhear what still goes to the old id, as long as nothing depends on it.
    """

    def __init__(
        self, http: Http, *, on_connected: Callable[[], None], jitter: Callable[[], float] = random.random
    ) -> None:
        self._http = http
        self._on_connected = on_connected
        self._jitter = jitter
        self._client_id: str | None = None
        self._listening = False
        self._stop = asyncio.Event()
        self._pause_over = asyncio.Event()
        self._session: aiohttp.ClientSession | None = None
        self._socket: Socket | None = None
        self._kinds_logged: set[str] = set()

    @property
    def client_id(self) -> str | None:
        """The id of the socket that stands now, or None."""
        return self._client_id

    async def listen(self) -> AsyncGenerator[Message, None]:
        """Yield the backend's messages until ``aclose``; see ``ComfyClient.listen``.

        Raises:
            RuntimeError: somebody listens already.
        """
        if self._listening:
            raise RuntimeError("This backend's messages are already being listened to.")
        self._listening = True
        self._session = session = self._http.new_session(_no_redirects())
        try:
            async with aclosing(self._for_ever(session)) as messages:
                async for message in messages:
                    yield message
        finally:
            self._listening = False
            self._session = None
            await session.close()

    async def overhear(self, client_id: str) -> AsyncGenerator[Message, None]:
        """Yield the messages to the client id of an earlier socket; see ``ComfyClient.overhear``."""
        async with self._http.new_session(_no_redirects()) as session:
            socket = await self._open(session, client_id)
            try:
                await self._greet(socket)
                while (frame := await self._receive(socket)) is not None:
                    message = self._parse(frame)
                    if message is not None:
                        yield message
            finally:
                await socket.close()

    def hurry(self) -> None:
        """End the pause before the next try, because somebody knows that the backend answers again."""
        self._pause_over.set()

    async def aclose(self) -> None:
        """End ``listen``, also while it is connecting, and close the socket."""
        self._stop.set()
        self._pause_over.set()
        if self._socket is not None:
            await self._socket.close()
        if self._session is not None:
            await self._session.close()

    async def _for_ever(self, session: aiohttp.ClientSession) -> AsyncGenerator[Message, None]:
        now = asyncio.get_running_loop().time
        failures = 0
        down = False
        while not self._stop.is_set():
            error: BackendError | None = None
            began = now()
            self._pause_over.clear()
            try:
                async with aclosing(self._one_socket(session)) as messages:
                    async for message in messages:
                        down = False
                        yield message
            except BackendError as caught:
                error = caught
            if self._stop.is_set():
                return
            if not down and now() - began >= self._http.timeouts.retry_max_s:
                # It was a good connection. One that breaks at once each time must not be opened in a tight loop.
                failures = 0
            if not down:
                down = True
                yield Disconnected(error or ConnectionLost(self._http.name, "the backend closed the socket."))
            await self._pause(failures)
            failures += 1

    async def _one_socket(self, session: aiohttp.ClientSession) -> AsyncGenerator[Message, None]:
        """Yield the messages of one connection; ends when the backend closes it, raises when it breaks."""
        client_id = uuid.uuid4().hex
        socket = await self._open(session, client_id)
        self._socket = socket
        try:
            await self._greet(socket)
            first = await self._first(socket)
            if first is None:
                return
            # The backend speaks only after it has registered the id, so from here on no message of ours is lost.
            self._client_id = client_id
            self._on_connected()
            yield Connected(client_id)
            frame: Frame | None = first
            while frame is not None:
                message = self._parse(frame)
                if message is not None:
                    yield message
                frame = await self._receive(socket)
        finally:
            self._client_id = None
            self._socket = None
            await socket.close()

    async def _open(self, session: aiohttp.ClientSession, client_id: str) -> Socket:
        try:
            return await session.ws_connect(
                socket_url(self._http.base_url, client_id),
                heartbeat=self._http.timeouts.heartbeat_s,
                max_msg_size=self._http.limits.message_bytes,
                timeout=aiohttp.ClientWSTimeout(ws_close=_CLOSE_WAIT_S),
            )
        except aiohttp.WSServerHandshakeError as error:
            raise self._handshake_error(error) from error
        except _Redirected as error:
            raise self._http.status_error(error.status, "GET /ws", error.location) from error
        except (aiohttp.ClientError, asyncio.TimeoutError, OSError) as error:
            raise self._http.translate(error) from error
        except CLOSED_UNDERNEATH as error:
            if not self._stop.is_set():
                raise
            raise BackendUnreachable(self._http.name, "the connection was closed by us.") from error

    def _handshake_error(self, error: aiohttp.WSServerHandshakeError) -> BackendError:
        if error.status in (200, 101):
            return ProtocolViolation(self._http.name, "/ws is no WebSocket. Does the proxy before it pass them on?")
        found = self._http.status_error(error.status, "GET /ws")
        if isinstance(found, BackendFault):
            text = f"{found.message.split(': ', 1)[-1]} Does the proxy before it pass WebSockets on?"
            return BackendFault(self._http.name, text, status=found.status)
        return found

    async def _greet(self, socket: Socket) -> None:
        try:
            await socket.send_str(_HELLO)
        except (aiohttp.ClientError, OSError) as error:
            raise self._http.translate(error) from error

    async def _first(self, socket: Socket) -> Frame | None:
        """Wait for the first message: ComfyUI sends its status at once to every new socket."""
        try:
            return await self._receive(socket, self._http.timeouts.control_s)
        except asyncio.TimeoutError as error:
            raise BackendTimedOut(self._http.name, "the socket stands, but ComfyUI's greeting did not come.") from error

    async def _receive(self, socket: Socket, timeout: float | None = None) -> Frame | None:
        """Return the next message, or None when the backend closed the socket properly."""
        received = await socket.receive(timeout)
        if received.type is aiohttp.WSMsgType.ERROR:
            if isinstance(received.data, aiohttp.WebSocketError):
                raise ProtocolViolation(
                    self._http.name, f"the socket broke its protocol (code {received.data.code})."
                ) from received.data
            raise self._lost(socket)
        if received.type not in _ENDED:
            frame: Frame = received.data
            return frame
        if socket.close_code == aiohttp.WSCloseCode.ABNORMAL_CLOSURE and not self._stop.is_set():
            raise self._lost(socket)
        return None

    def _lost(self, socket: Socket) -> BackendError:
        cause = socket.exception()
        if isinstance(cause, asyncio.TimeoutError):
            return ConnectionLost(self._http.name, "the socket is dead: no answer to a ping.")
        return ConnectionLost(self._http.name, "the socket broke off.")

    def _parse(self, frame: Frame) -> Message | None:
        """Return the typed message. One that cannot be understood is logged once per kind and left out."""
        try:
            return parse_text(frame) if isinstance(frame, str) else parse_binary(frame)
        except UnknownMessage as unknown:
            self._log_once(logging.DEBUG, unknown.kind, "%s sends messages of the kind %s, which are not used.")
        except Malformed as malformed:
            self._log_once(logging.WARNING, str(malformed)[:300], "%s sent a message that cannot be read: %s.")
        return None

    def _log_once(self, level: int, kind: str, text: str) -> None:
        if kind in self._kinds_logged or len(self._kinds_logged) >= _MAX_KINDS_LOGGED:
            return
        self._kinds_logged.add(kind)
        _log.log(level, text, self._http.name, kind)

    async def _pause(self, failures: int) -> None:
        """Wait before the next try: doubling, and a random half of it, so that masters do not come in step."""
        longest = self._http.timeouts.retry_max_s
        step = min(longest, self._http.timeouts.retry_min_s * 2.0 ** min(failures, 30))
        over = asyncio.ensure_future(self._pause_over.wait())
        try:
            await asyncio.wait({over}, timeout=step * (0.5 + self._jitter() / 2))
        finally:
            over.cancel()


def _no_redirects() -> aiohttp.TraceConfig:
    trace = aiohttp.TraceConfig()
    trace.on_request_redirect.append(_refuse_redirect)
    return trace


class _Redirected(Exception):
    def __init__(self, status: int, location: str | None) -> None:
        super().__init__(status)
        self.status = status
        self.location = location


async def _refuse_redirect(
    _session: aiohttp.ClientSession, _context: object, params: aiohttp.TraceRequestRedirectParams
) -> None:
    """Stop aiohttp before it follows a redirect of the socket, which ``ws_connect`` cannot be told otherwise."""
    params.response.close()
    raise _Redirected(params.response.status, params.response.headers.get("Location"))
