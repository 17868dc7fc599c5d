"""What can be chosen for a definition's parameters on the backends as they are now: their own lists, put together."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ..backend.peer import Farm, Peer
from ..domain import Definition, Json, Parameter
from ..errors import BackendError
from ..workflow.graph import class_type, inputs_of
from ..workflow.models import unify
from ..workflow.nodeinfo import NodeInfo
from .describe import informants


@dataclass(frozen=True)
class Choice:
    """One value of a list, and the ids of the backends that offer it."""

    value: Json
    backend_ids: tuple[str, ...]


async def offered(definition: Definition, farm: Farm) -> dict[str, tuple[Choice, ...]]:
    """Return the choices of each parameter that is chosen from a list, in the order of the first backend that has them.

    The same file is one choice, whatever a backend puts between its folders. A backend that does not answer offers
    nothing; where nobody does, the choices are those that were recorded with the definition.
    """
    chosen = [p for p in definition.parameters if p.type == "COMBO" and p.node_id in definition.prompt]
    if not chosen:
        return {}
    classes = {class_type(definition.prompt[parameter.node_id]) for parameter in chosen}
    peers = [peer for peer in informants(farm) if peer.backend.enabled]
    answers = await asyncio.gather(*(_infos(peer, classes) for peer in peers))
    heard = [(peer.backend.id, infos) for peer, infos in zip(peers, answers, strict=True)]
    return {parameter.name: _choices(definition, parameter, heard) for parameter in chosen}


async def _infos(peer: Peer, classes: set[str]) -> dict[str, NodeInfo]:
    try:
        return await peer.infos.many(classes)
    except BackendError:
        return {}


def _choices(
    definition: Definition, parameter: Parameter, heard: Sequence[tuple[str, Mapping[str, NodeInfo]]]
) -> tuple[Choice, ...]:
    offers: dict[str, tuple[Json, list[str]]] = {}
    node = definition.prompt[parameter.node_id]
    for backend_id, infos in heard:
        info = infos.get(class_type(node))
        spec = info.resolve(parameter.input_name, inputs_of(node)) if info is not None else None
        for value in (spec.choices or ()) if spec is not None else ():
            _, backends = offers.setdefault(_key(value), (value, []))
            if backend_id not in backends:
                backends.append(backend_id)
    if not offers:
        return tuple(Choice(value, ()) for value in parameter.choices or ())
    return tuple(Choice(value, tuple(backends)) for value, backends in offers.values())


def _key(value: Json) -> str:
    """Return what is the same for spellings of one file, and differs for values that are equal in Python alone."""
    return unify(value) if isinstance(value, str) else repr(value)
