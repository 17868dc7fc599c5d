"""Files to and from a backend, streamed: never whole in memory, never past a limit, never silently cut short."""

from __future__ import annotations

import asyncio
import logging
import os
import uuid
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import BinaryIO, TypeAlias
from urllib.parse import quote

import aiohttp

from ..errors import BackendFault, BackendTimedOut, ConnectionLost, InvalidRequest, PayloadTooLarge
from .answers import parse_uploaded
from .http import Http
from .results import FILE_PLACES, RemoteFile

_log = logging.getLogger(__name__)

Sink: TypeAlias = Callable[[bytes], object]
"""Takes the next part of a file. Called one part at a time, in order; in a worker thread unless the file is small.

It is never called any more once the download has ended, failed or been cancelled.
"""

_SMALL_BYTES = 256 << 10
"""Files up to this size are handed over on the loop: a thread would cost more than the write."""
_PART_BYTES = 1 << 20


@dataclass(frozen=True)
class Uploaded:
    """A file that a backend has stored. Its name may differ from the one asked for; ``bytes_sent`` counts the body."""

    file: RemoteFile
    bytes_sent: int


async def upload(
    http: Http,
    source: BinaryIO | Path,
    *,
    name: str,
    subfolder: str,
    place: str,
    media_type: str,
    overwrite: bool,
    max_bytes: int | None,
) -> Uploaded:
    """Send one file to ``/upload/image``; see ``ComfyClient.upload``."""
    if isinstance(source, Path):
        opened = await asyncio.to_thread(source.open, "rb")
        try:
            return await upload(
                http,
                opened,
                name=name,
                subfolder=subfolder,
                place=place,
                media_type=media_type,
                overwrite=overwrite,
                max_bytes=max_bytes,
            )
        finally:
            await asyncio.to_thread(opened.close)
    size = await asyncio.to_thread(_remaining_bytes, source)
    if max_bytes is not None and size > max_bytes:
        raise PayloadTooLarge(
            http.name,
            f"{name} has {size} bytes, and this backend accepts {max_bytes}. Start it with a larger "
            "--max-upload-size (in MB).",
            size_bytes=size,
            max_bytes=max_bytes,
        )
    fields = {"type": place, "subfolder": subfolder, **({"overwrite": "true"} if overwrite else {})}
    body = _Multipart(source, size, fields, name, media_type)
    return Uploaded(await _send(http, body), body.sent)


async def view(http: Http, file: RemoteFile, sink: Sink, max_bytes: int) -> int:
    """Read one file from ``/view``; see ``ComfyClient.view``."""
    query = {"filename": file.name, "subfolder": file.subfolder, "type": file.type}
    timeout = http.timeout(None, idle_s=http.timeouts.idle_s)
    async with http.request("GET", "/view", query=query, timeout=timeout) as response:
        if response.status == HTTPStatus.NOT_FOUND:
            raise BackendFault(http.name, f"it has no file {file.annotated} (any more).", status=404)
        if response.status != HTTPStatus.OK:
            raise http.fault(response)
        http.check_encoding(response)
        expected = response.content_length
        if expected is not None and expected > max_bytes:
            raise http.violation(response, f"a file of {expected} bytes; at most {max_bytes} are read.")
        if expected is None and response.headers.get("Transfer-Encoding", "").lower() != "chunked":
            raise http.violation(response, "a file without its length, so that a cut-off copy could not be told.")
        received = await _drain(http, response, sink, max_bytes)
    if expected is not None and received != expected:
        raise ConnectionLost(http.name, f"{file.annotated} broke off after {received} of {expected} bytes.")
    return received


async def _drain(http: Http, response: aiohttp.ClientResponse, sink: Sink, max_bytes: int) -> int:
    """Hand the body to the sink in parts of about a megabyte, and return its size."""
    received = 0
    pending: list[bytes] = []
    held = 0
    async for part in response.content.iter_any():
        received += len(part)
        if received > max_bytes:
            raise http.violation(response, f"a file of more than the {max_bytes} bytes that are read.")
        pending.append(part)
        held += len(part)
        if held >= _PART_BYTES:
            await _hand_over(sink, b"".join(pending))
            pending, held = [], 0
    if not pending:
        return received
    rest = pending[0] if len(pending) == 1 else b"".join(pending)
    if received <= _SMALL_BYTES:
        sink(rest)
    else:
        await _hand_over(sink, rest)
    return received


async def _hand_over(sink: Sink, part: bytes) -> None:
    """Call the sink in a thread, and see it end even when cancelled: whoever owns the file may close it after that."""
    call = asyncio.ensure_future(asyncio.to_thread(sink, part))
    try:
        await asyncio.shield(call)
    except asyncio.CancelledError:
        await asyncio.wait({call})
        if not call.cancelled() and (error := call.exception()) is not None:
            _log.info("A cancelled download could not write its last part: %s", error)
        raise


class _Multipart:
    """A form with one file, streamed with a known length. ``sent`` counts the bytes handed to the socket."""

    def __init__(self, source: BinaryIO, size: int, fields: dict[str, str], name: str, media_type: str) -> None:
        boundary = uuid.uuid4().hex
        head = "".join(
            f'--{boundary}\r\nContent-Disposition: form-data; name="{key}"\r\n\r\n{value}\r\n'
            for key, value in fields.items()
        )
        head += (
            f'--{boundary}\r\nContent-Disposition: form-data; name="image"; {_file_name(name)}\r\n'
            f"Content-Type: {media_type}\r\n\r\n"
        )
        self._source = source
        self._head = head.encode()
        self._tail = f"\r\n--{boundary}--\r\n".encode()
        self._size = size
        self.length = len(self._head) + size + len(self._tail)
        self.content_type = f"multipart/form-data; boundary={boundary}"
        self.sent = 0
        self.failure: Exception | None = None
        """What reading the file raised. aiohttp turns it into a broken connection, which it is not."""

    async def parts(self) -> AsyncIterator[bytes]:
        """Yield the body."""
        yield self._counted(self._head)
        left = self._size
        while left:
            part = await self._read(min(left, _PART_BYTES), left)
            left -= len(part)
            yield self._counted(part)
        yield self._counted(self._tail)

    async def _read(self, wanted: int, left: int) -> bytes:
        try:
            part = await asyncio.to_thread(self._source.read, wanted)
        except (OSError, ValueError) as error:
            self.failure = error
            raise
        if part:
            return part
        self.failure = InvalidRequest(f"The file got shorter while it was uploaded: {left} bytes are missing.")
        raise self.failure

    def _counted(self, part: bytes) -> bytes:
        self.sent += len(part)
        return part


async def _send(http: Http, body: _Multipart) -> RemoteFile:
    """Post the body, and give up when for ``idle_s`` neither a byte was taken nor the answer came.

    aiohttp's own time-outs do not cover a peer that stops reading in the middle of a body.
    """
    task = asyncio.ensure_future(_post(http, body))
    try:
        while not task.done():
            before = body.sent
            await asyncio.wait({task}, timeout=http.timeouts.idle_s)
            if not task.done() and body.sent == before:
                raise BackendTimedOut(http.name, f"the upload stood still for {http.timeouts.idle_s:g} s.")
        return task.result()
    except ConnectionLost as lost:
        if body.failure is not None:
            raise body.failure from lost
        raise
    finally:
        if not task.done():
            task.cancel()
            await asyncio.wait({task})


async def _post(http: Http, body: _Multipart) -> RemoteFile:
    headers = {"Content-Type": body.content_type, "Content-Length": str(body.length)}
    timeout = http.timeout(None)
    async with http.request("POST", "/upload/image", data=body.parts(), headers=headers, timeout=timeout) as response:
        if response.status != HTTPStatus.OK:
            raise http.fault(response)
        answer = await http.read_json(response, http.limits.answer_bytes)
    return http.parsed("/upload/image", parse_uploaded, answer)


def check_names(name: str, subfolder: str, place: str, media_type: str) -> None:
    """Refuse names that a form cannot hold or that would leave the folder.

    Raises:
        InvalidRequest: the name is empty or no plain file name, or the subfolder or media type is no such thing.
    """
    if not name or name in (".", "..") or any(ch in "/\\" or not ch.isprintable() for ch in name):
        raise InvalidRequest(f"{name[:200]!r} is no plain file name; folders go into the subfolder.")
    steps = subfolder.replace("\\", "/").split("/")
    if ".." in steps or subfolder.startswith(("/", "\\")) or not all(ch.isprintable() for ch in subfolder):
        raise InvalidRequest(f"{subfolder[:200]!r} is no folder below ComfyUI's own.")
    if place not in FILE_PLACES:
        # ComfyUI answers an unknown one with a bare status 500.
        raise InvalidRequest(f"{place[:200]!r} is none of ComfyUI's folders: {', '.join(sorted(FILE_PLACES))}.")
    if not media_type.isascii() or not all(ch.isprintable() for ch in media_type):
        raise InvalidRequest(f"{media_type[:200]!r} is no media type.")


def _file_name(name: str) -> str:
    quoted = name.replace("\\", "\\\\").replace('"', '\\"')
    if name.isascii():
        return f'filename="{quoted}"'
    # Both forms, the plain one for parsers that do not know RFC 5987; aiohttp's prefers the encoded one.
    plain = quoted.encode("ascii", errors="replace").decode()
    return f"filename=\"{plain}\"; filename*=UTF-8''{quote(name, safe='')}"


def _remaining_bytes(source: BinaryIO) -> int:
    position = source.tell()
    end = source.seek(0, os.SEEK_END)
    source.seek(position)
    return end - position
