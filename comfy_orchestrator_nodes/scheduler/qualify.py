"""Which backends are able to run a job at all, found out once per definition and backend, and the reasons why not.

The answer rests on the backend's ``/object_info``. Before a backend is refused for a missing class or model, what it
says about that class is read again: models come and go without any change of version.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import TypeAlias

from ..backend.agent_carriers import as_taken, carriers_of
from ..backend.peer import Farm, Peer
from ..domain import Definition, JobSpec, Json
from ..errors import BackendError, OrchestratorError
from ..placement import Reason, Refusal
from ..workflow import fragments
from ..workflow.graph import class_type
from ..workflow.needs import models_needed
from ..workflow.patch import needed_prompt, preflight

log = logging.getLogger(__name__)

RECHECK_S = 10.0
"""How long a refusal is believed."""

Signature: TypeAlias = tuple[Json, ...]
"""What the answer depends on: equal signatures share it."""

CHECKING = Refusal(Reason.UNKNOWN, "what it can do is being read")
"""The answer until there is one."""

_REASONS = {
    "node_class": Reason.MISSING_CLASS,
    "model": Reason.MISSING_MODEL,
    "choice": Reason.REJECTED,
    "carrier": Reason.FIDELITY,
}


@dataclass
class _Answer:
    refusal: Refusal | None
    until: float | None
    """When a refusal must be looked at again; None for a backend that qualifies."""


@dataclass
class Needs:
    """What jobs of one signature need, shared by all of them."""

    signature: Signature
    definition: Definition
    spec: JobSpec
    """Of one of the jobs: the others differ in nothing that matters here."""
    models: frozenset[str] = frozenset()
    answers: dict[tuple[str, tuple[str, float, bool]], _Answer] = field(default_factory=dict)


def signature_of(spec: JobSpec) -> Signature:
    """Return what decides where a job can run: its definition, outputs, choices and the types of its values."""
    values = tuple(
        (name, value.type, value.is_blob, value.data if value.type == "COMBO" else None)
        for name, value in sorted(spec.values.items())
    )
    return (spec.definition_hash, tuple(spec.outputs), spec.fidelity, spec.native, values)


class Qualifier:
    """Knows, or finds out, what each backend lacks for each kind of job. Lives on the server loop."""

    def __init__(
        self,
        farm: Farm,
        definitions: Callable[[str, int], Awaitable[Definition]],
        *,
        clock: Callable[[], float],
        changed: Callable[[], None],
    ) -> None:
        self._farm = farm
        self._definitions = definitions
        self._clock = clock
        self._changed = changed
        self._needs: dict[Signature, Needs] = {}
        self._checks: dict[tuple[Signature, str], asyncio.Task[None]] = {}

    async def needs(self, spec: JobSpec) -> Needs:
        """Return the shared needs of all jobs like this one.

        Raises:
            NotFound: the definition is gone.
        """
        signature = signature_of(spec)
        known = self._needs.get(signature)
        if known is None:
            definition = await self._definitions(spec.definition_id, spec.definition_version)
            known = self._needs.setdefault(signature, Needs(signature, definition, spec))
        return known

    def refusal(self, needs: Needs, peer: Peer) -> Refusal | None:
        """Return what is known; where nothing is known yet, or no more, find it out and call ``changed`` then."""
        answer = needs.answers.get((peer.backend.id, peer.version))
        stale = answer is None or (answer.until is not None and self._clock() >= answer.until)
        if stale:
            self._check_soon(needs, peer)
        if answer is None:
            return CHECKING
        return answer.refusal

    async def able(self, needs: Needs, peer: Peer) -> bool:
        """Whether a backend lacks nothing, found out now if it is not known."""
        answer = needs.answers.get((peer.backend.id, peer.version))
        if answer is None or (answer.until is not None and self._clock() >= answer.until):
            await self._check(needs, peer)
            answer = needs.answers.get((peer.backend.id, peer.version))
        return answer is not None and answer.refusal is None

    def forget(self, backend_id: str) -> None:
        """Drop what is known of a backend that was removed or edited."""
        for needs in self._needs.values():
            for key in [key for key in needs.answers if key[0] == backend_id]:
                del needs.answers[key]

    async def close(self) -> None:
        """Stop every check."""
        checks = list(self._checks.values())
        for check in checks:
            check.cancel()
        await asyncio.gather(*checks, return_exceptions=True)

    async def missing(self, needs: Needs, peer: Peer) -> tuple[fragments.Refusal, ...]:
        """Return everything that a backend lacks, after reading again what it said about the classes concerned.

        Raises:
            BackendError: it does not answer.
        """
        found = await self._missing_now(needs, peer)
        doubtful = {r.class_type for r in found if r.class_type is not None}
        if not doubtful:
            return found
        for name in doubtful:
            await peer.infos.refresh(name)
        return await self._missing_now(needs, peer)

    def _check_soon(self, needs: Needs, peer: Peer) -> None:
        key = (needs.signature, peer.backend.id)
        if key in self._checks:
            return
        task = asyncio.create_task(self._check(needs, peer), name=f"qualify {peer.backend.name}")
        self._checks[key] = task
        task.add_done_callback(lambda _: self._checks.pop(key, None))

    async def _check(self, needs: Needs, peer: Peer) -> None:
        version = peer.version
        try:
            found = await self.missing(needs, peer)
        except BackendError as error:
            # Its health will say that it is offline; until then nothing is known.
            log.debug("Asking %s what it can do: %s", peer.backend.name, error)
            refusal: Refusal | None = Refusal(Reason.UNKNOWN, f"it could not be asked what it can do ({error})")
        except OrchestratorError as error:
            refusal = Refusal(Reason.REJECTED, str(error))
        except Exception as error:
            log.exception("Finding out whether %s can run %s failed", peer.backend.name, needs.definition.name)
            refusal = Refusal(Reason.REJECTED, f"whether it can run this failed to be found out ({error})")
        else:
            refusal = _summary(found)
        until = None if refusal is None else self._clock() + RECHECK_S
        needs.answers[peer.backend.id, version] = _Answer(refusal, until)
        self._changed()

    async def _missing_now(self, needs: Needs, peer: Peer) -> tuple[fragments.Refusal, ...]:
        definition, spec = needs.definition, needs.spec
        carriers = await carriers_of(peer, definition, spec)
        losses = carriers.loss if spec.fidelity == "exact" else None
        prompt = needed_prompt(definition, spec.outputs)
        values = as_taken(spec.values, carriers)
        infos = await peer.infos.many({class_type(node) for node in prompt.values()} | carriers.infos.keys())
        needs.models = frozenset(need.value for need in models_needed(prompt, infos)) or needs.models
        return preflight(definition, values, spec.outputs, carriers=carriers, infos=infos, losses=losses)


def _summary(found: tuple[fragments.Refusal, ...]) -> Refusal | None:
    if not found:
        return None
    first = found[0]
    more = f" (and {len(found) - 1} more)" if len(found) > 1 else ""
    return Refusal(_REASONS.get(first.kind, Reason.REJECTED), f"{first.text}{more}")
