"""Removes prompts of ours from backends: cancelled ones, given-up ones that appear after all, and second copies."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from ..backend.answers import CancelOutcome, Place
from ..backend.peer import Farm, Peer
from ..domain import Attempt, AttemptStatus
from ..errors import BackendError, BackendTimedOut, BackendUnreachable
from ..machine.policy import DISOWNED
from ..waiting import within
from .follow import Patience, find

log = logging.getLogger(__name__)

INTERRUPT_AGAIN_S = 5.0
"""An interrupt that a node did not heed is sent again after so long; each carries the peer's own small risk of
hitting the prompt that comes next."""

SLOWEST_POLL = 10
"""How many times slower a prompt that does not appear is looked for in the end than at first."""

LOOK_S = 0.25

DISOWN_S = Patience().disown_s
"""For how long after its end a start of the master still looks for the prompt of an attempt."""


def may_still_run(attempt: Attempt) -> bool:
    """Whether an attempt that is over may have left its prompt behind on a backend that did not answer."""
    if attempt.status is AttemptStatus.CANCELLED:
        return True
    return attempt.failure is not None and attempt.failure.cause in DISOWNED


class Removal:
    """Never touches a prompt that is not ours: everything names its prompt_id. Lives on the server loop."""

    def __init__(self, farm: Farm, patience: Patience, clock: Callable[[], float]) -> None:
        self._farm = farm
        self._patience = patience
        self._clock = clock
        self._watches: set[asyncio.Task[None]] = set()

    async def close(self) -> None:
        """Stop every watch for second copies."""
        for watch in list(self._watches):
            watch.cancel()
        await asyncio.gather(*self._watches, return_exceptions=True)

    async def withdraw(self, attempt: Attempt) -> bool:
        """Remove the attempt's prompt; return whether it is certain that its backend has it no more.

        Certain is also that nothing can be done about it: the backend was removed, or cannot interrupt one prompt.
        """
        peer = self._farm.get(attempt.backend_id)
        return peer is None or await _Withdrawal(peer, attempt, self._patience, self._clock).done()

    async def disown(self, attempt: Attempt) -> None:
        """Keep looking for a prompt that was given up, ever more seldom, and remove it if it appears."""
        deadline = self._clock() + self._patience.disown_s
        pause_s = self._patience.poll_s
        while self._clock() < deadline and (peer := self._farm.get(attempt.backend_id)) is not None:
            try:
                where = await find(peer, attempt.prompt_id, self._patience)
                if where.place is Place.FINISHED:
                    return
                if where.place is not Place.ABSENT:
                    log.info("%s still has %s, which was given up: it is removed", peer.backend.name, attempt.prompt_id)
                    await peer.client.cancel(attempt.prompt_id)
            except BackendError as error:
                log.debug("Looking for given-up prompt %s on %s: %s", attempt.prompt_id, peer.backend.name, error)
            await asyncio.sleep(pause_s)
            pause_s = self._slower(pause_s)

    def expect_twin(self, attempt: Attempt, under_way: Callable[[], bool]) -> None:
        """Watch for a second copy of a prompt that was submitted twice, and remove it wherever it is found.

        Args:
            attempt: the one whose prompt it is.
            under_way: whether the attempt is not over, so that one copy is wanted.
        """
        watch = asyncio.create_task(self._end_twins(attempt, under_way), name=f"twins of {attempt.prompt_id}")
        self._watches.add(watch)
        watch.add_done_callback(self._watches.discard)

    async def _end_twins(self, attempt: Attempt, under_way: Callable[[], bool]) -> None:
        deadline = self._clock() + self._patience.disown_s
        pause_s = self._patience.poll_s
        while self._clock() < deadline and (peer := self._farm.get(attempt.backend_id)) is not None:
            try:
                await self._end_twin(peer, attempt.prompt_id, under_way)
            except BackendError as error:
                log.debug("Looking for a second copy of %s on %s: %s", attempt.prompt_id, peer.backend.name, error)
            await asyncio.sleep(pause_s)
            pause_s = self._patience.poll_s if under_way() else self._slower(pause_s)

    async def _end_twin(self, peer: Peer, prompt_id: str, under_way: Callable[[], bool]) -> None:
        queue = await peer.client.queue()
        waiting = sum(prompt.prompt_id == prompt_id for prompt in queue.pending)
        running = any(prompt.prompt_id == prompt_id for prompt in queue.running)
        wanted = under_way()
        if waiting and (running or waiting > 1 or not wanted):
            log.info("%s has %s twice: the copy that waits is removed", peer.backend.name, prompt_id)
            await peer.client.dequeue(prompt_id)
        elif running and not wanted:
            log.info("%s runs %s a second time: that is stopped", peer.backend.name, prompt_id)
            await peer.client.cancel(prompt_id)

    def _slower(self, pause_s: float) -> float:
        return min(1.5 * pause_s, SLOWEST_POLL * self._patience.poll_s)


class _Withdrawal:
    """Cancels one prompt until its backend has it no more, or does not answer for so long that nobody can tell."""

    def __init__(self, peer: Peer, attempt: Attempt, patience: Patience, clock: Callable[[], float]) -> None:
        self._peer = peer
        self._attempt = attempt
        self._patience = patience
        self._clock = clock
        self._deadline = clock() + patience.lost_s
        # A submit that was cut short may still be on its way.
        self._arrival = clock() + (patience.arrive_s if attempt.status is AttemptStatus.SUBMITTING else 0.0)
        self._asked_at: float | None = None
        self._refused_since: float | None = None

    async def done(self) -> bool:
        """Return whether it is certain that the backend has the prompt no more."""
        while True:
            try:
                if await self._gone():
                    return True
                self._refused_since = None
            except BackendError as error:
                log.info("Cancelling %s on %s: %s", self._attempt.prompt_id, self._peer.backend.name, error)
                self._refused_since = self._refused(error)
            now = self._clock()
            if self._refused_since is not None and now - self._refused_since >= self._patience.refused_s:
                return False
            if now >= self._deadline or self._peer.closed:
                return False
            await asyncio.sleep(min(LOOK_S, self._patience.poll_s))

    async def _gone(self) -> bool:
        if self._asked_at is None or self._clock() - self._asked_at >= INTERRUPT_AGAIN_S:
            outcome = await self._cancel()
            if outcome is CancelOutcome.UNSUPPORTED:
                log.warning(
                    "%s cannot interrupt a single prompt (it needs ComfyUI 0.3.57): %s runs to its end there",
                    self._peer.backend.name,
                    self._attempt.prompt_id,
                )
                return True
            if outcome is CancelOutcome.DEQUEUED:
                return True
            self._asked_at = self._clock()
        where = await find(self._peer, self._attempt.prompt_id, self._patience)
        if where.place is Place.FINISHED:
            return True
        if where.place is Place.ABSENT:
            self._asked_at = None
            return self._clock() >= self._arrival
        return False

    async def _cancel(self) -> CancelOutcome:
        try:
            return await within(self._peer.client.cancel(self._attempt.prompt_id), self._patience.answer_s)
        except asyncio.TimeoutError:
            raise BackendTimedOut(self._peer.backend.name, "it does not answer to a cancel.") from None

    def _refused(self, error: BackendError) -> float | None:
        if not isinstance(error, BackendUnreachable):
            return None
        return self._refused_since if self._refused_since is not None else self._clock()
