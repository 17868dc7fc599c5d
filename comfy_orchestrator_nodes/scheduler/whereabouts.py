"""Where stored values are: in the artifact store, or kept by the agents of backends, from where they are brought here.

An agent is only believed to keep what it was seen to keep; it may have let go of it since, or have been restarted.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Collection, Coroutine, Iterable
from typing import TypeVar

from ..backend.blobs import AT_ONCE
from ..backend.peer import Farm, Peer
from ..domain import FileRef, Value
from ..errors import BackendError, ValueLost
from ..store.artifacts import ArtifactStore
from ..store.holdings import HoldingRepository

T = TypeVar("T")

log = logging.getLogger(__name__)

_REMEMBERED = 10_000
"""How many values of those that agents kept before this start are asked for first where they were."""


class Whereabouts:
    """Finds values and brings them into the artifact store. Lives on the server loop."""

    def __init__(self, artifacts: ArtifactStore, farm: Farm, holdings: HoldingRepository) -> None:
        self._artifacts = artifacts
        self._farm = farm
        self._holdings = holdings
        self._coming: dict[str, asyncio.Task[int]] = {}
        """Values on their way here, by SHA-256: whoever else wants one waits for the same."""

    async def start(self) -> None:
        """Take up what the agents were seen to keep before this start; they are asked before it is relied on."""
        for holding in await self._holdings.recent(_REMEMBERED):
            peer = self._farm.get(holding.backend_id)
            if peer is not None:
                peer.blobs.add(holding.sha256)

    async def close(self) -> None:
        """Stop bringing anything."""
        tasks = list(self._coming.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def note(self, peer: Peer, refs: Collection[FileRef], job_id: str) -> None:
        """Take note that a backend's agent keeps what a job made.

        Raises:
            StoreError: it could not be stored.
        """
        hashes = [ref.sha256 for ref in refs]
        peer.blobs.update(hashes)
        await self._holdings.note(hashes, peer.backend.id, job_id)

    def is_here(self, ref: FileRef) -> bool:
        """Whether a value is in the artifact store, as far as its index tells."""
        return self._artifacts.find(ref.sha256) is not None

    async def is_elsewhere(self, ref: FileRef) -> bool:
        """Whether a value that is not here can be fetched from a backend, asked now."""
        return await self._keeper(ref) is not None

    async def is_lost(self, value: Value) -> bool:
        """Whether some part of a value can neither be found here nor be fetched from anywhere, asked now."""
        for ref in value.files:
            if not await asyncio.to_thread(self._artifacts.has, ref) and await self._keeper(ref) is None:
                return True
        return False

    async def maker(self, value: Value) -> str | None:
        """Return the id of the job that made a value, if it was seen to be kept by an agent."""
        for ref in value.files:
            for holding in await self._holdings.of(ref.sha256):
                return holding.job_id
        return None

    async def bring(self, refs: Iterable[FileRef], owner: str) -> int:
        """See that values are in the artifact store, leased to ``owner``; return the bytes that had to be fetched.

        Raises:
            ValueLost: one is neither here nor to be had from anywhere.
            StoreError: there is no room for one.
        """
        gate = asyncio.Semaphore(AT_ONCE)

        async def bring_one(ref: FileRef) -> int:
            async with gate:
                return await self._bring_one(ref, owner)

        return sum(await all_of(bring_one(ref) for ref in {ref.sha256: ref for ref in refs}.values()))

    async def fetch(self, peer: Peer, ref: FileRef, owner: str) -> int:
        """Bring one value here from a backend that is said to keep it; return the bytes that had to be fetched.

        Raises:
            ValueLost: it does not have it any more, or what comes is damaged time and again.
            BackendError: it could not be fetched.
            StoreError: there is no room for it.
        """
        if await asyncio.to_thread(self._leased, ref, owner):
            return 0
        coming = self._coming.get(ref.sha256)
        if coming is None:
            coming = asyncio.create_task(self._fetch(peer, ref, owner), name=f"fetch {ref.sha256[:8]}")
            self._coming[ref.sha256] = coming
            coming.add_done_callback(lambda _: self._coming.pop(ref.sha256, None))
            # Shielded, because others may have come to wait for it when this one is cancelled.
            return await asyncio.shield(coming)
        await asyncio.wait({coming})
        return await self.fetch(peer, ref, owner)

    async def _bring_one(self, ref: FileRef, owner: str) -> int:
        if await asyncio.to_thread(self._leased, ref, owner):
            return 0
        keeper = await self._keeper(ref)
        if keeper is None:
            raise ValueLost(
                f"The value {ref.sha256[:12]}… ({ref.size_bytes} bytes) is lost: it is not stored here, and no backend "
                "that could be asked keeps it. Run what made it again.",
                sha256=ref.sha256,
            )
        try:
            return await self.fetch(keeper, ref, owner)
        except BackendError as error:
            text = f"The value {ref.sha256[:12]}… could not be fetched from where it was made. {error}"
            raise ValueLost(text, sha256=ref.sha256) from error

    async def _keeper(self, ref: FileRef) -> Peer | None:
        """Return a backend whose agent says now that it keeps a value."""
        believed = [peer for peer in self._farm if ref.sha256 in peer.blobs]
        noted = [self._farm.get(holding.backend_id) for holding in await self._holdings.of(ref.sha256)]
        for peer in dict.fromkeys([*believed, *(peer for peer in noted if peer is not None)]):
            if peer.has_agent and await self._keeps(peer, ref):
                return peer
        return None

    async def _keeps(self, peer: Peer, ref: FileRef) -> bool:
        try:
            missing = await peer.client.blobs.missing([ref.sha256])
        except BackendError as error:
            log.info("%s does not say whether it keeps %s: %s", peer.backend.name, ref.sha256[:12], error)
            return False
        if missing:
            peer.blobs.discard(ref.sha256)
            return False
        peer.blobs.add(ref.sha256)
        return True

    def _leased(self, ref: FileRef, owner: str) -> bool:
        if self._artifacts.find(ref.sha256) is None or not self._artifacts.has(ref):
            return False
        try:
            self._artifacts.lease(owner, [ref])
        except ValueLost:  # evicted since the line above
            return False
        return True

    async def _fetch(self, peer: Peer, ref: FileRef, owner: str) -> int:
        try:
            return await self._fetch_once(peer, ref, owner)
        except ValueLost as error:
            if ref.sha256 not in peer.blobs:
                raise
            log.warning("%s: %s It is fetched once more.", peer.backend.name, error)
        return await self._fetch_once(peer, ref, owner)

    async def _fetch_once(self, peer: Peer, ref: FileRef, owner: str) -> int:
        with self._artifacts.writer(ref.media_type, owner=owner) as writer:
            try:
                received = await peer.client.blobs.fetch(ref, writer.write)
            except ValueLost:
                peer.blobs.discard(ref.sha256)
                raise
            await asyncio.to_thread(writer.publish, ref.sha256)
            return received


async def all_of(coroutines: Iterable[Coroutine[None, None, T]]) -> list[T]:
    """Run all at once; when one fails, none goes on."""
    tasks = [asyncio.ensure_future(coroutine) for coroutine in coroutines]
    try:
        return await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
