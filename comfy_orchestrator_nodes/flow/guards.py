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
    items: str | None = None
    """The source of the items that it selects from; None if it only lets pass or not."""
    share: int = 0
    """With ``SHARE``: which of a FanOut's ways (from 0)."""


@dataclass(frozen=True)
class Way:
    """What leads to one input of a Merge. Inputs of one ``root`` are interleaved; others follow one another."""

    root: str | None = None
    guards: tuple[Guard, ...] = ()

    def to_json(self) -> Json:
        """Return it as JSON."""
        guards = [{"link": list(g.link), "is": g.kind, "items": g.items, "share": g.share} for g in self.guards]
        return {"root": self.root, "guards": guards}

    @classmethod
    def from_json(cls, data: Json) -> Way:
        """Read it.

        Raises:
            InvalidRequest: it is no way.
        """
        try:
            guards = tuple(_guard(entry) for entry in data["guards"])
            root = data["root"]
        except (KeyError, TypeError, ValueError, IndexError) as error:
            raise InvalidRequest(f"The guards of a Merge are damaged ({error}); queue the workflow again.") from None
        return cls(root if isinstance(root, str) else None, guards)


@dataclass(frozen=True)
class Place:
    """Where the values of an input will stand."""

    positions: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    """By source: which of its items are left; a source of which nothing is known is not there."""
    failed: tuple[Mapping[str, Json], ...] = ()
    """The items that were dropped on the way, with ``index`` among the items of their ``source``."""
    taken: bool = True

    def pass_guard(self, guard: Guard, said: Sequence[Any], root: str | None = None) -> Place:
        """Return what is known once a guard has spoken.

        Args:
            guard: the question.
            said: the list on its output.
            root: the source of the items that arrive in the end.

        Raises:
            InvalidRequest: it speaks of another number of those items than the guards before it.
        """
        if guard.kind == TOLD:
            return replace(self, failed=self.failed + tuple(said[0]))
        mask = _MASKS[guard.kind](guard, said)
        failed = self.failed + (self._failures(guard, said[0]) if guard.kind == KEPT else ())
        if not any(mask):
            return Place(self.positions, failed, taken=False)
        if guard.items is None or len(mask) == 1:
            return replace(self, failed=failed)
        left = self._left(guard, mask, strict=guard.items == root)
        known = {source: positions for source, positions in self.positions.items() if source != guard.items}
        return Place(known if left is None else {**known, guard.items: left}, failed)

    def _left(self, guard: Guard, mask: Sequence[bool], *, strict: bool) -> tuple[int, ...] | None:
        """Return which items of the guard's source are left, or None if that cannot be told and need not be."""
        before = self.positions.get(guard.items or "")
        if before is None:
            return tuple(index for index, passes in enumerate(mask) if passes)
        if len(mask) == len(before):
            return tuple(position for position, passes in zip(before, mask, strict=True) if passes)
        if len(before) == 1:
            # One item became many below its branch: all of them stand where it stood.
            return before
        if not strict:
            return None
        raise InvalidRequest(
            f"Node {guard.link[0]} decides over {len(mask)} items, but {len(before)} came to it from the "
            "branch it is in: a node between them changed the number of items. Put a Merge behind that node."
        )

    def of(self, values: Sequence[Any], name: str, root: str | None) -> list[tuple[int, Any]]:
        """Return each value with its position among the items of its source.

        Raises:
            InvalidRequest: there are more or fewer values than items took this branch.
        """
        positions = self.positions.get(root or "")
        if positions is None:
            return list(enumerate(values))
        if len(positions) == 1:
            return [(positions[0], value) for value in values]
        if len(values) != len(positions):
            raise InvalidRequest(
                f"{name} brings {len(values)} items, but {len(positions)} took its branch: a node in the branch "
                "changed their number, so their places are not known. Put a Merge behind that node."
            )
        return list(zip(positions, values, strict=True))

    def _failures(self, guard: Guard, report: Any) -> tuple[Mapping[str, Json], ...]:
        """Return what a report says has failed, by index among the items of the source, or else of the node itself."""
        node_id = guard.link[0]
        places = self.positions.get(guard.items or "")
        if places is not None and len(places) != report["count"]:
            places, source = None, node_id
        else:
            source = source_node(guard.items or node_id)
        return tuple(
            {
                **failure,
                "index": failure["index"] if places is None else places[failure["index"]],
                "node": node_id,
                "source": source,
            }
            for failure in report["failed"]
        )

    def to_json(self) -> Json:
        """Return it as JSON."""
        return {
            "positions": {source: list(positions) for source, positions in self.positions.items()},
            "failed": [dict(failure) for failure in self.failed],
        }

    @classmethod
    def from_json(cls, data: Json) -> Place:
        """Read what ``to_json`` wrote."""
        positions = {source: tuple(left) for source, left in data["positions"].items()}
        return cls(positions, tuple(data["failed"]))


def report(count: int, failed: Sequence[Mapping[str, Json]]) -> Json:
    """Return what a Remote Workflow says of its items: how many came, and which of them failed, by ``index``."""
    return {"count": count, "failed": [dict(failure) for failure in failed]}


def source_of_link(link: Link) -> str:
    """Return a name for the items of a link whose origin nobody knows."""
    return f"{link[0]}/{link[1]}"


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
    items = entry["items"]
    if items is not None and not isinstance(items, str):
        raise TypeError(f"{items!r} names no items")
    return Guard((str(node_id), int(index)), entry["is"], items, int(entry["share"]))
