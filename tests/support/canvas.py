"""ComfyUI's canvas in a real browser, worked with the mouse and the keyboard as a user does.

Only looking is done by script; what changes the page goes through input events.
"""

from __future__ import annotations

import json
import os
import re
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from playwright.sync_api import Browser, Locator, Page, ViewportSize, expect, sync_playwright
from playwright.sync_api import Error as PlaywrightError
from playwright.sync_api import TimeoutError as PlaywrightTimeout

CHROMIUM = os.environ.get("CHROMIUM", "/usr/bin/chromium")
ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
VIEWPORT: ViewportSize = {"width": 1600, "height": 1000}
TIMEOUT_MS = 60_000
"""How long anything may take on a busy machine; most things take a few frames."""

QUIET_SETTINGS: Mapping[str, Any] = {
    "Comfy.TutorialCompleted": True,
    "Comfy.InstalledVersion": "99.0.0",
    "Comfy.Release.Status": "skipped",
    "Comfy.Workflow.ShowMissingModelsWarning": False,
    "Comfy.Workflow.ShowMissingNodesWarning": False,
    "Comfy.Workflow.Persist": False,
    "Comfy.VueNodes.AutoScaleLayout": False,
    "Comfy.Minimap.Visible": False,
}
"""What a user who has used ComfyUI before has behind them: no tour, no news."""

_READY = """
() => {
  const app = window.app ?? window.comfyAPI?.app?.app
  return !!(app && app.canvas && (app.vueAppReady ?? true) && app.extensionManager
    && Object.keys(window.LiteGraph?.registered_node_types ?? {}).includes('OrchestratorRemoteWorkflow'))
}
"""
_GRAPH = """
() => {
  const app = window.app ?? window.comfyAPI.app.app
  return (app.rootGraph ?? app.graph).nodes.map(node => ({
    id: String(node.id), type: node.type, title: node.title,
    inputs: (node.inputs ?? []).map(slot => ({
      name: slot.name, label: slot.label ?? slot.name, type: String(slot.type), linked: slot.link != null,
    })),
    outputs: (node.outputs ?? []).map(slot => ({
      name: slot.name, label: slot.label ?? slot.name, type: String(slot.type), linked: !!slot.links?.length,
    })),
    widgets: (node.widgets ?? []).map(widget => ({ name: widget.name, value: widget.value })),
  }))
}
"""
_SEARCH = re.compile("add a node|search nodes", re.IGNORECASE)
_PLACES = """
([id, side, index]) => {
  const app = window.app ?? window.comfyAPI.app.app
  const node = (app.rootGraph ?? app.graph).getNodeById(id) ?? (app.rootGraph ?? app.graph).getNodeById(Number(id))
  const dot = document.querySelector(`[data-slot-key="${id}-${side}-${index}"]`)
  if (dot) {
    const box = dot.getBoundingClientRect()
    return [box.x + box.width / 2, box.y + box.height / 2]
  }
  const position = side === 'in' ? node.getInputPos(index) : node.getOutputPos(index)
  const { scale, offset } = app.canvas.ds
  const box = app.canvas.canvas.getBoundingClientRect()
  return [(position[0] + offset[0]) * scale + box.x, (position[1] + offset[1]) * scale + box.y]
}
"""
_WIDGETS = """
([id, name]) => {
  const app = window.app ?? window.comfyAPI.app.app
  const graph = app.rootGraph ?? app.graph
  const node = graph.getNodeById(id) ?? graph.getNodeById(Number(id))
  const widget = node.widgets.find(one => one.name === name)
  const { scale, offset } = app.canvas.ds
  const box = app.canvas.canvas.getBoundingClientRect()
  const [x, y] = [node.pos[0] + node.size[0] / 2, node.pos[1] + (widget.last_y ?? widget.y) + 10]
  return [(x + offset[0]) * scale + box.x, (y + offset[1]) * scale + box.y]
}
"""

_TITLE = """
id => {
  const app = window.app ?? window.comfyAPI.app.app
  const graph = app.rootGraph ?? app.graph
  const node = graph.getNodeById(id) ?? graph.getNodeById(Number(id))
  const { scale, offset } = app.canvas.ds
  const box = app.canvas.canvas.getBoundingClientRect()
  return [(node.pos[0] + node.size[0] / 2 + offset[0]) * scale + box.x, (node.pos[1] - 14 + offset[1]) * scale + box.y]
}
"""

_FIT = """
([left, top, right, bottom, ids]) => {
  const app = window.app ?? window.comfyAPI.app.app
  const nodes = (app.rootGraph ?? app.graph).nodes.filter(node => !ids.length || ids.includes(String(node.id)))
  const boxes = nodes.map(node => node.boundingRect)
  const from = [0, 1].map(axis => Math.min(...boxes.map(box => box[axis])))
  const to = [0, 1].map(axis => Math.max(...boxes.map(box => box[axis] + box[axis + 2])))
  const page = app.canvas.canvas.getBoundingClientRect()
  const scale = Math.min(1, (right - left) / (to[0] - from[0]), (bottom - top) / (to[1] - from[1]))
  app.canvas.ds.scale = scale
  app.canvas.ds.offset[0] = (left - page.x) / scale - from[0]
  app.canvas.ds.offset[1] = (top - page.y) / scale - from[1]
  app.canvas.setDirty(true, true)
}
"""


@dataclass(frozen=True)
class Slot:
    """One input or output of a node as the canvas has it."""

    name: str
    label: str
    type: str
    linked: bool


@dataclass(frozen=True)
class CanvasNode:
    """One node as the canvas has it."""

    id: str
    type: str
    title: str
    inputs: tuple[Slot, ...]
    outputs: tuple[Slot, ...]
    widgets: Mapping[str, Any]


@contextmanager
def chromium() -> Iterator[Browser]:
    """Run one Chromium."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        try:
            yield browser
        finally:
            browser.close()


class Canvas:
    """One open tab on a master."""

    def __init__(self, page: Page, url: str) -> None:
        self.page = page
        self.url = url
        self.problems: list[str] = []
        """What the page's scripts threw, and errors in which the pack is named."""
        page.set_default_timeout(TIMEOUT_MS)
        page.on("pageerror", self._note_thrown)
        page.on("console", self._note)

    def _note_thrown(self, error: PlaywrightError) -> None:
        # Front end 1.27 sets some of its own settings on its way up before it knows them.
        if "addSetting" not in (error.stack or ""):
            self.problems.append(error.stack or str(error))

    def _note(self, message: Any) -> None:
        # ComfyUI's own page asks its makers' server about nodes of a loaded graph, by their names.
        asks_outside = "api.comfy.org" in message.text
        if message.type == "error" and "orchestrator" in message.text.lower() and not asks_outside:
            self.problems.append(message.text)

    def open(self) -> None:
        """Open the page, or open it again, and wait until the canvas takes input."""
        self.page.goto(self.url, wait_until="domcontentloaded")
        self.page.wait_for_function(_READY)
        self.page.wait_for_function("() => !document.querySelector('.p-progressspinner, #splash-loader')")

    def clear(self) -> None:
        """Start with an empty canvas."""
        self.page.evaluate(
            "() => { const app = window.app ?? window.comfyAPI.app.app; (app.rootGraph ?? app.graph).clear();"
            " app.canvas.ds.scale = 1; app.canvas.ds.offset = [0, 0]; app.canvas.setDirty(true, true) }"
        )

    # --- looking

    def nodes(self) -> list[CanvasNode]:
        """Return the nodes of the root graph."""
        return [
            CanvasNode(
                found["id"],
                found["type"],
                found["title"],
                tuple(Slot(**slot) for slot in found["inputs"]),
                tuple(Slot(**slot) for slot in found["outputs"]),
                {widget["name"]: widget["value"] for widget in found["widgets"]},
            )
            for found in self.page.evaluate(_GRAPH)
        ]

    def node(self, node_id: str) -> CanvasNode:
        """Return one node."""
        return next(node for node in self.nodes() if node.id == node_id)

    def prompt(self) -> dict[str, Any]:
        """Return what Run would send: the graph in API format."""
        text = self.page.evaluate(
            "async () => JSON.stringify((await (window.app ?? window.comfyAPI.app.app).graphToPrompt()).output)"
        )
        prompt: dict[str, Any] = json.loads(text)
        return prompt

    def document(self) -> dict[str, Any]:
        """Return the workflow as it would be stored."""
        text = self.page.evaluate(
            "() => { const app = window.app ?? window.comfyAPI.app.app;"
            " return JSON.stringify((app.rootGraph ?? app.graph).serialize()) }"
        )
        document: dict[str, Any] = json.loads(text)
        return document

    # --- doing

    def load(self, document: Mapping[str, Any]) -> None:
        """Open a workflow, as from a file."""
        self.page.evaluate(
            "document => (window.app ?? window.comfyAPI.app.app).loadGraphData(JSON.parse(document))",
            json.dumps(document),
        )

    def add_node(self, query: str, x: float, y: float) -> str:
        """Add a node as users do: double-click on the empty canvas, type, choose; return its id."""
        before = {node.id for node in self.nodes()}
        search = self.page.get_by_placeholder(_SEARCH)
        self._until_visible(search.first, lambda: self.page.mouse.dblclick(x, y))
        search.first.fill(query)
        found = self.page.locator("[role=option]").filter(has_text=query)
        found.first.click()
        self.page.wait_for_function(f"() => ({_GRAPH})().length > {len(before)}")
        expect(search.first).to_be_hidden()
        # Newer front ends hang the node on the pointer until the next click.
        self.page.mouse.move(x, y)
        self.page.mouse.click(x, y)
        return next(node.id for node in self.nodes() if node.id not in before)

    def _until_visible(self, wanted: Locator, act: Callable[[], None]) -> None:
        """Do something again until it shows: a page on its way up drops what comes too early."""
        deadline = time.monotonic() + TIMEOUT_MS / 1000
        while True:
            act()
            try:
                wanted.wait_for(state="visible", timeout=2_000)
            except PlaywrightTimeout:
                if time.monotonic() > deadline:
                    raise
            else:
                return

    def connect(self, source: str, output: str, target: str, input_: str) -> None:
        """Drag a link from an output to an input, both found by name or label."""
        start = self.place(source, "out", _index(self.node(source).outputs, output))
        end = self.place(target, "in", _index(self.node(target).inputs, input_))
        mouse = self.page.mouse
        mouse.move(*start)
        mouse.down()
        mouse.move((start[0] + end[0]) / 2, (start[1] + end[1]) / 2, steps=4)
        mouse.move(*end, steps=4)
        mouse.up()
        self.page.wait_for_function(
            "([id, index]) => { const app = window.app ?? window.comfyAPI.app.app;"
            " const graph = app.rootGraph ?? app.graph;"
            " const node = graph.getNodeById(id) ?? graph.getNodeById(Number(id));"
            " return node.inputs[index]?.link != null }",
            arg=[target, _index(self.node(target).inputs, input_)],
        )

    def type_into(self, node_id: str, widget: str, text: str) -> None:
        """Set a number on a node: a click into it, typing, Enter."""
        in_page = self.page.locator(f'[data-node-id="{node_id}"] [data-widget-name="{widget}"] input')
        if in_page.count() > 0:
            in_page.first.click(force=True)  # what lies above it takes the press and passes the focus on
            expect(in_page.first).to_be_focused()
        else:
            self.page.mouse.click(*self.page.evaluate(_WIDGETS, [node_id, widget]))
            expect(self.page.locator(".graphdialog input")).to_be_visible()
        self.page.keyboard.press("Control+A")
        self.page.keyboard.type(text)
        self.page.keyboard.press("Enter")

    def choose(self, node_id: str, widget: str, entry: str) -> None:
        """Choose an entry of a list on a node, by what the list shows."""
        in_page = self.page.locator(f'[data-node-id="{node_id}"] [data-widget-name="{widget}"]')
        row = (
            in_page if in_page.count() > 0 else self.page.locator(f'[data-node-id="{node_id}"] [aria-label="{widget}"]')
        )
        if row.count() > 0:
            row.first.click(force=True)
            options = self.page.get_by_role("option")
            options.first.wait_for()
            if self.page.evaluate("document.activeElement?.tagName === 'INPUT'"):
                # A list with a field to search in shows only the first of many.
                self.page.keyboard.insert_text(entry)
            options.filter(has_text=entry).first.click()
        else:
            self.page.mouse.click(*self.page.evaluate(_WIDGETS, [node_id, widget]))
            self.page.locator(".litemenu-entry").filter(has_text=entry).first.click()

    def press(self, node_id: str, button: str) -> None:
        """Press a button on a node."""
        in_page = self.page.locator(f'[data-node-id="{node_id}"]').get_by_role("button", name=button)
        if in_page.count() > 0:
            in_page.first.click()
        else:
            self.page.mouse.click(*self.page.evaluate(_WIDGETS, [node_id, button]))

    def text_of(self, node_id: str, widget: str) -> Locator:
        """Return the field of a long text on a node; where the renderer names none, the only one there is."""
        in_page = self.page.locator(f'[data-node-id="{node_id}"] textarea')
        return in_page.first if in_page.count() > 0 else self.page.locator("textarea.comfy-multiline-input").first

    def select(self, node_id: str, *more: str) -> None:
        """Select nodes by clicks on their titles."""
        self.page.mouse.click(*self.page.evaluate(_TITLE, node_id))
        for other in more:
            self.page.keyboard.down("Control")
            self.page.mouse.click(*self.page.evaluate(_TITLE, other))
            self.page.keyboard.up("Control")
        self.page.wait_for_function(
            "ids => { const { selectedItems } = (window.app ?? window.comfyAPI.app.app).canvas;"
            " const selected = new Set([...selectedItems].map(one => String(one.id)));"
            " return selected.size === ids.length && ids.every(id => selected.has(id)) }",
            arg=[node_id, *more],
        )

    def open_menu(self, at: str | tuple[float, float]) -> None:
        """Open the context menu of a node, or of the empty canvas at a place."""
        place = self.page.evaluate(_TITLE, at) if isinstance(at, str) else at
        self.page.mouse.click(*place, button="right")

    def new_workflow(self) -> None:
        """Begin a new workflow in a tab of its own, which has a history of changes."""
        self.page.get_by_label("Create a new blank workflow").first.click()
        self.page.wait_for_function(
            "() => !!(window.app ?? window.comfyAPI.app.app).extensionManager.workflow.activeWorkflow?.changeTracker"
        )

    def undo(self) -> None:
        """Undo the last change."""
        self._step("undoQueue", "Control+Z")

    def redo(self) -> None:
        """Take an undo back."""
        self._step("redoQueue", "Control+Y")

    def _step(self, queue: str, keys: str) -> None:
        """Take one step through the history of changes."""
        left = (
            "([queue, there]) => { const { changeTracker } ="
            " (window.app ?? window.comfyAPI.app.app).extensionManager.workflow.activeWorkflow;"
            " const left = changeTracker[queue].length;"
            " return there === null ? left : left === there && !changeTracker._restoringState }"
        )
        there = self.page.evaluate(left, [queue, None])
        self.page.keyboard.press(keys)
        self.page.wait_for_function(left, arg=[queue, there - 1])

    def convert_to_subgraph(self) -> None:
        """Make a subgraph of what is selected."""
        self.page.keyboard.press("Control+Shift+E")
        self.page.wait_for_function(
            "() => { const app = window.app ?? window.comfyAPI.app.app;"
            " return (app.rootGraph ?? app.graph).nodes.some(node => node.subgraph) }"
        )

    def until_nodes(self, count: int) -> None:
        """Wait until there are so many nodes."""
        self.page.wait_for_function(f"count => ({_GRAPH})().length === count", arg=count)

    def until_widget(self, node_id: str, widget: str, value: str | float) -> None:
        """Wait until a widget has a value."""
        self.page.wait_for_function(
            f"([id, name, value]) => ({_GRAPH})().find(node => node.id === id)"
            "?.widgets.find(widget => widget.name === name)?.value === value",
            arg=[node_id, widget, value],
        )

    def place(self, node_id: str, side: str, index: int) -> tuple[float, float]:
        """Return where a slot is on the page: ``side`` is ``in`` or ``out``."""
        x, y = self.page.evaluate(_PLACES, [node_id, side, index])
        return float(x), float(y)

    def fit(self, *node_ids: str) -> None:
        """Show these nodes, or all, beside the open sidebar."""
        self.page.evaluate(_FIT, [380, 110, 1580, 960, list(node_ids)])

    def count_clicks(self) -> Callable[[], int]:
        """Count every press of the mouse on the page from now on; return what tells how many there were."""
        self.page.evaluate(
            "() => { window.pressed = 0; addEventListener('pointerdown', () => { window.pressed++ }, true) }"
        )
        return lambda: int(self.page.evaluate("() => window.pressed"))

    def pictures_on(self, node_id: str) -> int:
        """Return how many images a node shows."""
        found = self.page.evaluate(
            "id => { const app = window.app ?? window.comfyAPI.app.app;"
            " return (app.nodeOutputs?.[id]?.images ?? []).length }",
            node_id,
        )
        return int(found)

    def run(self) -> None:
        """Press Run."""
        self.page.get_by_role("button", name="Run", exact=True).first.click()


def _index(slots: tuple[Slot, ...], name: str) -> int:
    for index, slot in enumerate(slots):
        if name in (slot.name, slot.label):
            return index
    raise AssertionError(f"there is no slot {name!r} among {[slot.label for slot in slots]}")
