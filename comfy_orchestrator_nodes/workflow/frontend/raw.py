"""Reading the saved graph: links of both schemas, ids, and the repairs that come before any node is made."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from . import js
from .graph import Link

MAX_SAFE_INTEGER = 2**53 - 1

MAX_NODES = 20_000
"""How many nodes one graph may have."""

MAX_PARTS = 4_000
"""How many inputs, outputs or values one node may have; what a browser could still show is far less."""


class Malformed(Exception):
    """The document is not shaped like a workflow."""


@dataclass
class RawGraph:
    """The saved root graph or one saved definition, after the repairs; nothing here is shared with the document."""

    name: str
    id: str
    nodes: list[dict[str, Any]]
    links: list[Link]
    last_node_id: Any = 0
    """The counter of node ids that a definition was saved with."""
    boundary_inputs: list[dict[str, Any]] = field(default_factory=list)
    boundary_outputs: list[dict[str, Any]] = field(default_factory=list)


def id_text(value: Any) -> str:
    """Return a node's id as the front end compares it.

    Raises:
        Malformed: the value is neither a number nor text.
    """
    if type(value) is int and abs(value) <= MAX_SAFE_INTEGER:
        return str(value)
    if isinstance(value, str):
        return value
    if js.is_number(value):
        return js.number_text(value)
    raise Malformed(f"a node's id is {type(value).__name__}, not a number or text")


def whole(value: Any, what: str) -> int:
    """Return an integer that JavaScript would take as one.

    Raises:
        Malformed: it is anything else.
    """
    if type(value) is int and abs(value) < MAX_SAFE_INTEGER:
        return value
    if js.is_number(value) and value == value and abs(value) < MAX_SAFE_INTEGER and value == int(value):
        return int(value)
    raise Malformed(f"{what} is {value!r:.40}, not a whole number")


def items(container: Any, key: str, where: str) -> list[Any]:
    """Return the list under a key, empty where there is none.

    Raises:
        Malformed: it is there and no list.
    """
    value = container.get(key)
    if value is None:
        return []
    if not isinstance(value, list):
        raise Malformed(f"{key!r} of {where} is not a list")
    return value


def _bounded(values: list[Any], limit: int, what: str) -> list[Any]:
    if len(values) > limit:
        raise Malformed(f"{what} are more than {limit}")
    return values


def read_graph(data: Mapping[str, Any], where: str) -> RawGraph:
    """Read one graph: copy what will change, and drop links that compete for an input.

    Raises:
        Malformed: it is not shaped like a graph.
    """
    state = data.get("state")
    saved = _bounded(items(data, "nodes", where), MAX_NODES, f"the nodes of {where}")
    nodes = [_copy_node(node, where) for node in saved]
    graph = RawGraph(
        name=str(data.get("name") or ""),
        id=str(data.get("id", "")),
        nodes=nodes,
        links=[_read_link(row, where) for row in items(data, "links", where)],
        last_node_id=state.get("lastNodeId") if isinstance(state, dict) and data.get("version") != 0.4 else 0,
        boundary_inputs=_copy_boundaries(data, "inputs", where),
        boundary_outputs=_copy_boundaries(data, "outputs", where),
    )
    _drop_competing_links(graph)
    return graph


def _copy_node(node: Any, where: str) -> dict[str, Any]:
    if not isinstance(node, dict):
        raise Malformed(f"a node of {where} is not an object")
    copy = dict(node)
    id_text(copy.get("id"))
    for key, link_key in (("inputs", "link"), ("outputs", "links")):
        slots = _bounded(items(node, key, where), MAX_PARTS, f"the {key} of a node of {where}")
        copy[key] = [_copy_slot(slot, link_key, where) for slot in slots]
    values = node.get("widgets_values")
    if isinstance(values, (list, dict)) and len(values) > MAX_PARTS:
        raise Malformed(f"the values of a node of {where} are more than {MAX_PARTS}")
    properties = node.get("properties")
    copy["properties"] = dict(properties) if isinstance(properties, dict) else {}
    return copy


def _copy_slot(slot: Any, key: str, where: str) -> dict[str, Any]:
    if not isinstance(slot, dict):
        raise Malformed(f"a slot of a node of {where} is not an object")
    copy = dict(slot)
    if key == "link" and copy.get("link") is not None:
        copy["link"] = whole(copy["link"], f"the link of an input in {where}")
    return copy


def _copy_boundaries(data: Mapping[str, Any], key: str, where: str) -> list[dict[str, Any]]:
    return [
        _copy_boundary(slot, where) for slot in _bounded(items(data, key, where), MAX_PARTS, f"the {key} of {where}")
    ]


def _copy_boundary(slot: Any, where: str) -> dict[str, Any]:
    if not isinstance(slot, dict):
        raise Malformed(f"an input or output of {where} is not an object")
    copy = dict(slot)
    copy["linkIds"] = [whole(value, f"a link id of {where}") for value in items(slot, "linkIds", where)]
    return copy


def _read_link(row: Any, where: str) -> Link:
    if isinstance(row, dict):
        fields = [row.get(key) for key in ("id", "origin_id", "origin_slot", "target_id", "target_slot")]
    elif isinstance(row, list) and len(row) >= 5:
        fields = row[:5]
    else:
        raise Malformed(f"a link of {where} is neither an object nor a list of five")
    what = f"a link of {where}"
    return Link(
        whole(fields[0], what), id_text(fields[1]), whole(fields[2], what), id_text(fields[3]), whole(fields[4], what)
    )


def _drop_competing_links(graph: RawGraph) -> None:
    """Keep one link per input: the first, unless only a later one is what the input itself names."""
    if len({(link.target, link.target_slot) for link in graph.links}) == len(graph.links):
        return
    named = {slot["link"] for node in graph.nodes for slot in node["inputs"] if slot.get("link") is not None}
    place: dict[tuple[str, int], int] = {}
    heirs: dict[int, int] = {}
    kept: list[Link] = []
    for link in graph.links:
        at = place.setdefault((link.target, link.target_slot), len(kept))
        if at == len(kept):
            kept.append(link)
            continue
        survivor = kept[at]
        same = survivor.origin == link.origin and survivor.origin_slot == link.origin_slot
        if not same and link.id in named and survivor.id not in named:
            kept[at] = link
            heirs = {old: link.id if heir == survivor.id else heir for old, heir in heirs.items()}
            heirs[survivor.id] = link.id
        else:
            heirs[link.id] = survivor.id
    graph.links = kept
    _rename_links(graph, heirs)


def _rename_links(graph: RawGraph, heirs: Mapping[int, int]) -> None:
    for node in graph.nodes:
        for slot in node["inputs"]:
            if slot.get("link") is not None:
                slot["link"] = heirs.get(slot["link"], slot["link"])
    for slot in (*graph.boundary_inputs, *graph.boundary_outputs):
        slot["linkIds"] = list(dict.fromkeys(heirs.get(id_, id_) for id_ in slot["linkIds"]))


# --- subgraph definitions --------------------------------------------------------------------------------------------


def read_definitions(document: Mapping[str, Any]) -> list[RawGraph]:
    """Return all subgraph definitions, those nested in others included, in the front end's order.

    Raises:
        Malformed: a definition is not shaped like one.
    """
    found: dict[str, RawGraph] = {}
    for data in _flatten(document):
        graph = read_graph(data, f"subgraph {str(data.get('name') or data.get('id'))!r:.60}")
        if graph.id in found:
            continue
        found[graph.id] = graph
        graph.nodes = _first_by(graph.nodes, lambda node: id_text(node["id"]))
        graph.links = _first_by(graph.links, lambda link: link.id)
    return list(found.values())


def _flatten(document: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    pending = [document]
    while pending:
        data = pending.pop()
        if data is not document:
            yield data
        definitions = data.get("definitions")
        nested = items(definitions, "subgraphs", "the definitions") if isinstance(definitions, dict) else []
        for each in reversed(nested):
            if not isinstance(each, dict):
                raise Malformed("a subgraph definition is not an object")
            pending.append(each)


def _first_by(things: list[Any], key: Any) -> list[Any]:
    seen: set[Any] = set()
    kept = []
    for thing in things:
        if key(thing) not in seen:
            seen.add(key(thing))
            kept.append(thing)
    return kept


class NodeIds:
    """Hands out ids for nodes whose own is taken, as the front end's counter does.

    The counter starts at the document's ``last_node_id``. Where that is not an integer (some are saved as text), the
    front end counts from one until it meets a higher id.
    """

    def __init__(self, last: Any = 0) -> None:
        self._sound = js.is_number(last) and last == last and abs(last) <= MAX_SAFE_INTEGER and last == int(last)
        self._last = int(last) if self._sound else _loose_number(last)
        self._used: set[int] = set()

    def reserve(self, key: str, *, observe: bool = True) -> None:
        """Note that an id is in use."""
        number = _numeric(key)
        if number is None:
            return
        self._used.add(number)
        if observe and number > self._last:
            self.observe(number)

    def observe(self, number: Any) -> None:
        """Let the counter go on from a higher id."""
        if js.is_number(number) and number == number and 0 <= number <= MAX_SAFE_INTEGER and number > self._last:
            self._last, self._sound = int(number), True

    def release(self, keys: Iterable[str]) -> None:
        """Let ids be handed out again: the root's nodes take theirs one by one, and the last ones may come too late."""
        self._used.difference_update(number for number in map(_numeric, keys) if number is not None)

    def mint(self) -> str:
        """Return a new id."""
        candidate = int(self._last) + 1 if self._sound and 0 <= self._last < MAX_SAFE_INTEGER else 1
        while candidate in self._used:
            candidate = 1 if candidate == MAX_SAFE_INTEGER else candidate + 1
        self._last, self._sound = candidate, True
        self._used.add(candidate)
        return str(candidate)


def make_ids_unique(root: RawGraph, definitions: list[RawGraph], ids: NodeIds) -> None:
    """Renumber inner nodes whose id another graph of the document uses already, as the front end does on load.

    Args:
        root: the root graph, whose ids stay.
        definitions: the definitions, mutated.
        ids: hands out the new ids.
    """
    outer = {id_text(node["id"]) for node in root.nodes}
    for key in outer:
        ids.reserve(key, observe=False)
    used = set(outer)
    renamed: dict[str, dict[str, str]] = {}
    for graph in definitions:
        changes: dict[str, str] = {}
        for node in graph.nodes:
            key = id_text(node["id"])
            if key in used:
                changes[key] = node["id"] = ids.mint()
            else:
                ids.reserve(key)
            used.add(id_text(node["id"]))
        if changes:
            renamed[graph.id] = changes
            for link in graph.links:
                link.origin = changes.get(link.origin, link.origin)
                link.target = changes.get(link.target, link.target)
    ids.release(outer)
    if not renamed:
        return
    for graph in (*definitions, root):
        for node in graph.nodes:
            _rename_proxies(node, renamed.get(str(node.get("type"))))


def _loose_number(value: Any) -> float:
    """Return ``Number(value)`` of a saved counter, NaN where it is none."""
    if value is None or value is True or value is False:
        return float(bool(value))
    try:
        return float(value)
    except (TypeError, ValueError, OverflowError):
        return math.nan


def _numeric(key: str) -> int | None:
    try:
        number = int(key)
    except ValueError:
        return None
    return number if str(number) == key and abs(number) <= MAX_SAFE_INTEGER else None


def _rename_proxies(node: dict[str, Any], changes: Mapping[str, str] | None) -> None:
    proxies = node["properties"].get("proxyWidgets")
    if changes is None or not isinstance(proxies, list):
        return
    node["properties"]["proxyWidgets"] = [
        [changes.get(str(entry[0]), entry[0]), *entry[1:]] if isinstance(entry, list) and entry else entry
        for entry in proxies
    ]
