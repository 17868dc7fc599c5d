"""Where stored values are: in the artifact store, or kept by the agents of backends, from where they are brought here.

An agent is only believed to keep what it was seen to keep; it may have let go of it since, or have been restarted.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Collection, Coroutine, Iterable, Mapping
from functools import partial
from typing import TypeVar

from ..backend.blobs import AT_ONCE
from ..backend.peer import Farm, Peer
from ..domain import BLOB_MEDIA_TYPE, FileRef, Value
from ..errors import BackendError, ValueLost
from ..store.artifacts import ArtifactStore
from ..store.holdings import HoldingRepository
from ..store.sink import ArtifactWriter

T = TypeVar("T")

log = logging.getLogger(__name__)

_REMEMBERED = 10_000
"""How many values of those that agents kept before this start are asked for first where they were."""


SILENT_S = 10.0
"""A backend that does not say what it keeps is not asked again for so long: each value would wait for it in turn."""


class Whereabouts:
    """Finds values and brings them into the artifact store. Lives on the server loop."""

    def __init__(self, artifacts: ArtifactStore, farm: Farm, holdings: HoldingRepository) -> None:
        self._artifacts = artifacts
        self._farm = farm
        self._holdings = holdings
        self._coming: dict[str, asyncio.Task[int]] = {}
        """Values on their way here, by SHA-256: whoever else wants one waits for the same."""
        self._silent_until: dict[str, float] = {}
        """Backend id to the loop's time before which it is not asked again what it keeps."""

    async def start(self) -> None:
        """Take up what the agents were seen to keep before this start; they are asked before it is relied on."""
        for holding in await self._holdings.recent(_REMEMBERED):
            peer = self._farm.get(holding.backend_id)
            if peer is not None:
                peer.keeps([holding.sha256])

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
        peer.keeps(hashes)
        await self._holdings.note(hashes, peer.backend.id, job_id)

    def is_here(self, ref: FileRef) -> bool:
        """Whether a value is in the artifact store, as far as its index tells."""
        return self._artifacts.find(ref.sha256) is not None

    async def is_elsewhere(self, ref: FileRef) -> bool:
        """Whether a value that is not here can be fetched from a backend, asked now."""
        return bool(await self._keepers([ref]))

    async def is_lost(self, value: Value) -> bool:
        """Whether some part of a value can neither be found here nor be fetched from anywhere, asked now."""
        absent = await asyncio.to_thread(lambda: [ref for ref in value.files if not self._artifacts.has(ref)])
        return len(await self._keepers(absent)) < len(absent)

    async def bring_by_hash(self, sha256: str, owner: str) -> bool:
        """Bring a value here of which only the hash is known; return whether it is here now, leased to ``owner``.

        Raises:
            ValueLost: it was there a moment ago.
            StoreError: there is no room for it.
        """
        for keeper in (await self._keepers([FileRef(sha256, 0, BLOB_MEDIA_TYPE)])).values():
            try:
                size = await keeper.client.blobs.size(sha256)
            except BackendError as error:
                log.info("%s does not say how large %s is: %s", keeper.backend.name, sha256[:12], error)
                return False
            if size is not None:
                await self._bring(keeper, FileRef(sha256, size, BLOB_MEDIA_TYPE), owner)
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
        wanted = {ref.sha256: ref for ref in refs}.values()
        absent = await asyncio.to_thread(lambda: [ref for ref in wanted if not self._leased(ref, owner)])
        keepers = await self._keepers(absent)
        for ref in absent:
            if ref not in keepers:
                raise _lost(ref)
        gate = asyncio.Semaphore(AT_ONCE)

        async def bring(ref: FileRef) -> int:
            async with gate:
                return await self._bring(keepers[ref], ref, owner)

        return sum(await all_of(bring(ref) for ref in absent))

    async def fetch(self, peer: Peer, ref: FileRef, owner: str) -> int:
        """Bring one value here from a backend that is said to keep it; return the bytes that had to be fetched.

        Raises:
            ValueLost: it does not have it any more, or what comes is damaged time and again.
            BackendError: it could not be fetched.
            StoreError: there is no room for it.
        """
        if self.is_here(ref) and await asyncio.to_thread(self._leased, ref, owner):
            return 0
        coming = self._coming.get(ref.sha256)
        if coming is None:
            coming = asyncio.create_task(self._fetch(peer, ref, owner), name=f"fetch {ref.sha256[:8]}")
            self._coming[ref.sha256] = coming
            coming.add_done_callback(partial(self._came, ref.sha256))
            # Shielded, because others may have come to wait for it when this one is cancelled.
            return await asyncio.shield(coming)
        await asyncio.wait({coming})
        return await self.fetch(peer, ref, owner)

    def _came(self, sha256: str, coming: asyncio.Task[int]) -> None:
        self._coming.pop(sha256, None)
        if not coming.cancelled() and (error := coming.exception()) is not None:
            # Told to whoever waits; asyncio would complain where all of them gave up before.
            log.debug("%s could not be fetched: %s", sha256[:12], error)

    async def _bring(self, keeper: Peer, ref: FileRef, owner: str) -> int:
        try:
            return await self.fetch(keeper, ref, owner)
        except BackendError as error:
            text = f"The value {ref.sha256[:12]}… could not be fetched from where it was made. {error}"
            raise ValueLost(text, sha256=ref.sha256) from error

    async def _keepers(self, refs: Collection[FileRef]) -> dict[FileRef, Peer]:
        """Return for each value a backend whose agent says now that it keeps it; those without one are left out."""
        if not refs:
            return {}
        believed = {peer: [ref for ref in refs if ref.sha256 in peer.blobs] for peer in self._farm}
        found = await self._kept_by(believed)
        noted: dict[Peer, list[FileRef]] = {}
        for ref in refs:
            # Rare: what was noted before this start, or what a peer was wrongly believed to have lost.
            for holding in await self._holdings.of(ref.sha256) if ref not in found else ():
                peer = self._farm.get(holding.backend_id)
                if peer is not None:
                    noted.setdefault(peer, []).append(ref)
        return {**await self._kept_by(noted), **found}

    async def _kept_by(self, asked: Mapping[Peer, Collection[FileRef]]) -> dict[FileRef, Peer]:
        """Ask backends at once, each for the values that it may keep."""
        answers = await asyncio.gather(*(self._kept(peer, refs) for peer, refs in asked.items()))
        return {ref: peer for peer, kept in zip(asked, answers, strict=True) for ref in kept}

    async def _kept(self, peer: Peer, refs: Collection[FileRef]) -> list[FileRef]:
        """Return which of these values a backend's agent says that it keeps."""
        now = asyncio.get_running_loop().time()
        if not refs or not peer.has_agent or now < self._silent_until.get(peer.backend.id, now):
            return []
        hashes = {ref.sha256 for ref in refs}
        try:
            missing = await peer.client.blobs.missing(hashes)
        except BackendError as error:
            log.info("%s does not say what it keeps: %s", peer.backend.name, error)
            self._silent_until[peer.backend.id] = asyncio.get_running_loop().time() + SILENT_S
            return []
        peer.blobs.difference_update(missing)
        peer.keeps(hashes - missing)
        return [ref for ref in refs if ref.sha256 not in missing]

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
        with _Arrival(self._artifacts, ref, owner) as arrival:
            try:
                return await peer.client.blobs.fetch(ref, arrival)
            except ValueLost:
                if arrival.is_empty:
                    peer.blobs.discard(ref.sha256)
                raise


class _Arrival:
    """A value on its way into the artifact store. Its file is made with the first byte, in the thread that has it."""

    def __init__(self, artifacts: ArtifactStore, ref: FileRef, owner: str) -> None:
        self._artifacts = artifacts
        self._ref = ref
        self._owner = owner
        self._writer: ArtifactWriter | None = None

    @property
    def is_empty(self) -> bool:
        return self._writer is None

    def __enter__(self) -> _Arrival:
        return self

    def __exit__(self, *_: object) -> None:
        if self._writer is not None:
            self._writer.close()

    def write(self, data: memoryview) -> None:
        self._opened().write(data)

    def append(self, data: memoryview) -> None:
        self._opened().append(data)

    def settle(self) -> None:
        if self._writer is not None:
            self._writer.settle()

    def finish(self) -> None:
        self._opened().publish(self._ref.sha256)

    def _opened(self) -> ArtifactWriter:
        if self._writer is None:
            self._writer = self._artifacts.writer(self._ref.media_type, owner=self._owner)
        return self._writer


def _lost(ref: FileRef) -> ValueLost:
    return ValueLost(
        f"The value {ref.sha256[:12]}… ({ref.size_bytes} bytes) is lost: it is not stored here, and no backend that "
        "could be asked keeps it. Run what made it again.",
        sha256=ref.sha256,
    )


async def all_of(coroutines: Iterable[Coroutine[None, None, T]]) -> list[T]:
    """Run all at once; when one fails, none goes on."""
    tasks = [asyncio.ensure_future(coroutine) for coroutine in coroutines]
    try:
        return await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
