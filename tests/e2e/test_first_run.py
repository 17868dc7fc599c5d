"""What a new user does first: two servers, one workflow, and a run on both of them."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import expect

from tests.support.canvas import Canvas
from tests.support.master import Master
from tests.support.sidebar import Sidebar
from tests.support.surfaces import Surface, with_the_oldest
from tools.devtools.instances import Instance

pytestmark = [pytest.mark.comfy, pytest.mark.browser, with_the_oldest]

MOST_CLICKS = 12


def test_an_empty_sidebar_becomes_a_finished_run_on_two_backends_in_a_dozen_clicks(
    surface: Surface,
    master_of: Callable[[Surface, str], Instance],
    open_canvas: Callable[[Instance], Canvas],
    plain_peers: tuple[Instance, Instance],
    picture: Callable[[str], Path],
) -> None:
    instance = master_of(surface, "first")
    master = Master(instance)
    canvas = open_canvas(instance)
    sidebar = Sidebar(canvas.page)
    source = canvas.add_node("Load Image", 580, 250)
    noise = canvas.add_node("ImageAddNoise", 900, 250)
    preview = canvas.add_node("Preview Image", 1240, 500)
    canvas.connect(source, "IMAGE", noise, "image")
    canvas.connect(noise, "IMAGE", preview, "images")

    clicks = canvas.count_clicks()
    backends = sidebar.open("Backends")
    for peer in plain_peers:
        backends.get_by_role("button", name="Add backend").first.click()
        # Pasted; the name follows the address, and Enter adds.
        canvas.page.keyboard.insert_text(peer.url)
        canvas.page.keyboard.press("Enter")
        expect(sidebar.dialog).to_be_hidden()
    expect(backends).to_contain_text("3 of 3 online")
    library = sidebar.open("Library")
    library.get_by_role("button", name="Save what is on the canvas").click()
    expect(sidebar.dialog).to_be_visible()
    canvas.page.keyboard.press("Enter")
    expect(sidebar.dialog).to_be_hidden()
    canvas.clear()
    place = library.get_by_role("button", name="Add My workflow to the canvas")
    place.click()
    expect(place).to_be_visible()
    first = canvas.nodes()[0].id
    canvas.page.mouse.move(1400, 700)
    place.click()
    second = next(node.id for node in canvas.nodes() if node.id != first)
    # Equal work would be done once for both.
    canvas.type_into(second, "parameters.seed", "7")
    canvas.run()
    runs = sidebar.open("Runs")
    expect(runs.get_by_role("article")).to_contain_text("2 of 2 done")
    expect(runs.get_by_role("article")).to_contain_text("My workflow ×2")
    assert clicks() <= MOST_CLICKS

    (run,) = master.api.get("/orchestrator/runs")["runs"]
    assert len({job["attempts"][-1]["backend"] for job in master.jobs(run["id"])}) == 2
    canvas.page.wait_for_function(
        "id => ((window.app ?? window.comfyAPI.app.app).nodeOutputs?.[id]?.images ?? []).length === 1", arg=first
    )
    told = canvas.page.locator(".orc-node-status")
    expect(told).to_have_text([re.compile("^127")] * 2)
    canvas.page.screenshot(path=picture("first-run"))
    assert canvas.pictures_on(second) == 1
