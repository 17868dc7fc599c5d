"""The registry of backends: add, edit, test, remove."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace

from ..backend.client import ComfyClient
from ..backend.peer import Farm, Peer
from ..backend.urls import normalize_base_url
from ..domain import LOCAL_BACKEND_ID, Backend, Capabilities
from ..errors import Conflict, NotFound
from ..health import HealthMonitor
from ..machine.backends import BackendHealth
from ..scheduler.qualify import Qualifier
from ..store.backends import BackendRepository
from .backend_story import BackendStory
from .snapshot import Publisher

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class BackendState:
    """A backend with what is known of it now."""

    backend: Backend
    health: BackendHealth
    capabilities: Capabilities | None
    queue_remaining: int
    in_flight: int


class BackendRegistry:
    """Keeps the registered backends, in the store and at work. Lives on the server loop."""

    def __init__(
        self,
        repository: BackendRepository,
        farm: Farm,
        health: HealthMonitor,
        qualifier: Qualifier,
        publisher: Publisher,
        story: BackendStory,
        *,
        clock: Callable[[], float],
        new_id: Callable[[], str],
        changed: Callable[[], None],
        removed: Callable[[str], Awaitable[None]],
    ) -> None:
        self._repository = repository
        self._farm = farm
        self._health = health
        self._qualifier = qualifier
        self._publisher = publisher
        self._story = story
        self._clock = clock
        self._new_id = new_id
        self._changed = changed
        self._removed = removed

    async def start(self, local: Backend) -> None:
        """Begin to work with every stored backend, and with this server itself, whose address may have changed."""
        stored = {backend.id: backend for backend in await self._repository.list()}
        known = stored.get(LOCAL_BACKEND_ID)
        if known is None:
            await self._repository.add(local)
            stored[LOCAL_BACKEND_ID] = local
        elif known.base_url != local.base_url or known.tls != local.tls:
            stored[LOCAL_BACKEND_ID] = replace(known, base_url=local.base_url, tls=local.tls)
            await self._repository.update(stored[LOCAL_BACKEND_ID])
        for backend in stored.values():
            self._farm.add(backend)
            if backend.enabled:
                self._health.watch(backend.id)
        self._publish()

    def list(self) -> list[BackendState]:
        """Return every backend with its state, this server first, then by name."""
        states = [self._state(peer) for peer in self._farm]
        return sorted(states, key=lambda s: (s.backend.id != LOCAL_BACKEND_ID, s.backend.name.casefold()))

    def get(self, backend_id: str) -> BackendState:
        """Return one backend with its state.

        Raises:
            NotFound: there is none of that id.
        """
        return self._state(self._peer(backend_id))

    def peer(self, backend_id: str) -> Peer:
        """Return the peer to talk to.

        Raises:
            NotFound: there is none of that id.
        """
        return self._peer(backend_id)

    async def test(self, draft: Backend) -> Capabilities:
        """Ask a server that is not registered yet what it is.

        Raises:
            InvalidUrl: its URL is unusable.
            BackendError: why it cannot be used.
        """
        async with ComfyClient(replace(draft, base_url=normalize_base_url(draft.base_url))) as client:
            return await client.capabilities(self._clock())

    async def add(self, draft: Backend) -> BackendState:
        """Register a backend under a new id.

        Raises:
            InvalidUrl: its URL is unusable.
            Conflict: its name or address is registered already.
        """
        backend = replace(
            draft, id=self._new_id(), base_url=normalize_base_url(draft.base_url), created_at=self._clock()
        )
        self._refuse_twin(backend)
        await self._repository.add(backend)
        peer = self._farm.add(backend)
        if backend.enabled:
            self._health.watch(backend.id)
        self._publish()
        return self._state(peer)

    async def edit(self, backend: Backend) -> BackendState:
        """Store an edited registration and work by it at once.

        Raises:
            NotFound: there is none of that id.
            InvalidUrl: its URL is unusable.
            Conflict: its name or address is registered already, or it is this server's own address.
        """
        before = self._peer(backend.id).backend
        edited = replace(backend, base_url=normalize_base_url(backend.base_url), created_at=before.created_at)
        if edited.id == LOCAL_BACKEND_ID and (edited.base_url, edited.tls) != (before.base_url, before.tls):
            raise Conflict("This server's own address follows from how it was started; it cannot be edited.")
        self._refuse_twin(edited)
        await self._repository.update(edited)
        self._story.edited(before, edited)
        peer = await self._farm.replace(edited)
        self._qualifier.forget(edited.id)
        await self._health.forget(edited.id)
        if edited.enabled:
            self._health.watch(edited.id)
        self._publish()
        return self._state(peer)

    async def drain(self, backend_id: str, *, draining: bool) -> BackendState:
        """Give a backend no new jobs, or some again. What it has goes on, and so does its connection.

        Raises:
            NotFound: there is none of that id.
        """
        peer = self._peer(backend_id)
        edited = replace(peer.backend, draining=draining)
        await self._repository.update(edited)
        self._story.edited(peer.backend, edited)
        await self._farm.replace(edited)
        self._publish()
        return self._state(peer)

    async def remove(self, backend_id: str) -> None:
        """Forget a backend. What it runs for us is given up, and tried elsewhere.

        Raises:
            NotFound: there is none of that id.
            Conflict: it is this server itself.
        """
        self._peer(backend_id)
        if backend_id == LOCAL_BACKEND_ID:
            raise Conflict("This server itself cannot be removed; disable it instead.")
        await self._repository.remove(backend_id)
        await self._health.forget(backend_id)
        self._qualifier.forget(backend_id)
        await self._farm.remove(backend_id, withdraw=True)
        self._publish()
        await self._removed(backend_id)

    def _peer(self, backend_id: str) -> Peer:
        peer = self._farm.get(backend_id)
        if peer is None:
            raise NotFound("backend", backend_id, near=sorted(self._farm.names().values()))
        return peer

    def _state(self, peer: Peer) -> BackendState:
        backend_id = peer.backend.id
        return BackendState(
            peer.backend, self._health.of(backend_id), peer.capabilities, peer.queue_remaining, peer.in_flight
        )

    def _refuse_twin(self, backend: Backend) -> None:
        for peer in self._farm:
            other = peer.backend
            if other.id == backend.id:
                continue
            if other.name.casefold() == backend.name.casefold():
                raise Conflict(f"There is already a backend named {other.name!r}: choose another name.")
            if other.base_url == backend.base_url:
                raise Conflict(f"{backend.base_url} is registered already, as {other.name!r}.")

    def _publish(self) -> None:
        self._publisher.backends(tuple(state.backend for state in self.list()))
        self._changed()
