"""Which questions must be answered before an input of a Merge may be asked for.

ComfyUI blocks whatever hangs behind a branch that was not taken, so a Merge must not touch such an input. Every input
gets a **way**: the guards above it, outermost first. A guard is an output that is never blocked once the guards before
it hold, with what it must say. Some guards also tell *which* items pass; composed they give each value its place.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ..domain import Json
from ..errors import InvalidRequest
from ..workflow.graph import Link

TRUE, FALSE, SOME, KEPT, SHARE = "true", "false", "some", "kept", "share"
"""What a guard must say: truth values, some of them (not) true; a count above 0; a report of kept items; a layout."""

_KINDS = frozenset({TRUE, FALSE, SOME, KEPT, SHARE})


@dataclass(frozen=True)
class Guard:
    """One question: the output to read, what it must say, and whether it selects items of the list or only exists."""

    link: Link
    kind: str
    items: bool = False
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
    """Where the values of an input will stand: ``positions`` among the items of its root; None if nothing says."""

    positions: tuple[int, ...] | None = None
    failed: tuple[Mapping[str, Json], ...] = ()
    """The items that were dropped on the way, with ``index`` among the items of the root."""
    taken: bool = True

    def pass_guard(self, guard: Guard, said: Sequence[Any]) -> Place:
        """Return what is known once a guard has spoken.

        Args:
            guard: the question.
            said: the list on its output.

        Raises:
            InvalidRequest: it speaks of another number of items than the guards before it.
        """
        mask = _mask(guard, said)
        failed = self.failed + (self._failures(guard.link[0], said[0]) if guard.kind == KEPT else ())
        if not any(mask):
            return Place((), failed, taken=False)
        if not guard.items or len(mask) == 1:
            return Place(self.positions, failed)
        if self.positions is None:
            return Place(tuple(index for index, passes in enumerate(mask) if passes), failed)
        if len(mask) == len(self.positions):
            chosen = zip(self.positions, mask, strict=True)
            return Place(tuple(position for position, passes in chosen if passes), failed)
        if len(self.positions) == 1:
            # One item became many below its branch: all of them stand where it stood.
            return Place(self.positions, failed)
        raise InvalidRequest(
            f"Node {guard.link[0]} decides over {len(mask)} items, but {len(self.positions)} came to it from the "
            "branch it is in: a node between them changed the number of items. Put a Merge behind that node."
        )

    def of(self, values: Sequence[Any], name: str) -> list[tuple[int, Any]]:
        """Return each value with its position.

        Raises:
            InvalidRequest: there are more or fewer values than items took this branch.
        """
        positions = self.positions
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

    def _failures(self, node_id: str, report: Any) -> tuple[Mapping[str, Json], ...]:
        """Return what a report says has failed, by index among the items of the root."""
        places = self.positions if self.positions is not None else range(report["count"])
        fits = len(places) == report["count"]
        return tuple(
            {**failure, "index": places[failure["index"]] if fits else failure["index"], "node": node_id}
            for failure in report["failed"]
        )

    def to_json(self) -> Json:
        """Return it as JSON."""
        return {
            "positions": None if self.positions is None else list(self.positions),
            "failed": [dict(failure) for failure in self.failed],
        }

    @classmethod
    def from_json(cls, data: Json) -> Place:
        """Read what ``to_json`` wrote."""
        positions = data["positions"]
        return cls(None if positions is None else tuple(positions), tuple(data["failed"]))


def report(count: int, failed: Sequence[Mapping[str, Json]]) -> Json:
    """Return what a Remote Workflow says of its items: how many came, and which of them failed, by ``index``."""
    return {"count": count, "failed": [dict(failure) for failure in failed]}


def _mask(guard: Guard, said: Sequence[Any]) -> list[bool]:
    return _MASKS[guard.kind](guard, said)


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
    return Guard((str(node_id), int(index)), entry["is"], bool(entry["items"]), int(entry["share"]))
