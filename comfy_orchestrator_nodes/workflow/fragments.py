"""The vocabulary between a prompt and the carriers of one backend: pieces of graph, and where results appear.

``patch.lower`` asks a ``Carriers`` for fragments and splices them in; which stock nodes or agent nodes they are made of
is the backend layer's business.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from ..domain import Json
from .graph import Link

Nodes = Mapping[str, Mapping[str, Json]]
MakeId = Callable[[str], str]
"""Makes a node id that is free in the prompt, from a hint."""


@dataclass(frozen=True)
class Entry:
    """Nodes that bring a value in. ``link`` is the value; ``mask_link`` the mask that an image's loader also yields."""

    nodes: Nodes
    link: Link
    mask_link: Link | None = None


@dataclass(frozen=True)
class Collector:
    """Where one wanted output appears once the prompt has run: ``outputs[node_id][key]`` of the history entry.

    ``key`` holds a list: of ``{"filename", "subfolder", "type"}`` for a file type, in the order of the value's files,
    or of texts for a scalar.
    """

    output: str
    type: str
    node_id: str
    key: str
    is_text: bool = False
    is_blob: bool = False
    """Whether ``key`` holds ``{"sha256", "size_bytes", "type"}`` of blobs that the backend's agent keeps."""
    preview: bool = False
    """Whether the files lie in the backend's temp folder, which it empties when it starts."""


@dataclass(frozen=True)
class Exit:
    """Nodes that make a value collectable, and where to collect it."""

    nodes: Nodes
    collector: Collector


class Carriers(Protocol):
    """How values enter and leave one backend."""

    @property
    def by_file(self) -> bool:
        """Whether the names given to ``enter`` are files that the backend's own loader nodes can read too."""
        ...

    def enter(self, type_: str, names: Sequence[str], make_id: MakeId) -> Entry:
        """Build what loads the uploaded files ``names`` (as the backend spells them), in order, as one value.

        Raises:
            UnsupportedValue: this backend has no nodes that could.
        """
        ...

    def enter_blobs(self, type_: str, hashes: Sequence[str], make_id: MakeId, *, as_loaded: bool = False) -> Entry:
        """Build what yields the native value of a blob that the backend's agent has.

        Args:
            type_: its ComfyUI type.
            hashes: the SHA-256 of the blob.
            make_id: makes node ids.
            as_loaded: yield an image as LoadImage does: without its alpha channel, which becomes the mask.

        Raises:
            UnsupportedValue: this backend has no agent, or none that could.
        """
        ...

    def leave(self, output: str, type_: str, source: Json, attempt_id: str, make_id: MakeId) -> Exit:
        """Build what makes ``source`` (a link in list form, or a constant) collectable as the output ``output``.

        Raises:
            UnsupportedValue: this backend has no nodes that could.
        """
        ...


@dataclass(frozen=True)
class Refusal:
    """One reason why a backend cannot run a prompt, in words; ``near`` lists what the user may have meant."""

    kind: str
    """``node_class``, ``model``, ``choice`` or ``carrier``."""
    text: str
    node_id: str | None = None
    class_type: str | None = None
    input_name: str | None = None
    value: Json = None
    near: tuple[str, ...] = ()

    def __str__(self) -> str:
        return self.text


@dataclass(frozen=True)
class Lowered:
    """A definition lowered for one attempt on one backend."""

    prompt: dict[str, dict[str, Json]]
    collectors: Mapping[str, Collector]
    """Output name to where it appears."""
    node_ids: Mapping[str, str] = field(default_factory=dict)
    """Every node id of ``prompt`` that is also in the definition, or stands for one, to the definition's node id."""
    refusals: tuple[Refusal, ...] = ()
    """Why this backend would reject the prompt, as far as its node classes tell; empty: nothing is known against it."""
