"""How values enter and leave a ComfyUI that has this pack: as blobs of its agent, bit for bit.

Whatever comes as a file (an upload) stays one: it enters through the stock loaders, as on a plain backend.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypeAlias

from ..domain import FILE_TYPES, OBJECT_TYPES, TENSOR_TYPES, Definition, FileRef, JobSpec, Json, Value
from ..errors import UnsupportedValue
from ..workflow.fragments import Collector, Entry, Exit, MakeId
from ..workflow.nodeinfo import NodeInfo
from .carriers import PlainCarriers, carriers_for, classes_for
from .peer import Peer

VALUE_IN = "OrchestratorValueIn"
VALUE_OUT = "OrchestratorValueOut"
BLOBS_KEY = "orchestrator_value"
"""Where ``VALUE_OUT`` tells what it keeps."""

_SPLIT = "SplitImageWithAlpha"
"""ComfyUI's own node; its mask is 1 - alpha, as LoadImage's is, and all 0 for an image without alpha."""

_OBJECTS = OBJECT_TYPES | {"VIDEO"}
"""What agents of before could not make."""

NATIVE_TYPES = FILE_TYPES | TENSOR_TYPES | OBJECT_TYPES
"""What blobs hold."""

_OBJECTS_CAPABILITY = "values.objects"
_VIDEO_LOSS = "a video made of frames is encoded (H.264); one that comes from a file stays that file"


class AgentCarriers:
    """The carriers of one backend with an agent. Implements ``workflow.Carriers``."""

    by_file = True

    def __init__(
        self, plain: PlainCarriers, *, leave_as_blobs: frozenset[str], native: frozenset[str] = NATIVE_TYPES
    ) -> None:
        """Take blobs of the types ``native`` in; let values of the types ``leave_as_blobs`` among them out as such."""
        self._plain = plain
        self._native = native
        self._leave_as_blobs = leave_as_blobs & native

    @property
    def infos(self) -> Mapping[str, NodeInfo]:
        """The node classes that they are made of."""
        return self._plain.infos

    def loss(self, type_: str) -> str | None:
        """Say in words what is lost of a value of this type, or None if nothing."""
        if type_ == "VIDEO" and type_ in self._native:
            return _VIDEO_LOSS
        return None if type_ in self._native else self._plain.loss(type_)

    def loss_on_leaving(self, type_: str) -> str:
        """Say in words what may have been lost of an output of this type; empty if nothing."""
        if type_ in self._leave_as_blobs:
            return _VIDEO_LOSS if type_ == "VIDEO" else ""
        return self._plain.loss_on_leaving(type_)

    def takes(self, value: Value) -> bool:
        """Whether a stored value can enter as it is; several blobs have to be made one first."""
        return not value.is_blob or (len(value.files) == 1 and self.as_blob(value.type))

    def as_blob(self, type_: str) -> bool:
        """Whether a value of this type that has to be written anew becomes a blob, and not files."""
        return type_ in self._native

    def enter(self, type_: str, names: Sequence[str], make_id: MakeId) -> Entry:
        """Build the stock loaders of uploaded files; see ``PlainCarriers.enter``."""
        return self._plain.enter(type_, names, make_id)

    def enter_blobs(self, type_: str, hashes: Sequence[str], make_id: MakeId, *, as_loaded: bool = False) -> Entry:
        """Build what yields the native value of a blob that the agent has.

        Raises:
            UnsupportedValue: there is more than one blob.
        """
        if not self.as_blob(type_):
            return self._plain.enter_blobs(type_, hashes, make_id)
        if len(hashes) != 1:
            raise UnsupportedValue(f"{len(hashes)} blobs of type {type_} cannot enter as one value.", type=type_)
        value_in = make_id("value")
        nodes: dict[str, Mapping[str, Json]] = {
            value_in: {"class_type": VALUE_IN, "inputs": {"sha256": hashes[0], "type": type_, "form": "value"}}
        }
        if not as_loaded or type_ != "IMAGE" or _SPLIT not in self.infos:
            return Entry(nodes, (value_in, 0))
        split = make_id("split")
        nodes[split] = {"class_type": _SPLIT, "inputs": {"image": [value_in, 0]}}
        return Entry(nodes, (split, 0), (split, 1))

    def leave(self, output: str, type_: str, source: Json, attempt_id: str, make_id: MakeId) -> Exit:
        """Build what gives ``source`` to the agent to keep, or does what a plain backend's carriers do.

        Raises:
            UnsupportedValue: the type has no carrier.
        """
        if type_ not in self._leave_as_blobs:
            return self._plain.leave(output, type_, source, attempt_id, make_id)
        node_id = make_id("value_out")
        inputs = {"value": source, "type": type_, "attempt_id": attempt_id}
        nodes = {node_id: {"class_type": VALUE_OUT, "inputs": inputs}}
        return Exit(nodes, Collector(output, type_, node_id, BLOBS_KEY, is_blob=True))


BackendCarriers: TypeAlias = PlainCarriers | AgentCarriers


async def carriers_of(peer: Peer, definition: Definition, spec: JobSpec) -> BackendCarriers:
    """Return the carriers of a backend as it is now, as far as this job needs them.

    Raises:
        BackendError: a class had to be read and could not be.
    """
    if not peer.has_agent:
        return await carriers_for(peer.infos, definition, spec)
    infos = await peer.infos.many(sorted({*classes_for(definition, spec), VALUE_IN, VALUE_OUT, _SPLIT}))
    if VALUE_IN not in infos or VALUE_OUT not in infos:
        return PlainCarriers(infos)
    native = spec.native or spec.fidelity == "exact"
    return AgentCarriers(
        PlainCarriers(infos),
        leave_as_blobs=NATIVE_TYPES if native else TENSOR_TYPES | OBJECT_TYPES,
        native=NATIVE_TYPES if peer.agent_can(_OBJECTS_CAPABILITY) else NATIVE_TYPES - _OBJECTS,
    )


def as_taken(values: Mapping[str, Value], carriers: BackendCarriers) -> dict[str, Value]:
    """Return values as they will be once what a backend cannot take as it is was written to files.

    The files stand for those that are only made for an attempt: whether a backend qualifies does not depend on them.
    """
    stand_in = (FileRef("0" * 64, 0, "application/octet-stream"),)
    return {
        name: Value(value.type, files=stand_in)
        if value.is_blob and value.type in FILE_TYPES and not carriers.as_blob(value.type)
        else value
        for name, value in values.items()
    }
