"""Blobs of a backend's agent: asked for, fetched and sent, whole or from where it broke off (docs/agent-protocol.md).

A blob is named by its content, so every exchange may be repeated, and a wrong byte is always found out.
"""

from __future__ import annotations

import asyncio
import json
import logging
import re
from collections.abc import Callable, Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from http import HTTPStatus
from http import client as http_client
from pathlib import Path
from typing import Any, Protocol, TypeVar

from ..agent import wire
from ..domain import BLOB_MEDIA_TYPE, FileRef, Json, TlsOptions
from ..errors import BackendFault, BackendUnreachable, ConnectionLost, ProtocolViolation, ValueLost
from .agent import agent_headers
from .fields import Malformed, array, clipped, loads, obj, text, whole
from .http import CLOSED, Http
from .link import Link
from .pipe import ENCODING_HEADER, SIZE_HEADER, Pipe

log = logging.getLogger(__name__)

T = TypeVar("T")

PATH = "/orchestrator/agent/blobs"
AT_ONCE = 4
"""How many blobs move between the master and one backend at the same time."""

_ACCEPT_HEADER = "X-Orchestrator-Accept"
_SHA256 = re.compile(r"[0-9a-f]{64}")
_BYTES = re.compile(r"[0-9]{1,18}")
_ASK_AT_ONCE = 5000
_FAILURES = 3
"""After so many breaks in a row without a byte in between, moving a blob is given up."""


class BlobSink(Protocol):
    """Takes a blob, in a thread."""

    def write(self, data: memoryview, /) -> object:
        """Take the next part, which is overwritten after this returns."""
        ...

    def append(self, data: memoryview, /) -> object:
        """Take the next part, which is overwritten once the next call, or ``settle``, has returned."""
        ...

    def settle(self) -> None:
        """Return when no part is read any more."""
        ...

    def finish(self) -> None:
        """Take note that it was the last one."""
        ...


class _Taking:
    """A sink with the number of bytes that it took so far."""

    def __init__(self, sink: BlobSink) -> None:
        self._sink = sink
        self.settle, self.finish = sink.settle, sink.finish
        self.done = 0

    def write(self, data: memoryview) -> None:
        self._sink.write(data)
        self.done += len(data)

    def append(self, data: memoryview) -> None:
        self._sink.append(data)
        self.done += len(data)


class Blobs:
    """The blobs of one backend. Lives on the server loop; bytes move in threads of its own."""

    def __init__(self, http: Http, tls: TlsOptions, token: str | None) -> None:
        self._http = http
        self._tls = tls
        self._headers: Mapping[str, str] = agent_headers(token)
        self.link = Link()
        self._zstd = wire.find_zstd()
        self.can_unpack = False
        """Whether the agent packs and unpacks as we do, by its handshake."""
        self._threads: ThreadPoolExecutor | None = None
        self._idle: list[Pipe] = []
        self._busy: set[Pipe] = set()
        self._gate = asyncio.Semaphore(AT_ONCE)
        self._closed = False

    async def missing(self, hashes: Collection[str], *, owner: str = "", lease_s: float = 0) -> set[str]:
        """Return which of these blobs the backend lacks. The others it keeps for ``owner`` for that time at least.

        Raises:
            BackendError: it does not say.
        """
        lacking: set[str] = set()
        wanted = list(dict.fromkeys(hashes))
        for start in range(0, len(wanted), _ASK_AT_ONCE):
            lease = {"owner": owner, "lease_s": lease_s} if owner and lease_s else {}
            body = json.dumps({"sha256": wanted[start : start + _ASK_AT_ONCE], **lease}).encode()
            answer = await self._post("missing", body)
            lacking |= set(self._http.parsed(f"{PATH}/missing", _parse_missing, answer))
        return lacking

    async def release(self, owner: str) -> None:
        """Let the backend delete what it keeps for ``owner`` when it needs the room.

        Raises:
            BackendError: it could not be asked.
        """
        await self._post("release", json.dumps({"owner": owner}).encode())

    async def fetch(self, ref: FileRef, sink: BlobSink) -> int:
        """Hand a blob's bytes to a sink, in order; go on where it broke off. Return the bytes received.

        Everything happens in one thread of this backend's own, the end of the sink included: for many values each
        change of threads would count.

        Raises:
            ValueLost: the backend does not have it any more.
            BackendError: it could not be fetched.
            Exception: what the sink raised.
        """
        if ref.size_bytes > self._http.limits.file_bytes:
            text = f"a value of {ref.size_bytes} bytes is more than the {self._http.limits.file_bytes} that are read."
            raise ProtocolViolation(self._http.name, text)
        taking = _Taking(sink)
        failures = 0
        while True:
            before = taking.done
            try:
                await self._with_pipe(partial(self._get, ref, taking))
            except ConnectionLost as error:
                failures = failures + 1 if taking.done == before else 0
                if failures >= _FAILURES:
                    raise
                log.info("%s: %s is fetched from byte %d on: %s", self._http.name, ref.sha256[:12], taking.done, error)
            else:
                return taking.done

    async def send(self, ref: FileRef, path: Callable[[], Path], *, owner: str = "", lease_s: float = 0) -> int:
        """Send a blob from a file, from where an upload of it broke off; return the bytes sent.

        Args:
            ref: the blob.
            path: says where its file is; called in the thread that sends it.
            owner: for whom it is kept there.
            lease_s: for how long at least.

        Raises:
            BackendError: it could not be sent, or the backend found its content to be another one.
        """
        lease = {"X-Orchestrator-Lease": f"{owner}; seconds={lease_s:.0f}"} if owner else {}
        failures = 0
        while True:
            offset = await self._offset(ref) if failures else 0
            try:
                return await self._with_pipe(partial(self._put, ref, path, offset, lease))
            except ConnectionLost as error:
                failures += 1
                if failures >= _FAILURES:
                    raise
                log.info("%s: %s is sent again: %s", self._http.name, ref.sha256[:12], error)

    async def aclose(self) -> None:
        """Break off whatever moves and close the connections."""
        self._closed = True
        for pipe in self._busy:
            pipe.abort()
        for pipe in self._idle:
            pipe.close()
        if self._threads is not None:
            self._threads.shutdown(wait=False, cancel_futures=True)

    def _get(self, ref: FileRef, taking: _Taking, pipe: Pipe) -> None:
        offset = taking.done

        def expected(response: http_client.HTTPResponse) -> int:
            return self._length(response, ref, offset)

        wanted = {"Range": f"bytes={offset}-"} if offset else {}
        if self._packs:
            wanted[_ACCEPT_HEADER] = wire.PACKING
        try:
            # Several at once keep the cores busy without further threads.
            take = taking.append if len(self._busy) == 1 else taking.write
            pipe.get(f"{PATH}/{ref.sha256}", {**self._headers, **wanted}, expected, take)
        finally:
            # The pipe's memory is for the next one.
            taking.settle()
        taking.finish()

    def _length(self, response: http_client.HTTPResponse, ref: FileRef, offset: int) -> int:
        if response.status == HTTPStatus.NOT_FOUND:
            raise ValueLost(
                f"{self._http.name} does not have the value {ref.sha256[:12]}… any more.", sha256=ref.sha256
            )
        if response.status != (HTTPStatus.PARTIAL_CONTENT if offset else HTTPStatus.OK):
            raise self._http.status_error(response.status, f"GET {PATH}")
        packed = response.getheader(SIZE_HEADER, "") if response.getheader(ENCODING_HEADER) is not None else ""
        length = _told(packed) if packed else response.length
        if length is None:
            raise ConnectionLost(self._http.name, "a value came without its length, or its head was cut short.")
        if length != ref.size_bytes - offset:
            text = f"it sent {length} bytes of a value where {ref.size_bytes - offset} were expected."
            raise ProtocolViolation(self._http.name, text)
        return ref.size_bytes - offset

    def _put(self, ref: FileRef, path: Callable[[], Path], offset: int, lease: Mapping[str, str], pipe: Pipe) -> int:
        headers = {**self._headers, **lease}
        if offset:
            headers["Content-Range"] = f"bytes {offset}-{ref.size_bytes - 1}/{ref.size_bytes}"
        size = ref.size_bytes - offset
        if self._packs:
            headers |= {ENCODING_HEADER: wire.PACKING, SIZE_HEADER: str(size)}
        status, answer = pipe.put(f"{PATH}/{ref.sha256}", headers, path(), offset, size)
        if status in (HTTPStatus.OK, HTTPStatus.CREATED):
            return size
        if status in (HTTPStatus.CONFLICT, HTTPStatus.REQUEST_TIMEOUT):
            raise ConnectionLost(self._http.name, "an upload has to go on at another place.")
        raise self._refusal(status, answer)

    async def size(self, sha256: str) -> int | None:
        """Return the size of a blob in bytes, or None where the backend does not have it.

        Raises:
            BackendError: it does not say.
        """
        status, headers = await self._head(sha256)
        return _told(headers.get("Content-Length", "")) if status == HTTPStatus.OK else None

    @property
    def _packs(self) -> bool:
        return self.can_unpack and self._zstd is not None and self.link.is_slow

    async def _offset(self, ref: FileRef) -> int:
        """Return how much of a blob arrived before an upload broke off."""
        status, headers = await self._head(ref.sha256)
        kept = _told(headers.get("X-Orchestrator-Offset", "")) if status == HTTPStatus.NOT_FOUND else None
        return kept if kept is not None and kept <= ref.size_bytes else 0

    async def _head(self, sha256: str) -> tuple[int, Mapping[str, str]]:
        timeout = self._http.timeout(self._http.timeouts.control_s)
        async with self._http.request("HEAD", f"{PATH}/{sha256}", timeout=timeout, headers=self._headers) as response:
            if response.status not in (HTTPStatus.OK, HTTPStatus.NOT_FOUND):
                raise self._http.fault(response)
            return response.status, response.headers.copy()

    async def _post(self, verb: str, body: bytes) -> Json:
        headers = {**self._headers, "Content-Type": "application/json"}
        timeout = self._http.timeout(self._http.timeouts.control_s)
        path = f"{PATH}/{verb}"
        async with self._http.request("POST", path, data=body, headers=headers, timeout=timeout) as response:
            if response.status == HTTPStatus.NO_CONTENT:
                return None
            if response.status != HTTPStatus.OK:
                raise self._http.fault(response)
            return await self._http.read_json(response, self._http.limits.answer_bytes)

    def _refusal(self, status: int, answer: bytes) -> Exception:
        found = self._http.status_error(status, f"PUT {PATH}")
        if not isinstance(found, BackendFault):
            return found
        try:
            error = obj(obj(loads(answer), "the answer").get("error"), "its error")
            said = text(error.get("message"), "the message")
        except Malformed:
            return found
        return BackendFault(self._http.name, f"it refused a value: {clipped(said, 500)}", status=status)

    async def _with_pipe(self, work: Callable[[Pipe], T]) -> T:
        """Run ``work`` in a thread; when this is cancelled, break the connection and see the thread end."""
        # Waited for here and not in the threads' queue: there a transfer that nobody wants any more would still begin.
        async with self._gate:
            if self._closed:
                raise BackendUnreachable(self._http.name, CLOSED)
            return await self._in_thread(work)

    async def _in_thread(self, work: Callable[[Pipe], T]) -> T:
        if self._threads is None:
            self._threads = ThreadPoolExecutor(AT_ONCE, thread_name_prefix="orchestrator-blobs")
        pipe = self._idle.pop() if self._idle else Pipe(self._http, self._tls, self.link, self._zstd)
        self._busy.add(pipe)
        submitted = self._threads.submit(work, pipe)
        call = asyncio.wrap_future(submitted)
        # However this ends, and however often it is cancelled: a pipe is free when its thread is done with it.
        call.add_done_callback(partial(self._put_back, pipe))
        try:
            await asyncio.wait({call})
        except asyncio.CancelledError:
            pipe.abort()
            if not submitted.cancel():
                await asyncio.wait({call})
            raise
        if call.cancelled():
            raise BackendUnreachable(self._http.name, CLOSED)
        return call.result()

    def _put_back(self, pipe: Pipe, call: asyncio.Future[Any]) -> None:
        """Keep a pipe for the next: one that broke is closed, and connects anew when needed; not one that we broke."""
        if not call.cancelled() and (error := call.exception()) is not None:
            log.debug("A transfer ended with: %s", error)
        self._busy.discard(pipe)
        if self._closed or pipe.aborted:
            pipe.close()
        else:
            self._idle.append(pipe)


def _told(header: str) -> int | None:
    """Return the number of bytes that a header tells, if it tells one."""
    return int(header) if _BYTES.fullmatch(header) else None


def _parse_missing(value: Json) -> list[str]:
    listed = array(obj(value, "the answer").get("missing"), "missing")
    if not all(isinstance(one, str) for one in listed):
        raise Malformed("missing holds something that is no hash")
    return listed


def kept_blobs(backend: str, told: Sequence[Json]) -> tuple[FileRef, ...]:
    """Return what an agent says that it keeps of a node's output, in order.

    Raises:
        ProtocolViolation: it does not say that as it should.
    """
    try:
        return tuple(_kept_blob(obj(one, "a handle")) for one in told)
    except Malformed as error:
        raise ProtocolViolation(
            backend, f"its agent told of its values in a way that is not known: {error}."
        ) from error


def _kept_blob(handle: Mapping[str, Json]) -> FileRef:
    sha256, size = text(handle.get("sha256"), "sha256"), whole(handle.get("size_bytes"), "size_bytes")
    if not _SHA256.fullmatch(sha256) or size < 0 or handle.get("form", "value") != "value":
        raise Malformed("a handle names no value")
    return FileRef(sha256, size, BLOB_MEDIA_TYPE)
