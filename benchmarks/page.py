"""What the extension costs ComfyUI's page: a real Chromium, a real master, fifty fake backends with agents that work.

The control is a second browser on the same master at the same time, in whose page the extension is an empty file. What
frames take is processor time of the main thread (``_frames.py``); ``added`` is what is beyond the control's median
frame. The page's load is that of its process as a share of one core; the compositor's process, which has no GPU here,
is told beside it.
"""

from __future__ import annotations

import asyncio
import json
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, Playwright, sync_playwright

from benchmarks._frames import CATEGORIES, Frames, frames_of, together
from benchmarks.store import a_job, multiply, store_life
from comfy_orchestrator_nodes.service import DATABASE_NAME
from comfy_orchestrator_nodes.store.database import Database
from comfy_orchestrator_nodes.store.folders import make_private_folder
from comfy_orchestrator_nodes.store.jobs import JobRepository
from tests.support.canvas import ARGUMENTS, CHROMIUM, QUIET_SETTINGS, VIEWPORT, Canvas
from tests.support.sidebar import Sidebar
from tools.devtools.bench import Result
from tools.devtools.demo import Api
from tools.devtools.instances import Farm
from tools.devtools.paths import ROOT

NAME = "bench-page"
PEERS = 50
JOBS, ROW_PX = 10_000, 48
ROUNDS, MEASURED_S, SETTLE_S = 2, 15.0, 5.0
LOADING_S = 60.0
WORK = 700
"""Jobs that are queued: more than the backends finish meanwhile."""

_BUNDLE = "**/orchestrator.js*"
_WORKFLOW = {
    "1": {"class_type": "EmptyImage", "inputs": {"width": 64, "height": 64, "batch_size": 1, "color": 0}},
    "2": {"class_type": "PreviewImage", "inputs": {"images": ["1", 0]}},
}
_COLOUR = {"name": "color", "type": "INT", "node_id": "1", "input_name": "color"}


async def run(farm: Farm) -> Result:
    """Measure."""
    folder = farm.directory / NAME / "user" / "__comfy_orchestrator"
    await fill(folder)
    return await asyncio.to_thread(measure, farm)


async def fill(folder: Path) -> None:
    """Store jobs that have ended, before the master is there."""
    make_private_folder(folder)
    database = await Database.open(folder / DATABASE_NAME)
    try:
        jobs = JobRepository(database)
        for number in range(JOBS // 10):
            await store_life(jobs, a_job(number))
        await multiply(database)
        # They ended just now: older ones would be deleted.
        await database.write(end_now)
    finally:
        await database.close()


def end_now(connection: sqlite3.Connection) -> None:
    """Let all jobs have ended when they were created."""
    connection.execute("UPDATE job SET ended_at = created_at")


def measure(farm: Farm) -> Result:
    """Measure; blocks."""
    with busy_peers(PEERS) as urls, sync_playwright() as playwright:
        (master,) = farm.with_pack(NAME)
        api = Api(master.url)
        api.wait("the orchestrator", api.is_ready)
        for number, url in enumerate(urls):
            api.send("POST", "/orchestrator/backends", {"name": f"GPU {number + 1:02}", "base_url": url})
        api.wait("the backends", lambda: all_online(api))
        with tab(playwright, master.url) as ours, tab(playwright, master.url, bare=True) as bare:
            figures = quiet(ours, bare)
            keep_busy(api)
            ours.page.wait_for_timeout(SETTLE_S * 1e3)
            figures |= live(ours, bare)
            figures |= scroll(ours)
    added, control = figures["live_added_p95_ms"], figures["live_control_median_ms"]
    return Result(figures, {"live_p95_frame_over_control": (added + control) / control})


# --- the farm


@contextmanager
def busy_peers(count: int) -> Iterator[list[str]]:
    """Run the fake backends in a process of their own."""
    command = [sys.executable, "-m", "benchmarks._busy_peers", str(count)]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        try:
            if process.stdout is None:
                raise RuntimeError("the peers' process has no output")
            yield json.loads(process.stdout.readline())
        finally:
            process.kill()


def all_online(api: Api) -> bool:
    """Whether every backend answers and is known."""
    backends = api.get("/orchestrator/backends")["backends"]
    return all(backend["status"] == "online" and backend["capabilities"] for backend in backends)


def keep_busy(api: Api) -> None:
    """Queue work for all backends for long."""
    stored = {"name": "Bench", "prompt": _WORKFLOW, "parameters": [_COLOUR]}
    definition = api.send("POST", "/orchestrator/definitions", stored)["id"]
    for number in range(WORK):
        job = {"definition": definition, "values": {"color": number}, "cache": False}
        api.send("POST", "/orchestrator/jobs", job)


# --- the pages


class Tab:
    """A browser with one page."""

    def __init__(self, browser: Browser, canvas: Canvas) -> None:
        self._browser = browser
        self._session = browser.new_browser_cdp_session()
        self.page = canvas.page
        self.sidebar = Sidebar(canvas.page)

    def used_s(self) -> dict[str, float]:
        """Return the processor seconds that its page and its compositor have used."""
        used = {"renderer": 0.0, "GPU": 0.0}
        for process in self._session.send("SystemInfo.getProcessInfo")["processInfo"]:
            if process["type"] in used:
                used[process["type"]] += process["cpuTime"]
        return {"page": used["renderer"], "compositor": used["GPU"]}

    def frames(self, seconds: float) -> Frames:
        """Return what its frames take for some seconds."""
        self.begin()
        self.page.wait_for_timeout(seconds * 1e3)
        return self.end()

    def begin(self) -> None:
        """Begin to record frames."""
        self._browser.start_tracing(page=self.page, categories=CATEGORIES)

    def end(self) -> Frames:
        """Return the recorded frames."""
        trace: Mapping[str, Any] = json.loads(self._browser.stop_tracing())
        return frames_of(trace["traceEvents"])


@contextmanager
def tab(playwright: Playwright, url: str, *, bare: bool = False) -> Iterator[Tab]:
    """Open a page on the master in a browser of its own; a bare one gets an empty file for the extension."""
    browser = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
    try:
        context = browser.new_context(viewport=VIEWPORT)
        context.request.post(f"{url}/api/settings", data=dict(QUIET_SETTINGS))
        page = context.new_page()
        if bare:
            page.route(_BUNDLE, lambda route: route.fulfill(content_type="text/javascript", body=""))
        canvas = Canvas(page, url)
        canvas.open()
        yield Tab(browser, canvas)
    finally:
        browser.close()


def quiet(ours: Tab, bare: Tab) -> dict[str, float]:
    """Return the pages' load while the farm has nothing to do, as shares of a core."""
    totals = {(where, state, part): 0.0 for where in ("ours", "control") for state in STATES for part in PARTS}
    for _ in range(ROUNDS):
        for state in STATES:
            show(ours, state)
            ours.page.wait_for_timeout(SETTLE_S * 1e3)
            tabs = {"ours": ours, "control": bare}
            started, before = time.perf_counter(), {where: one.used_s() for where, one in tabs.items()}
            ours.page.wait_for_timeout(MEASURED_S * 1e3)
            elapsed, after = time.perf_counter() - started, {where: one.used_s() for where, one in tabs.items()}
            for where in tabs:
                for part in PARTS:
                    used = (after[where][part] - before[where][part]) / elapsed
                    totals[where, state, part] += 100 * used / ROUNDS
    figures = {}
    for state in STATES:
        for part in PARTS:
            control = totals["control", state, part]
            figures[f"quiet_{state}_{part}_control_percent"] = control
            figures[f"quiet_{state}_{part}_added_percent"] = totals["ours", state, part] - control
    return figures


STATES = ("closed", "open")
PARTS = ("page", "compositor")


def show(ours: Tab, state: str) -> None:
    """Open the view of the backends, or close the sidebar."""
    if state == "open":
        ours.sidebar.open("Backends")
    elif ours.sidebar.root.is_visible():
        ours.sidebar.toggle()


def live(ours: Tab, bare: Tab) -> dict[str, float]:
    """Return what frames take while all backends work, with their view open and closed."""
    found: dict[str, list[Frames]] = {"open": [], "closed": [], "control": []}
    for _ in range(ROUNDS):
        for state in STATES:
            show(ours, state)
            ours.page.wait_for_timeout(SETTLE_S * 1e3)
            found[state].append(ours.frames(MEASURED_S))
        found["control"].append(bare.frames(MEASURED_S))
    frames = {name: together(parts) for name, parts in found.items()}
    control = frames["control"]
    return {
        **frames["open"].added_to(control).figures("live_added"),
        **frames["closed"].added_to(control).figures("live_closed_added"),
        **control.figures("live_control"),
    }


def scroll(ours: Tab) -> dict[str, float]:
    """Return what frames take while the list of all jobs is scrolled, and the farm still works."""
    view = ours.sidebar.open("Jobs")
    rows = view.get_by_role("list")
    to_end = f"list => {{ list.scrollTop = list.scrollHeight; return list.scrollHeight >= {JOBS * ROW_PX} }}"
    until = time.monotonic() + LOADING_S
    while not rows.evaluate(to_end):
        if time.monotonic() > until:
            raise RuntimeError(f"{JOBS} rows did not come within {LOADING_S:.0f} s")
        ours.page.wait_for_timeout(50)
    rows.evaluate("(list) => { list.scrollTop = 0 }")
    box = rows.bounding_box()
    if box is None:
        raise RuntimeError("the list of jobs is not shown")
    ours.page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    ours.begin()
    until = time.monotonic() + MEASURED_S
    while time.monotonic() < until:
        ours.page.mouse.wheel(0, 700)
    scrolled = rows.evaluate("(list) => list.scrollTop")
    frames = ours.end()
    late = sum(1 for interval in frames.intervals_ms if interval > 1.5 * 1000 / 60)
    return {
        **frames.figures("scroll"),
        "scrolled_rows": float(scrolled) / ROW_PX,
        "scroll_late_frames_percent": 100 * late / len(frames.intervals_ms),
    }
