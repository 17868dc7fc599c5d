"""Brings the outputs of a prompt that ended well from its backend: the work is done, only its transport can fail."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from ..backend.blobs import kept_blobs
from ..backend.peer import Peer
from ..backend.results import NodeOutput
from ..backend.scalars import collect_scalar
from ..domain import Attempt, FileRef, Job, Json, Value
from ..errors import BackendTimedOut, BackendUnreachable, ConnectionLost, ValueLost
from ..workflow.fragments import Collector
from .follow import Follower, Patience
from .transfer import Traffic, Transfer

log = logging.getLogger(__name__)

HISTORY_RETRY_S = 0.05


@dataclass(frozen=True)
class Collected:
    """An attempt whose prompt is done, and where its outputs are to be found."""

    peer: Peer
    job: Job
    attempt: Attempt
    collectors: Mapping[str, Collector]
    losses: Mapping[str, str]
    """Output name to what may have been lost of it, in words."""
    traffic: Traffic
    follower: Follower


class Collection:
    """Fetches outputs."""

    def __init__(self, transfer: Transfer, patience: Patience, clock: Callable[[], float]) -> None:
        self._transfer = transfer
        self._patience = patience
        self._clock = clock

    async def outputs(self, done: Collected) -> dict[str, Value]:
        """Fetch every output, again where that breaks off: the work is done, and only its transport failed.

        Raises:
            BackendError: it went on to fail.
            ValueLost: the backend has none.
            StoreError: an output could not be stored.
        """
        deadline = self._clock() + self._patience.refused_s
        again = False
        while True:
            try:
                shown = await self._shown(done)
                return {name: await self._value(done, one, shown) for name, one in done.collectors.items()}
            except (BackendUnreachable, BackendTimedOut, ConnectionLost) as error:
                if again and self._clock() >= deadline:
                    raise
                log.info("The result of %s is fetched again: %s", done.attempt.prompt_id, error)
            again = True
            await asyncio.sleep(self._patience.poll_s)

    def let_go(self, done: Collected) -> None:
        """Let the agent delete what the attempt made when it needs the room, but for what has to stay."""
        made = [one.output for one in done.collectors.values() if one.is_blob]
        if made and not any(name in done.job.spec.may_stay for name in made):
            self._transfer.let_go(done.peer, [done.attempt.id])

    async def _shown(self, done: Collected) -> Mapping[str, NodeOutput]:
        """Return what the collectors' nodes showed: from the socket if it told all, else from the history."""
        follower = done.follower
        wanted = {collector.node_id for collector in done.collectors.values()}
        if wanted <= follower.tracker.outputs.keys():
            return follower.tracker.outputs
        if follower.entry is None:
            deadline = self._clock() + self._patience.arrive_s
            while follower.entry is None and self._clock() < deadline:
                follower.entry = await done.peer.client.history(done.attempt.prompt_id)
                if follower.entry is None:
                    # The history entry is written after the message of success.
                    await asyncio.sleep(HISTORY_RETRY_S)
        return follower.entry.outputs if follower.entry is not None else {}

    async def _value(self, done: Collected, collector: Collector, shown: Mapping[str, NodeOutput]) -> Value:
        output = shown.get(collector.node_id, NodeOutput())
        told = output.values.get(collector.key, ())
        loss = done.losses.get(collector.output, "")
        if collector.is_text and told:
            return Value(collector.type, collect_scalar(collector.type, [str(text) for text in told]), loss=loss)
        if collector.is_blob and told:
            return Value(collector.type, files=await self._blobs(done, collector, told), loss=loss)
        if files := output.files.get(collector.key, ()):
            refs = await self._transfer.download(done.peer, files, done.traffic, owner=done.job.id)
            return Value(collector.type, files=refs, loss=loss)
        blocked = done.follower.tracker.blocked
        reason = f" ({blocked.message})" if blocked is not None else ""
        raise ValueLost(f"{done.peer.backend.name} gave nothing for the output {collector.output!r}{reason}.")

    async def _blobs(self, done: Collected, collector: Collector, told: Sequence[Json]) -> tuple[FileRef, ...]:
        refs = kept_blobs(done.peer.backend.name, told)
        stays = collector.output in done.job.spec.may_stay
        await self._transfer.take(done.peer, refs, done.traffic, owner=done.job.id, may_stay=stays)
        return refs
