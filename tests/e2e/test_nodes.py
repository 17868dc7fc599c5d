"""The pack's nodes as users work them: choosing anew, undoing, copying, wrapping in a subgraph, and mending."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest
from playwright.sync_api import expect

from tests.support.canvas import Canvas
from tests.support.master import Master
from tests.support.sidebar import Sidebar
from tests.support.surfaces import SURFACES, each_front_end
from tools.devtools.instances import Instance

pytestmark = [pytest.mark.comfy, pytest.mark.browser]

INVERT: dict[str, Any] = {
    "1": {"class_type": "LoadImage", "inputs": {"image": "example.png"}},
    "2": {"class_type": "ImageInvert", "inputs": {"image": ["1", 0]}},
    "3": {"class_type": "PreviewImage", "inputs": {"images": ["2", 0]}},
}
NOISE: dict[str, Any] = {
    "1": {"class_type": "LoadImage", "inputs": {"image": "example.png"}},
    "2": {"class_type": "ImageAddNoise", "inputs": {"image": ["1", 0], "seed": 3, "strength": 0.5}},
    "3": {"class_type": "PreviewImage", "inputs": {"images": ["2", 0]}},
}


@pytest.fixture
def farm(master: Master, plain_peer: Instance) -> Master:
    """The master with one backend."""
    master.forget_backends()
    master.register(plain_peer)
    return master


def _named(word: str) -> str:
    return f"{word} {time.monotonic_ns()}"


def _wired(canvas: Canvas, name: str, end: str = "Preview Image") -> tuple[str, str, str]:
    """Compose by mouse: an image, a workflow of the library, and what takes its result; return their ids."""
    library = Sidebar(canvas.page).open("Library")
    source = canvas.add_node("EmptyImage", 640, 780)
    canvas.page.mouse.move(1000, 300)
    library.get_by_role("button", name=f"Add {name} to the canvas").click()
    canvas.until_nodes(2)
    (remote,) = [node.id for node in canvas.nodes() if node.id != source]
    shown = canvas.add_node(end, 1320, 620)
    canvas.connect(source, "IMAGE", remote, "image")
    canvas.connect(remote, "image", shown, "images")
    return source, remote, shown


@each_front_end
def test_another_workflow_keeps_the_links_and_values_that_still_fit(canvas: Canvas, farm: Master) -> None:
    first, second = _named("Invert"), _named("Noise")
    farm.define(first, INVERT)
    noisy = farm.define(second, NOISE)
    source, remote, shown = _wired(canvas, first)
    canvas.run()
    outcome = canvas.page.get_by_role("status").filter(has_text="plain-1 ·")
    expect(outcome).to_be_visible()
    canvas.choose(remote, "workflow", second)
    canvas.until_widget(remote, "workflow", noisy)
    expect(outcome).to_be_hidden()  # it told of the first one's job
    prompt = canvas.prompt()
    assert prompt[remote]["inputs"]["in_1"] == [source, 0]
    assert prompt[shown]["inputs"]["images"][0] == remote
    labels = [slot.label for slot in canvas.node(remote).inputs if slot.linked]
    assert labels == ["image"]


@pytest.mark.parametrize("surface", [SURFACES[1]], ids=str, indirect=True)
def test_a_linked_slot_that_means_something_else_now_is_shown_as_that(canvas: Canvas, farm: Master) -> None:
    """Front end 1.32 with Nodes 2.0 draws a slot anew only when it is another object."""
    first, second = _named("One"), _named("Other")
    for name, result in ((first, "photo"), (second, "painting")):
        outputs = [{"name": result, "type": "IMAGE", "node_id": "2", "index": 0}]
        inputs = [{"name": "image", "type": "IMAGE", "node_id": "1", "input_name": "image"}]
        definition = {"name": name, "prompt": INVERT, "parameters": inputs, "outputs": outputs}
        farm.api.send("POST", "/orchestrator/definitions", definition)
    Sidebar(canvas.page).open("Library").get_by_role("button", name=f"Add {first} to the canvas").click()
    (remote,) = [node.id for node in canvas.nodes()]
    shown = canvas.add_node("Preview Image", 1320, 620)
    canvas.connect(remote, "photo", shown, "images")
    canvas.choose(remote, "workflow", second)
    on_screen = canvas.page.locator(f'[data-node-id="{remote}"]')
    expect(on_screen.get_by_text("painting", exact=True)).to_be_visible()
    expect(on_screen.get_by_text("photo", exact=True)).to_have_count(0)
    assert canvas.prompt()[shown]["inputs"]["images"] == [remote, 2]


@each_front_end
def test_undo_brings_back_what_was_chosen_before_and_redo_what_came_after(canvas: Canvas, farm: Master) -> None:
    first, second = _named("Invert"), _named("Noise")
    plain, noisy = farm.define(first, INVERT), farm.define(second, NOISE)
    canvas.new_workflow()
    # Front end 1.32 takes the undoing of a graph with a Preview Image for a change of its own.
    source, remote, _ = _wired(canvas, first, end="Save Image")
    canvas.choose(remote, "workflow", second)
    canvas.until_widget(remote, "workflow", noisy)
    canvas.undo()
    canvas.until_widget(remote, "workflow", plain)
    assert canvas.prompt()[remote]["inputs"]["in_1"] == [source, 0]
    canvas.redo()
    canvas.until_widget(remote, "workflow", noisy)
    assert canvas.prompt()[remote]["inputs"]["in_1"] == [source, 0]


@each_front_end
def test_a_copied_node_has_its_workflow_values_and_slots(canvas: Canvas, farm: Master) -> None:
    name = _named("Noise")
    noisy = farm.define(name, NOISE)
    _, remote, _ = _wired(canvas, name)
    canvas.type_into(remote, "parameters.seed", "71")
    before = {node.id for node in canvas.nodes()}
    canvas.select(remote)
    canvas.page.keyboard.press("Control+C")
    canvas.page.mouse.move(900, 760)
    canvas.page.keyboard.press("Control+V")
    canvas.until_nodes(len(before) + 1)
    (copy,) = [node for node in canvas.nodes() if node.id not in before]
    original = canvas.node(remote)
    assert copy.widgets["workflow"] == noisy
    assert copy.widgets["parameters.seed"] == 71
    assert [slot.label for slot in copy.inputs] == [slot.label for slot in original.inputs]
    assert [slot.label for slot in copy.outputs] == [slot.label for slot in original.outputs]


@each_front_end
def test_a_workflow_within_a_subgraph_runs_as_outside(canvas: Canvas, farm: Master) -> None:
    name = _named("Invert")
    farm.define(name, INVERT)
    source, remote, shown = _wired(canvas, name)
    outside = canvas.prompt()
    canvas.select(remote)
    canvas.convert_to_subgraph()
    inside = canvas.prompt()
    (found,) = [one for one in inside.values() if one["class_type"] == "OrchestratorRemoteWorkflow"]
    assert found["inputs"] == outside[remote]["inputs"]
    assert inside[shown]["inputs"]["images"][1] == outside[shown]["inputs"]["images"][1]
    canvas.run()
    canvas.page.wait_for_function(
        "id => ((window.app ?? window.comfyAPI.app.app).nodeOutputs?.[id]?.images ?? []).length === 1", arg=shown
    )
    assert source in inside


@each_front_end
def test_a_workflow_that_the_library_lost_is_told_and_mended_by_choosing_another(canvas: Canvas, farm: Master) -> None:
    lost, other = _named("Lost"), _named("Other")
    gone, kept = farm.define(lost, INVERT), farm.define(other, INVERT)
    _, remote, shown = _wired(canvas, lost)
    farm.api.send("DELETE", f"/orchestrator/definitions/{gone}", {})
    notice = canvas.page.get_by_role("status").filter(has_text="is not in the library")
    expect(notice).to_be_visible()
    canvas.choose(remote, "workflow", other)
    canvas.until_widget(remote, "workflow", kept)
    expect(notice).to_be_hidden()
    assert canvas.prompt()[shown]["inputs"]["images"][0] == remote


@each_front_end
def test_a_version_with_other_inputs_is_told_and_taken_with_one_click(canvas: Canvas, farm: Master) -> None:
    name = _named("Grows")
    definition_id = farm.define(name, INVERT)
    source, remote, _ = _wired(canvas, name)
    farm.redefine(definition_id, NOISE)
    notice = canvas.page.get_by_role("status").filter(has_text="other inputs or outputs")
    expect(notice).to_be_visible()
    notice.get_by_role("button", name="Update").click()
    expect(notice).to_be_hidden()
    assert canvas.node(remote).widgets["parameters.seed"] == 3
    assert canvas.prompt()[remote]["inputs"]["in_1"] == [source, 0]


@each_front_end
def test_a_number_that_no_widget_holds_is_sent_as_it_is_when_another_value_changes(
    canvas: Canvas, farm: Master
) -> None:
    name, seed = _named("Large"), 2**64 - 3
    exposed = [("seed", "INT", 0), ("strength", "FLOAT", 0.5)]
    parameters = [
        {"name": name, "type": type_, "node_id": "2", "input_name": name, "default": default}
        for name, type_, default in exposed
    ]
    outputs = [{"name": "image", "type": "IMAGE", "node_id": "2", "index": 0}]
    noise = {"name": name, "prompt": NOISE, "parameters": parameters, "outputs": outputs}
    farm.api.send("POST", "/orchestrator/definitions", noise)
    Sidebar(canvas.page).open("Library").get_by_role("button", name=f"Add {name} to the canvas").click()
    document = canvas.document()
    ((node_id, values),) = ((str(node["id"]), node["widgets_values"]) for node in document["nodes"])
    (place,) = (index for index, value in enumerate(values) if isinstance(value, str) and value.startswith("{"))
    values[place] = json.dumps({**json.loads(values[place]), "values": {"seed": seed, "strength": 0.5}})
    canvas.load(document)
    canvas.type_into(node_id, "parameters.strength", "0.25")
    sent = json.loads(canvas.prompt()[node_id]["inputs"]["parameters"])
    assert sent["values"] == {"seed": seed, "strength": 0.25}
    canvas.type_into(node_id, "parameters.seed", "7")
    assert json.loads(canvas.prompt()[node_id]["inputs"]["parameters"])["values"]["seed"] == 7


@each_front_end
def test_a_mistake_in_a_condition_is_told_while_typing_and_mended_with_one_click(canvas: Canvas) -> None:
    node = canvas.add_node("Condition", 800, 300)
    text = canvas.text_of(node, "expression")
    text.fill("a.cuont > 3")
    notice = canvas.page.get_by_role("status").filter(has_text="cuont")
    expect(notice).to_be_visible()
    notice.get_by_role("button", name="Use count").click()
    expect(notice).to_be_hidden()
    assert canvas.node(node).widgets["expression"] == "a.count > 3"
    text.fill("a.count >")
    expect(canvas.page.get_by_role("status").filter(has_text="a.count >")).to_be_visible()
