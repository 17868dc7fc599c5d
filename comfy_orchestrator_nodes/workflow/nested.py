"""Definitions inside of definitions: a prompt with Remote Workflow nodes names others of the library by their id."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from ..domain import Json, Prompt
from .graph import REMOTE_WORKFLOW, class_type, inputs_of

_WIDGET = "workflow"
"""The input (and first widget) of Remote Workflow that is the id of the definition that it runs."""


def used_definitions(prompt: Prompt) -> tuple[str, ...]:
    """Return the ids of the definitions that the prompt's Remote Workflow nodes run, each once, in order."""
    named = (inputs_of(node).get(_WIDGET) for node in prompt.values() if class_type(node) == REMOTE_WORKFLOW)
    return tuple(dict.fromkeys(name for name in named if isinstance(name, str) and name))


def with_renamed(prompt: Prompt, names: Mapping[str, str]) -> dict[str, dict[str, Any]]:
    """Return the prompt with the ids of the definitions it uses replaced; the original stays as it is.

    Args:
        prompt: the graph.
        names: old id to new id; ids that are not in it stay.
    """
    return {node_id: _renamed_node(node, names) for node_id, node in prompt.items()}


def with_renamed_document(workflow: Mapping[str, Json], names: Mapping[str, str]) -> dict[str, Json]:
    """Return the UI-format document with the ids of the definitions it uses replaced; the original stays as it is."""
    renamed = _renamed_graph(workflow, names)
    definitions = workflow.get("definitions")
    if isinstance(definitions, Mapping) and isinstance(definitions.get("subgraphs"), list):
        subgraphs = [_renamed_graph(g, names) if isinstance(g, Mapping) else g for g in definitions["subgraphs"]]
        renamed["definitions"] = {**definitions, "subgraphs": subgraphs}
    return renamed


def node_types(workflow: Mapping[str, Json]) -> frozenset[str]:
    """Return the types of all nodes of a UI-format document, those in its subgraphs included."""
    return frozenset(node["type"] for node in _document_nodes(workflow) if isinstance(node.get("type"), str))


def definitions_named_in(workflow: Mapping[str, Json]) -> tuple[str, ...]:
    """Return the ids of the definitions that the Remote Workflow nodes of a UI-format document run, each once."""
    named = (
        _first(node.get("widgets_values")) for node in _document_nodes(workflow) if node.get("type") == REMOTE_WORKFLOW
    )
    return tuple(dict.fromkeys(name for name in named if isinstance(name, str) and name))


def _document_nodes(workflow: Mapping[str, Json]) -> Iterator[Mapping[str, Json]]:
    """Yield all nodes of a UI-format document, those in its subgraphs after its own."""
    waiting: list[Json] = [workflow]
    for graph in waiting:
        nodes = graph.get("nodes") if isinstance(graph, Mapping) else None
        yield from (node for node in (nodes if isinstance(nodes, list) else ()) if isinstance(node, Mapping))
        definitions = graph.get("definitions") if isinstance(graph, Mapping) else None
        subgraphs = definitions.get("subgraphs") if isinstance(definitions, Mapping) else None
        waiting += subgraphs if isinstance(subgraphs, list) else ()


def _first(values: Json) -> Json:
    """Return what the ``workflow`` widget of a Remote Workflow node holds."""
    if isinstance(values, Mapping):
        return values.get(_WIDGET)
    return values[0] if isinstance(values, list) and values else None


def _renamed_node(node: Mapping[str, Any], names: Mapping[str, str]) -> dict[str, Any]:
    used = inputs_of(node).get(_WIDGET)
    if class_type(node) != REMOTE_WORKFLOW or not isinstance(used, str) or used not in names:
        return dict(node)
    return {**node, "inputs": {**inputs_of(node), _WIDGET: names[used]}}


def _renamed_graph(graph: Mapping[str, Json], names: Mapping[str, str]) -> dict[str, Json]:
    nodes = graph.get("nodes")
    if not isinstance(nodes, list):
        return dict(graph)
    return {**graph, "nodes": [_renamed_widgets(n, names) if isinstance(n, Mapping) else n for n in nodes]}


def _renamed_widgets(node: Mapping[str, Json], names: Mapping[str, str]) -> dict[str, Json]:
    values = node.get("widgets_values")
    if node.get("type") != REMOTE_WORKFLOW:
        return dict(node)
    if isinstance(values, list) and values and isinstance(values[0], str):
        return {**node, "widgets_values": [names.get(values[0], values[0]), *values[1:]]}
    if isinstance(values, Mapping) and isinstance(values.get(_WIDGET), str):
        return {**node, "widgets_values": {**values, _WIDGET: names.get(values[_WIDGET], values[_WIDGET])}}
    return dict(node)
