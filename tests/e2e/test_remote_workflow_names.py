"""The list of workflows on a node: names for people, ids in what is stored and sent."""

from __future__ import annotations

import time

import pytest
from playwright.sync_api import expect

from tests.support.canvas import Canvas
from tests.support.master import Master
from tests.support.sidebar import Sidebar

pytestmark = [pytest.mark.comfy, pytest.mark.browser]

GREY = {
    "1": {"class_type": "EmptyImage", "inputs": {"width": 64, "height": 64, "batch_size": 1, "color": 8421504}},
    "2": {"class_type": "PreviewImage", "inputs": {"images": ["1", 0]}},
}


def test_workflows_are_chosen_by_name_and_sent_by_id(canvas: Canvas, master: Master) -> None:
    stamp = time.monotonic_ns()
    one, other = (f"Choice {stamp} {word}" for word in ("one", "other"))
    first, second = master.define(one, GREY), master.define(other, GREY)
    library = Sidebar(canvas.page).open("Library")
    library.get_by_role("button", name=f"Add {one} to the canvas").click()
    (node,) = canvas.nodes()
    assert canvas.prompt()[node.id]["inputs"]["workflow"] == first
    canvas.choose(node.id, "workflow", other)
    assert canvas.prompt()[node.id]["inputs"]["workflow"] == second
    expect(library.get_by_role("button", name=f"Add {other} to the canvas")).to_be_visible()
    assert canvas.node(node.id).title == other
