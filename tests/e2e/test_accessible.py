"""The sidebar, its dialogs and what it puts on nodes, for those who see, hear or move otherwise than its makers."""

from __future__ import annotations

import json
import time

import pytest
from playwright.sync_api import Locator, expect

from tests.support.axe import Axe
from tests.support.canvas import Canvas
from tests.support.graphs import Graph, gray, node, remote, seeds
from tests.support.keyboard import Keyboard
from tests.support.master import Master
from tests.support.sidebar import Sidebar
from tests.support.surfaces import each_front_end
from tools.devtools.instances import Instance

pytestmark = [pytest.mark.comfy, pytest.mark.browser, pytest.mark.sidebar_only, each_front_end]

GREY: Graph = {"1": gray(128, 64), "2": node("PreviewImage", images=["1", 0])}
BROKEN: Graph = {
    "1": gray(0, 64),
    # Cropping outside of the image leaves nothing, which cannot be saved.
    "2": node("ImageCrop", image=["1", 0], width=1, height=1, x=63, y=63),
    "3": node("ImageScaleBy", image=["2", 0], upscale_method="area", scale_by=0.01),
    "4": node("PreviewImage", images=["3", 0]),
}
MISTAKEN = {
    "version": 0.4,
    "last_node_id": 2,
    "last_link_id": 0,
    "links": [],
    "nodes": [
        {"id": 1, "type": "OrchestratorCondition", "pos": [600, 99], "size": [300, 200], "widgets_values": ["1 +", ""]},
        {"id": 2, "type": "EmptyImage", "pos": [1000, 250], "size": [270, 130], "widgets_values": [64, 64, 1, 0]},
    ],
}
"""A condition that cannot be read, beside something that the library would take."""

MOVING = """
() => document.getAnimations().filter(({ effect }) => effect.target.closest('.orc-root, .orc-dialog')).length
"""


@pytest.fixture
def farm(master: Master, plain_peer: Instance) -> Master:
    """The master with one backend of its own."""
    master.forget_backends()
    master.register(plain_peer)
    return master


def _submit(master: Master, prompt: Graph) -> str:
    name = f"Accessible {time.monotonic_ns()}"
    body = {"definition": master.define(name, prompt), "cache": False}
    master.api.send("POST", "/orchestrator/jobs", body)
    return name


def _run_items(master: Master, count: int) -> None:
    colour = {"name": "color", "type": "INT", "node_id": "1", "input_name": "color"}
    body = {"name": f"Items {time.monotonic_ns()}", "prompt": GREY, "parameters": [colour], "tags": ["card"]}
    workflow = master.api.send("POST", "/orchestrator/definitions", body)["id"]
    names = json.dumps({"in": ["color"], "out": ["image"]})
    fanned = remote(workflow, parameters=names, in_1=["1", 0])
    master.run({"1": seeds(count, 1), "2": fanned, "3": node("PreviewImage", images=["2", 2])})


def _row(view: Locator, name: str) -> Locator:
    return view.get_by_role("listitem").filter(has_text=name)


def test_every_view_dialog_and_node_is_within_the_rules_in_the_dark_and_in_the_light(
    canvas: Canvas, farm: Master, plain_peer: Instance
) -> None:
    failed, done = _submit(farm, BROKEN), _submit(farm, GREY)
    _run_items(farm, 3)
    page, sidebar, axe = canvas.page, Sidebar(canvas.page), Axe(canvas.page)

    backends = sidebar.open("Backends")
    card = backends.get_by_role("article", name=plain_peer.name)
    expect(card).to_contain_text("online")
    card.get_by_role("button", name="Actions for").click()
    assert axe.violations() == []
    page.keyboard.press("Escape")
    backends.get_by_role("button", name="Add backend").click()
    sidebar.dialog.get_by_text("Password, token, certificate").click()
    sidebar.dialog.get_by_label("Address", exact=True).fill("http://127.0.0.1:1")
    sidebar.dialog.get_by_role("button", name="Add", exact=True).click()
    expect(sidebar.dialog).to_contain_text("It does not work.")
    assert axe.violations() == []
    page.keyboard.press("Escape")
    card.locator(".orc-card-name").click()
    for tab in backends.get_by_role("tab").all():
        tab.click()
        expect(backends.get_by_text("Loading")).to_have_count(0)
        assert axe.violations() == []
    page.keyboard.press("Escape")
    sidebar.choose(card.get_by_role("button", name="Actions for"), "Disable")
    expect(card).to_contain_text("disabled")
    assert axe.violations() == []

    jobs = sidebar.open("Jobs")
    expect(_row(jobs, failed)).to_contain_text("failed")
    expect(_row(jobs, done)).to_contain_text("done")
    _row(jobs, done).get_by_role("checkbox").check()
    _row(jobs, failed).hover()
    assert axe.violations() == []
    for name in (failed, done):
        _row(jobs, name).locator(".main").click()
        expect(jobs.get_by_role("heading", name="Where the time went")).to_be_visible()
        assert axe.violations() == []
        page.keyboard.press("Escape")

    runs = sidebar.open("Runs")
    runs.get_by_role("button", expanded=False).first.click()
    expect(runs.get_by_role("group", name="3 items")).to_be_visible()
    assert axe.violations() == []

    library = sidebar.open("Library")
    entries = library.get_by_role("button", name=f"Actions for {done}")
    for entry, shown in (("Where it runs", plain_peer.name), ("Rename, tags", "Tags")):
        sidebar.choose(entries, entry)
        expect(sidebar.dialog).to_contain_text(shown)
        assert axe.violations() == []
        page.keyboard.press("Escape")
    canvas.load(MISTAKEN)
    expect(page.locator(".orc-node-status")).to_contain_text("expected a value")
    assert axe.violations() == []
    sidebar.choose(library.get_by_role("button", name="Add a workflow"), "Save what is on the canvas")
    sidebar.dialog.get_by_label("Expose width").check()
    sidebar.dialog.get_by_role("button", name="Default and range of width").click()
    expect(sidebar.dialog.get_by_role("button", name="Save to library")).to_be_visible()
    assert axe.violations() == []


def test_the_sidebar_is_worked_without_a_mouse(canvas: Canvas, farm: Master, plain_peer: Instance) -> None:
    job = _submit(farm, GREY)
    sidebar, keyboard = Sidebar(canvas.page), Keyboard(canvas.page)
    backends_tab, jobs_tab = (sidebar.root.get_by_role("tab", name=name) for name in ("Backends", "Jobs"))

    keyboard.press("Alt+Shift+O")
    expect(backends_tab).to_be_focused()
    keyboard.go_to(sidebar.root.get_by_role("tab", name="Library"), "ArrowRight")
    expect(sidebar.root.get_by_role("tabpanel", name="Library")).to_be_visible()
    keyboard.press("ArrowRight")
    expect(backends_tab).to_be_focused()

    backends = sidebar.root.get_by_role("tabpanel", name="Backends")
    card = backends.get_by_role("article", name=plain_peer.name)
    actions = card.get_by_role("button", name="Actions for")
    keyboard.choose(actions, "Drain")
    expect(card).to_contain_text("draining")
    expect(actions).to_be_focused()
    keyboard.choose(actions, "Remove")
    undo = sidebar.root.get_by_role("button", name="Undo")
    expect(undo).to_be_focused()
    keyboard.press("Enter")
    expect(card).to_be_visible()
    expect(backends_tab).to_be_focused()

    add = backends.get_by_role("button", name="Add backend")
    keyboard.go_to(add)
    keyboard.press("Enter")
    expect(sidebar.dialog.get_by_label("Address", exact=True)).to_be_focused()
    assert keyboard.is_kept_in_dialog(steps=14)
    keyboard.press("Escape")
    expect(sidebar.dialog).to_be_hidden()
    expect(add).to_be_focused()
    name = card.get_by_role("button", name=plain_peer.name, exact=True)
    keyboard.go_to(name)
    keyboard.press("Enter")
    expect(backends.get_by_role("heading", name=plain_peer.name)).to_be_focused()
    keyboard.press("Escape")
    expect(name).to_be_focused()

    keyboard.go_to(backends_tab, "Shift+Tab")
    keyboard.press("ArrowRight")
    expect(jobs_tab).to_be_focused()
    jobs = sidebar.root.get_by_role("tabpanel", name="Jobs")
    expect(_row(jobs, job)).to_contain_text("done")
    entry = _row(jobs, job).locator(".main")
    for leave in ("Escape", "Enter"):
        keyboard.go_to(entry)
        keyboard.press("Enter")
        expect(jobs.get_by_role("button", name="Back to the list")).to_be_focused()
        keyboard.press(leave)
        expect(entry).to_be_focused()


def test_nothing_moves_for_those_who_asked_for_stillness(canvas: Canvas, farm: Master) -> None:
    sidebar = Sidebar(canvas.page)
    canvas.page.route("**/orchestrator/backends/test", lambda _: None)  # never answered: the dialog goes on waiting
    sidebar.open("Backends").get_by_role("button", name="Add backend").click()
    sidebar.dialog.get_by_label("Address", exact=True).fill("http://127.0.0.1:1")
    test = sidebar.dialog.get_by_role("button", name="Test", exact=True)
    test.click()
    expect(test).to_have_attribute("aria-busy", "true")
    assert canvas.page.evaluate(MOVING) == 0
    expect(test).to_be_focused()
    canvas.page.emulate_media(reduced_motion="no-preference")
    canvas.page.wait_for_function(f"() => ({MOVING})() > 0")


def test_a_question_is_within_the_rules_and_answered_without_a_mouse(canvas: Canvas, farm: Master) -> None:
    keyboard = Keyboard(canvas.page)
    asking = remote(farm.define(f"Hopeless {time.monotonic_ns()}", BROKEN), on_failure="ask", attempts=1)
    prompt_id = farm.queue({"1": asking, "2": node("PreviewImage", images=["1", 2])})
    question = canvas.page.get_by_role("alertdialog", name="Jobs ask what to do")
    expect(question).to_contain_text("fails in")
    assert Axe(canvas.page).violations() == []
    keyboard.go_to(question.get_by_role("button", name="Let it fail"), "Shift+Tab")
    keyboard.press("Enter")
    expect(question).to_be_hidden()
    assert farm.wait(prompt_id)["status"]["status_str"] == "error"
