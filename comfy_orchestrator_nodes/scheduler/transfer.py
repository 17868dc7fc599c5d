"""Moves files between the artifact store and a backend, each file once."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Coroutine, Iterable
from dataclasses import dataclass
from typing import TypeVar

from ..backend.carriers import media_type_of, upload_name
from ..backend.codecs.clean import cleaner
from ..backend.peer import Peer
from ..backend.results import RemoteFile
from ..domain import FileRef
from ..store.artifacts import ArtifactStore

T = TypeVar("T")

AT_ONCE = 4
"""How many files of one attempt travel at the same time."""


@dataclass
class Traffic:
    """Bytes moved for one attempt."""

    uploaded_bytes: int = 0
    downloaded_bytes: int = 0


class Transfer:
    """Uploads what a backend lacks and downloads what it made."""

    def __init__(self, artifacts: ArtifactStore) -> None:
        self._artifacts = artifacts

    def missing_bytes(self, peer: Peer, refs: Collection[FileRef]) -> int:
        """Return how much would have to be sent to a backend before it has all these files."""
        return sum(ref.size_bytes for ref in refs if ref.sha256 not in peer.held)

    async def upload(self, peer: Peer, refs: Collection[FileRef], traffic: Traffic) -> dict[str, str]:
        """Bring files to a backend; one that it holds already is not sent again.

        Returns:
            SHA-256 to the annotated name by which a loader node finds the file there.

        Raises:
            BackendError: an upload failed.
            ValueLost: a file is no longer in the store.
        """
        distinct = {ref.sha256: ref for ref in refs}
        gate = asyncio.Semaphore(AT_ONCE)

        async def bring(ref: FileRef) -> tuple[str, str]:
            async with gate:
                return ref.sha256, (await self._hold(peer, ref, traffic)).annotated

        return dict(await _all(bring(ref) for ref in distinct.values()))

    async def download(
        self, peer: Peer, files: Collection[RemoteFile], traffic: Traffic, *, owner: str
    ) -> tuple[FileRef, ...]:
        """Bring files of a backend into the store, in order, leased to ``owner``.

        Raises:
            BackendError: a download failed or was cut off.
            StoreFull: there is no room for it.
        """
        gate = asyncio.Semaphore(AT_ONCE)

        async def bring(file: RemoteFile) -> FileRef:
            async with gate:
                return await self._fetch(peer, file, traffic, owner)

        return tuple(await _all(bring(file) for file in files))

    async def _hold(self, peer: Peer, ref: FileRef, traffic: Traffic) -> RemoteFile:
        under_way = peer.held.get(ref.sha256)
        if under_way is None:
            under_way = asyncio.create_task(self._send(peer, ref, traffic), name=f"upload {ref.sha256[:8]}")
            peer.held[ref.sha256] = under_way
        try:
            # Shielded, because other attempts may wait for the same upload when this one is cancelled.
            return await asyncio.shield(under_way)
        except BaseException:
            failed = under_way.done() and (under_way.cancelled() or under_way.exception() is not None)
            if failed and peer.held.get(ref.sha256) is under_way:
                del peer.held[ref.sha256]
            raise

    async def _send(self, peer: Peer, ref: FileRef, traffic: Traffic) -> RemoteFile:
        name = upload_name(ref)
        uploaded = await peer.client.upload(
            await asyncio.to_thread(self._artifacts.path, ref),
            name=name.filename,
            subfolder=name.subfolder,
            place=name.type,
            media_type=ref.media_type,
            overwrite=True,
        )
        traffic.uploaded_bytes += uploaded.bytes_sent
        return uploaded.file

    async def _fetch(self, peer: Peer, file: RemoteFile, traffic: Traffic, owner: str) -> FileRef:
        with self._artifacts.writer(media_type_of(file.name), owner=owner) as writer:
            # Without the prompt that ComfyUI writes into its images, so that equal results have equal names.
            clean = cleaner(media_type_of(file.name), writer.write)
            traffic.downloaded_bytes += await peer.client.view(file, clean.write)
            clean.finish()
            return await asyncio.to_thread(writer.publish)


async def _all(coroutines: Iterable[Coroutine[None, None, T]]) -> list[T]:
    """Run all at once; when one fails, none goes on."""
    tasks = [asyncio.ensure_future(coroutine) for coroutine in coroutines]
    try:
        return await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
