"""The library in the sidebar: from the canvas into it, and from it back onto the canvas."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import expect

from tests.support.canvas import Canvas
from tests.support.master import Master
from tests.support.sidebar import Sidebar
from tests.support.surfaces import each_front_end

pytestmark = [pytest.mark.comfy, pytest.mark.browser]


def _compose(canvas: Canvas) -> None:
    source = canvas.add_node("EmptyImage", 560, 250)
    shown = canvas.add_node("Preview Image", 1100, 250)
    canvas.connect(source, "IMAGE", shown, "images")


def test_a_workflow_goes_from_the_canvas_into_the_library_and_back_as_a_node(
    canvas: Canvas, master: Master, picture: Callable[[str], Path], request: pytest.FixtureRequest
) -> None:
    name = f"Grey card {request.node.callspec.id}"
    sidebar = Sidebar(canvas.page)
    library = sidebar.open("Library")
    _compose(canvas)
    sidebar.choose(library.get_by_role("button", name="Add a workflow"), "Save what is on the canvas")
    sidebar.dialog.get_by_label("Name", exact=True).fill(name)
    sidebar.dialog.get_by_label("Tags").fill("test, cards")
    sidebar.dialog.get_by_label("Expose height").check()
    sidebar.dialog.get_by_label("Expose width").check()
    sidebar.dialog.get_by_label("Name of width").fill("Breadth")
    sidebar.dialog.get_by_label("Name of width").press("Alt+ArrowUp")
    canvas.page.screenshot(path=picture("save-to-library"))
    sidebar.dialog.get_by_role("button", name="Save to library").click()
    card = library.get_by_role("article").filter(has_text=name)
    expect(card).to_be_visible()

    stored = next(d for d in master.api.get("/orchestrator/definitions")["definitions"] if d["name"] == name)
    assert [output["type"] for output in stored["outputs"]] == ["IMAGE"]
    assert [parameter["name"] for parameter in stored["parameters"]] == ["Breadth", "height"]
    assert stored["tags"] == ["test", "cards"]

    canvas.clear()
    card.drag_to(canvas.page.locator("body"), source_position={"x": 120, "y": 12}, target_position={"x": 900, "y": 400})
    (node,) = canvas.nodes()
    assert (node.type, node.widgets["workflow"]) == ("OrchestratorRemoteWorkflow", stored["id"])


@each_front_end
def test_a_workflow_is_edited_on_the_canvas_and_saved_back_as_a_new_version(
    canvas: Canvas, master: Master, request: pytest.FixtureRequest
) -> None:
    name = f"Edited {request.node.callspec.id}"
    sidebar = Sidebar(canvas.page)
    library = sidebar.open("Library")
    _compose(canvas)
    sidebar.choose(library.get_by_role("button", name="Add a workflow"), "Save what is on the canvas")
    sidebar.dialog.get_by_label("Name", exact=True).fill(name)
    sidebar.dialog.get_by_role("button", name="Save to library").click()
    canvas.clear()

    sidebar.choose(library.get_by_role("button", name=f"Actions for {name}"), "Edit on the canvas")
    expect(library.get_by_text(f"Editing {name}")).to_be_visible()
    assert {node.type for node in canvas.nodes()} == {"EmptyImage", "PreviewImage"}
    library.get_by_role("button", name="Save as new version").click()
    sidebar.dialog.get_by_role("button", name="Save as new version").click()
    expect(library.get_by_role("article").filter(has_text=name)).to_contain_text("v2")
    (stored,) = [d for d in master.api.get("/orchestrator/definitions")["definitions"] if d["name"] == name]
    assert stored["version"] == 2


@each_front_end
def test_names_defaults_ranges_and_order_from_the_dialog_are_those_of_the_nodes_widgets(
    canvas: Canvas, request: pytest.FixtureRequest
) -> None:
    name = f"Ranged {request.node.callspec.id}"
    sidebar = Sidebar(canvas.page)
    library = sidebar.open("Library")
    _compose(canvas)
    sidebar.choose(library.get_by_role("button", name="Add a workflow"), "Save what is on the canvas")
    sidebar.dialog.get_by_label("Name", exact=True).fill(name)
    for exposed in ("batch_size", "height", "width"):
        sidebar.dialog.get_by_label(f"Expose {exposed}").check()
    sidebar.dialog.get_by_label("Name of width").fill("Breadth")
    sidebar.dialog.get_by_role("button", name="Default and range of Breadth").click()
    sidebar.dialog.get_by_label("Default", exact=True).fill("96")
    sidebar.dialog.get_by_label("Minimum").fill("64")
    sidebar.dialog.get_by_label("Maximum").fill("128")
    sidebar.dialog.get_by_label("Name of width").press("Alt+ArrowUp")
    canvas.page.keyboard.press("Alt+ArrowUp")
    sidebar.dialog.get_by_role("button", name="Save to library").click()
    canvas.clear()
    library.get_by_role("button", name=f"Add {name} to the canvas").click()
    (node,) = canvas.nodes()
    shown = [widget for widget in node.widgets if widget.startswith("parameters.")]
    assert shown == ["parameters.Breadth", "parameters.batch_size", "parameters.height"]
    assert node.widgets["parameters.Breadth"] == 96
    for typed, taken in (("9999", 128), ("1", 64)):
        canvas.type_into(node.id, "parameters.Breadth", typed)
        canvas.until_widget(node.id, "parameters.Breadth", taken)


@each_front_end
def test_a_dropped_file_is_read_and_what_it_exposes_is_asked(
    canvas: Canvas, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    file = tmp_path / f"dropped {request.node.callspec.id}.json"
    file.write_text(
        '{"1": {"class_type": "EmptyImage", "inputs": {"width": 8, "height": 8, "batch_size": 1, "color": 0}},'
        ' "2": {"class_type": "PreviewImage", "inputs": {"images": ["1", 0]}}}'
    )
    sidebar = Sidebar(canvas.page)
    library = sidebar.open("Library")
    library.locator("input[type=file]").set_input_files(file)
    expect(sidebar.dialog.get_by_label("Name", exact=True)).to_have_value(file.stem)
    sidebar.dialog.get_by_role("button", name="Save to library").click()
    expect(library.get_by_role("article").filter(has_text=file.stem)).to_be_visible()
