"""A server dies in the middle of a run, and the page is loaded again: what a user sees of it."""

from __future__ import annotations

import re
import shutil
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import expect

from tests.support.canvas import Canvas
from tests.support.master import Master
from tests.support.sidebar import SIDEBAR, Sidebar
from tests.support.surfaces import Surface, each_front_end
from tools.devtools.instances import Farm, Instance

pytestmark = [pytest.mark.comfy, pytest.mark.browser, each_front_end, pytest.mark.timeout(300)]

NODES = tuple((Path(__file__).parents[1] / "data" / "nodes").glob("orchestrator_*.py"))
PEERS = ("gate-one", "gate-two")


@pytest.fixture
def peers(comfy_farm: Farm) -> list[Instance]:
    """Two servers with nodes that wait for a gate."""
    for name in PEERS:
        folder = comfy_farm.directory / name / "custom_nodes"
        folder.mkdir(parents=True, exist_ok=True)
        for nodes in NODES:
            shutil.copy(nodes, folder / nodes.name)
    return comfy_farm.plain(*PEERS)


def _gated(token: str) -> dict[str, Any]:
    return {
        "1": {"class_type": "EmptyImage", "inputs": {"width": 64, "height": 64, "batch_size": 1, "color": 255}},
        "2": {"class_type": "OrchestratorTestGate", "inputs": {"image": ["1", 0], "name": token}},
        "3": {"class_type": "PreviewImage", "inputs": {"images": ["2", 0]}},
    }


def test_a_run_whose_server_dies_goes_on_elsewhere_while_the_page_is_loaded_again(
    surface: Surface,
    master_of: Callable[[Surface, str], Instance],
    open_canvas: Callable[[Instance], Canvas],
    peers: list[Instance],
    picture: Callable[[str], Path],
) -> None:
    instance = master_of(surface, "failover")
    master = Master(instance)
    for peer in peers:
        master.register(peer)
    # The gate counts as a node that loads a model, by the name of what it waits for.
    token = f"gate-{uuid.uuid4().hex[:8]}.safetensors"
    master.define("Portrait", _gated(token))
    canvas = open_canvas(instance)
    sidebar = Sidebar(canvas.page)
    sidebar.open("Library").get_by_role("button", name="Add Portrait to the canvas").click()
    canvas.run()
    jobs = sidebar.open("Jobs")
    row = jobs.get_by_role("listitem").filter(has_text="Portrait")
    expect(row).to_contain_text("running")

    canvas.open()
    jobs = sidebar.open("Jobs")
    row = jobs.get_by_role("listitem").filter(has_text="Portrait")
    expect(row).to_contain_text("running")
    row.locator(".main").click()
    expect(jobs.get_by_text(re.compile("^Loading models"))).to_be_visible()
    jobs.get_by_role("button", name="Back to the list").click()
    (run,) = master.api.get("/orchestrator/runs")["runs"]
    ran_on = master.jobs(run["id"])[0]["attempts"][0]["backend"]
    dying, other = sorted(peers, key=lambda peer: peer.name != ran_on)
    dying.kill()
    expect(row).to_contain_text(other.name)
    expect(row).to_contain_text("running")
    (other.directory / "output" / token).touch()
    expect(row).to_contain_text("done")
    row.locator(".main").click()
    attempts = jobs.get_by_role("listitem").filter(has_text="done")
    expect(attempts).to_contain_text(other.name)
    expect(jobs.get_by_text("The backend lost it").or_(jobs.get_by_text("Could not connect")).first).to_be_visible()
    expect(jobs.get_by_role("img", name="image 1")).to_have_js_property("naturalWidth", 64)
    canvas.page.screenshot(path=picture("failover"), clip=SIDEBAR)
    card = sidebar.open("Backends").get_by_role("article").filter(has_text=dying.name)
    expect(card).to_contain_text("offline")
