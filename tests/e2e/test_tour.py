"""A tour of the whole: an example workflow on three servers, watched in every view. The README's pictures are its."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Locator, expect

from tests.fakes.nvml.library import build, why_not
from tests.support.canvas import Canvas
from tests.support.master import Master
from tests.support.sidebar import SIDEBAR, Sidebar
from tests.support.surfaces import Surface, newest
from tools.devtools.instances import Farm, Instance, Spec
from tools.devtools.pack import Install
from tools.devtools.paths import ROOT

pytestmark = [pytest.mark.comfy, pytest.mark.browser, newest]

EXAMPLE = ROOT / "example_workflows" / "Variations, the best two.json"
ITEMS = 8
WATCHED_S = 70
"""What a picture shows of the servers' past."""


@pytest.fixture
def servers(comfy_farm: Farm, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Instance]:
    """Two servers with a (made-up) GPU and the agent, and a plain one, by the names that their user gives them."""
    specs = {
        "Workstation": Spec("tour-workstation", Install.AGENT),
        "Render box": Spec("tour-render-box", Install.AGENT),
        "Old laptop": Spec("tour-laptop"),
    }
    with monkeypatch.context() as patched:
        if not why_not():
            build(tmp_path)
            patched.setenv("LD_LIBRARY_PATH", str(tmp_path))
            patched.setenv("FAKE_NVML_MOVES", "1")
        started = comfy_farm.start(*specs.values())
    return dict(zip(specs, started, strict=True))


@pytest.fixture
def tour(surface: Surface, master_of: Callable[[Surface, str], Instance], servers: dict[str, Instance]) -> Master:
    """A master of its own that knows the servers."""
    master = Master(master_of(surface, "tour"))
    for name, server in servers.items():
        master.api.send("POST", "/orchestrator/backends", {"name": name, "base_url": server.url})
    master.wait_online(*servers)
    return master


def test_an_example_runs_on_three_servers_and_every_view_tells_of_it(
    tour: Master,
    open_canvas: Callable[[Instance], Canvas],
    servers: dict[str, Instance],
    picture: Callable[[str], Path],
    request: pytest.FixtureRequest,
) -> None:
    canvas = open_canvas(tour.instance)
    sidebar = Sidebar(canvas.page)
    backends = sidebar.open("Backends")
    expect(backends).to_contain_text("4 of 4 online")

    canvas.load(json.loads(EXAMPLE.read_text("utf-8")))
    sidebar.dialog.get_by_role("button", name="Import", exact=True).click()
    library = sidebar.open("Library")
    expect(_card(library, "Example: variation")).to_be_visible()
    canvas.run()
    runs = sidebar.open("Runs")
    expect(runs.get_by_role("article")).to_contain_text(f"{ITEMS} of {ITEMS} done")
    (run,) = tour.api.get("/orchestrator/runs")["runs"]
    jobs = tour.jobs(run["id"])
    assert {job["status"] for job in jobs} == {"succeeded"}
    assert len({job["attempts"][-1]["backend"] for job in jobs} & set(servers)) > 1
    canvas.fit()
    expect(runs.get_by_role("article")).not_to_contain_text("running")
    for message in ("Imported", "Job queued"):
        expect(canvas.page.get_by_text(message, exact=True)).to_be_hidden()
    canvas.page.screenshot(path=picture("compose"), clip={"x": 0, "y": 0, "width": 1600, "height": 600})

    nodes = {node.type: node.id for node in canvas.nodes()}
    chosen = (nodes["OrchestratorFanOut"], nodes["OrchestratorRemoteWorkflow"], nodes["LoadImage"])
    canvas.fit(*chosen)
    canvas.page.screenshot(path=picture("remote-workflow"), clip={"x": 362, "y": 96, "width": 840, "height": 720})
    canvas.fit()

    runs.get_by_role("article").get_by_role("button", expanded=False).click()
    expect(runs.get_by_role("group", name=f"{ITEMS} items").get_by_role("button")).to_have_count(ITEMS)
    canvas.page.screenshot(path=picture("runs"), clip=SIDEBAR)
    listed = sidebar.open("Jobs").get_by_role("listitem")
    expect(listed).to_have_count(ITEMS)
    canvas.page.screenshot(path=picture("jobs"), clip=SIDEBAR)
    listed.first.locator(".main").click()
    expect(sidebar.root.get_by_role("img", name="image 1").last).not_to_have_js_property("naturalWidth", 0)
    canvas.page.screenshot(path=picture("job"), clip=SIDEBAR)
    sidebar.root.get_by_role("button", name="Back to the list").click()

    sidebar.open("Library")
    with canvas.page.expect_file_chooser() as chooser:
        sidebar.choose(library.get_by_role("button", name="Add a workflow"), "Import a file")
    chooser.value.set_files(sorted(EXAMPLE.parent.glob("definitions/*.json")))
    for stored in tour.until(lambda: _stored(tour, 4)):
        tour.api.send("POST", "/orchestrator/jobs", {"definition": stored["id"]})
        thumbnail = _card(library, stored["name"]).locator("img").first
        expect(thumbnail).not_to_have_js_property("naturalWidth", 0)
    canvas.page.screenshot(path=picture("library"), clip=SIDEBAR)

    sidebar.open("Backends")
    card = backends.get_by_role("article").filter(has_text="Workstation")
    expect(card).to_contain_text("Queue is empty")
    if request.config.getoption("--pictures"):
        _until_curves_have_a_shape(tour)
    canvas.page.screenshot(path=picture("backends"), clip=SIDEBAR)
    card.locator(".orc-card-name").click()
    backends.get_by_role("tab", name="Charts").click()
    expect(backends.get_by_role("figure").first).to_be_visible()
    canvas.page.screenshot(path=picture("charts"), clip=SIDEBAR)


def _card(library: Locator, name: str) -> Locator:
    return library.get_by_role("article").filter(has=library.page.get_by_text(name, exact=True))


def _stored(tour: Master, count: int) -> list[dict[str, Any]] | None:
    found: list[dict[str, Any]] = tour.api.get("/orchestrator/definitions")["definitions"]
    return found if len(found) == count else None


def _until_curves_have_a_shape(tour: Master) -> None:
    began = time.time()

    def long_enough() -> bool:
        path = f"/orchestrator/samples?metrics=ram_used_bytes&from={began}&step=1"
        series = tour.api.get(path)["series"]
        return bool(series) and min(sum(v is not None for v in one["avg"]) for one in series) > WATCHED_S

    tour.until(long_enough)
