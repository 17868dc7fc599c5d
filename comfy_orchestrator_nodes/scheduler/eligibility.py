"""Who may have a job at all: the user's choices, what became of it before, and what each backend is able to do."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping

from ..backend.peer import Farm, Peer
from ..domain import LOCAL_BACKEND_ID, Backend, BackendStatus, JobSpec
from ..machine.backends import BackendHealth
from ..placement import Reason, Refusal
from .qualify import CHECKING, Needs, Qualifier

_LOCAL_NOT_YET = Refusal(
    Reason.LAST_RESORT, "it is only used when no other backend can run the job, which is being found out"
)
_OTHERS_FIRST = Refusal(
    Reason.LAST_RESORT, "it lost the job before, and whether another backend can run it is being found out"
)


class Eligibility:
    """Answers for each backend why it must not have a job. Lives on the server loop."""

    def __init__(self, farm: Farm, qualifier: Qualifier, *, health: Callable[[str], BackendHealth]) -> None:
        self._farm = farm
        self._qualifier = qualifier
        self._health = health

    def refused(
        self, needs: Needs, spec: JobSpec, failed: Mapping[str, str], unlucky: Collection[str]
    ) -> dict[str, Refusal]:
        """Return backend id to what speaks against it; a backend left out may have the job.

        Args:
            needs: what the job needs.
            spec: the job.
            failed: backends where it failed, with the reason in words.
            unlucky: backends that lost it: others come first, also those of which it is just being found out.
        """
        refused: dict[str, Refusal] = {}
        for peer in self._farm:
            backend_id = peer.backend.id
            reason = by_choice(peer.backend, spec)
            if reason is None and backend_id in failed:
                reason = Refusal(Reason.EXCLUDED, f"it {failed[backend_id]} in an earlier attempt")
            if reason is None and self._health(backend_id).usable:
                reason = self._qualifier.refusal(needs, peer)
            if reason is not None:
                refused[backend_id] = reason
        undecided = [peer.backend.id for peer in self._farm if self._undecided(peer, refused)]
        if undecided:
            refused.setdefault(LOCAL_BACKEND_ID, _LOCAL_NOT_YET)
            for backend_id in unlucky:
                if undecided != [backend_id]:
                    refused.setdefault(backend_id, _OTHERS_FIRST)
        return refused

    def preferred(self, spec: JobSpec, unlucky: Collection[str]) -> frozenset[str] | None:
        """Return the backends to take first: the chosen ones without those that lost it; None where all are alike."""
        everybody = [peer.backend for peer in self._farm]
        wanted = {backend.id for backend in everybody if any(matches(one, backend) for one in spec.prefer)}
        lucky = (wanted or {backend.id for backend in everybody}) - set(unlucky)
        if not lucky:
            lucky = {backend.id for backend in everybody} - set(unlucky)
        return frozenset(lucky) if wanted or unlucky else None

    def avoided(self, spec: JobSpec, had_it: Collection[str]) -> tuple[str, ...]:
        """Return the backends to exclude so that a job goes elsewhere: none if the user's choices leave no other."""
        others = (peer.backend for peer in self._farm if peer.backend.id not in had_it)
        if any(by_choice(backend, spec) is None for backend in others):
            return tuple(dict.fromkeys(had_it))
        return ()

    async def could_run(self, spec: JobSpec) -> bool:
        """Whether some backend could run such a job now, or may turn out to once it is reached.

        Raises:
            NotFound: the definition is gone.
        """
        needs = await self._qualifier.needs(spec)
        for peer in self._farm:
            if by_choice(peer.backend, spec) is not None:
                continue
            health = self._health(peer.backend.id)
            if health.status is BackendStatus.UNKNOWN:
                return True
            if health.usable and await self._qualifier.able(needs, peer):
                return True
        return False

    def _undecided(self, peer: Peer, refused: Mapping[str, Refusal]) -> bool:
        """Whether it is about to be known if a backend can take the job."""
        reason = refused.get(peer.backend.id)
        if peer.backend.id == LOCAL_BACKEND_ID or (reason is not None and reason is not CHECKING):
            return False
        return reason is CHECKING or self._health(peer.backend.id).status is BackendStatus.UNKNOWN


def matches(selector: str, backend: Backend) -> bool:
    """Whether a selector (``auto``, an id or name, ``tag:NAME``) means a backend."""
    if selector == "auto" or selector in (backend.id, backend.name):
        return True
    return selector.startswith("tag:") and selector.removeprefix("tag:") in backend.tags


def by_choice(backend: Backend, spec: JobSpec) -> Refusal | None:
    """Return why the user's own choices rule a backend out, or None."""
    if not backend.enabled:
        return Refusal(Reason.DISABLED, "it is disabled")
    if backend.draining:
        return Refusal(Reason.DRAINING, "it is being drained: it finishes what it has and gets nothing new")
    if not matches(spec.selector, backend):
        if spec.selector.startswith("tag:"):
            return Refusal(Reason.TAG, f"it has no tag {spec.selector.removeprefix('tag:')!r}")
        return Refusal(Reason.PINNED, f"the job asks for {spec.selector!r}")
    if backend.id == LOCAL_BACKEND_ID and spec.from_queue:
        return Refusal(Reason.LOCAL, "its queue waits for this very job")
    if backend.id in spec.excluded_backends:
        return Refusal(Reason.EXCLUDED, "the job is not to run there")
    return None
