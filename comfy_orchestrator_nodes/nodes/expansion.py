"""A sub-workflow as part of the master's own prompt, for when it runs on this server itself. Pure.

A job sent to the master's own queue from inside that queue would wait for itself for ever, so ComfyUI's node expansion
takes its place: one copy of the sub-workflow for each item, and collectors that gather each output's items in order.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from ..domain import STORED_TYPES, Definition, FileRef, Json, Value
from ..errors import InvalidRequest, UnsupportedValue
from ..flow.wiring import wire_guards
from ..workflow.fragments import Collector, Entry, Exit, MakeId
from ..workflow.graph import WORKFLOW_OUTPUT, Link, as_link, class_type
from ..workflow.patch import lower
from .io import COLLECT, PICK

Nodes = dict[str, dict[str, Json]]

_OUTER = "__outer__"
"""Marks, while a copy is being made, a link to a node outside of the sub-workflow."""


@dataclass(frozen=True)
class LinkedList:
    """A list on a link of the prompt: what feeds one input slot of the node that expands."""

    link: Link


@dataclass(frozen=True)
class Expansion:
    """The graph to return to ComfyUI, and for each wanted output the link to its list."""

    nodes: Nodes
    outputs: Mapping[str, list[Json]]


def expand(
    definition: Definition,
    wanted: Sequence[str],
    constants: Sequence[Mapping[str, Value]],
    linked: Mapping[str, LinkedList],
    *,
    prefix: str,
    known_classes: Collection[str],
) -> Expansion:
    """Build the graph that runs a definition once per item on this server.

    Args:
        definition: what to run.
        wanted: the names of the outputs to collect.
        constants: for each item, the bound scalar values by parameter name.
        linked: parameter name to the list whose elements the items take, by link, so that ComfyUI's cache works.
        prefix: makes the ids of the new nodes unique in the prompt (ComfyUI's own default prefix is one for all
            async nodes).
        known_classes: node classes of this server; ComfyUI does not validate what a node expands into.

    Raises:
        InvalidRequest: this server lacks a node class.
    """
    nodes: Nodes = {}
    ends: dict[str, list[str]] = {name: [] for name in wanted}
    for index, scalars in enumerate(constants):
        carriers = _LocalCarriers(linked, index)
        values = {**scalars, **{name: _stand_in(definition, name) for name in linked}}
        lowered = lower(
            definition,
            values,
            wanted,
            carriers=carriers,
            attempt_id="local",
            files={name: name for name in linked},
        )
        own = f"{prefix}.{index}."
        for node_id, node in lowered.prompt.items():
            nodes[own + node_id] = _renamed(node, own)
        for name, collector in lowered.collectors.items():
            ends[name].append(own + collector.node_id)
    _refuse_unknown(nodes, known_classes)
    outputs: dict[str, list[Json]] = {}
    for position, (name, sources) in enumerate(ends.items()):
        collect_id = f"{prefix}.collect.{position}"
        items = {f"item_{index}": [source, 0] for index, source in enumerate(sources)}
        nodes[collect_id] = {"class_type": COLLECT, "inputs": {"count": len(sources), **items}}
        outputs[name] = [collect_id, 0]
    # What a node expands into does not pass ComfyUI's prompt handlers.
    return Expansion(wire_guards(nodes), outputs)


class _LocalCarriers:
    """Values enter by a link to their list and leave by a link: nothing is encoded, so everything is exact."""

    by_file = False

    def __init__(self, linked: Mapping[str, LinkedList], index: int) -> None:
        self._linked = linked
        self._index = index

    def enter(self, type_: str, names: Sequence[str], make_id: MakeId) -> Entry:
        """Take this item of the list that feeds the parameter named ``names[0]``."""
        pick = make_id("pick")
        # Held back from lowering, which would take it for a link between the sub-workflow's own nodes.
        outer = {_OUTER: list(self._linked[names[0]].link)}
        nodes: Nodes = {pick: {"class_type": PICK, "inputs": {"items": outer, "index": self._index}}}
        if type_ != "IMAGE":
            return Entry(nodes, (pick, 0))
        # What LoadImage yields as the mask of an image without alpha: nothing masked, 64 by 64 (nodes.py).
        mask = make_id("mask")
        nodes[mask] = {"class_type": "SolidMask", "inputs": {"value": 0.0, "width": 64, "height": 64}}
        return Entry(nodes, (pick, 0), (mask, 0))

    def enter_blobs(self, type_: str, hashes: Sequence[str], make_id: MakeId, *, as_loaded: bool = False) -> Entry:
        """Refuse: what is in the master's memory already is never stored on its way."""
        raise UnsupportedValue(f"A stored {type_} cannot enter a workflow that runs on this server.", type=type_)

    def leave(self, output: str, type_: str, source: Json, attempt_id: str, make_id: MakeId) -> Exit:
        """Pass the value on through a node of its own, so that every output ends in one."""
        node_id = make_id("output")
        inputs = {"name": output, "value": source}
        return Exit(
            {node_id: {"class_type": WORKFLOW_OUTPUT, "inputs": inputs}}, Collector(output, type_, node_id, "value")
        )


def _stand_in(definition: Definition, name: str) -> Value:
    """Return a value that leads ``lower`` to ``_LocalCarriers.enter`` with the parameter's name."""
    parameter = definition.parameter(name)
    type_ = parameter.type if parameter is not None else "IMAGE"
    return Value(type_, files=(FileRef(name, 0, ""),) if type_ in STORED_TYPES else ())


def _renamed(node: Mapping[str, Json], prefix: str) -> dict[str, Json]:
    inputs = {name: _renamed_value(value, prefix) for name, value in node["inputs"].items()}
    return {"class_type": class_type(node), "inputs": inputs}


def _renamed_value(value: Json, prefix: str) -> Json:
    if isinstance(value, dict) and _OUTER in value:
        return value[_OUTER]
    link = as_link(value)
    return [prefix + link[0], link[1]] if link is not None else value


def _refuse_unknown(nodes: Nodes, known_classes: Collection[str]) -> None:
    missing = sorted({class_type(node) for node in nodes.values()} - set(known_classes))
    if missing:
        raise InvalidRequest(f"This server lacks the node class {', '.join(missing)}: install it, or add a backend.")
