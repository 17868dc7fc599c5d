"""Takes one attempt from its definition to its outputs on one backend."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace

from ..backend.agent_carriers import carriers_of
from ..backend.answers import Place
from ..backend.peer import Farm, Inbox, Peer
from ..domain import BLOB_MEDIA_TYPE, Attempt, AttemptStatus, Cause, Definition, Failure, FileRef, Job, Value
from ..errors import (
    BackendError,
    BackendRefused,
    BackendTimedOut,
    BackendUnreachable,
    ConnectionLost,
    OrchestratorError,
    PromptRejected,
    StoreError,
    ValueLost,
)
from ..machine.backends import HealthEvent, JobSucceeded, ProbeFailed
from ..machine.events import CancelConfirmed, Event, Faulted, Succeeded, Unanswered
from ..machine.jobs import JobState
from ..workflow.fragments import Lowered
from ..workflow.graph import class_type
from ..workflow.patch import lower
from .collect import Collected, Collection
from .core import Feed
from .faults import failure_of, failure_of_node
from .follow import Follower, Patience, Verdict, find
from .removal import Removal
from .tracker import Ended, Tracker
from .transfer import Traffic, Transfer, name_there, tenant_of
from .updates import Publish

log = logging.getLogger(__name__)

Definitions = Callable[[str, int], Awaitable[Definition]]
"""``await definitions(id, version)``."""


@dataclass(frozen=True)
class _Prepared:
    """What was, or is about to be, submitted for an attempt."""

    lowered: Lowered
    traffic: Traffic
    files: tuple[FileRef, ...]
    """What it takes there, in the form that the backend takes."""
    losses: Mapping[str, str]
    """Output name to what may have been lost of it or of what it was made of, in words."""


class AttemptExecutor:
    """Carries attempts out on their backends and feeds what happens back."""

    def __init__(
        self,
        farm: Farm,
        transfer: Transfer,
        definitions: Definitions,
        *,
        remade: Callable[[Value], Awaitable[Value]],
        report: Callable[[str, HealthEvent], None],
        released: Callable[[str], None],
        publish: Publish,
        clock: Callable[[], float],
        patience: Callable[[], Patience] = Patience,
    ) -> None:
        self._farm = farm
        self._transfer = transfer
        self._definitions = definitions
        self._remade = remade
        self._report = report
        self._released = released
        self._publish = publish
        self._clock = clock
        self._tuned = patience
        self._prepared: dict[str, _Prepared] = {}
        """Of the attempts under way; those without are over."""
        self._removal = Removal(farm, self._patience, clock)
        self._collection = Collection(transfer, self._patience, clock)

    @property
    def _patience(self) -> Patience:
        return self._tuned()

    async def close(self) -> None:
        """Stop what runs beside the attempts."""
        await self._removal.close()

    async def execute(self, state: JobState, attempt: Attempt, feed: Feed) -> None:
        """Lower, upload, submit, follow and collect."""
        peer = self._farm.get(attempt.backend_id)
        if peer is None:
            await feed(state.job.id, _gone(attempt))
            return
        with peer.inbox(attempt.prompt_id) as inbox:
            try:
                prepared = await self._prepare(peer, state.job, attempt)
                await peer.connect(self._patience.connect_s)
            except OrchestratorError as error:
                await self._fail(peer, attempt, error, feed)
                return
            if await self._submit(peer, attempt, prepared, feed):
                await self._follow(peer, state.job, attempt, prepared, inbox, feed, accepted=True)

    async def locate(self, state: JobState, attempt: Attempt, feed: Feed) -> None:
        """Find out what became of an attempt in doubt, and follow it from there."""
        peer = self._farm.get(attempt.backend_id)
        if peer is None:
            await feed(state.job.id, _gone(attempt))
            return
        with peer.inbox(attempt.prompt_id) as inbox:
            prepared = self._prepared.get(attempt.id) or await self._prepare_again(peer, state.job, attempt, feed)
            if prepared is None:
                return
            if attempt.id not in self._prepared:
                # After a restart: under way from here on, and nobody remembers whether it was sent twice before.
                self._prepared[attempt.id] = prepared
                self._removal.expect_twin(attempt, lambda: attempt.id in self._prepared)
            try:
                sent = attempt.status is not AttemptStatus.SUBMITTING
                arrived = sent or await self._arrives(peer, state.job, attempt, prepared)
            except OrchestratorError as error:
                await self._fail(peer, attempt, error, feed)
                return
            if arrived:
                await self._follow(peer, state.job, attempt, prepared, inbox, feed, adrift=True)
            else:
                self._let_go(attempt)
                text = f"{peer.backend.name} never got the job: the submit was lost, and its answer with it."
                await feed(state.job.id, Faulted(attempt.id, Failure(Cause.SUBMIT_UNANSWERED, text)))

    async def withdraw(self, state: JobState, attempt: Attempt, feed: Feed) -> None:
        """Remove the attempt's prompt from its backend and confirm."""
        self._let_go(attempt)
        certain = await self._removal.withdraw(attempt)
        await feed(state.job.id, CancelConfirmed(attempt.id, certain=certain))

    async def disown(self, attempt: Attempt) -> None:
        """Keep looking for a prompt that was given up, and remove it if it appears."""
        self._let_go(attempt)
        await self._removal.disown(attempt)

    async def free_memory(self, backend_id: str) -> None:
        """Ask a backend to unload its models."""
        peer = self._farm.get(backend_id)
        if peer is None:
            return
        try:
            await peer.client.free(unload_models=True, free_memory=True)
        except BackendError as error:
            log.warning("%s could not be asked to free its memory: %s", peer.backend.name, error)

    # --- before the submit

    async def _prepare(self, peer: Peer, job: Job, attempt: Attempt) -> _Prepared:
        traffic = Traffic()
        try:
            prepared = await self._bring(peer, job, attempt, traffic)
        except BackendRefused as error:
            if not peer.has_agent:
                raise
            # Its token was changed. As a plain ComfyUI it may still take the job.
            peer.distrust(str(error))
            prepared = await self._bring(peer, job, attempt, traffic)
        except ValueLost as error:
            log.info("Job %s lost an input on its way: %s", job.id, error)
            # What makes it again may need this very backend.
            self._released(job.id)
            prepared = await self._bring(peer, await self._with_values_again(job), attempt, traffic)
        self._prepared[attempt.id] = prepared
        return prepared

    async def _with_values_again(self, job: Job) -> Job:
        """Return the job with every value made again that is lost.

        Raises:
            ValueLost: one cannot be made again.
            JobError: making it again failed.
        """
        values = {
            name: await self._remade(value) if await self._transfer.is_lost(value) else value
            for name, value in job.spec.values.items()
        }
        return replace(job, spec=replace(job.spec, values=values))

    async def _bring(self, peer: Peer, job: Job, attempt: Attempt, traffic: Traffic) -> _Prepared:
        prepared = await self._lower(peer, job, attempt, traffic)
        await self._transfer.upload(peer, prepared.files, traffic, owner=job.id, tenant=tenant_of(attempt))
        return prepared

    async def _prepare_again(self, peer: Peer, job: Job, attempt: Attempt, feed: Feed) -> _Prepared | None:
        """Find out again what an attempt was, after a restart of the master; wait for the backend as long as it takes.

        Lowering is the same each time, so the outputs are where the prompt that was sent has put them. None means that
        the attempt is over, which has been fed to the job.
        """
        deadline = self._clock() + self._patience.lost_s
        while True:
            try:
                return await self._lower(peer, job, attempt, Traffic())
            except BackendError as error:
                self._report(peer.backend.id, ProbeFailed(str(error), refused=isinstance(error, BackendUnreachable)))
                if self._clock() >= deadline or peer.closed:
                    text = f"{peer.backend.name} had the job when the master stopped, and does not answer. {error}"
                    await feed(job.id, Faulted(attempt.id, Failure(Cause.VANISHED, text)))
                    return None
            except OrchestratorError as error:
                await self._fail(peer, attempt, error, feed)
                return None
            await asyncio.sleep(self._patience.poll_s)

    async def _lower(self, peer: Peer, job: Job, attempt: Attempt, traffic: Traffic) -> _Prepared:
        definition = await self._definitions(job.spec.definition_id, job.spec.definition_version)
        carriers = await carriers_of(peer, definition, job.spec)
        adapted = await self._transfer.adapt(carriers, job.spec.values, traffic, owner=job.id)
        files = (*job.spec.files.values(), *(ref for value in adapted.values.values() for ref in value.files))
        infos = await peer.infos.many({class_type(node) for node in definition.prompt.values()} | carriers.infos.keys())
        lowered = lower(
            definition,
            adapted.values,
            job.spec.outputs,
            carriers=carriers,
            attempt_id=attempt.id,
            files={ref.sha256: name_there(ref) for ref in files},
            file_inputs=job.spec.files,
            infos=infos,
        )
        losses = {
            name: _told_losses(carriers.loss_on_leaving(collector.type), adapted.losses)
            for name, collector in lowered.collectors.items()
        }
        return _Prepared(lowered, traffic, files, losses)

    # --- the submit

    async def _submit(self, peer: Peer, attempt: Attempt, prepared: _Prepared, feed: Feed) -> bool:
        """Submit; return whether the backend took the prompt. Everything else has been fed to the job."""
        try:
            await peer.client.submit(prepared.lowered.prompt, prompt_id=attempt.prompt_id)
        except (BackendTimedOut, ConnectionLost) as error:
            log.info("%s did not answer the submit of %s: %s", peer.backend.name, attempt.prompt_id, error)
            await feed(attempt.job_id, Unanswered(attempt.id))
            return False
        except BackendError as error:
            await self._fail(peer, attempt, error, feed)
            return False
        return True

    async def _arrives(self, peer: Peer, job: Job, attempt: Attempt, prepared: _Prepared) -> bool:
        """Look for a prompt whose submit was not answered; send it once more to the same backend if it is not there.

        Raises:
            PromptRejected: the backend refuses it, and so would have the first time.
            ValueLost: an input is no longer in the store.
            StoreError: one could not be read.
        """
        if await self._appears(peer, attempt):
            return True
        # The first submit may only be slow: from now on the backend may come to have the prompt twice.
        self._removal.expect_twin(attempt, lambda: attempt.id in self._prepared)
        try:
            # A master that was stopped before the submit may not have sent the inputs either.
            tenant = tenant_of(attempt)
            await self._transfer.upload(peer, prepared.files, prepared.traffic, owner=job.id, tenant=tenant)
            await peer.connect(self._patience.connect_s)
            await peer.client.submit(prepared.lowered.prompt, prompt_id=attempt.prompt_id)
        except PromptRejected:
            raise
        except BackendError as error:
            log.info("%s did not take %s the second time: %s", peer.backend.name, attempt.prompt_id, error)
            return await self._appears(peer, attempt)
        return True

    async def _appears(self, peer: Peer, attempt: Attempt) -> bool:
        """Whether the backend has the prompt, asking until it should have arrived. No answer is no news: True then."""
        deadline = self._clock() + self._patience.arrive_s
        while True:
            try:
                where = await find(peer, attempt.prompt_id, self._patience)
            except BackendUnreachable:
                return True  # following finds out whether the backend comes back
            except BackendError:
                where = None
            if where is not None and where.place is not Place.ABSENT:
                return True
            if self._clock() >= deadline:
                return where is None
            await asyncio.sleep(min(0.25, self._patience.poll_s))

    # --- after the submit

    async def _follow(
        self,
        peer: Peer,
        job: Job,
        attempt: Attempt,
        prepared: _Prepared,
        inbox: Inbox,
        feed: Feed,
        *,
        accepted: bool = False,
        adrift: bool = False,
    ) -> None:
        tracker = Tracker(attempt.prompt_id, prepared.lowered.prompt)

        def fault_of(ended: Ended) -> Failure:
            return self._fault_of(peer, prepared.lowered, ended)

        follower = Follower(
            peer, job, attempt, tracker, feed, fault_of, self._report, self._publish, self._tuned, self._clock
        )
        lost = attempt.status is AttemptStatus.LOST
        verdict = await follower.follow(inbox, accepted=accepted, adrift=adrift, lost=lost)
        if verdict is Verdict.ABSENT:
            text = f"{peer.backend.name} no longer has the job: it was restarted, or its queue was cleared."
            await follower.in_turn(job.id, Faulted(attempt.id, Failure(Cause.VANISHED, text)))
        elif verdict is Verdict.DONE:
            self._released(job.id)
            await self._collect(peer, job, attempt, prepared, follower, follower.in_turn)
        if verdict is not Verdict.LOST:
            self._let_go(attempt)

    def _fault_of(self, peer: Peer, lowered: Lowered, ended: Ended) -> Failure:
        name = peer.backend.name
        if ended.interrupted:
            return Failure(Cause.INTERRUPTED, f"Somebody interrupted the job on {name}.")
        if ended.error is None:
            raise ValueError("a prompt that ended well has no fault")
        return failure_of_node(name, ended.error, lowered.node_ids)

    async def _collect(
        self, peer: Peer, job: Job, attempt: Attempt, prepared: _Prepared, follower: Follower, feed: Feed
    ) -> None:
        traffic = prepared.traffic
        collected = Collected(peer, job, attempt, prepared.lowered.collectors, prepared.losses, traffic, follower)
        try:
            outputs = await self._collection.outputs(collected)
        except StoreError:
            raise
        except OrchestratorError as error:
            if isinstance(error, BackendRefused) and peer.has_agent:
                peer.distrust(str(error))
            cause = Cause.VANISHED if isinstance(error, BackendUnreachable) else Cause.OUTPUT_INVALID
            failure = Failure(cause, f"The result could not be fetched. {error}")
            await feed(
                attempt.job_id,
                Faulted(
                    attempt.id,
                    failure,
                    uploaded_bytes=traffic.uploaded_bytes,
                    downloaded_bytes=traffic.downloaded_bytes,
                    loading_s=follower.loading_s,
                ),
            )
            return
        self._collection.let_go(collected)
        self._report(peer.backend.id, JobSucceeded())
        moved, took = (traffic.uploaded_bytes, traffic.downloaded_bytes), (follower.loading_s, follower.fetching_s)
        await feed(attempt.job_id, Succeeded(attempt.id, outputs, *moved, *took))

    # --- ends

    def _let_go(self, attempt: Attempt) -> None:
        """Forget an attempt that is over, and let its agent delete what it took when it needs the room."""
        prepared, peer = self._prepared.pop(attempt.id, None), self._farm.get(attempt.backend_id)
        # One that ended while it was prepared may have brought some of its inputs.
        took = prepared is None or any(ref.media_type == BLOB_MEDIA_TYPE for ref in prepared.files)
        if took and peer is not None and peer.has_agent:
            self._transfer.let_go(peer, [tenant_of(attempt)])

    async def _fail(self, peer: Peer, attempt: Attempt, error: OrchestratorError, feed: Feed) -> None:
        """Feed an error from before the prompt was in the backend's queue."""
        self._let_go(attempt)
        if isinstance(error, StoreError):
            raise error
        unreachable = isinstance(error, BackendUnreachable)
        if isinstance(error, BackendError) and not isinstance(error, PromptRejected):
            self._report(peer.backend.id, ProbeFailed(str(error), refused=unreachable))
        await feed(attempt.job_id, Faulted(attempt.id, failure_of(error), sent=not unreachable))


def files_of(job: Job) -> list[FileRef]:
    """Return every stored file that a job takes to its backend."""
    return [*job.spec.files.values(), *(ref for value in job.spec.values.values() for ref in value.files)]


def _told_losses(on_leaving: str, of_inputs: Mapping[str, str]) -> str:
    told = [on_leaving] if on_leaving else []
    return "; ".join([*told, *(f"its input {name!r}: {text}" for name, text in of_inputs.items())])


def _gone(attempt: Attempt) -> Event:
    return Faulted(attempt.id, Failure(Cause.VANISHED, "The backend was removed while it had the job."))
