"""The agent's token in the browser of its own machine: in the sidebar of the whole pack, and of the agent alone."""

from __future__ import annotations

import pytest
from playwright.sync_api import Browser, expect

from tests.support.canvas import QUIET_SETTINGS, VIEWPORT, Canvas
from tests.support.master import Master
from tests.support.sidebar import Sidebar
from tests.support.surfaces import Surface, each_front_end
from tools.devtools.instances import Farm, Instance, Spec
from tools.devtools.pack import Install

pytestmark = [pytest.mark.comfy, pytest.mark.browser, pytest.mark.sidebar_only, each_front_end]


def token_of(instance: Instance) -> str:
    (file,) = instance.directory.rglob("__comfy_orchestrator_agent/token")
    return file.read_text(encoding="ascii").strip()


def test_the_sidebar_shows_this_servers_token_and_makes_another(canvas: Canvas, master: Master) -> None:
    old = token_of(master.instance)
    view = Sidebar(canvas.page).open("Backends")
    view.get_by_label("Actions for This server").click()
    canvas.page.get_by_role("menuitem", name="Token for other masters").click()
    dialog = canvas.page.get_by_role("dialog")
    expect(dialog.get_by_text(old, exact=True)).to_be_visible()
    dialog.get_by_role("button", name="New token").click()
    dialog.get_by_role("button", name="New token").click()
    expect(dialog.get_by_text(old, exact=True)).to_have_count(0)
    expect(dialog.get_by_text(token_of(master.instance), exact=True)).to_be_visible()


def test_the_agent_alone_has_a_tab_that_shows_its_token(comfy_farm: Farm, surface: Surface, browser: Browser) -> None:
    name = f"agent-alone-{surface.front_end.replace('.', '-')}"
    (alone,) = comfy_farm.start(Spec(name, Install.AGENT, surface.arguments))
    with browser.new_context(viewport=VIEWPORT, reduced_motion="reduce") as context:
        context.request.post(f"{alone.url}/api/settings", data=QUIET_SETTINGS)
        page = context.new_page()
        page.goto(alone.url, wait_until="domcontentloaded")
        page.get_by_role("button", name="Orchestrator agent").first.click(timeout=60_000)
        page.get_by_role("button", name="Show", exact=True).click()
        expect(page.get_by_text(token_of(alone), exact=True)).to_be_visible()
