"""The client of one peer ComfyUI: everything that is asked of it or sent to it, in types."""

from __future__ import annotations

import asyncio
import json
import logging
import uuid
from collections.abc import AsyncGenerator, Mapping
from dataclasses import replace
from http import HTTPStatus
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, TypeVar

import aiohttp

from ..agent import wire
from ..domain import Agent, Backend, Capabilities, Json, Prompt
from ..errors import (
    BackendError,
    BackendFault,
    ConnectionLost,
    InvalidPrompt,
    PromptRejected,
    ProtocolViolation,
)
from ..workflow.nodeinfo import NodeInfo
from . import answers, catalog, readings, transfers
from .agent import introduce
from .answers import CancelOutcome, Features, HistoryEntry, Place, QueueSnapshot, Submitted, SystemStats, Where
from .blobs import Blobs
from .connection import Connection
from .http import Http, Limits, Timeouts
from .messages import Message, queue_remaining
from .readings import Telemetry
from .results import RemoteFile
from .transfers import Sink, Uploaded
from .urls import segment

_log = logging.getLogger(__name__)

T = TypeVar("T")

TARGETED_INTERRUPT = (0, 3, 57)
"""Since this version ``/interrupt`` heeds a prompt_id; before, it stops whatever runs."""

_UNDECIDED = frozenset({HTTPStatus.BAD_GATEWAY, HTTPStatus.GATEWAY_TIMEOUT, 520, 521, 522, 523, 524})
"""What a proxy answers when it got no answer itself: the usual two, and Cloudflare's own."""


class ComfyClient:
    """One backend. Belongs to the event loop that made it; ``aclose`` ends everything.

    Methods raise ``BackendError``s; each class's docstring in ``errors.py`` says what is known when it is raised. A
    request may have been taken when it ends with ``BackendTimedOut`` or ``ConnectionLost``: ask ``find``.

    Raises:
        InvalidUrl: the backend's base URL is unusable.
        InvalidRequest: its credentials or its certificate file are.
    """

    def __init__(self, backend: Backend, *, timeouts: Timeouts | None = None, limits: Limits | None = None) -> None:
        self._http = Http(backend, timeouts or Timeouts(), limits or Limits())
        self._connection = Connection(self._http, on_connected=self._forget)
        self._agent_token = backend.credentials.agent_token
        self.blobs = Blobs(self._http, backend.tls, self._agent_token)
        """The values that this backend's agent keeps."""
        self._features: Features | None = None
        self._version: answers.Version | None = None
        self._has_jobs_api: bool | None = None

    def __repr__(self) -> str:
        return f"<ComfyClient {self._http.name!r} {self._http.base_url}>"

    async def __aenter__(self) -> ComfyClient:
        return self

    async def __aexit__(
        self, _type: type[BaseException] | None, _error: BaseException | None, _traceback: TracebackType | None
    ) -> None:
        await self.aclose()

    @property
    def name(self) -> str:
        """The backend's name, as errors give it."""
        return self._http.name

    @property
    def client_id(self) -> str | None:
        """The id of the socket that stands now, or None. Prompts submitted with it report to that socket."""
        return self._connection.client_id

    def listen(self) -> AsyncGenerator[Message, None]:
        """Yield the backend's messages for ever, opening the socket again whenever it breaks, until ``aclose``.

        ``Connected`` comes first and after each gap, ``Disconnected`` once per gap. Messages of a gap are lost: after
        ``Connected`` ask ``find`` for what was running. The consumer must not be slow: while it works nothing is read,
        and after a heartbeat the backend counts as dead.

        Raises:
            RuntimeError: somebody listens already.
        """
        return self._connection.listen()

    def overhear(self, client_id: str) -> AsyncGenerator[Message, None]:
        """Yield what the backend tells an earlier socket that broke, on a second socket under its id, until it ends.

        Only a hint: a backend that has not noticed yet that the earlier socket is gone drops this one when it does, and
        then nothing comes any more though the socket stands.

        Raises:
            BackendError: it cannot be opened, or broke.
        """
        return self._connection.overhear(client_id)

    def hurry(self) -> None:
        """Open a broken socket again at once: somebody knows that the backend answers. Otherwise nothing happens."""
        self._connection.hurry()

    async def submit(
        self,
        prompt: Prompt,
        *,
        prompt_id: str,
        front: bool = False,
        number: float | None = None,
        extra_data: Mapping[str, Json] | None = None,
        allow_dropped_outputs: bool = False,
    ) -> Submitted:
        """Put a prompt into the backend's queue.

        Args:
            prompt: in API format.
            prompt_id: a lower-case UUID; newer versions refuse anything else, and none of them refuses one twice.
            front: run it before all that wait.
            number: its place in the queue (smaller runs first) instead of ``front``.
            extra_data: passed on, such as ``{"extra_pnginfo": {"workflow": …}}``.
            allow_dropped_outputs: accept that the backend leaves out outputs whose validation failed. Otherwise such a
                prompt is taken back and counts as rejected.

        Raises:
            InvalidPrompt: it holds something that JSON cannot.
            PromptRejected: validation failed.
            BackendError: see the class.
        """
        # Versions from about 0.3.65 to 0.27 leave cached outputs out of the history of a prompt without a client id.
        body: dict[str, Json] = {
            "prompt": prompt,
            "prompt_id": prompt_id,
            "client_id": self.client_id or uuid.uuid4().hex,
        }
        if number is not None:
            body["number"] = number
        elif front:
            body["front"] = True
        if extra_data:
            body["extra_data"] = extra_data
        try:
            encoded = json.dumps(body, allow_nan=False, separators=(",", ":")).encode()
        except (TypeError, ValueError, RecursionError) as error:
            raise InvalidPrompt(f"The prompt cannot be sent as JSON: {error}.") from error
        submitted = await self._submitted(encoded)
        if submitted.prompt_id != prompt_id:
            await self._take_back(submitted.prompt_id)
            raise ProtocolViolation(self.name, "it chose its own prompt_id. ComfyUI 0.3.60 or newer is needed.")
        if submitted.node_errors and not allow_dropped_outputs:
            await self._take_back(prompt_id)
            raise PromptRejected(
                self.name,
                "some outputs failed validation and would be left out.",
                kind="prompt_outputs_failed_validation",
                node_errors=submitted.node_errors,
            )
        return submitted

    async def _submitted(self, body: bytes) -> Submitted:
        """Post a prompt. Once it was sent, whatever is no clear answer leaves open whether it was taken."""
        async with self._http.post_json("/prompt", body, total_s=self._http.timeouts.submit_s) as response:
            if response.status == HTTPStatus.BAD_REQUEST:
                raise await self._rejected(response)
            if response.status in _UNDECIDED:
                raise ConnectionLost(self.name, f"a proxy answered for it with status {response.status}.")
            if response.status != HTTPStatus.OK:
                raise self._http.fault(response)
            try:
                answer = await self._http.read_json(response, self._http.limits.document_bytes)
                return self._http.parsed("/prompt", answers.parse_submitted, answer)
            except ProtocolViolation as error:
                raise ConnectionLost(self.name, f"no telling whether it took the prompt: {error.message}") from error

    async def ping(self) -> int:
        """Return how many prompts the backend has, running and pending. Its cheapest route."""
        return await self._http.ask("/prompt", queue_remaining)

    async def queue(self) -> QueueSnapshot:
        """Return the backend's queue. It holds every waiting prompt in full: ask ``ping`` for the length alone."""
        return await self._http.ask("/queue", answers.parse_queue, document=True)

    async def history(self, prompt_id: str) -> HistoryEntry | None:
        """Return how a prompt ended, or None where the backend knows of no such finished prompt."""
        path = f"/history/{segment(prompt_id)}"
        return await self._http.ask(path, lambda value: answers.parse_history(value, prompt_id), document=True)

    async def find(self, prompt_id: str) -> Where:
        """Return where a prompt is.

        The queue is asked before the history: a prompt only ever moves from pending to running to the history, so one
        that is missing from the first is seen in the second if it ended between the two.
        """
        snapshot = await self.queue()
        for prompt in snapshot.running:
            if prompt.prompt_id == prompt_id:
                return Where(Place.RUNNING, client_id=prompt.client_id)
        if any(prompt.prompt_id == prompt_id for prompt in snapshot.pending):
            return Where(Place.PENDING)
        entry = await self.history(prompt_id)
        return Where(Place.ABSENT) if entry is None else Where(Place.FINISHED, entry)

    async def cancel(self, prompt_id: str) -> CancelOutcome:
        """Take a prompt out of the queue, or stop it if it runs; never anybody else's.

        ``/api/jobs/{id}/cancel`` does either in one step where the backend has it (0.26). Otherwise the queue decides:
        a pending prompt is deleted, a running one gets an interrupt that names it. That interrupt has a gap in the
        backend itself (it looks and then stops what runs), which no client can close.
        """
        if self._has_jobs_api is not False:
            cancelled = await self._cancel_job(prompt_id)
            if cancelled is not None:
                return CancelOutcome.STOPPING if cancelled else CancelOutcome.NOT_QUEUED
        where = await self.find(prompt_id)
        if where.place is Place.PENDING:
            await self.dequeue(prompt_id)
            where = await self.find(prompt_id)
            if where.place is Place.ABSENT:
                return CancelOutcome.DEQUEUED
        if where.place is not Place.RUNNING:
            return CancelOutcome.NOT_QUEUED
        version = self._version or (await self.system_stats()).version
        if version is None or version < TARGETED_INTERRUPT:
            return CancelOutcome.UNSUPPORTED
        await self._http.post("/interrupt", {"prompt_id": prompt_id})
        return CancelOutcome.STOPPING

    async def dequeue(self, prompt_id: str) -> None:
        """Take a prompt out of the queue if it waits there; one that runs, even under the same id, goes on."""
        await self._http.post("/queue", {"delete": [prompt_id]})

    async def free(self, *, unload_models: bool = True, free_memory: bool = True) -> None:
        """Ask the backend to unload its models and drop its caches once it is idle."""
        await self._http.post("/free", {"unload_models": unload_models, "free_memory": free_memory})

    async def system_stats(self) -> SystemStats:
        """Return versions, memory and devices."""
        stats = await self._http.ask("/system_stats", answers.parse_system_stats)
        if stats.version != self._version:
            self._forget()
        self._version = stats.version
        return stats

    async def telemetry(self, after: str, watch_s: float) -> Telemetry:
        """Return what the backend's agent measured after a cursor (empty: the latest), and have it go on so often.

        Raises:
            BackendFault: with status 404, there is no agent that measures.
            BackendRefused: the agent wants its token.
            BackendError: see the class.
        """
        return await readings.fetch(self._http, self._agent_token, after, watch_s)

    async def features(self) -> Features:
        """Return what the backend publishes about itself; empty for versions without ``/features``."""
        try:
            self._features = await self._http.ask("/features", answers.parse_features)
        except BackendFault as fault:
            if fault.status != HTTPStatus.NOT_FOUND:
                raise
            self._features = Features()
        return self._features

    async def object_info(self, class_type: str) -> NodeInfo | None:
        """Return what the backend says about a node class, or None where it has none of that name."""
        return await catalog.read_class(self._http, class_type)

    async def all_object_info(self) -> Mapping[str, NodeInfo]:
        """Return every node class. Heavy for both sides (hundreds of kB to many MB): see ``ObjectInfoCache``.

        A class whose entry cannot be read is left out with a warning.
        """
        return await catalog.read_classes(self._http)

    async def models(self) -> Mapping[str, frozenset[str]]:
        """Return the files in each model folder, spelled as the backend spells them."""
        return await catalog.read_models(self._http)

    async def capabilities(self, now: float) -> Capabilities:
        """Return what the backend is and has, taken at ``now``. Reads ``/object_info``: on connect, not every probe."""
        stats, features, classes, models, agent = await asyncio.gather(
            self.system_stats(), self.features(), self.all_object_info(), self.models(), self.agent()
        )
        return replace(answers.to_capabilities(stats, features, frozenset(classes), models, now), agent=agent)

    async def agent(self) -> Agent | None:
        """Return how this backend's agent introduces itself now, or None where it has none.

        Raises:
            BackendError: the backend does not answer at all.
        """
        found = await introduce(self._http, self._agent_token)
        self.blobs.can_unpack = found is not None and f"blobs.{wire.PACKING}" in found.capabilities
        return found

    async def upload(
        self,
        source: BinaryIO | Path,
        *,
        name: str,
        subfolder: str = "",
        place: str = "temp",
        media_type: str = "application/octet-stream",
        overwrite: bool = False,
    ) -> Uploaded:
        """Store a file on the backend; it is streamed from its present position, never whole in memory.

        Without ``overwrite`` a file of the same name and content is used again, and one of the same name and other
        content gets another name: the name in the answer is the one that counts.

        Args:
            source: an open binary file, or a path.
            name: a plain file name.
            subfolder: below the folder that ``place`` names.
            place: ``temp`` (emptied at each start of the backend), ``input`` or ``output``.
            media_type: of the file.
            overwrite: replace a file of the same name.

        Raises:
            InvalidRequest: a name cannot be used.
            PayloadTooLarge: it is over the limit that the backend publishes; nothing was sent.
            BackendError: see the class.
        """
        transfers.check_names(name, subfolder, place, media_type)
        features = self._features or await self.features()
        return await transfers.upload(
            self._http,
            source,
            name=name,
            subfolder=subfolder,
            place=place,
            media_type=media_type,
            overwrite=overwrite,
            max_bytes=features.max_upload_bytes,
        )

    async def view(self, file: RemoteFile, sink: Sink, *, max_bytes: int | None = None) -> int:
        """Fetch a file into ``sink`` part by part and return its size in bytes.

        Raises:
            ConnectionLost: it broke off; what the sink got is not the file.
            ProtocolViolation: it is larger than ``max_bytes``, or comes without a length.
            BackendFault: with status 404, the backend has no such file.
            BackendError: see the class.
        """
        limit = self._http.limits.file_bytes if max_bytes is None else max_bytes
        return await transfers.view(self._http, file, sink, limit)

    async def aclose(self) -> None:
        """Close the socket and every connection. ``listen`` ends; requests under way fail."""
        await self._connection.aclose()
        await self.blobs.aclose()
        await self._http.aclose()

    def _forget(self) -> None:
        """Drop what was learned of the backend: it may have been restarted with other options, or updated."""
        self._features, self._version, self._has_jobs_api = None, None, None

    async def _rejected(self, response: aiohttp.ClientResponse) -> BackendError:
        """Read a 400: ComfyUI's own, or somebody else's."""
        if response.content_type != "application/json":
            return self._http.fault(response)
        answer = await self._http.read_json(response, self._http.limits.document_bytes)
        found = self._http.parsed("/prompt", answers.parse_rejection, answer)
        return PromptRejected(self.name, found.message, kind=found.kind, node_errors=found.node_errors)

    async def _take_back(self, prompt_id: str) -> None:
        """Remove a prompt that was accepted against our will; the caller raises the reason in any case."""
        try:
            await self.cancel(prompt_id)
        except BackendError as error:
            _log.warning("%s: prompt %s could not be taken back: %s", self.name, prompt_id, error)

    async def _cancel_job(self, prompt_id: str) -> bool | None:
        """Use the jobs API; None where the backend has none."""
        timeout = self._http.timeout(self._http.timeouts.control_s)
        path = f"/api/jobs/{segment(prompt_id)}/cancel"
        async with self._http.request("POST", path, timeout=timeout) as response:
            if response.status in (HTTPStatus.NOT_FOUND, HTTPStatus.METHOD_NOT_ALLOWED):
                self._has_jobs_api = False
                return None
            if response.status != HTTPStatus.OK:
                raise self._http.fault(response)
            answer = await self._http.read_json(response, self._http.limits.answer_bytes)
        self._has_jobs_api = True
        return self._http.parsed(path, answers.parse_cancelled, answer)
