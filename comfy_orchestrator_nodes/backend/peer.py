"""One backend as the master works with it: its client, its one socket, what it can do and what it already holds."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import aclosing, contextmanager
from dataclasses import replace
from typing import TypeAlias

from ..domain import Backend, Capabilities
from ..errors import BackendError, BackendUnreachable
from ..waiting import within
from ..workflow.graph import REMOTE_WORKFLOW
from .client import ComfyClient
from .messages import Connected, Disconnected, Message, Status
from .object_info import ObjectInfoCache
from .results import RemoteFile

log = logging.getLogger(__name__)

FAREWELL_S = 3.0
"""How long a backend that is removed may take to let go of a prompt of ours."""

VERSION_CHECK_S = 60.0
"""How often a backend that answers its probes is asked for its version."""

BLOBS_NOTED = 100_000
"""How many values of a backend's agent are remembered at most: 10 MB. Others are asked for where it matters."""

Inbox: TypeAlias = "asyncio.Queue[Message]"
"""The messages of one prompt, with every Connected, Disconnected and Status of its backend in between."""


class Peer:
    """Everything the master keeps of one registered backend while it runs. Lives on the server loop."""

    def __init__(self, backend: Backend, client: ComfyClient, infos: ObjectInfoCache) -> None:
        self.backend = backend
        self.client = client
        self.infos = infos
        self.capabilities: Capabilities | None = None
        self.queue_remaining = 0
        """Prompts in its queue, ours included, as last heard."""
        self.orchestrating = False
        """Whether its queue held a prompt of a meta-graph when it was last looked at."""
        self.held: dict[str, asyncio.Task[RemoteFile]] = {}
        """Uploads under way or done since it was last connected, by SHA-256: nothing is sent twice."""
        self.blobs: set[str] = set()
        """Hashes of the values that its agent is believed to keep: it may have let go of them since, so ask it."""
        self.sending: dict[str, asyncio.Task[None]] = {}
        """Values on their way to its agent, by SHA-256."""
        self.on_status: Callable[[], None] = lambda: None
        """Called when its queue length changed."""
        self.on_introduced: Callable[[Capabilities | None, Capabilities], None] = lambda before, after: None
        """Called when it says that it is something else than ``before``."""
        self.closed = False
        """Whether the backend was removed or edited; nothing can be asked of this object any more."""
        self._version_checked_at = float("-inf")
        self._stale = False
        self._inboxes: dict[str, Inbox] = {}
        self._connected = asyncio.Event()
        self._failure: BackendError | None = None
        self._listener: asyncio.Task[None] | None = None

    @property
    def in_flight(self) -> int:
        """How many prompts of ours are being followed there."""
        return len(self._inboxes)

    @property
    def has_agent(self) -> bool:
        """Whether values can move through an agent there, as far as is known now."""
        return self.capabilities is not None and self.capabilities.agent is not None and self.capabilities.agent.trusted

    def agent_can(self, capability: str) -> bool:
        """Whether its agent says that it can do something; see docs/agent-protocol.md for the names."""
        found = self.capabilities.agent if self.capabilities is not None else None
        return found is not None and capability in found.capabilities

    def keeps(self, hashes: Collection[str]) -> None:
        """Take note that its agent keeps these values. So many are noted that the oldest hints may as well go."""
        if len(self.blobs) + len(hashes) > BLOBS_NOTED:
            self.blobs.clear()
        self.blobs.update(hashes)

    @property
    def instance_id(self) -> str:
        """The agent's present life: what it kept in another one may be gone. Empty without an agent."""
        found = self.capabilities.agent if self.capabilities is not None else None
        return found.instance_id if found is not None else ""

    @property
    def version(self) -> tuple[str, float, bool]:
        """What changes whenever answers of its ``/object_info`` or its carriers may have changed."""
        taken = self.capabilities
        return (taken.comfyui_version, taken.taken_at, self.has_agent) if taken is not None else ("", 0.0, False)

    async def probe(self, now: float) -> float:
        """Ask the backend something cheap, and what it is whenever that may have changed.

        The capabilities are read on the first probe, on the first one after a failed probe, and when its version turns
        out to be another one, which is looked at every ``VERSION_CHECK_S``.

        Args:
            now: seconds since the epoch.

        Returns:
            The latency of the cheap request in seconds.

        Raises:
            BackendError: it does not answer as it should.
        """
        loop = asyncio.get_running_loop()
        started = loop.time()
        try:
            self.queue_remaining = await self.client.ping()
            latency_s = loop.time() - started
            if self._listener is not None and not self._connected.is_set():
                self.client.hurry()
            await self._check_version(now)
            await self._check_orchestrating()
        except BackendError:
            self._version_checked_at = float("-inf")
            self._stale = True
            raise
        return latency_s

    async def _check_version(self, now: float) -> None:
        if self.capabilities is not None and not self._stale and now - self._version_checked_at < VERSION_CHECK_S:
            return
        known = self.capabilities
        if known is None or self._stale or (await self.client.system_stats()).comfyui_version != known.comfyui_version:
            found = await self.client.capabilities(now)
            self.infos.revalidate(found)
            self._stale = False
        else:
            found = replace(known, agent=await self.client.agent())
        self._take(found)
        self._version_checked_at = now

    def _take(self, found: Capabilities) -> None:
        before = self.capabilities
        if found == before:
            return
        life = self.instance_id
        self.capabilities = found
        if life and self.instance_id != life:
            self.blobs.clear()
        self.on_introduced(before, found)

    def distrust(self, problem: str) -> None:
        """Work with the backend as if it had no agent, until it is asked again and works with us."""
        if self.capabilities is not None and self.capabilities.agent is not None:
            agent = replace(self.capabilities.agent, trusted=False, problem=problem)
            self._take(replace(self.capabilities, agent=agent))
            self._version_checked_at = float("-inf")

    async def _check_orchestrating(self) -> None:
        """Look into its queue only where a meta-graph could be running and something is that is not ours."""
        classes = self.capabilities.node_classes if self.capabilities is not None else frozenset()
        if self.queue_remaining > self.in_flight and REMOTE_WORKFLOW in classes:
            self.orchestrating = (await self.client.queue()).busy_orchestrating
        else:
            self.orchestrating = False

    async def connect(self, timeout_s: float) -> None:
        """Wait until the socket stands, opening it on first use; it then stays open.

        Raises:
            BackendError: why it does not stand after ``timeout_s``.
        """
        if self._listener is None or self._listener.done():
            self._listener = asyncio.create_task(self._listen(), name=f"socket of {self.backend.name}")
        if self._connected.is_set():
            return
        try:
            await within(self._connected.wait(), timeout_s)
        except asyncio.TimeoutError:
            raise self._failure or BackendUnreachable(
                self.backend.name, f"its WebSocket did not open within {timeout_s:g} s"
            ) from None

    @contextmanager
    def inbox(self, prompt_id: str) -> Iterator[Inbox]:
        """Receive the messages of one prompt while the block runs."""
        inbox: Inbox = asyncio.Queue()
        self._inboxes[prompt_id] = inbox
        try:
            yield inbox
        finally:
            # Whoever follows the prompt next may have come already.
            if self._inboxes.get(prompt_id) is inbox:
                del self._inboxes[prompt_id]

    async def close(self, *, withdraw: bool = False) -> None:
        """Close the socket and the connections; whoever follows a prompt there is told.

        Args:
            withdraw: remove those prompts from the backend, as far as it answers soon: nobody will ask for them again.
        """
        self.closed = True
        followed = list(self._inboxes)
        for inbox in self._inboxes.values():
            inbox.put_nowait(Disconnected(BackendUnreachable(self.backend.name, "it was removed or edited")))
        if withdraw and followed:
            await asyncio.wait([asyncio.ensure_future(self._withdraw(prompt_id)) for prompt_id in followed])
        if self._listener is not None:
            self._listener.cancel()
            await asyncio.gather(self._listener, return_exceptions=True)
        for upload in [*self.held.values(), *self.sending.values()]:
            upload.cancel()
        await self.client.aclose()

    async def _withdraw(self, prompt_id: str) -> None:
        try:
            await within(self.client.cancel(prompt_id), FAREWELL_S)
        except (BackendError, asyncio.TimeoutError) as error:
            log.warning("%s may still run %s, which nobody waits for: %s", self.backend.name, prompt_id, error)

    async def _listen(self) -> None:
        try:
            await self._pass_on()
        except BackendError as error:
            self._failure = error

    async def _pass_on(self) -> None:
        async with aclosing(self.client.listen()) as messages:
            async for message in messages:
                self._pass(message)

    def _pass(self, message: Message) -> None:
        self._note(message)
        prompt_id = getattr(message, "prompt_id", None)
        if prompt_id is None:
            for inbox in self._inboxes.values():
                inbox.put_nowait(message)
        elif (addressee := self._inboxes.get(prompt_id)) is not None:
            addressee.put_nowait(message)

    def _note(self, message: Message) -> None:
        if isinstance(message, Connected):
            self._failure = None
            self._connected.set()
        elif isinstance(message, Disconnected):
            # It may come back with an empty temp folder, so what was uploaded there counts no more.
            self._failure = message.error
            self._connected.clear()
            self._stale = True
            self.held.clear()
        elif isinstance(message, Status):
            self.queue_remaining = message.queue_remaining
            self.on_status()


class Farm:
    """The peers by backend id."""

    def __init__(self, open_peer: Callable[[Backend], Peer]) -> None:
        self._open_peer = open_peer
        self._peers: dict[str, Peer] = {}

    def __iter__(self) -> Iterator[Peer]:
        return iter(list(self._peers.values()))

    def get(self, backend_id: str) -> Peer | None:
        """Return the peer of that id, or None when it was removed."""
        return self._peers.get(backend_id)

    def name(self, backend_id: str) -> str:
        """Return a backend's name, or its id when it was removed."""
        peer = self._peers.get(backend_id)
        return peer.backend.name if peer is not None else backend_id

    def add(self, backend: Backend) -> Peer:
        """Start to work with a backend."""
        peer = self._open_peer(backend)
        self._peers[backend.id] = peer
        return peer

    async def replace(self, backend: Backend) -> Peer:
        """Take over an edited registration; connections are made anew only if their terms changed."""
        peer = self._peers.get(backend.id)
        if peer is None:
            return self.add(backend)
        if _terms(peer.backend) == _terms(backend):
            peer.backend = backend
            return peer
        await self.remove(backend.id, withdraw=True)
        return self.add(backend)

    async def remove(self, backend_id: str, *, withdraw: bool = False) -> None:
        """Stop to work with a backend; a no-op if it is unknown. ``withdraw`` also removes our prompts from it."""
        peer = self._peers.pop(backend_id, None)
        if peer is not None:
            await peer.close(withdraw=withdraw)

    async def close(self) -> None:
        """Close every peer."""
        await asyncio.gather(*(self.remove(backend_id) for backend_id in list(self._peers)))

    def names(self) -> Mapping[str, str]:
        """Return backend id to name."""
        return {peer.backend.id: peer.backend.name for peer in self}


def _terms(backend: Backend) -> tuple[object, ...]:
    return (backend.name, backend.base_url, backend.tls, backend.credentials)
