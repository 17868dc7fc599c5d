"""What node classes are, as far as anybody can say: this server first, then the backends that were reached."""

from __future__ import annotations

from collections.abc import Collection, Iterator

from ..backend.peer import Farm, Peer
from ..domain import LOCAL_BACKEND_ID
from ..errors import BackendError
from ..workflow.nodeinfo import NodeInfo


def informants(farm: Farm) -> Iterator[Peer]:
    """Yield the peers worth asking, this server first; one that was never reached would only cost time."""
    for peer in sorted(farm, key=lambda peer: peer.backend.id != LOCAL_BACKEND_ID):
        if peer.capabilities is not None or peer.backend.id == LOCAL_BACKEND_ID:
            yield peer


async def described(farm: Farm, classes: Collection[str]) -> dict[str, NodeInfo]:
    """Return what this server says about the classes, and other backends about those that it does not have.

    What nobody describes is left out; so is what a backend that does not answer would have said.
    """
    found: dict[str, NodeInfo] = {}
    for peer in informants(farm):
        wanted = set(classes) - found.keys()
        if peer.capabilities is not None:
            wanted &= peer.capabilities.node_classes
        try:
            found |= await peer.infos.many(wanted)
        except BackendError:
            continue
    return found
