"""One blocking HTTP connection to a backend, for threads that move many bytes.

Large values do not pass the event loop: there each part costs the whole server a turn, and copying it holds the GIL. A
thread that reads into a buffer of its own, and hashes and writes from it, holds the GIL for microseconds only.
"""

from __future__ import annotations

import socket
import ssl
from collections.abc import Callable, Mapping
from http import client as http_client
from itertools import cycle
from pathlib import Path
from typing import Any, BinaryIO
from urllib.parse import urlsplit

from ..agent import wire
from ..domain import TlsOptions
from ..errors import BackendTimedOut, BackendUnreachable, ConnectionLost, InvalidRequest, ProtocolViolation
from .http import Http, ssl_setting
from .link import Link, Moved

ENCODING_HEADER = "X-Orchestrator-Encoding"
SIZE_HEADER = "X-Orchestrator-Size"
_BUFFER_BYTES = 1 << 20
_ANSWER_BYTES = 1 << 20
"""Of an answer that is no blob."""


class Pipe:
    """A connection that is made when first needed and kept while it is sound. One thread at a time uses it."""

    def __init__(self, http: Http, tls: TlsOptions, link: Link, zstd: wire.Zstd | None = None) -> None:
        """Take what reaches the backend, the link to be measured, and what values can be packed with."""
        self._http = http
        self._link = link
        self._zstd = zstd
        parts = urlsplit(http.base_url)
        self._prefix = parts.path.rstrip("/")
        self._connection = _connection(http, parts.scheme, parts.hostname or "", parts.port, tls)
        self._buffers = [memoryview(bytearray(_BUFFER_BYTES)) for _ in range(2)]
        self._socket: socket.socket | None = None
        """Of its own, because http.client lets go of it once a response says that it will be closed."""
        self._response: http_client.HTTPResponse | None = None
        self.aborted = False
        """Whether it was broken by us; it is of no use any more."""

    def get(
        self,
        path: str,
        headers: Mapping[str, str],
        expected: Callable[[http_client.HTTPResponse], int],
        write: Callable[[memoryview], object],
    ) -> int:
        """Read a body into ``write``, part by part, and return its size in bytes.

        Args:
            path: below the backend's base URL.
            headers: beside the backend's own.
            expected: returns how many bytes the body must have, or raises what the response amounts to.
            write: takes parts that are overwritten after its next call has returned.

        Raises:
            BackendError: see the class; ``ConnectionLost`` where it broke off.
        """
        with _Translated(self), self._link.moving() as moved:
            response = self._ask("GET", path, headers)
            left = total = expected(response)
            if response.getheader(ENCODING_HEADER) is not None:
                self._unpack(response, total, write, moved)
                left = 0
            for buffer in cycle(self._buffers):
                if not left:
                    break
                got = response.readinto(buffer[: min(left, _BUFFER_BYTES)])
                if not got:
                    raise ConnectionLost(self._http.name, f"a value broke off {left} bytes before its end.")
                left -= got
                moved.size_bytes += got
                write(buffer[:got])
            if response.read(1):
                raise ProtocolViolation(self._http.name, "it sent more than the value that was asked for.")
        return total

    def _unpack(
        self,
        response: http_client.HTTPResponse,
        total: int,
        write: Callable[[memoryview], object],
        moved: Moved,
    ) -> None:
        if response.getheader(ENCODING_HEADER) != wire.PACKING or self._zstd is None:
            raise ProtocolViolation(self._http.name, "it sent a value packed in a way that was not asked for.")
        unpacker = wire.Unpacker(self._zstd, total)
        while not unpacker.complete:
            got = response.readinto(self._buffers[0])
            if not got:
                raise ConnectionLost(self._http.name, "a packed value broke off before its end.")
            moved.size_bytes += got
            for block in unpacker.feed(self._buffers[0][:got]):
                write(memoryview(block))

    def put(self, path: str, headers: Mapping[str, str], source: Path, offset: int, size: int) -> tuple[int, bytes]:
        """Send part of a file as a body, without reading it into memory; return the status and the body of the answer.

        Raises:
            BackendError: see the class; ``ConnectionLost`` where it broke off before an answer.
        """
        packed = headers.get(ENCODING_HEADER) == wire.PACKING
        length = {"Transfer-Encoding": "chunked"} if packed else {"Content-Length": str(size)}
        with _Translated(self), self._link.moving() as moved, source.open("rb") as file:
            self._connect()
            self._connection.putrequest("PUT", self._prefix + path, skip_accept_encoding=True)
            for name, value in {**self._http.headers, **headers, **length}.items():
                self._connection.putheader(name, value)
            self._connection.endheaders()
            try:
                if packed:
                    self._send_packed(file, offset, size, moved)
                elif size and self._socket is not None:
                    moved.size_bytes += self._socket.sendfile(file, offset, size)
            except (BrokenPipeError, ConnectionResetError):
                # It may have said no before it had everything: the answer is worth more than the broken pipe.
                pass
            response = self._answer()
            answer = response.read(_ANSWER_BYTES)
            if not response.isclosed():
                self.close()
        return response.status, answer

    def _send_packed(self, file: BinaryIO, offset: int, size: int, moved: Moved) -> None:
        if self._zstd is None:
            raise ValueError("There is nothing here to pack with.")
        file.seek(offset)
        left = size
        while left:
            raw = file.read(min(left, _BUFFER_BYTES))
            if not raw:
                raise ConnectionLost(self._http.name, "the file of a value is shorter than it was.")
            left -= len(raw)
            block = wire.pack(self._zstd, raw)
            self._connection.send(b"%x\r\n%b\r\n" % (len(block), block))
            moved.size_bytes += len(block)
        self._connection.send(b"0\r\n\r\n")

    def abort(self) -> None:
        """Break the connection for good, from any thread: whoever reads or writes there is told at once."""
        self.aborted = True
        sock = self._socket
        if sock is None:
            return
        try:
            sock.shutdown(socket.SHUT_RDWR)
        except OSError:
            # Broken already.
            return

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()
        if self._response is not None:
            self._response.close()
        if self._socket is not None:
            self._socket.close()
        self._socket = self._response = None

    def _ask(self, method: str, path: str, headers: Mapping[str, str]) -> http_client.HTTPResponse:
        self._connect()
        self._connection.request(method, self._prefix + path, headers={**self._http.headers, **headers})
        return self._answer()

    def _answer(self) -> http_client.HTTPResponse:
        self._response = self._connection.getresponse()
        return self._response

    def _connect(self) -> None:
        if self._socket is not None and self._connection.sock is self._socket:
            return
        self.close()
        try:
            self._connection.connect()
        except OSError as error:
            reason = _connect_reason(error)
            raise BackendUnreachable(self._http.name, f"no connection to {self._http.base_url}: {reason}") from error
        self._socket = self._connection.sock
        self._socket.settimeout(self._http.timeouts.idle_s)
        if self.aborted:
            # While it connected there was nothing to break.
            raise ConnectionLost(self._http.name, "the connection was closed by us.")


class _Translated:
    """Closes a pipe on which something went wrong, and gives what http.client raises the types of this package."""

    def __init__(self, pipe: Pipe) -> None:
        self._pipe = pipe

    def __enter__(self) -> None:
        return None

    def __exit__(self, _type: Any, error: BaseException | None, _traceback: Any) -> None:
        if error is None:
            return
        self._pipe.close()
        http = self._pipe._http
        if isinstance(error, TimeoutError):
            text = f"nothing of a value moved for {http.timeouts.idle_s:g} s."
            raise BackendTimedOut(http.name, text) from error
        if isinstance(error, (ConnectionError, http_client.IncompleteRead)):
            raise ConnectionLost(http.name, "the connection broke off while a value moved.") from error
        if isinstance(error, wire.MalformedValue):
            raise ProtocolViolation(http.name, f"it sent a packed value that is damaged: {error}") from error
        if isinstance(error, http_client.HTTPException):
            raise ProtocolViolation(http.name, f"{http.base_url} does not answer as an HTTP server should.") from error


def _connection(http: Http, scheme: str, host: str, port: int | None, tls: TlsOptions) -> http_client.HTTPConnection:
    timeout = http.timeouts.connect_s
    if scheme != "https":
        return http_client.HTTPConnection(host, port, timeout=timeout)
    try:
        setting = ssl_setting(tls)
    except InvalidRequest as error:
        raise BackendUnreachable(http.name, str(error)) from error
    context = setting if isinstance(setting, ssl.SSLContext) else ssl.create_default_context()
    if setting is False:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return http_client.HTTPSConnection(host, port, timeout=timeout, context=context)


def _connect_reason(error: OSError) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return "its certificate is not trusted. Give the CA file that signed it."
    if isinstance(error, ssl.SSLError):
        return "the TLS handshake failed. Is it https on that port?"
    if isinstance(error, TimeoutError):
        return "it did not answer in time."
    return f"{error.strerror or 'refused'}."
