"""The language of ComfyUI's own settings is that of the sidebar and the nodes."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import expect

from tests.support.canvas import Canvas
from tests.support.master import Master
from tests.support.surfaces import each_front_end, newest
from tools.devtools.paths import ROOT

pytestmark = [pytest.mark.comfy, pytest.mark.browser]

LOCALES = ROOT / "locales" / "zh"

MERGE = {
    "version": 0.4,
    "last_node_id": 1,
    "last_link_id": 0,
    "links": [],
    "nodes": [{"id": 1, "type": "OrchestratorMerge", "pos": [800, 300], "size": [300, 200]}],
}


@pytest.fixture
def chinese(canvas: Canvas) -> Iterator[Canvas]:
    """A page of a user who reads Chinese. The setting is the server's, so it is taken back."""
    request = canvas.page.context.request
    request.post(f"{canvas.url}/api/settings", data={"Comfy.Locale": "zh"})
    canvas.open()
    canvas.clear()
    yield canvas
    request.post(f"{canvas.url}/api/settings", data={"Comfy.Locale": "en"})


def _texts(path: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(path.read_text("utf-8"))
    return found


@each_front_end
def test_views_speak_the_users_language(chinese: Canvas, master: Master) -> None:
    master.forget_backends()
    page, texts = chinese.page, _texts(LOCALES / "main.json")["orchestrator"]
    icon = re.compile(f"{texts['sidebar']['title']}|{texts['sidebar']['label']}")
    page.get_by_role("button", name=icon).first.click()
    root = page.locator(".orc-root")
    titles = [texts[view]["title"] for view in ("backends", "jobs", "runs", "library")]
    expect(root.get_by_role("tab")).to_have_text(titles)
    for title in titles:
        root.get_by_role("tab", name=title, exact=True).click()
        panel = root.get_by_role("tabpanel", name=title, exact=True)
        expect(panel).to_contain_text(re.compile("[\u4e00-\u9fff]{2}"))


@newest
def test_nodes_speak_the_users_language(chinese: Canvas) -> None:
    # Front end 1.32 forgets the texts of all packs when it loads those of its own for a language that is not English.
    chinese.load(MERGE)
    chinese.until_nodes(1)
    (node,) = chinese.nodes()
    assert node.title == _texts(LOCALES / "nodeDefs.json")["OrchestratorMerge"]["display_name"]
