"""What threads other than the server loop may read: an immutable picture, replaced as a whole."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType

from ..domain import Backend, Definition


@dataclass(frozen=True)
class Snapshot:
    """The library and the farm at one moment. ``INPUT_TYPES`` and ``IS_CHANGED`` are synchronous and read this."""

    ready: bool = False
    """Whether the store is open. Before that nothing is known."""
    problem: str = ""
    """Why the orchestrator cannot work on this server, for the user; empty when it can."""
    definitions: Mapping[str, Definition] = field(default_factory=dict)
    """The latest version of each definition by id, without its workflow document."""
    backends: tuple[Backend, ...] = ()

    def name(self, definition_id: str) -> str:
        """Return what a definition is called; of one that was deleted, its id."""
        definition = self.definitions.get(definition_id)
        return definition.name if definition is not None else definition_id


class Publisher:
    """Holds the present snapshot. Written on the server loop, read from any thread (one reference: no lock needed)."""

    def __init__(self, definitions_changed: Callable[[], None] = lambda: None) -> None:
        """Make it with nothing known.

        Args:
            definitions_changed: called on the server loop whenever the library was published anew.
        """
        self.current = Snapshot()
        self._definitions_changed = definitions_changed

    def definitions(self, definitions: tuple[Definition, ...]) -> None:
        """Publish the library anew."""
        by_id = MappingProxyType({definition.id: definition for definition in definitions})
        self.current = replace(self.current, ready=True, definitions=by_id)
        self._definitions_changed()

    def backends(self, backends: tuple[Backend, ...]) -> None:
        """Publish the registry anew."""
        self.current = replace(self.current, backends=backends)

    def problem(self, text: str) -> None:
        """Publish why nothing works here."""
        self.current = replace(self.current, problem=text)
