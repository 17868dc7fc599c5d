from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect

from tests.support.canvas import QUIET_SETTINGS, TIMEOUT_MS, VIEWPORT, Canvas, chromium
from tests.support.master import Master
from tests.support.surfaces import SIDEBAR_ONLY, SURFACES, Surface
from tools.devtools.instances import Farm, Instance, Spec
from tools.devtools.pack import Install
from tools.devtools.paths import ROOT

expect.set_options(timeout=TIMEOUT_MS)

OUTCOME = pytest.StashKey[str]()


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Try what is in the sidebar alone with one front end; the minutes are for what differs between them."""
    if config.getoption("--matrix"):
        return
    spared = [item for item in items if item.get_closest_marker(SIDEBAR_ONLY) and not _is_newest(item)]
    if spared:
        config.hook.pytest_deselected(items=spared)
        items[:] = [item for item in items if item not in spared]


def _is_newest(item: pytest.Item) -> bool:
    return isinstance(item, pytest.Function) and item.callspec.params["surface"] == SURFACES[-1]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """One Chromium for the tests of a file. Its driver keeps an event loop in this thread, and only until then."""
    with chromium() as running:
        yield running


@pytest.fixture(params=SURFACES, ids=str)
def surface(request: pytest.FixtureRequest) -> Surface:
    """Each front end with each of its two renderers."""
    found = request.param
    assert isinstance(found, Surface)
    return found


@pytest.fixture
def master_of(comfy_farm: Farm) -> Callable[[Surface, str], Instance]:
    """Start a master that serves a surface's front end; those of one purpose are shared."""

    def start(surface: Surface, purpose: str) -> Instance:
        name = f"{purpose}-{surface.front_end.replace('.', '-')}"
        return comfy_farm.start(Spec(name, Install.LINK, surface.arguments))[0]

    return start


@pytest.fixture
def master(surface: Surface, master_of: Callable[[Surface, str], Instance]) -> Master:
    """The master that most tests share."""
    return Master(master_of(surface, "canvas"))


@pytest.fixture
def open_canvas(browser: Browser, surface: Surface, request: pytest.FixtureRequest) -> Iterator[Callable[..., Canvas]]:
    """Open tabs of their own on a master; in the end no script of ours may have complained."""
    opened: list[Canvas] = []

    def open_(instance: Instance) -> Canvas:
        context = browser.new_context(viewport=VIEWPORT, reduced_motion="reduce")
        settings = {**QUIET_SETTINGS, "Comfy.VueNodes.Enabled": surface.nodes2}
        context.request.post(f"{instance.url}/api/settings", data=settings)
        canvas = Canvas(context.new_page(), instance.url)
        opened.append(canvas)
        canvas.open()
        canvas.clear()
        return canvas

    yield open_
    failed = request.node.stash.get(OUTCOME, None) == "failed"
    for number, canvas in enumerate(opened):
        if failed:
            canvas.page.screenshot(path=ROOT / ".dev" / "logs" / f"{request.node.name}-{number}.png")
        canvas.page.context.close()
    assert [problem for canvas in opened for problem in canvas.problems] == []


@pytest.fixture
def canvas(open_canvas: Callable[..., Canvas], master: Master) -> Canvas:
    """An empty canvas on the shared master."""
    return open_canvas(master.instance)


@pytest.fixture
def picture(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[str], Path]:
    """Where a screenshot for the documentation goes: into it with ``--pictures``, else nowhere that lasts."""

    def path(name: str) -> Path:
        return (ROOT / "docs" / "images" if request.config.getoption("--pictures") else tmp_path) / f"{name}.png"

    return path


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Let fixtures know whether their test failed."""
    report = yield
    if report.when == "call":
        item.stash[OUTCOME] = report.outcome
    return report
