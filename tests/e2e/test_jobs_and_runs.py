"""Jobs and runs in the sidebar: live, found again, told in full, and cancelled."""

from __future__ import annotations

import time
from typing import Any

import pytest
from playwright.sync_api import Locator, expect

from tests.support.canvas import Canvas
from tests.support.master import Master
from tests.support.sidebar import Sidebar
from tests.support.surfaces import each_front_end
from tools.devtools.instances import Instance

pytestmark = [pytest.mark.comfy, pytest.mark.browser, pytest.mark.sidebar_only, each_front_end]

GREY = {
    "1": {"class_type": "EmptyImage", "inputs": {"width": 64, "height": 64, "batch_size": 1, "color": 8421504}},
    "2": {"class_type": "PreviewImage", "inputs": {"images": ["1", 0]}},
}
BROKEN = {
    "1": {"class_type": "EmptyImage", "inputs": {"width": 64, "height": 64, "batch_size": 1, "color": 0}},
    # Cropping outside of the image leaves nothing, which cannot be saved.
    "2": {"class_type": "ImageCrop", "inputs": {"image": ["1", 0], "width": 1, "height": 1, "x": 63, "y": 63}},
    "3": {"class_type": "ImageScaleBy", "inputs": {"image": ["2", 0], "upscale_method": "area", "scale_by": 0.01}},
    "4": {"class_type": "PreviewImage", "inputs": {"images": ["3", 0]}},
}


@pytest.fixture
def farm(master: Master, plain_peers: tuple[Instance, Instance]) -> Master:
    """The master with two backends of its own."""
    master.forget_backends()
    for peer in plain_peers:
        master.register(peer)
    return master


def _submit(master: Master, name: str, prompt: dict[str, Any]) -> dict[str, Any]:
    known = {d["name"]: d["id"] for d in master.api.get("/orchestrator/definitions")["definitions"]}
    definition = known.get(name) or master.define(name, prompt)
    job: dict[str, Any] = master.api.send("POST", "/orchestrator/jobs", {"definition": definition, "cache": False})
    return job


def _row(view: Locator, text: str) -> Locator:
    return view.get_by_role("listitem").filter(has_text=text).first


def test_a_job_tells_where_it_ran_why_there_and_what_came_out(canvas: Canvas, farm: Master) -> None:
    name = f"Grey {time.monotonic_ns()}"
    view = Sidebar(canvas.page).open("Jobs")
    _submit(farm, name, GREY)
    row = _row(view, name)
    expect(row).to_contain_text("done")
    row.locator(".main").click()
    expect(view.get_by_role("heading", name="Where the time went")).to_be_visible()
    expect(view.get_by_text("Why there, and not elsewhere")).to_be_visible()
    image = view.get_by_role("img", name="image 1")
    expect(image).to_have_js_property("naturalWidth", 64)
    canvas.open()
    view = Sidebar(canvas.page).open("Jobs")
    expect(_row(view, name)).to_contain_text("plain-")
    _row(view, name).locator(".main").click()
    view.get_by_role("button", name="Run again", exact=True).click()
    view.get_by_role("button", name="Back to the list").click()
    expect(view.get_by_role("listitem").filter(has_text=name)).to_have_count(2)


def test_the_images_of_a_batch_are_paged_through(canvas: Canvas, farm: Master) -> None:
    name = f"Batch {time.monotonic_ns()}"
    batch = {"class_type": "EmptyImage", "inputs": {"width": 96, "height": 64, "batch_size": 3, "color": 1193046}}
    noise = {"class_type": "ImageAddNoise", "inputs": {"image": ["1", 0], "seed": 3, "strength": 0.9}}
    _submit(farm, name, {**GREY, "1": batch, "3": noise, "2": {**GREY["2"], "inputs": {"images": ["3", 0]}}})
    sidebar = Sidebar(canvas.page)
    view = sidebar.open("Jobs")
    row = _row(view, name)
    expect(row).to_contain_text("done")
    row.locator(".main").click()
    view.get_by_role("img", name="image 1").first.click()
    expect(sidebar.dialog).to_contain_text("1 of 3")
    first = sidebar.dialog.get_by_role("img").get_attribute("src")
    canvas.page.keyboard.press("ArrowRight")
    expect(sidebar.dialog).to_contain_text("2 of 3")
    expect(sidebar.dialog.get_by_role("img")).not_to_have_attribute("src", first or "")
    sidebar.dialog.get_by_role("button", name="Next image").click()
    expect(sidebar.dialog).to_contain_text("3 of 3")
    expect(sidebar.dialog.get_by_role("img")).to_have_js_property("naturalWidth", 96)
    expect(sidebar.dialog.get_by_role("button", name="Next image")).to_be_disabled()
    canvas.page.keyboard.press("Escape")
    expect(sidebar.dialog).to_be_hidden()


def test_a_failed_job_shows_the_remote_error_and_is_found_by_it(canvas: Canvas, farm: Master) -> None:
    name = f"Broken {time.monotonic_ns()}"
    view = Sidebar(canvas.page).open("Jobs")
    _submit(farm, name, BROKEN)
    row = _row(view, name)
    expect(row).to_contain_text("failed")
    view.get_by_role("button", name="Failed", exact=True).click()
    expect(row).to_be_visible()
    row.locator(".main").click()
    expect(view.get_by_text("A node failed").first).to_be_visible()
    expect(view.get_by_text("At PreviewImage").first).to_be_visible()
    view.get_by_text("Traceback of the backend").first.click()
    expect(view.locator("pre").first).to_contain_text("save_images")


def test_a_run_shows_its_items_and_leads_to_their_jobs(canvas: Canvas, farm: Master) -> None:
    name = f"Items {time.monotonic_ns()}"
    colour = {"name": "color", "type": "INT", "node_id": "1", "input_name": "color"}
    body = {"name": name, "prompt": GREY, "parameters": [colour]}
    definition = farm.api.send("POST", "/orchestrator/definitions", body)["id"]
    view = Sidebar(canvas.page).open("Runs")
    prompt = {
        "1": {"class_type": "OrchestratorFanOut", "inputs": {"source": "seeds", "seed": 1, "seeds": 6}},
        "2": {
            "class_type": "OrchestratorRemoteWorkflow",
            "inputs": {
                "workflow": definition,
                "backend": "auto",
                "parameters": '{"in": ["color"], "out": ["image"]}',
                "in_1": ["1", 0],
                "cache": False,
            },
        },
        "3": {"class_type": "PreviewImage", "inputs": {"images": ["2", 2]}},
    }
    farm.run(prompt)
    run = view.get_by_role("article").first
    expect(run).to_contain_text("6 of 6 done")
    expect(run.locator("strong").first).to_have_text(name)
    run.get_by_role("button", expanded=False).click()
    items = run.get_by_role("group", name="6 items").get_by_role("button")
    expect(items).to_have_count(6)
    items.nth(2).click()
    jobs = Sidebar(canvas.page).root.get_by_role("tabpanel", name="Jobs")
    expect(jobs.get_by_role("heading", name="Attempts")).to_be_visible()


def test_a_run_is_called_as_the_workflow_that_the_user_stored(canvas: Canvas, farm: Master) -> None:
    name = f"Part {time.monotonic_ns()}"
    farm.define(name, GREY)
    canvas.page.evaluate(
        "(window.app ?? window.comfyAPI.app.app).extensionManager.command.execute('Comfy.NewBlankWorkflow')"
    )
    sidebar = Sidebar(canvas.page)
    sidebar.open("Library").get_by_role("button", name=f"Add {name} to the canvas").click()
    title = f"Album {time.monotonic_ns()}"
    canvas.page.keyboard.press("Control+s")
    canvas.page.get_by_role("dialog").get_by_role("textbox").fill(title)
    canvas.page.keyboard.press("Enter")
    expect(canvas.page.get_by_role("dialog")).to_have_count(0)
    canvas.run()
    runs = sidebar.open("Runs")
    run = runs.get_by_role("article").filter(has_text=title)
    expect(run).to_contain_text("1 of 1 done")
    run.get_by_role("button", expanded=False).click()
    run.get_by_role("button", name="Show its jobs").click()
    expect(sidebar.root.get_by_role("tabpanel", name="Jobs")).to_contain_text(f"Jobs of: {title}")
