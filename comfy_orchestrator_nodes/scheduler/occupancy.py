"""What our jobs occupy on each backend, and what is learned from how they went."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass

from ..backend.peer import Farm, Peer
from ..domain import LOCAL_BACKEND_ID, BackendStatus, FileRef, JobStatus
from ..machine.backends import BackendHealth
from ..machine.jobs import JobState
from ..placement import BackendView, Estimates, JobView, Outcome
from .transfer import Transfer

SLOTS = 2
"""Jobs of ours that a backend has at most: one that runs, and one whose transfer that hides."""


@dataclass
class _Placement:
    """A job of ours on a backend."""

    backend_id: str
    definition_key: str
    since: float
    """Since when it has been the first of ours there; until then it waits behind another."""
    cold: bool
    released: bool = False


class MissingBytes(Mapping[str, int]):
    """Backend id to the bytes it lacks of some files, computed only where placement asks."""

    def __init__(self, transfer: Transfer, farm: Farm, files: Collection[FileRef]) -> None:
        self._transfer, self._farm, self._files = transfer, farm, files

    def __getitem__(self, backend_id: str) -> int:
        peer = self._farm.get(backend_id)
        if peer is None:
            raise KeyError(backend_id)
        return self._transfer.missing_bytes(peer, self._files)

    def __iter__(self) -> Iterator[str]:
        return iter(peer.backend.id for peer in self._farm)

    def __len__(self) -> int:
        return sum(1 for _ in self._farm)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, MissingBytes) and self._files == other._files

    def __hash__(self) -> int:
        return hash(tuple(file.sha256 for file in self._files))


class Occupancy:
    """Who runs what for us. Lives on the server loop."""

    def __init__(
        self,
        farm: Farm,
        estimates: Estimates,
        *,
        health: Callable[[str], BackendHealth],
        clock: Callable[[], float],
    ) -> None:
        self._farm = farm
        self.estimates = estimates
        self._health = health
        self._clock = clock
        self._placed: dict[str, _Placement] = {}
        self._warm: dict[str, frozenset[str]] = {}
        """Backend to the model files of what we ran there last."""

    def place(self, job: JobView, backend_id: str) -> None:
        """Note that a job goes to a backend, behind another of ours if there is one."""
        cold = not job.models <= self._warm.get(backend_id, frozenset())
        self._placed[job.id] = _Placement(backend_id, job.definition_key, self._clock(), cold)
        if job.models:
            self._warm[backend_id] = job.models

    def adopt(self, state: JobState) -> None:
        """Note an attempt under way that was not placed here: one found after a restart."""
        attempt = state.current
        if attempt is not None and state.job.id not in self._placed:
            key = state.job.spec.definition_hash
            self._placed[state.job.id] = _Placement(attempt.backend_id, key, self._clock(), cold=True)

    def release(self, job_id: str) -> None:
        """Note that a job's backend is done with it, though its outputs are still being fetched."""
        placement = self._placed.get(job_id)
        if placement is not None:
            self._release(placement)

    def leave(self, state: JobState) -> None:
        """Note that a job is on no backend any more, and learn from its success."""
        placement = self._placed.get(state.job.id)
        if placement is None:
            return
        self._release(placement)
        del self._placed[state.job.id]
        if state.job.status is JobStatus.SUCCEEDED:
            self._learn(state, placement)

    def used_memory(self, definition_key: str, peak_bytes: int) -> None:
        """Learn how much VRAM was in use at most while a definition ran: smaller backends may do."""
        self.estimates.memory.got_by_with(definition_key, peak_bytes)

    def out_of_memory(self, definition_key: str, backend_id: str) -> None:
        """Learn that a definition did not fit into a backend's memory."""
        self.estimates.out_of_memory(definition_key, backend_id, self._vram(backend_id), self._clock())

    def views(self, *, transfers: bool = False) -> list[BackendView]:
        """Return every backend as placement sees it now.

        Args:
            transfers: whether a waiting job has files to send, so that a busy backend may be sent a second job in order
                to hide that. Without it every busy backend is full, which spares placement the question.
        """
        now = self._clock()
        ours = self._ours()
        return [self._backend_view(peer, ours.get(peer.backend.id, []), now, transfers) for peer in self._farm]

    def _ours(self) -> dict[str, list[_Placement]]:
        """Return what each backend has of ours, in order."""
        ours: dict[str, list[_Placement]] = {}
        for placement in self._placed.values():
            if not placement.released:
                ours.setdefault(placement.backend_id, []).append(placement)
        return ours

    def _release(self, placement: _Placement) -> None:
        if placement.released:
            return
        first, *others = self._ours()[placement.backend_id]
        placement.released = True
        if placement is first and others:
            others[0].since = self._clock()

    def _backend_view(self, peer: Peer, ours: list[_Placement], now: float, transfers: bool) -> BackendView:
        backend_id = peer.backend.id
        health = self._health(backend_id)
        remaining = (
            self.estimates.remaining_s(
                p.definition_key, backend_id, cold=p.cold, elapsed_s=0.0 if place else now - p.since
            )
            for place, p in enumerate(ours)
        )
        foreign = max(0, peer.queue_remaining - peer.in_flight)
        gpus = peer.capabilities.gpus if peer.capabilities is not None else ()
        return BackendView(
            id=backend_id,
            name=peer.backend.name,
            status=health.status if peer.capabilities is not None else _unready(health.status),
            slots_free=1 if not ours or (transfers and len(ours) < SLOTS) else 0,
            in_flight=len(ours),
            busy_s=sum(remaining),
            foreign_queue=foreign,
            warm=frozenset() if foreign else self._warm.get(backend_id, frozenset()),
            vram_bytes=self._vram(backend_id),
            bandwidth_bytes_per_s=peer.client.blobs.link.rate,
            gpu=gpus[0].name if gpus else "",
            busy_orchestrating=peer.orchestrating,
            last_resort=backend_id == LOCAL_BACKEND_ID,
        )

    def _vram(self, backend_id: str) -> int | None:
        peer = self._farm.get(backend_id)
        if peer is None or peer.capabilities is None or not peer.capabilities.gpus:
            return None
        return max(gpu.vram_total_bytes for gpu in peer.capabilities.gpus)

    def _learn(self, state: JobState, placement: _Placement) -> None:
        attempt = state.attempts[-1] if state.attempts else None
        if attempt is None or attempt.started_at is None or attempt.ended_at is None:
            return
        self.estimates.observe(
            Outcome(
                placement.definition_key,
                placement.backend_id,
                elapsed_s=attempt.ended_at - attempt.started_at,
                cold=placement.cold,
                vram_bytes=self._vram(placement.backend_id),
            )
        )


def _unready(status: BackendStatus) -> BackendStatus:
    """A backend that answers, but has not said yet what it is, is not used yet."""
    return BackendStatus.UNKNOWN if status in (BackendStatus.ONLINE, BackendStatus.DEGRADED) else status
