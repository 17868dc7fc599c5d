"""Takes the pictures of the example workflows that ComfyUI's template browser shows.

``python -m tests.golden.example_pictures URL`` opens each example in the front end of a master that has backends,
imports what it carries, runs it, and writes ``example_workflows/NAME.jpg``.
"""

from __future__ import annotations

import argparse
import io
import json
import time
import urllib.request
from pathlib import Path
from typing import Any

from PIL import Image
from playwright.sync_api import Browser, ViewportSize

from tests.support.canvas import QUIET_SETTINGS, Canvas, chromium

EXAMPLES = Path(__file__).parents[2] / "example_workflows"
VIEW: ViewportSize = {"width": 2600, "height": 1100}
WIDTH = 1000
MARGIN = 40
PATIENCE_S = 90

_LOAD = "async document => { await (window.app ?? window.comfyAPI.app.app).loadGraphData(document) }"
_FIT = """
([width, height, margin]) => {
  const app = window.app ?? window.comfyAPI.app.app
  const nodes = (app.rootGraph ?? app.graph).nodes
  const left = Math.min(...nodes.map(n => n.pos[0])), right = Math.max(...nodes.map(n => n.pos[0] + n.size[0]))
  const top = Math.min(...nodes.map(n => n.pos[1] - 40)), bottom = Math.max(...nodes.map(n => n.pos[1] + n.size[1]))
  const scale = Math.min((width - 2 * margin) / (right - left), (height - 2 * margin) / (bottom - top), 1)
  app.canvas.ds.scale = scale
  app.canvas.ds.offset = [margin / scale - left, margin / scale - top]
  app.canvas.show_info = false
  app.canvas.deselectAll?.()
  app.canvas.setDirty(true, true)
  return [(right - left) * scale + 2 * margin, (bottom - top) * scale + 2 * margin]
}
"""
_ONLY_THE_CANVAS = """
body * { visibility: hidden !important }
canvas, .dom-widget, .dom-widget * { visibility: visible !important }
"""


def take(browser: Browser, url: str, path: Path) -> None:
    """Run one example and take its picture."""
    _ask(f"{url}/orchestrator/definitions/embedded/import", path.read_bytes(), "application/octet-stream")
    page = browser.new_page(viewport=VIEW)
    canvas = Canvas(page, url)
    canvas.open()
    page.evaluate(_LOAD, json.loads(path.read_text(encoding="utf-8")))
    page.wait_for_timeout(500)
    before = len(_ask(f"{url}/history"))
    canvas.run()
    deadline = time.monotonic() + PATIENCE_S
    while len(_ask(f"{url}/history")) == before and time.monotonic() < deadline:
        page.wait_for_timeout(200)
    width, height = page.evaluate(_FIT, [VIEW["width"], VIEW["height"], MARGIN])
    page.add_style_tag(content=_ONLY_THE_CANVAS)
    page.wait_for_timeout(2_000)
    shot = page.screenshot(clip={"x": 0, "y": 0, "width": width, "height": height})
    page.close()
    image = Image.open(io.BytesIO(shot)).convert("RGB")
    image = image.resize((WIDTH, round(WIDTH * image.height / image.width)), Image.Resampling.LANCZOS)
    image.save(path.with_suffix(".jpg"), quality=85, optimize=True)


def _ask(url: str, data: bytes | None = None, kind: str = "") -> Any:
    headers = {"Content-Type": kind, "X-Orchestrator": "1"} if data is not None else {}
    with urllib.request.urlopen(urllib.request.Request(url, data=data, headers=headers), timeout=60) as answer:
        return json.loads(answer.read() or b"null")


def main() -> None:
    """Take all pictures."""
    parser = argparse.ArgumentParser(description="Take the pictures of the example workflows.")
    parser.add_argument("url", help="a ComfyUI with the pack and some backends, such as http://127.0.0.1:8188")
    url = parser.parse_args().url
    for name, value in QUIET_SETTINGS.items():
        _ask(f"{url}/settings/{name}", json.dumps(value).encode(), "application/json")
    with chromium() as browser:
        for path in sorted(EXAMPLES.glob("*.json")):
            take(browser, url, path)


if __name__ == "__main__":
    main()
