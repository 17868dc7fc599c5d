"""The master's routes, as the commands use them."""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO
from urllib.parse import urlencode

import aiohttp

from ..backend.urls import normalize_base_url, route_url, segment
from ..errors import InvalidUrl
from .failures import CommandFailed, Exit, bad_input

PREFIX = "/orchestrator"
HEADER = ("X-Orchestrator", "1")
"""Without it the master refuses whatever changes something."""

CONNECT_S = 10.0
ANSWER_S = 60.0
CHUNK_BYTES = 1 << 20

Json = Any


class Unanswered(CommandFailed):
    """The master could not be reached or did not answer; asking again may help."""

    code = "master_unreachable"


class Refused(CommandFailed):
    """The master answered with an error; ``status`` is the HTTP status."""

    code = "master_refused"

    def __init__(self, message: str, status: int, code: str, details: Mapping[str, Json]) -> None:
        super().__init__(message, _exit_of(status), code=code)
        self.status = status
        self._details = dict(details)


class Master:
    """One master, by its address. Use it as ``async with Master(url) as master``."""

    def __init__(self, url: str) -> None:
        """Make it without connecting.

        Raises:
            CommandFailed: the address is unusable.
        """
        try:
            self.url = normalize_base_url(url)
        except InvalidUrl as error:
            raise bad_input(f"--master {url!r} cannot be used. {error}") from None
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Master:
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_S, sock_read=ANSWER_S)
        self._session = aiohttp.ClientSession(timeout=timeout, headers=dict([HEADER]))
        return self

    async def __aexit__(
        self, _type: type[BaseException] | None, _error: BaseException | None, _traceback: TracebackType | None
    ) -> None:
        if self._session is not None:
            await self._session.close()

    async def get(
        self,
        path: str,
        query: Mapping[str, str] | None = None,
        *,
        repeated: Mapping[str, Sequence[str]] | None = None,
    ) -> dict[str, Json]:
        """Return the JSON answer of a route. ``path`` lies below ``/orchestrator`` and is quoted already.

        Args:
            path: the route.
            query: what stands behind the question mark.
            repeated: of that, names that may stand there several times.

        Raises:
            Unanswered: the master does not answer.
            Refused: it answered with an error.
        """
        pairs = [*(query or {}).items(), *((n, value) for n, values in (repeated or {}).items() for value in values)]
        return await self._ask("GET", path, query=pairs)

    async def post(self, path: str, body: Json = None) -> dict[str, Json]:
        """Return the JSON answer of a route that does something. Errors as ``get``."""
        return await self._ask("POST", path, json={} if body is None else body)

    async def patch(self, path: str, body: Json) -> dict[str, Json]:
        """Change something and return the JSON answer. Errors as ``get``."""
        return await self._ask("PATCH", path, json=body)

    async def upload(
        self, path: str, file: BinaryIO, media_type: str, query: Mapping[str, str] | None = None
    ) -> dict[str, Json]:
        """Send a file as the body of a POST and return the JSON answer. Errors as ``get``."""
        pairs = list((query or {}).items())
        return await self._ask("POST", path, query=pairs, data=file, headers={"Content-Type": media_type})

    async def object_info(self) -> dict[str, Json]:
        """Return the node classes of the master's own ComfyUI (``GET /object_info``). Errors as ``get``."""
        async with self._request("GET", "/object_info") as response:
            return await self._answer(response)

    async def file(self, path: str, query: Mapping[str, str] | None = None) -> bytes:
        """Return the bytes of a route that answers a file. Errors as ``get``."""
        async with self._request("GET", PREFIX + path, query=list((query or {}).items())) as response:
            if response.status != 200:
                await self._answer(response)
            return await response.read()

    async def download(self, url: str, sha256: str, target: Path) -> None:
        """Write a stored file to ``target`` and check that it is what its hash says.

        Raises:
            Unanswered: the master does not answer, or the connection broke.
            Refused: it answered with an error.
            CommandFailed: what came is not what the hash says.
            OSError: the file cannot be written.
        """
        digest = hashlib.sha256()
        async with self._request("GET", url) as response:
            if response.status != 200:
                await self._answer(response)
            with target.open("wb") as file:
                async for chunk in response.content.iter_chunked(CHUNK_BYTES):
                    digest.update(chunk)
                    file.write(chunk)
        if digest.hexdigest() != sha256:
            raise CommandFailed(
                "A result was damaged on its way from the master. Run the command again.", Exit.JOB_FAILED
            )

    async def _ask(
        self, method: str, path: str, *, query: Sequence[tuple[str, str]] = (), **options: Any
    ) -> dict[str, Json]:
        async with self._request(method, PREFIX + path, query=query, **options) as response:
            return await self._answer(response)

    @asynccontextmanager
    async def _request(
        self,
        method: str,
        path: str,
        *,
        query: Sequence[tuple[str, str]] = (),
        **options: Any,
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        assert self._session is not None, "use it as 'async with'"
        url = route_url(self.url, f"{path}?{urlencode(query)}" if query else path)
        try:
            async with self._session.request(method, url, allow_redirects=False, **options) as response:
                yield response
        except asyncio.TimeoutError:
            raise self._unanswered("it did not answer in time") from None
        except aiohttp.ClientConnectorError as error:
            # The text that asyncio makes of a refused connection does not say so.
            reason = os.strerror(error.os_error.errno) if error.os_error.errno else str(error.os_error)
            raise self._unanswered(f"no connection ({reason})") from None
        except aiohttp.ClientError as error:
            raise self._unanswered(f"the connection broke ({error or type(error).__name__})") from None

    def _unanswered(self, why: str) -> Unanswered:
        return Unanswered(
            f"The master at {self.url} cannot be reached: {why}. Start ComfyUI there, or name another with --master or "
            "the environment variable ORCHESTRATOR_URL.",
            Exit.UNREACHABLE,
            code=Unanswered.code,
            url=self.url,
        )

    async def _answer(self, response: aiohttp.ClientResponse) -> dict[str, Json]:
        data = await response.read()
        try:
            answer = json.loads(data)
        except ValueError:
            answer = None
        if response.status < 300 and isinstance(answer, dict):
            return answer
        error = answer.get("error") if isinstance(answer, dict) else None
        if isinstance(error, dict) and isinstance(error.get("message"), str):
            details = error.get("details")
            raise Refused(
                error["message"],
                response.status,
                str(error.get("code", "error")),
                details if isinstance(details, dict) else {},
            )
        raise CommandFailed(
            f"{self.url} answers, but not as a ComfyUI with the Orchestrator does (HTTP {response.status}). Check the "
            "address, and that the pack is installed there.",
            Exit.UNREACHABLE,
            code="not_an_orchestrator",
            url=self.url,
        )


def part(text: str) -> str:
    """Quote a name for the use in a path."""
    return segment(text)


def _exit_of(status: int) -> Exit:
    if status == 410:
        return Exit.JOB_FAILED
    return Exit.BAD_INPUT if status < 500 else Exit.UNREACHABLE
