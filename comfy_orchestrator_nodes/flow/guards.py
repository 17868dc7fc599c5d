"""Which questions must be answered before an input of a Merge may be asked for.

ComfyUI blocks whatever hangs behind a branch that was not taken, so a Merge must not touch such an input. Every input
gets a **way**: the guards above it, outermost first. A guard is an output that is never blocked once the guards before
it hold, with what it must say. Some guards also tell *which* items pass; composed they give each value its place.

Items have a **source**: the node that made them. A FanOut behind a FanOut makes items of items, so a way may pass
several sources; the values that arrive stand among those of the last one, and what was dropped before among those of
its own.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from ..domain import Json
from ..errors import InvalidRequest
from ..workflow.graph import Link

TRUE, FALSE, SOME, KEPT, SHARE, TOLD = "true", "false", "some", "kept", "share", "told"
"""What a guard must say: truth values, some of them (not) true; a count above 0; a report of kept items; a layout.

``told`` stops nothing: it is what a Merge above has told of dropped items.
"""

_KINDS = frozenset({TRUE, FALSE, SOME, KEPT, SHARE, TOLD})


@dataclass(frozen=True)
class Guard:
    """One question: the output to read, and what it must say."""

    link: Link
    kind: str
    items: tuple[str, ...] = ()
    """The sources of the items that it may select from; none if it only lets pass or not.

    Where lists of several sources meet in a node, one is as long as the others or all but one have a single element:
    which of them the items are shows when their number is known.
    """
    share: int = 0
    """With ``SHARE``: which of a FanOut's ways (from 0)."""


@dataclass(frozen=True)
class Way:
    """What leads to one input of a Merge. Inputs of one source are interleaved; others follow one another."""

    roots: tuple[str, ...] = ()
    """The sources of which the items that arrive may be, the likeliest first."""
    guards: tuple[Guard, ...] = ()

    def to_json(self) -> Json:
        """Return it as JSON."""
        guards = [{"link": list(g.link), "is": g.kind, "items": list(g.items), "share": g.share} for g in self.guards]
        return {"roots": list(self.roots), "guards": guards}

    @classmethod
    def from_json(cls, data: Json) -> Way:
        """Read it.

        Raises:
            InvalidRequest: it is no way.
        """
        try:
            guards = tuple(_guard(entry) for entry in data["guards"])
            roots = _names(data["roots"])
        except (KeyError, TypeError, ValueError, IndexError) as error:
            raise InvalidRequest(f"The guards of a Merge are damaged ({error}); queue the workflow again.") from None
        return cls(roots, guards)


@dataclass(frozen=True)
class Place:
    """Where the values of an input will stand."""

    positions: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    """By source: which of its items are left; a source of which nothing is known is not there."""
    failed: tuple[Mapping[str, Json], ...] = ()
    """The items that were dropped on the way, with ``index`` among the items of their ``source``."""
    taken: bool = True
    single: frozenset[str] = frozenset()
    """Sources of which a guard spoke with one answer only: most likely they have a single item."""

    def pass_guard(self, guard: Guard, said: Sequence[Any], roots: Sequence[str] = ()) -> Place:
        """Return what is known once a guard has spoken.

        Args:
            guard: the question.
            said: the list on its output.
            roots: the sources of which the items that arrive in the end may be.

        Raises:
            InvalidRequest: it speaks of another number of those items than the guards before it.
        """
        if guard.kind == TOLD:
            return replace(self, failed=self.failed + tuple(said[0]))
        mask = _MASKS[guard.kind](guard, said)
        failed = self.failed + (self._failures(guard, said[0]) if guard.kind == KEPT else ())
        if not any(mask):
            return replace(self, failed=failed, taken=False)
        if not guard.items:
            return replace(self, failed=failed)
        if len(mask) == 1:
            return replace(self, failed=failed, single=self.single | set(guard.items))
        source = self._source(guard.items, len(mask))
        if source is not None:
            before = self.positions.get(source, range(len(mask)))
            left = tuple(position for position, passes in zip(before, mask, strict=True) if passes)
            return replace(self, positions={**self.positions, source: left}, failed=failed)
        unfit = self._several(guard.items)
        if not unfit:
            # One item became many below its branch: all of them stand where it stood.
            return replace(self, failed=failed)
        if guard.items == tuple(roots):
            raise InvalidRequest(
                f"Node {guard.link[0]} decides over {len(mask)} items, but {unfit} came to it from the branch it is "
                "in: a node between them changed the number of items. Put a Merge behind that node."
            )
        # These are not the items that arrive, so nothing but the numbers of failures depends on them.
        known = {items: left for items, left in self.positions.items() if items not in guard.items}
        return replace(self, positions=known, failed=failed)

    def of(self, values: Sequence[Any], name: str, roots: Sequence[str]) -> tuple[str | None, list[tuple[int, Any]]]:
        """Return the source of the values, and each value with its position among the items of that source.

        Raises:
            InvalidRequest: there are more or fewer values than items took this branch.
        """
        if not roots:
            return None, list(enumerate(values))
        source = self._source(roots, len(values))
        if source is not None:
            return source, list(zip(self.positions.get(source, range(len(values))), values, strict=True))
        unfit = self._several(roots)
        if unfit:
            raise InvalidRequest(
                f"{name} brings {len(values)} items, but {unfit} took its branch: a node in the branch changed their "
                "number, so their places are not known. Put a Merge behind that node."
            )
        # Here, too, one item became many.
        return roots[0], [(self.positions[roots[0]][0], value) for value in values]

    def _source(self, sources: Sequence[str], count: int) -> str | None:
        """Return the source whose items so many are: one that has so many left, else one of which nothing is known.

        There is none if another number of several items is left of one: ComfyUI then repeated some without a word.
        """
        fitting = (source for source in sources if source in self.positions and len(self.positions[source]) == count)
        unknown = [source for source in sources if source not in self.positions and not self._several(sources)]
        if count != 1:
            unknown.sort(key=lambda source: source in self.single)
        return next(fitting, None) or next(iter(unknown), None)

    def _several(self, sources: Sequence[str]) -> int:
        """Return how many items are left of the first source that has several left, or 0."""
        return next((len(left) for source in sources if len(left := self.positions.get(source, ())) > 1), 0)

    def _failures(self, guard: Guard, report: Any) -> tuple[Mapping[str, Json], ...]:
        """Return what a report says has failed, by index among the items of the source, or else of the node itself."""
        node_id = guard.link[0]
        found = self._source(guard.items, report["count"])
        places = self.positions.get(found or "", range(report["count"]))
        source = source_node(found or node_id)
        return tuple(
            {**failure, "index": places[failure["index"]], "node": node_id, "source": source}
            for failure in report["failed"]
        )

    def to_json(self) -> Json:
        """Return it as JSON."""
        return {
            "positions": {source: list(positions) for source, positions in self.positions.items()},
            "failed": [dict(failure) for failure in self.failed],
            "single": sorted(self.single),
        }

    @classmethod
    def from_json(cls, data: Json) -> Place:
        """Read what ``to_json`` wrote."""
        positions = {source: tuple(left) for source, left in data["positions"].items()}
        return cls(positions, tuple(data["failed"]), single=frozenset(data["single"]))


def report(count: int, failed: Sequence[Mapping[str, Json]]) -> Json:
    """Return what a Remote Workflow says of its items: how many came, and which of them failed, by ``index``."""
    return {"count": count, "failed": [dict(failure) for failure in failed]}


def source_of_link(link: Link) -> str:
    """Return a name for the items of a link whose origin nobody knows."""
    return f"{link[0]}/{link[1]}"


def is_link(source: str) -> bool:
    """Whether a source is but a link, of whose items nothing is known: mostly a single one."""
    return "/" in source


def source_node(source: str) -> str:
    """Return the id of the node that a source's items come from."""
    return source.partition("/")[0]


def _share_mask(guard: Guard, said: Sequence[Any]) -> list[bool]:
    count, ways = said[0]["count"], said[0]["ways"]
    return [ways == 0 or index % ways == guard.share for index in range(count)]


def _kept_mask(_: Guard, said: Sequence[Any]) -> list[bool]:
    gone = {failure["index"] for failure in said[0]["failed"]}
    return [index not in gone for index in range(said[0]["count"])]


_MASKS: Mapping[str, Callable[[Guard, Sequence[Any]], list[bool]]] = {
    TRUE: lambda _, said: [bool(value) for value in said],
    FALSE: lambda _, said: [not value for value in said],
    SOME: lambda _, said: [any(value > 0 for value in said)],
    KEPT: _kept_mask,
    SHARE: _share_mask,
}


def _guard(entry: Json) -> Guard:
    node_id, index = entry["link"]
    if entry["is"] not in _KINDS:
        raise ValueError(f"{entry['is']!r} is no guard")
    return Guard((str(node_id), int(index)), entry["is"], _names(entry["items"]), int(entry["share"]))


def _names(names: Json) -> tuple[str, ...]:
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise TypeError(f"{names!r} names no items")
    return tuple(names)
