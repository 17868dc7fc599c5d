"""Nodes that exist in the browser only."""

from __future__ import annotations

from typing import Any

import pytest

from comfy_orchestrator_nodes.errors import ConversionFailed
from comfy_orchestrator_nodes.workflow.convert import to_prompt
from tests.golden.compose import Graph

OBJECT_INFO: dict[str, Any] = {
    "Source": {"input": {"required": {"value": ["INT", {"min": 0, "max": 100}]}}, "output": ["IMAGE"]},
    "Sink": {
        "input": {"required": {"image": ["IMAGE"]}, "optional": {"amount": ["FLOAT", {"step": 0.25, "max": 10}]}},
        "output": [],
    },
}


def named(graph: Graph, setter: str, getter: str, **setter_fields: Any) -> str:
    """Wire a source to a sink through a name; return the sink's id."""
    set_node = graph.node("SetNode", [setter], **setter_fields)
    graph.link(graph.node("Source", [1], id_=90), 0, set_node, "IMAGE", "IMAGE")
    get_node = graph.node("GetNode", [getter])
    sink = graph.node("Sink", [0.5])
    graph.link(get_node, 0, sink, "image", "IMAGE")
    return str(sink["id"])


def test_get_node_stands_for_what_the_set_node_of_its_name_was_given() -> None:
    graph = Graph()
    sink = named(graph, "picture", "picture")

    prompt = to_prompt(graph.document(), OBJECT_INFO)

    assert prompt[sink]["inputs"]["image"] == ["90", 0]
    assert {node["class_type"] for node in prompt.values()} == {"Source", "Sink"}


@pytest.mark.parametrize(("setter", "getter"), [("picture", "other"), ("", "")])
def test_get_node_without_its_set_node_gives_nothing(setter: str, getter: str) -> None:
    graph = Graph()
    sink = named(graph, setter, getter)

    assert "image" not in to_prompt(graph.document(), OBJECT_INFO)[sink]["inputs"]


def test_set_node_passes_its_input_on() -> None:
    graph = Graph()
    set_node = graph.node("SetNode", ["picture"])
    graph.link(graph.node("Source", [1]), 0, set_node, "IMAGE", "IMAGE")
    sink = graph.node("Sink")
    graph.link(set_node, 0, sink, "image", "IMAGE")

    assert to_prompt(graph.document(), OBJECT_INFO)[str(sink["id"])]["inputs"]["image"] == ["2", 0]


def test_names_are_looked_up_in_the_same_graph() -> None:
    graph = Graph()
    named(graph, "picture", "picture")
    inner = graph.subgraph("Inside", 1)
    get_node = inner.node("GetNode", ["picture"], id_=50)
    sink = inner.node("Sink", id_=51)
    inner.link(get_node, 0, sink, "image", "IMAGE")
    host = graph.instance(inner)

    assert "image" not in to_prompt(graph.document(), OBJECT_INFO)[f"{host['id']}:51"]["inputs"]


@pytest.mark.parametrize(("entered", "sent"), [(3, 3), (3.6, 4), (1000, 100), (-5, 0)])
def test_primitive_is_rounded_and_kept_in_the_range_of_its_target(entered: float, sent: int) -> None:
    graph = Graph()
    source = graph.node("Source", [1])
    graph.link(graph.node("PrimitiveNode", [entered, "fixed"]), 0, source, "value", "INT", widget=True)

    assert to_prompt(graph.document(), OBJECT_INFO)["1"]["inputs"] == {"value": sent}


def test_primitive_that_is_to_quote_widgets_in_a_number_is_refused() -> None:
    graph = Graph()
    source = graph.node("Source", [1])
    primitive = graph.node("PrimitiveNode", [3, "fixed"], properties={"Run widget replace on values": True})
    graph.link(primitive, 0, source, "value", "INT", widget=True)

    with pytest.raises(ConversionFailed, match="no text"):
        to_prompt(graph.document(), OBJECT_INFO)


def test_primitive_without_a_link_does_nothing() -> None:
    graph = Graph()
    graph.node("Source", [1])
    graph.node("PrimitiveNode", [3, "fixed"])

    assert to_prompt(graph.document(), OBJECT_INFO)["1"]["inputs"] == {"value": 1}
