"""What is on the canvas goes into the library by the mouse: a selection, a subgraph, or all of it."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import expect

from tests.support.canvas import Canvas
from tests.support.master import Master
from tests.support.sidebar import Sidebar
from tests.support.surfaces import SURFACES

pytestmark = [
    pytest.mark.comfy,
    pytest.mark.browser,
    pytest.mark.parametrize("surface", SURFACES[2:], ids=str, indirect=True),
]

SELECTION = "Save as orchestrator workflow"
SELECTION_ON_CANVAS = "Save selection as orchestrator workflow"
GRAPH = "Save graph as orchestrator workflow"

SOURCE, INVERT, SHOWN = "1", "2", "3"
BELOW = (900.0, 800.0)


def _node(id_: int, type_: str, x: int, inputs: list[Any], outputs: list[Any], values: list[Any]) -> dict[str, Any]:
    place = {"pos": [x, 250], "size": [270, 130], "widgets_values": values}
    return {"id": id_, "type": type_, "inputs": inputs, "outputs": outputs, **place}


@pytest.fixture
def graph(canvas: Canvas) -> Canvas:
    """A canvas with an image that is inverted and shown."""
    nodes = [
        _node(1, "EmptyImage", 300, [], [{"name": "IMAGE", "type": "IMAGE", "links": [1]}], [64, 64, 1, 0]),
        _node(
            2,
            "ImageInvert",
            700,
            [{"name": "image", "type": "IMAGE", "link": 1}],
            [{"name": "IMAGE", "type": "IMAGE", "links": [2]}],
            [],
        ),
        _node(3, "PreviewImage", 1100, [{"name": "images", "type": "IMAGE", "link": 2}], [], []),
    ]
    links = [[1, 1, 0, 2, 0, "IMAGE"], [2, 2, 0, 3, 0, "IMAGE"]]
    canvas.load({"last_node_id": 3, "last_link_id": 2, "nodes": nodes, "links": links, "version": 0.4})
    canvas.until_nodes(3)
    return canvas


@pytest.fixture
def saved(graph: Canvas, master: Master) -> Callable[[], dict[str, Any]]:
    """Save under a name of its own what the dialog asks about; return the classes and outputs of what was stored."""

    def save() -> dict[str, Any]:
        name = f"Saved {time.monotonic_ns()}"
        dialog = Sidebar(graph.page).dialog
        dialog.get_by_label("Name", exact=True).fill(name)
        dialog.get_by_role("button", name="Save to library").click()
        expect(dialog).to_have_count(0)
        (stored,) = [d for d in master.api.get("/orchestrator/definitions")["definitions"] if d["name"] == name]
        whole = master.api.get(f"/orchestrator/definitions/{stored['id']}")
        classes = sorted(node["class_type"] for node in whole["prompt"].values())
        return {"classes": classes, "outputs": [output["type"] for output in whole["outputs"]]}

    return save


TWO = {"classes": ["EmptyImage", "ImageInvert", "OrchestratorWorkflowOutput"], "outputs": ["IMAGE"]}


def test_all_of_it_a_selection_and_a_subgraph_are_saved_from_menus(
    graph: Canvas, saved: Callable[[], dict[str, Any]]
) -> None:
    graph.open_menu(BELOW)
    expect(graph.page.get_by_text(SELECTION_ON_CANVAS)).to_have_count(0)
    graph.page.get_by_text(GRAPH).click()
    assert saved() == {"classes": ["EmptyImage", "ImageInvert", "PreviewImage"], "outputs": ["IMAGE"]}

    graph.select(SOURCE, INVERT)
    graph.open_menu(BELOW)
    graph.page.get_by_text(SELECTION_ON_CANVAS).click()
    assert saved() == TWO

    graph.page.get_by_role("button", name=SELECTION).click()  # above what is selected
    assert saved() == TWO

    graph.convert_to_subgraph()
    (subgraph,) = [node.id for node in graph.nodes() if node.id != SHOWN]
    graph.open_menu(subgraph)
    graph.page.get_by_text(SELECTION, exact=True).click()
    assert saved() == TWO
