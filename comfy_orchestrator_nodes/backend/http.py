"""One backend's HTTP exchanges: the session, its credentials and time-outs, bounded reading, typed errors.

What is known when an exchange fails decides what may be done next, so the errors keep it apart: ``BackendUnreachable``
means that no connection was made and nothing was sent; ``BackendTimedOut`` and ``ConnectionLost`` mean that the request
may or may not have been taken. aiohttp repeats a GET by itself when a kept connection turns out to be dead, and never a
POST; such a POST is ``ConnectionLost``, since the backend may have read it before it hung up.

Redirects are never followed: they could carry the credentials to another host.
"""

from __future__ import annotations

import asyncio
import base64
import json
import ssl
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, TypeVar

import aiohttp

from ..domain import Backend, Credentials, Json, TlsOptions
from ..errors import (
    BackendError,
    BackendFault,
    BackendRefused,
    BackendTimedOut,
    BackendUnreachable,
    ConnectionLost,
    InvalidRequest,
    PayloadTooLarge,
    ProtocolViolation,
)
from .fields import Malformed, loads
from .urls import normalize_base_url, route_url, without_secrets

T = TypeVar("T")

USER_AGENT = "ComfyUI-Orchestrator"

CLOSED_UNDERNEATH = (RuntimeError, AttributeError, AssertionError)
"""What a request raises when its session is closed while it connects: aiohttp finds its connector gone."""

CLOSED = "the connection was closed by us; this backend is no longer used."

_FRAMING_HEADERS = frozenset(
    {"host", "content-length", "content-type", "content-encoding", "transfer-encoding", "accept-encoding", "connection"}
    | {"upgrade", "te", "trailer", "expect", "keep-alive"}
)


@dataclass(frozen=True)
class Timeouts:
    """How long a backend may take, in seconds; but for ``connect_s`` counted from when the connection stands."""

    connect_s: float = 5.0
    """For a connection: name look-up, TCP and TLS."""
    control_s: float = 15.0
    """For the whole of a small question and its answer."""
    submit_s: float = 60.0
    """For a submitted prompt: the backend validates every node before it answers."""
    document_s: float = 120.0
    """For large documents: object_info, model lists, the queue, a history entry."""
    idle_s: float = 60.0
    """For the next byte of an upload or download to move."""
    heartbeat_s: float = 30.0
    """Between pings on the socket; half of it is waited for the answer."""
    retry_min_s: float = 0.5
    """The first pause before the socket is opened again; it doubles up to ``retry_max_s``."""
    retry_max_s: float = 30.0


@dataclass(frozen=True)
class Limits:
    """How much is read of a backend's answers, in bytes. More than that is a ``ProtocolViolation``."""

    answer_bytes: int = 4 << 20
    """A small answer."""
    document_bytes: int = 256 << 20
    """object_info, the queue or a history entry, decoded at once."""
    message_bytes: int = 256 << 20
    """One message of the socket. Far above aiohttp's 4 MiB: some nodes send whole images."""
    file_bytes: int = 64 << 30
    """One downloaded file."""


def credential_headers(credentials: Credentials) -> dict[str, str]:
    """Return the headers that present the credentials. A bearer token wins over a user name.

    Raises:
        InvalidRequest: a header cannot be sent, or would change how requests are framed.
    """
    headers: dict[str, str] = {}
    for name, value in credentials.headers.items():
        if not _is_token(name) or name.lower() in _FRAMING_HEADERS:
            raise InvalidRequest(f"{name[:100]!r} cannot be used as a header of a backend's credentials.")
        headers[name] = _checked(value, f"The value of the header {name}")
    if credentials.username is not None:
        pair = f"{credentials.username}:{credentials.password or ''}".encode()
        headers["Authorization"] = f"Basic {base64.b64encode(pair).decode()}"
    if credentials.bearer_token is not None:
        headers["Authorization"] = f"Bearer {_checked(credentials.bearer_token, 'The bearer token')}"
    if credentials.agent_token is not None:
        # Only the agent's own routes get it; here it is only checked, with the rest.
        _checked(credentials.agent_token, "The agent's token")
    return headers


def ssl_setting(tls: TlsOptions) -> ssl.SSLContext | bool:
    """Return aiohttp's ``ssl`` argument: True checks against the system's authorities, False checks nothing.

    Raises:
        InvalidRequest: the file of certificates cannot be read.
    """
    if not tls.verify:
        return False
    if tls.ca_file is None:
        return True
    try:
        return ssl.create_default_context(cafile=tls.ca_file)
    except (OSError, ssl.SSLError) as error:
        reason = error.strerror or type(error).__name__
        raise InvalidRequest(
            f"The certificate file {tls.ca_file!r} cannot be used ({reason}). Give a readable PEM file."
        ) from error


class Http:
    """The HTTP side of one backend. Made on the loop that uses it; close it with ``aclose``.

    A certificate file that cannot be read is told by every request instead: it may be there again tomorrow.

    Raises:
        InvalidUrl: the backend's base URL is unusable.
        InvalidRequest: its credentials are.
    """

    def __init__(self, backend: Backend, timeouts: Timeouts, limits: Limits) -> None:
        self.name = backend.name
        self.base_url = normalize_base_url(backend.base_url)
        self.timeouts = timeouts
        self.limits = limits
        self._tls = backend.tls
        self.headers = {
            "User-Agent": USER_AGENT,
            # Lengths and limits are those of what arrives: nothing is decompressed on our side.
            "Accept-Encoding": "identity",
            **credential_headers(backend.credentials),
        }
        self._session: aiohttp.ClientSession | None = None
        self._closed = False

    @property
    def closed(self) -> bool:
        """Whether ``aclose`` was called."""
        return self._closed

    def new_session(self, trace: aiohttp.TraceConfig | None = None) -> aiohttp.ClientSession:
        """Return a session of its own with this backend's headers and TLS; the caller closes it.

        Cookies are not kept, environment proxies not used, and connections not limited: callers bound what is in
        flight, and waiting for a connection would look like an unreachable backend.

        Raises:
            BackendUnreachable: its certificate file cannot be used.
        """
        try:
            checked = ssl_setting(self._tls)
        except InvalidRequest as error:
            raise BackendUnreachable(self.name, str(error)) from error
        return aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0, ssl=checked),
            headers=self.headers,
            cookie_jar=aiohttp.DummyCookieJar(),
            timeout=self.timeout(self.timeouts.control_s),
            auto_decompress=False,
            trace_configs=[trace] if trace is not None else None,
        )

    def timeout(self, total_s: float | None, *, idle_s: float | None = None) -> aiohttp.ClientTimeout:
        """Return aiohttp's form of a time-out that always bounds the connecting, too.

        aiohttp counts the connecting into the total; adding it keeps the two apart, so that a backend that cannot be
        connected to is never taken for one that does not answer.
        """
        connect_s = self.timeouts.connect_s
        total = None if total_s is None else connect_s + total_s
        return aiohttp.ClientTimeout(total=total, connect=connect_s, sock_read=idle_s)

    @asynccontextmanager
    async def request(
        self,
        method: str,
        path: str,
        *,
        timeout: aiohttp.ClientTimeout,
        query: Mapping[str, str] | None = None,
        data: Any = None,
        headers: Mapping[str, str] | None = None,
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        """Send one request and yield its response, whatever its status; the body is read inside.

        Raises:
            BackendUnreachable: no connection was made, nothing was sent.
            BackendTimedOut: the answer, or the next part of it, did not come in time.
            ConnectionLost: the connection broke.
            ProtocolViolation: what came is no HTTP.
        """
        if self._closed:
            raise BackendUnreachable(self.name, CLOSED)
        if self._session is None:
            self._session = self.new_session()
        url = route_url(self.base_url, path, query)
        try:
            async with self._session.request(
                method, url, data=data, headers=headers, timeout=timeout, allow_redirects=False
            ) as response:
                yield response
        except (aiohttp.ClientError, asyncio.TimeoutError) as error:
            # Not OSError: aiohttp wraps its own, and one from whoever takes the body is theirs.
            raise self.translate(error) from error
        except CLOSED_UNDERNEATH as error:
            if not self._closed:
                raise
            raise ConnectionLost(self.name, "the connection was closed by us before the answer came.") from error

    async def ask(self, path: str, parse: Callable[[Json], T], *, document: bool = False) -> T:
        """Return what a route answers, parsed. A large ``document`` is given more time and bytes.

        Raises:
            BackendError: see ``request``, ``fault`` and ``read_json``.
            ProtocolViolation: the answer has another shape than ``parse`` expects.
        """
        total_s = self.timeouts.document_s if document else self.timeouts.control_s
        limit = self.limits.document_bytes if document else self.limits.answer_bytes
        async with self.request("GET", path, timeout=self.timeout(total_s)) as response:
            if response.status != HTTPStatus.OK:
                raise self.fault(response)
            answer = await self.read_json(response, limit)
        return self.parsed(path, parse, answer)

    async def post(self, path: str, body: Json) -> None:
        """Send JSON to a route whose answer says nothing but its status.

        Raises:
            BackendError: see ``request`` and ``fault``.
        """
        async with self.post_json(path, json.dumps(body).encode(), total_s=self.timeouts.control_s) as response:
            if response.status != HTTPStatus.OK:
                raise self.fault(response)
            await self.read(response, self.limits.answer_bytes)

    @asynccontextmanager
    async def post_json(self, path: str, body: bytes, *, total_s: float) -> AsyncIterator[aiohttp.ClientResponse]:
        """Send encoded JSON and yield the response."""
        headers = {"Content-Type": "application/json"}
        async with self.request("POST", path, data=body, headers=headers, timeout=self.timeout(total_s)) as response:
            yield response

    async def read_json(self, response: aiohttp.ClientResponse, limit: int) -> Json:
        """Read a response's body as JSON.

        Raises:
            ProtocolViolation: it is not JSON, or larger than ``limit`` bytes.
        """
        if response.content_type != "application/json":
            raise self.violation(
                response, f"{response.content_type[:100]} instead of JSON. Is this the address of a ComfyUI server?"
            )
        try:
            return loads(await self.read(response, limit))
        except Malformed as error:
            raise self.violation(response, f"JSON that cannot be read: {error}.") from error

    async def read(self, response: aiohttp.ClientResponse, limit: int) -> bytes:
        """Read a response's body into memory.

        Raises:
            ProtocolViolation: it is compressed although we refused that, or larger than ``limit`` bytes.
        """
        self.check_encoding(response)
        if response.content_length is not None and response.content_length > limit:
            raise self.violation(response, f"{response.content_length} bytes, more than the {limit} that are read.")
        parts: list[bytes] = []
        size = 0
        async for part in response.content.iter_any():
            size += len(part)
            if size > limit:
                raise self.violation(response, f"more than the {limit} bytes that are read.")
            parts.append(part)
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def check_encoding(self, response: aiohttp.ClientResponse) -> None:
        """Refuse a compressed body: asked not to, a server that sends one could send any size."""
        encoding = response.headers.get("Content-Encoding", "identity").strip().lower()
        if encoding not in ("", "identity"):
            raise self.violation(response, "a compressed body although an uncompressed one was asked for.")

    def violation(self, response: aiohttp.ClientResponse, what: str) -> ProtocolViolation:
        """Return the error for an answer that is not what ComfyUI sends."""
        return ProtocolViolation(self.name, f"{response.method} {response.url.path} answered {what}")

    def parsed(self, path: str, parse: Callable[[Json], T], answer: Json) -> T:
        """Return decoded JSON as a type.

        Raises:
            ProtocolViolation: it has another shape than ``parse`` expects.
        """
        try:
            return parse(answer)
        except Malformed as error:
            what = f"{path} answered something that ComfyUI does not send: {error}."
            raise ProtocolViolation(self.name, what) from error

    def fault(self, response: aiohttp.ClientResponse) -> BackendError:
        """Return the error for a response's status. Its body is not repeated: it may hold what we sent."""
        route = f"{response.method} {response.url.path}"
        return self.status_error(response.status, route, response.headers.get("Location"))

    def status_error(self, status: int, route: str, location: str | None = None) -> BackendError:
        """Return the error for an HTTP status other than the expected one."""
        phrase = _phrase(status)
        if status in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN):
            return BackendRefused(self.name, f"{route} answered {phrase}. Check this backend's credentials.")
        if status == HTTPStatus.REQUEST_ENTITY_TOO_LARGE:
            return PayloadTooLarge(
                self.name,
                f"{route} answered {phrase}. Start it with a larger --max-upload-size, or raise its proxy's limit.",
            )
        if 300 <= status < 400:
            target = (without_secrets(location or "") or "somewhere else")[:300]
            return BackendFault(
                self.name,
                f"{route} answered a redirect to {target}, which is not followed. Register that address, or let the "
                "proxy pass ComfyUI's routes without signing in.",
                status=status,
            )
        if status == HTTPStatus.NOT_FOUND:
            hint = "Check the address and its path: a ComfyUI has this route."
            return BackendFault(self.name, f"{route} answered {phrase}. {hint}", status=status)
        return BackendFault(self.name, f"{route} answered {phrase}.", status=status)

    def translate(self, error: BaseException) -> BackendError:
        """Return the typed error for what aiohttp raised."""
        if isinstance(error, (aiohttp.ClientConnectorError, aiohttp.ClientConnectorCertificateError)):
            return BackendUnreachable(self.name, f"no connection to {self.base_url}: {_connect_reason(error)}")
        if isinstance(error, aiohttp.ConnectionTimeoutError):
            return BackendUnreachable(
                self.name, f"no connection to {self.base_url} within {self.timeouts.connect_s:g} s."
            )
        if isinstance(error, asyncio.TimeoutError):
            return BackendTimedOut(self.name, "the connection stands, but no answer came in time.")
        if isinstance(error, (aiohttp.ClientResponseError, aiohttp.InvalidURL)):
            return ProtocolViolation(self.name, f"{self.base_url} does not answer as an HTTP server should.")
        if isinstance(error, aiohttp.ClientPayloadError):
            return ConnectionLost(self.name, "the answer was cut short.")
        reason = error.strerror if isinstance(error, OSError) and error.strerror else "it hung up"
        return ConnectionLost(self.name, f"the connection broke off before the answer came: {reason}.")

    async def aclose(self) -> None:
        """Close every connection. Requests under way end with ``ConnectionLost``."""
        self._closed = True
        if self._session is not None:
            await self._session.close()


def _connect_reason(error: BaseException) -> str:
    if isinstance(error, aiohttp.ClientConnectorCertificateError):
        return (
            "its certificate is not trusted. Give the CA file that signed it, or switch the check off if you accept "
            "the risk."
        )
    if isinstance(error, aiohttp.ClientConnectorDNSError):
        return "there is no such host. Check the name in the address."
    if isinstance(error, aiohttp.ClientSSLError):
        return "the TLS handshake failed. Is it https on that port?"
    reason = error.strerror if isinstance(error, OSError) else None
    return f"{reason or 'refused'}. Is ComfyUI running there, started with --listen?"


def _phrase(status: int) -> str:
    try:
        return f"{status} {HTTPStatus(status).phrase}"
    except ValueError:
        return f"status {status}"


def _checked(value: str, what: str) -> str:
    if any((ord(ch) < 0x20 and ch != "\t") or ord(ch) == 0x7F for ch in value):
        raise InvalidRequest(f"{what} holds control characters. Paste it again without line breaks.")
    return value


def _is_token(name: str) -> bool:
    return bool(name) and all(ch.isascii() and (ch.isalnum() or ch in "!#$%&'*+-.^_`|~") for ch in name)
