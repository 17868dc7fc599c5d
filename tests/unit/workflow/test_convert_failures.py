"""What cannot be converted exactly is refused, with everything in the way at once."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from comfy_orchestrator_nodes.errors import ConversionFailed
from comfy_orchestrator_nodes.workflow.convert import MAX_NODES, to_prompt
from tests.golden.compose import Graph, image, save

OWN = Path(__file__).resolve().parents[2] / "golden" / "cases"

OBJECT_INFO: dict[str, Any] = {
    "EmptyImage": {
        "input": {
            "required": {
                "width": ["INT", {"default": 512}],
                "height": ["INT", {"default": 512}],
                "batch_size": ["INT", {"default": 1}],
                "color": ["INT", {"default": 0}],
            }
        },
        "output": ["IMAGE"],
    },
    "SaveImage": {
        "input": {"required": {"images": ["IMAGE"], "filename_prefix": ["STRING", {"default": "ComfyUI"}]}},
        "output": [],
    },
    "WebcamCapture": {"input": {"required": {"image": ["WEBCAM", {}]}}, "output": ["IMAGE"]},
    "Load3D": {
        "input": {"required": {"model_file": [["none"], {}], "image": ["LOAD_3D", {}]}},
        "output": ["IMAGE"],
    },
    "PreviewAny": {"input": {"required": {"source": ["*", {}]}}, "output": []},
}


def reasons(graph: Graph, object_info: dict[str, Any] = OBJECT_INFO) -> tuple[str, ...]:
    with pytest.raises(ConversionFailed) as caught:
        to_prompt(graph.document(), object_info)
    return caught.value.reasons


def test_all_missing_classes_are_named_at_once() -> None:
    graph = Graph()
    graph.node("MissingOne")
    graph.node("MissingTwo")
    inner = graph.subgraph("Inside", 1)
    inner.node("MissingThree")
    graph.instance(inner)

    named = " ".join(reasons(graph))

    assert "'MissingOne'" in named
    assert "'MissingTwo'" in named
    assert "'MissingThree'" in named
    assert "'Inside'" in named


def test_group_node_is_refused_with_the_way_out() -> None:
    graph = Graph()
    graph.node("workflow>My Group")

    (reason,) = reasons(graph)

    assert "'My Group' is a group node" in reason
    assert "save it again" in reason


def test_missing_class_that_is_muted_or_bypassed_does_not_matter() -> None:
    graph = Graph()
    graph.node("MissingOne", mode=2)
    graph.node("MissingTwo", mode=4)
    save(graph, image(graph))

    assert {node["class_type"] for node in to_prompt(graph.document(), OBJECT_INFO).values()} == {
        "EmptyImage",
        "SaveImage",
    }


def test_missing_class_in_a_subgraph_that_nobody_uses_does_not_matter() -> None:
    graph = Graph()
    graph.subgraph("Unused", 1).node("MissingOne")
    save(graph, image(graph))

    assert len(to_prompt(graph.document(), OBJECT_INFO)) == 2


def test_circle_of_bypassed_nodes_is_refused() -> None:
    graph = Graph()
    first, second = (graph.node("MissingOne", mode=4) for _ in range(2))
    graph.link(second, 0, first, "in", "IMAGE")
    graph.link(first, 0, second, "in", "IMAGE")
    save(graph, first)

    assert any("circle" in reason for reason in reasons(graph))


def test_link_to_a_node_that_is_not_there_is_refused() -> None:
    graph = Graph()
    target = save(graph, image(graph))
    graph.links[0][1] = 99

    assert reasons(graph) == (f"input 'images' of node {target['id']} is linked to node 99, which is not there",)


def test_subgraph_that_contains_itself_is_refused() -> None:
    graph = Graph()
    first, second = graph.subgraph("First", 1), graph.subgraph("Second", 2)
    first.instance(second)
    second.instance(first)
    graph.instance(first)

    assert reasons(graph) == ("subgraphs contain themselves: 'First', 'Second'",)


def test_subgraphs_that_unfold_without_end_are_refused() -> None:
    graph = Graph()
    inner = graph.subgraph("Leaf", 0)
    inner.node("EmptyImage")
    for level in range(1, 30):
        outer = graph.subgraph(f"Level {level}", level)
        for _ in range(4):
            outer.instance(inner)
        inner = outer
    graph.instance(inner)

    assert reasons(graph) == (f"its subgraphs unfold to more than {MAX_NODES} nodes",)


def test_picture_from_a_webcam_is_refused() -> None:
    graph = Graph()
    graph.node("WebcamCapture", [""])

    assert "webcam" in reasons(graph)[0]


def test_scene_that_the_browser_renders_is_refused() -> None:
    graph = Graph()
    graph.node("Load3D", ["none"])

    assert "renders its 3D scene" in reasons(graph)[0]


@pytest.mark.parametrize(
    "damage",
    [
        {"nodes": {}},
        {"nodes": ["x"]},
        {"nodes": [{"type": "EmptyImage"}]},
        {"nodes": [{"id": [], "type": "EmptyImage"}]},
        {"nodes": [{"id": 1, "type": "EmptyImage", "inputs": "x"}]},
        {"nodes": [{"id": 1, "type": "EmptyImage", "inputs": [1]}]},
        {"nodes": [{"id": 1, "type": "EmptyImage", "inputs": [{"name": "a", "link": "x"}]}]},
        {"links": {}},
        {"links": [1]},
        {"links": [[1, 2, 3]]},
        {"links": [[1, 2, 0.5, 3, 0, "*"]]},
        {"links": [[1, 2, 10**400, 3, 0, "*"]]},
        {"definitions": {"subgraphs": {}}},
        {"definitions": {"subgraphs": [1]}},
        {"definitions": {"subgraphs": [{"id": "a", "nodes": [], "inputs": [{"linkIds": "x"}]}]}},
    ],
)
def test_document_of_the_wrong_shape_is_refused_and_not_a_crash(damage: dict[str, Any]) -> None:
    document = {"version": 0.4, "nodes": [], "links": [], **damage}

    with pytest.raises(ConversionFailed):
        to_prompt(document, OBJECT_INFO)


def test_class_with_a_broken_definition_is_named() -> None:
    graph = Graph()
    graph.node("Broken")
    entry = {"input": {"required": {"mode": ["COMFY_DYNAMICCOMBO_V3", {}]}}, "output": []}

    (reason,) = reasons(graph, {"Broken": entry})

    assert "'Broken'" in reason


def test_long_chain_of_bypassed_nodes_does_not_deepen_the_stack() -> None:
    graph = Graph()
    previous = image(graph)
    for _ in range(3000):
        following = graph.node("MissingOne", mode=4)
        following["inputs"] = [{"name": "in", "type": "IMAGE", "link": None}]
        graph.links.append([len(graph.links) + 1, previous["id"], 0, following["id"], 0, "IMAGE"])
        previous["outputs"] = [{"name": "out", "type": "IMAGE", "links": []}]
        previous = following
    previous["outputs"] = [{"name": "out", "type": "IMAGE", "links": []}]
    target = graph.node("SaveImage", ["x"])
    target["inputs"] = [{"name": "images", "type": "IMAGE", "link": None}]
    graph.links.append([len(graph.links) + 1, previous["id"], 0, target["id"], 0, "IMAGE"])

    prompt = to_prompt(graph.document(), OBJECT_INFO)

    assert prompt[str(target["id"])]["inputs"]["images"] == ["1", 0]


def test_conversion_leaves_its_arguments_alone() -> None:
    graph = Graph()
    inner = graph.subgraph("Inside", 1)
    empty = inner.node("EmptyImage", [8, 8, 1, 0], id_=1)
    inner.take("width", "INT", (empty, "width", True))
    inner.give("IMAGE", "IMAGE", empty, 0)
    save(graph, graph.instance(inner, [5], properties={"proxyWidgets": [["1", "height"]]}))
    workflow, object_info = graph.document(), copy.deepcopy(OBJECT_INFO)
    before = copy.deepcopy(workflow)

    first, second = to_prompt(workflow, object_info), to_prompt(workflow, object_info)

    assert first == second
    assert workflow == before
    assert object_info == OBJECT_INFO


def places(value: Any) -> list[tuple[Any, Any]]:
    """Return every container of a document with every key or index in it."""
    found: list[tuple[Any, Any]] = []
    pending = [value]
    while pending:
        container = pending.pop()
        for key in list(container) if isinstance(container, dict) else range(len(container)):
            found.append((container, key))
            if isinstance(container[key], (dict, list)):
                pending.append(container[key])
    return found


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 40) | st.floats() | st.sampled_from(["", "a", "images", "-10", "INT"]),
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(st.sampled_from(["name", "id", "x"]), inner, max_size=3),
    max_leaves=4,
)


@settings(max_examples=400, deadline=None)
@given(data=st.data(), name=st.sampled_from(sorted(path.stem for path in OWN.glob("*.json"))))
def test_damaged_document_is_converted_or_refused_and_nothing_else(data: st.DataObject, name: str) -> None:
    case = json.loads((OWN / f"{name}.json").read_text())
    for _ in range(data.draw(st.integers(1, 3))):
        container, key = data.draw(st.sampled_from(places(case["workflow"])))
        if data.draw(st.booleans()):
            container[key] = data.draw(ANYTHING)
        else:
            del container[key]

    try:
        prompt = to_prompt(case["workflow"], case["object_info"])
    except ConversionFailed as error:
        assert error.reasons  # noqa: PT017  (either outcome is right)
        return
    json.dumps(prompt, allow_nan=False)
    assert all(node["class_type"] in case["object_info"] for node in prompt.values())


@settings(max_examples=200, deadline=None)
@given(data=st.data(), name=st.sampled_from(sorted(path.stem for path in OWN.glob("*.json"))))
def test_strange_definition_is_used_or_refused_and_nothing_else(data: st.DataObject, name: str) -> None:
    case = json.loads((OWN / f"{name}.json").read_text())
    for _ in range(data.draw(st.integers(1, 3))):
        container, key = data.draw(st.sampled_from(places(case["object_info"])))
        if container is not case["object_info"]:
            container[key] = data.draw(ANYTHING)

    try:
        prompt = to_prompt(case["workflow"], case["object_info"])
    except ConversionFailed as error:
        assert error.reasons  # noqa: PT017  (either outcome is right)
        return
    json.dumps(prompt, allow_nan=False)
