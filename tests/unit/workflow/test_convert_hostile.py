"""No document keeps the converter busy for long: each either converts in time or is refused in time."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest

from comfy_orchestrator_nodes.errors import ConversionFailed
from comfy_orchestrator_nodes.workflow.convert import to_prompt
from tests.golden.compose import Graph

BUSY_S = 20.0
"""Far more than any of these takes, and far less than what a quadratic step would take."""

OBJECT_INFO: dict[str, Any] = {
    "Source": {"input": {"required": {}}, "output": ["IMAGE"]},
    "Through": {"input": {"required": {"image": ["IMAGE"]}}, "output": ["IMAGE"]},
    "Text": {"input": {"required": {"text": ["STRING", {"dynamicPrompts": True}]}}, "output": []},
    "SaveImage": {"input": {"required": {"filename_prefix": ["STRING", {}]}}, "output": []},
    "CustomCombo": {"input": {"required": {"choice": ["COMBO", {"options": []}]}}, "output": ["STRING"]},
    "Rows": {
        "input": {
            "required": {"rows": ["COMFY_DYNAMICGROUP_V3", {"template": {"required": {"strength": ["FLOAT", {}]}}}]}
        },
        "output": [],
    },
}


def linked(graph: Graph, origin: int, target: dict[str, Any]) -> None:
    """Link output 0 to input 0 without the bookkeeping that composing needs."""
    id_ = len(graph.links) + 1
    target["inputs"] = [{"name": "image", "type": "IMAGE", "link": id_}]
    graph.links.append([id_, origin, 0, target["id"], 0, "IMAGE"])


def many_consumers_of_a_long_chain() -> Graph:
    graph = Graph()
    graph.nodes.extend(raw_node(id_, "Through", 4) for id_ in range(1, 6001))
    for id_ in range(2, 6001):
        linked(graph, id_ - 1, graph.nodes[id_ - 1])
    for id_ in range(6001, 12001):
        graph.nodes.append(raw_node(id_, "Through", 0))
        linked(graph, 6000, graph.nodes[-1])
    return graph


def raw_node(id_: int, type_: str, mode: int) -> dict[str, Any]:
    outputs = [{"name": "IMAGE", "type": "IMAGE"}]
    return {"id": id_, "type": type_, "mode": mode, "inputs": [], "outputs": outputs, "properties": {}}


def definitions_within_definitions() -> Graph:
    graph = Graph()
    inner = graph.subgraph("Leaf", 0)
    inner.node("Source")
    for level in range(1, 3000):
        outer = graph.subgraph(f"Level {level}", level)
        outer.instance(inner)
        inner = outer
    graph.instance(inner)
    return graph


def comments_that_never_end() -> Graph:
    graph = Graph()
    graph.node("Text", ["/*" * 2_000_000])
    return graph


def choices_without_end() -> Graph:
    graph = Graph()
    graph.node("Text", ["{" * 2_000_000])
    graph.node("Text", ["\\\\\\\\{" * 500_000])
    graph.node("Text", ["{|" * 16 + "|" * 200_000])
    return graph


def a_million_quotes() -> Graph:
    graph = Graph()
    for _ in range(2000):
        graph.node("Source")
    graph.node("SaveImage", ["%a.b%" * 1_000_000])
    return graph


def options_without_end() -> Graph:
    graph = Graph()
    graph.node("CustomCombo", ["a", 0, *["x"] * 3000])
    return graph


def rows_without_end() -> Graph:
    graph = Graph()
    graph.node("Rows", [3000, *[1.0] * 3000])
    return graph


def values_without_end() -> Graph:
    graph = Graph()
    graph.node("CustomCombo", ["a", 0, *["x"] * 200_000])
    return graph


def inputs_of_one_name() -> Graph:
    graph = Graph()
    target = graph.node("Through")
    target["inputs"] = [{"name": "image", "type": "IMAGE", "link": id_} for id_ in range(1, 4001)]
    graph.node("Source")
    graph.links = [[id_, 2, 0, 1, 4001 - id_, "IMAGE"] for id_ in range(1, 4001)]
    return graph


@pytest.mark.parametrize(
    "make",
    [
        many_consumers_of_a_long_chain,
        definitions_within_definitions,
        comments_that_never_end,
        choices_without_end,
        a_million_quotes,
        options_without_end,
        rows_without_end,
        values_without_end,
        inputs_of_one_name,
    ],
)
def test_hostile_document_is_converted_or_refused_in_time(make: Callable[[], Graph]) -> None:
    document = make().document()

    started = time.process_time()
    with suppress(ConversionFailed):
        to_prompt(document, OBJECT_INFO)
    assert time.process_time() - started < BUSY_S


def test_definitions_nested_beyond_any_use_are_refused() -> None:
    with pytest.raises(ConversionFailed, match="nested deeper"):
        to_prompt(definitions_within_definitions().document(), OBJECT_INFO)


def test_node_with_more_values_than_any_browser_shows_is_refused() -> None:
    with pytest.raises(ConversionFailed, match="more than"):
        to_prompt(values_without_end().document(), OBJECT_INFO)
