"""Moves values between the artifact store and a backend: each file once, each blob only where it is missing."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Collection, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TypeAlias, TypeVar

from ..backend.agent_carriers import BackendCarriers
from ..backend.carriers import media_type_of, upload_name
from ..backend.codecs import blobs as blob_codec
from ..backend.codecs.clean import cleaner
from ..backend.http import CLOSED
from ..backend.peer import Peer
from ..backend.results import RemoteFile
from ..domain import BLOB_MEDIA_TYPE, Attempt, FileRef, Value
from ..errors import BackendError, BackendUnreachable
from ..store.artifacts import ArtifactStore
from ..store.sink import ArtifactWriter
from .whereabouts import Whereabouts, all_of

log = logging.getLogger(__name__)

T = TypeVar("T")

AT_ONCE = 4
"""How many files of one attempt travel at the same time."""

LEASE_S = 3600.0
"""How long an agent keeps what a job takes at least."""

_Form: TypeAlias = tuple[str, tuple[str, ...], bool]
"""The type and the hashes of a value, and whether it is written as one blob or as files."""

_WRITTEN_LIMIT = 1000
"""How many values are remembered as written to files."""


@dataclass
class Traffic:
    """Bytes moved for one attempt."""

    uploaded_bytes: int = 0
    downloaded_bytes: int = 0


@dataclass(frozen=True)
class Written:
    """A blob as the files that a plain backend takes."""

    files: tuple[FileRef, ...]
    loss: str


@dataclass(frozen=True)
class Adapted:
    """A job's values in the form that one backend takes."""

    values: Mapping[str, Value]
    losses: Mapping[str, str] = field(default_factory=dict)
    """Parameter name to what its value lost, in words."""


def name_there(ref: FileRef) -> str:
    """Return what a prompt calls a stored file on a backend: a loader node's file name; of a blob, its hash."""
    return ref.sha256 if ref.media_type == BLOB_MEDIA_TYPE else upload_name(ref).annotated


def tenant_of(attempt: Attempt) -> str:
    """Return for whom an agent keeps what an attempt takes: apart from what it makes, which may have to stay."""
    return f"inputs of {attempt.id}"


class Transfer:
    """Uploads what a backend lacks and downloads what it made."""

    def __init__(self, artifacts: ArtifactStore, whereabouts: Whereabouts) -> None:
        self._artifacts = artifacts
        self._whereabouts = whereabouts
        self._written: dict[_Form, asyncio.Task[Written]] = {}
        """Values that were or are being written in another form."""
        self._releasing: set[asyncio.Task[None]] = set()

    def missing_bytes(self, peer: Peer, refs: Collection[FileRef]) -> int:
        """Return how much would have to move before a backend has all these files."""
        return sum(self._missing(peer, ref) for ref in refs)

    def _missing(self, peer: Peer, ref: FileRef) -> int:
        if ref.sha256 in peer.held or (peer.has_agent and ref.sha256 in peer.blobs):
            return 0
        # What another backend keeps comes here first.
        return ref.size_bytes if self._whereabouts.is_here(ref) else 2 * ref.size_bytes

    async def is_lost(self, value: Value) -> bool:
        """Whether a blob can neither be found here nor be fetched from anywhere."""
        return value.is_blob and await self._whereabouts.is_lost(value)

    # --- to a backend

    async def adapt(
        self, carriers: BackendCarriers, values: Mapping[str, Value], traffic: Traffic, *, owner: str
    ) -> Adapted:
        """Return values in the form that a backend's carriers take, written anew where need be.

        Raises:
            UnsupportedValue: a value has no such form.
            ValueLost: one is gone.
            StoreError: there is no room for what is written.
        """
        adapted, losses = dict(values), {}
        for name, value in values.items():
            if carriers.takes(value):
                continue
            form = (value.type, tuple(ref.sha256 for ref in value.files), carriers.as_blob(value.type))
            written = await self._in_form(form, value, traffic, owner)
            adapted[name] = replace(value, files=written.files)
            if written.loss:
                losses[name] = written.loss
        return Adapted(adapted, losses)

    async def upload(self, peer: Peer, refs: Collection[FileRef], traffic: Traffic, *, owner: str, tenant: str) -> None:
        """Bring files to a backend, where they are called ``name_there``; what it has already is not sent again.

        ``owner`` keeps them here while they are on their way, ``tenant`` there until ``let_go``.

        Raises:
            BackendError: an upload failed.
            ValueLost: a file is no longer in the store.
        """
        distinct = {ref.sha256: ref for ref in refs}
        blobs = [ref for ref in distinct.values() if ref.media_type == BLOB_MEDIA_TYPE]
        gate = asyncio.Semaphore(AT_ONCE)

        async def bring(ref: FileRef) -> None:
            async with gate:
                await self._hold(peer, ref, traffic)

        async def give(ref: FileRef) -> None:
            async with gate:
                await self._give(peer, ref, traffic, owner, tenant)

        await all_of(bring(ref) for ref in distinct.values() if ref.media_type != BLOB_MEDIA_TYPE)
        while blobs:
            hashes = [ref.sha256 for ref in blobs]
            lacking = await peer.client.blobs.missing(hashes, owner=tenant, lease_s=LEASE_S)
            peer.blobs.difference_update(lacking)
            absent = [ref for ref in blobs if ref.sha256 in lacking]
            # These are leased for others, who may be done with them before this job is: it has to ask for them again.
            blobs = [ref for ref in absent if ref.sha256 in peer.sending]
            await all_of(give(ref) for ref in absent)
            peer.keeps(hashes)

    async def _give(self, peer: Peer, ref: FileRef, traffic: Traffic, owner: str, tenant: str) -> None:
        """Send a blob, once for all who want it there."""
        under_way = peer.sending.get(ref.sha256)
        if under_way is None:
            under_way = asyncio.create_task(
                self._send_blob(peer, ref, traffic, owner, tenant), name=f"send {ref.sha256[:8]}"
            )
            peer.sending[ref.sha256] = under_way
            under_way.add_done_callback(lambda _: peer.sending.pop(ref.sha256, None))
        await _shared(peer, under_way)

    async def _send_blob(self, peer: Peer, ref: FileRef, traffic: Traffic, owner: str, tenant: str) -> None:
        if not self._whereabouts.is_here(ref):
            traffic.downloaded_bytes += await self._whereabouts.bring([ref], owner)
        path = partial(self._artifacts.path, ref)
        traffic.uploaded_bytes += await peer.client.blobs.send(ref, path, owner=tenant, lease_s=LEASE_S)

    async def _in_form(self, form: _Form, value: Value, traffic: Traffic, owner: str) -> Written:
        """Return a value in another form, made once for all who want it."""
        task = self._written.get(form)
        if task is not None and task.done() and not await self._is_kept(task):
            task = None
        if task is None:
            task = asyncio.create_task(self._write(value, as_blob=form[2], traffic=traffic, owner=owner))
            self._written[form] = task
            while len(self._written) > _WRITTEN_LIMIT:
                self._written.pop(next(iter(self._written)))
        written = await asyncio.shield(task)
        self._artifacts.lease(owner, written.files)
        return written

    async def _is_kept(self, task: asyncio.Task[Written]) -> bool:
        if task.cancelled() or task.exception() is not None:
            return False
        files = task.result().files
        return all([await asyncio.to_thread(self._artifacts.has, ref) for ref in files])

    async def _write(self, value: Value, *, as_blob: bool, traffic: Traffic, owner: str) -> Written:
        traffic.downloaded_bytes += await self._whereabouts.bring(value.files, owner)
        return await asyncio.to_thread(self._write_now, value, as_blob, owner)

    def _write_now(self, value: Value, as_blob: bool, owner: str) -> Written:
        with ExitStack() as stack:

            def open_sink(media_type: str) -> ArtifactWriter:
                return stack.enter_context(self._artifacts.writer(media_type, owner=owner))

            files = [stack.enter_context(self._artifacts.open(ref)) for ref in value.files]
            if as_blob:
                native = blob_codec.decode_blobs(files, value.type)
                return Written((blob_codec.encode_blob(native, value.type, open_sink).publish(),), "")
            sinks, loss = blob_codec.write_files(files, value.type, open_sink)
            return Written(tuple(sink.publish() for sink in sinks), loss)

    async def _hold(self, peer: Peer, ref: FileRef, traffic: Traffic) -> RemoteFile:
        under_way = peer.held.get(ref.sha256)
        if under_way is None:
            under_way = asyncio.create_task(self._send(peer, ref, traffic), name=f"upload {ref.sha256[:8]}")
            peer.held[ref.sha256] = under_way
        try:
            return await _shared(peer, under_way)
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

    # --- from a backend

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

        return tuple(await all_of(bring(file) for file in files))

    async def take(
        self, peer: Peer, refs: Collection[FileRef], traffic: Traffic, *, owner: str, may_stay: bool
    ) -> None:
        """Take note of what a backend's agent keeps of a job's outputs, and bring it here unless it may stay there.

        Raises:
            BackendError, ValueLost: it could not be fetched.
            StoreError: there is no room for it.
        """
        await self._whereabouts.note(peer, refs, owner)
        if may_stay:
            return
        gate = asyncio.Semaphore(AT_ONCE)

        async def fetch(ref: FileRef) -> None:
            async with gate:
                traffic.downloaded_bytes += await self._whereabouts.fetch(peer, ref, owner)

        await all_of(fetch(ref) for ref in refs)

    def let_go(self, peer: Peer, owners: Collection[str]) -> None:
        """Let a backend's agent delete what it keeps for these when it needs the room. Nobody waits for it."""
        task = asyncio.create_task(self._release(peer, owners), name=f"release at {peer.backend.name}")
        self._releasing.add(task)
        task.add_done_callback(self._releasing.discard)

    async def close(self) -> None:
        """Stop what runs beside the attempts."""
        tasks = [*self._releasing, *(task for task in self._written.values() if not task.done())]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _release(self, peer: Peer, owners: Collection[str]) -> None:
        try:
            for owner in owners:
                await peer.client.blobs.release(owner)
        except BackendError as error:
            # What it keeps ends by itself after its time.
            log.debug("%s was not told what it may delete: %s", peer.backend.name, error)

    async def _fetch(self, peer: Peer, file: RemoteFile, traffic: Traffic, owner: str) -> FileRef:
        with self._artifacts.writer(media_type_of(file.name), owner=owner) as writer:
            # Without the prompt that ComfyUI writes into its images, so that equal results have equal names.
            clean = cleaner(media_type_of(file.name), writer.write)
            traffic.downloaded_bytes += await peer.client.view(file, clean.write)
            clean.finish()
            return await asyncio.to_thread(writer.publish)


async def _shared(peer: Peer, under_way: asyncio.Task[T]) -> T:
    """Wait for what others may wait for, too: whoever gives up here leaves it alone.

    Raises:
        BackendUnreachable: the peer was closed meanwhile, which cancels the task, but nobody who waits for it.
        BackendError: what the task raised.
    """
    await asyncio.wait({under_way})
    if under_way.cancelled():
        raise BackendUnreachable(peer.backend.name, CLOSED)
    return under_way.result()
