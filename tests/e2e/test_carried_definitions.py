"""A graph of somebody else brings a workflow along that is another one here under its id: which of them counts."""

from __future__ import annotations

import time
from typing import Any

import pytest
from playwright.sync_api import Locator, expect

from tests.support.canvas import Canvas
from tests.support.master import Master
from tests.support.sidebar import Sidebar
from tests.support.surfaces import each_front_end

pytestmark = [pytest.mark.comfy, pytest.mark.browser, each_front_end]

_APP = "const app = window.app ?? window.comfyAPI.app.app; const graph = app.rootGraph ?? app.graph;"


def _grey(side: int) -> dict[str, Any]:
    size = {"width": side, "height": side, "batch_size": 1, "color": 0}
    return {
        "1": {"class_type": "EmptyImage", "inputs": size},
        "2": {"class_type": "PreviewImage", "inputs": {"images": ["1", 0]}},
    }


@pytest.fixture
def opened(canvas: Canvas, master: Master) -> str:
    """A graph on the canvas that was made with another workflow of the same id; returns that id."""
    name = f"Carried {time.monotonic_ns()}"
    theirs = master.define(name, _grey(64))
    Sidebar(canvas.page).open("Library").get_by_role("button", name=f"Add {name} to the canvas").click()
    canvas.page.wait_for_function(f"() => {{ {_APP} return !!graph.extra?.orchestrator?.definitions }}")
    document = canvas.document()
    canvas.clear()
    master.api.send("DELETE", f"/orchestrator/definitions/{theirs}", {})
    assert master.define(name, _grey(128)) == theirs
    canvas.open()
    canvas.load(document)
    return theirs


def _button(canvas: Canvas, name: str) -> Locator:
    return canvas.page.locator(".orc-node-status").get_by_role("button", name=name)


def _width(master: Master, workflow: str) -> int:
    found = master.api.get(f"/orchestrator/definitions/{workflow}")
    return int(found["prompt"]["1"]["inputs"]["width"])


def test_theirs_becomes_a_copy_that_the_node_runs(canvas: Canvas, master: Master, opened: str) -> None:
    _button(canvas, "As copy").click()
    expect(_button(canvas, "As copy")).to_have_count(0)
    (node,) = canvas.nodes()
    copy = str(node.widgets["workflow"])
    assert (_width(master, copy), _width(master, opened)) == (64, 128)


def test_theirs_becomes_a_new_version_of_mine(canvas: Canvas, master: Master, opened: str) -> None:
    _button(canvas, "Take theirs").click()
    expect(_button(canvas, "Take theirs")).to_have_count(0)
    assert master.api.get(f"/orchestrator/definitions/{opened}")["version"] == 2
    assert _width(master, opened) == 64


def test_mine_is_kept(canvas: Canvas, master: Master, opened: str) -> None:
    _button(canvas, "Keep mine").click()
    expect(_button(canvas, "Keep mine")).to_have_count(0)
    assert _width(master, opened) == 128
