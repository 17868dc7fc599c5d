"""A job whose attempts are used up asks the user what to do, wherever on the page they are."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Locator, expect

from tests.support.canvas import Canvas
from tests.support.master import Master
from tests.support.surfaces import each_front_end
from tools.devtools.instances import Instance

pytestmark = [pytest.mark.comfy, pytest.mark.browser, pytest.mark.sidebar_only, each_front_end]

BROKEN = {
    "1": {"class_type": "EmptyImage", "inputs": {"width": 8, "height": 8, "batch_size": 1, "color": 0}},
    # Nothing is left of so small an image, and nothing cannot be saved.
    "2": {"class_type": "ImageScaleBy", "inputs": {"image": ["1", 0], "upscale_method": "area", "scale_by": 0.01}},
    "3": {"class_type": "PreviewImage", "inputs": {"images": ["2", 0]}},
}


def _ask(master: Master, peers: tuple[Instance, Instance]) -> str:
    known = {backend["name"] for backend in master.api.get("/orchestrator/backends")["backends"]}
    for peer in peers:
        if peer.name not in known:
            master.register(peer)
    workflow = master.define(f"Hopeless {time.monotonic_ns()}", BROKEN)
    node: dict[str, Any] = {"workflow": workflow, "backend": "auto", "parameters": "{}", "on_failure": "ask"}
    return master.queue(
        {
            "1": {"class_type": "OrchestratorRemoteWorkflow", "inputs": {**node, "attempts": 1, "cache": False}},
            "2": {"class_type": "PreviewImage", "inputs": {"images": ["1", 2]}},
        }
    )


def _panel(canvas: Canvas) -> Locator:
    return canvas.page.get_by_role("alertdialog", name="Jobs ask what to do")


def test_the_question_says_what_failed_and_how_long_it_waits_and_is_answered_with_a_click(
    canvas: Canvas, master: Master, plain_peers: tuple[Instance, Instance], picture: Callable[[str], Path]
) -> None:
    prompt_id = _ask(master, plain_peers)
    panel = _panel(canvas)
    expect(panel).to_contain_text("Hopeless")
    expect(panel).to_contain_text("cannot write empty image")
    expect(panel).to_contain_text("fails in")
    canvas.page.screenshot(path=picture("question"))
    (job,) = master.jobs(prompt_id)
    first = job["attempts"][0]["backend"]
    panel.get_by_role("button", name="Try elsewhere").click()
    # It fails there too, and asks again.
    master.until(lambda: len(master.jobs(prompt_id)[0]["attempts"]) == 2)
    assert master.jobs(prompt_id)[0]["attempts"][1]["backend"] != first
    expect(panel).to_contain_text("fails in")
    panel.get_by_role("button", name="Let it fail").click()
    expect(panel).to_be_hidden()
    assert master.wait(prompt_id)["status"]["status_str"] == "error"


def test_a_question_that_is_answered_elsewhere_goes_away(
    canvas: Canvas, master: Master, plain_peers: tuple[Instance, Instance]
) -> None:
    prompt_id = _ask(master, plain_peers)
    expect(_panel(canvas)).to_be_visible()
    (job,) = master.jobs(prompt_id)
    master.api.send("POST", f"/orchestrator/jobs/{job['id']}/decision", {"decision": "fail"})
    expect(_panel(canvas)).to_be_hidden()
    master.wait(prompt_id)
