"""Values at hand: those that stayed on a backend are brought here when they are needed, and made again when lost."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping

from ..domain import BLOB_MEDIA_TYPE, FileRef, Job, Value
from ..errors import NotFound, ValueLost
from ..scheduler.whereabouts import Whereabouts
from ..store.artifacts import ArtifactStore
from ..store.jobs import JobRepository
from .requests import Request, raise_failure

log = logging.getLogger(__name__)


class Values:
    """Makes sure of values. Lives on the server loop."""

    def __init__(
        self,
        whereabouts: Whereabouts,
        artifacts: ArtifactStore,
        jobs: JobRepository,
        run: Callable[[Request], Awaitable[Job]],
    ) -> None:
        self._whereabouts = whereabouts
        self._artifacts = artifacts
        self._jobs = jobs
        self._run = run

    def lease(self, owner: str, refs: Iterable[FileRef], *, seconds: float) -> None:
        """Keep files from being evicted; blobs that stayed on a backend are left out.

        Raises:
            ValueLost: a file is gone.
        """
        here = [ref for ref in refs if ref.media_type != BLOB_MEDIA_TYPE or self._whereabouts.is_here(ref)]
        self._artifacts.lease(owner, here, seconds=seconds)

    async def sure(self, values: Mapping[str, Value]) -> dict[str, Value]:
        """Return values that can be had, here or from a backend: those that are lost are made again.

        Raises:
            ValueLost: one is lost and cannot be made again.
            JobError: making it again failed.
        """
        return {name: await self._sure(value) for name, value in values.items()}

    async def obtain(
        self, values: Mapping[str, Value], names: Collection[str], *, owner: str, seconds: float
    ) -> dict[str, Value]:
        """Return values of which those named are in the artifact store, leased to ``owner`` for that time.

        Raises:
            ValueLost: one is lost and cannot be made again.
            JobError: making it again failed.
            StoreError: there is no room for one.
        """
        found = {name: await self._here(v, owner) if name in names else v for name, v in values.items()}
        self._artifacts.lease(owner, [ref for name in names for ref in found[name].files], seconds=seconds)
        return found

    async def fetch(self, sha256: str, owner: str, *, seconds: float) -> bool:
        """Bring a value here of which only the hash is known, leased to ``owner`` for that time; whether it is here.

        Raises:
            ValueLost: it was there a moment ago.
            StoreError: there is no room for it.
        """
        if not await self._whereabouts.bring_by_hash(sha256, owner):
            return False
        size = self._artifacts.find(sha256)
        self._artifacts.lease(owner, [FileRef(sha256, size or 0, BLOB_MEDIA_TYPE)], seconds=seconds)
        return True

    async def remade(self, value: Value) -> Value:
        """Return a lost value from the job that made it, which is run once more.

        Raises:
            ValueLost: it is not known who made it.
            JobError: that job failed this time.
        """
        maker = await self._whereabouts.maker(value)
        try:
            job = await self._jobs.get(maker) if maker is not None else None
        except NotFound:
            job = None
        output = next((name for name, made in job.outputs.items() if made.files == value.files), None) if job else None
        if job is None or output is None:
            raise ValueLost(
                f"A value of type {value.type} stayed on the backend that made it, and is lost there; what made it is "
                "not known any more. Run the graph again from where it is made.",
                type=value.type,
            )
        log.info("The output %r of job %s is lost and made again", output, job.id)
        again = await self._run(Request.again(job.spec))
        raise_failure(again)
        return again.outputs[output]

    async def _sure(self, value: Value) -> Value:
        if not value.is_blob or not await self._whereabouts.is_lost(value):
            return value
        return await self.remade(value)

    async def _here(self, value: Value, owner: str) -> Value:
        if not value.is_blob:
            return value
        try:
            await self._whereabouts.bring(value.files, owner)
        except ValueLost as error:
            log.info("%s", error)
            value = await self.remade(value)
            await self._whereabouts.bring(value.files, owner)
        return value
