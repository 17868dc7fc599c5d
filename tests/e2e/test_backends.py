"""The backends in the sidebar: adding, what is wrong with one, and what its cards say when servers come and go."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Locator, expect

from tests.support.canvas import Canvas
from tests.support.master import Master
from tests.support.sidebar import Sidebar
from tests.support.surfaces import each_front_end
from tools.devtools.instances import Farm, Instance

pytestmark = [pytest.mark.comfy, pytest.mark.browser, each_front_end]


def _add(sidebar: Sidebar, view: Locator, url: str, name: str) -> None:
    view.get_by_role("button", name="Add backend").first.click()
    sidebar.dialog.get_by_label("Address", exact=True).fill(url)
    sidebar.dialog.get_by_label("Name", exact=True).fill(name)
    sidebar.dialog.get_by_role("button", name="Add", exact=True).click()


@pytest.fixture
def backends(canvas: Canvas, master: Master) -> Locator:
    """The view, with no backend but the master."""
    master.forget_backends()
    return Sidebar(canvas.page).open("Backends")


def test_a_server_that_does_not_answer_is_told_before_it_is_added(
    canvas: Canvas, backends: Locator, unused_tcp_port: int
) -> None:
    sidebar = Sidebar(canvas.page)
    _add(sidebar, backends, f"127.0.0.1:{unused_tcp_port}", "nobody")
    expect(sidebar.dialog).to_contain_text("It does not work.")
    expect(sidebar.dialog.get_by_role("button", name="Add anyway")).to_be_visible()
    canvas.page.keyboard.press("Escape")
    expect(sidebar.dialog).to_be_hidden()
    expect(backends.get_by_role("article").filter(has_text="nobody")).to_have_count(0)


def test_a_card_follows_its_server_through_its_end_and_its_return(
    canvas: Canvas, backends: Locator, comfy_farm: Farm
) -> None:
    (peer,) = comfy_farm.plain("mortal")
    _add(Sidebar(canvas.page), backends, peer.url, "mortal")
    card = backends.get_by_role("article").filter(has_text="mortal")
    expect(card).to_contain_text("online")
    peer.kill()
    expect(card).to_contain_text("offline")
    peer.start()
    expect(card).to_contain_text("online")
    card.locator(".orc-card-name").click()
    backends.get_by_role("tab", name="Events").click()
    story = backends.get_by_role("list", name="Events").get_by_role("listitem")
    expect(story.first).to_contain_text("online")
    expect(story.filter(has_text="offline")).not_to_have_count(0)


def test_what_is_shown_is_true_again_after_the_master_was_restarted(
    canvas: Canvas, backends: Locator, master: Master, plain_peer: Instance
) -> None:
    _add(Sidebar(canvas.page), backends, plain_peer.url, "steady")
    expect(backends.get_by_role("article").filter(has_text="steady")).to_contain_text("online")
    master.instance.stop()
    expect(Sidebar(canvas.page).root).to_contain_text("The connection to ComfyUI is lost")
    master.instance.start()
    expect(Sidebar(canvas.page).root).not_to_contain_text("The connection to ComfyUI is lost")
    expect(backends.get_by_role("article").filter(has_text="steady")).to_contain_text("online")


def test_a_removed_backend_can_be_taken_back(canvas: Canvas, backends: Locator, plain_peer: Instance) -> None:
    sidebar = Sidebar(canvas.page)
    _add(sidebar, backends, plain_peer.url, "keeper")
    card = backends.get_by_role("article").filter(has_text="keeper")
    sidebar.choose(card.get_by_role("button", name=re.compile("Actions for keeper")), "Remove")
    expect(card).to_have_count(0)
    sidebar.root.get_by_role("button", name="Undo").click()
    expect(card).to_contain_text("online")


def test_charts_are_read_with_the_keyboard_and_over_another_time(canvas: Canvas, backends: Locator) -> None:
    backends.get_by_role("article").filter(has_text="This server").locator(".orc-card-name").click()
    backends.get_by_role("tab", name="Charts").click()
    backends.get_by_role("combobox", name="Span of time").select_option(label="30 minutes")
    chart = backends.get_by_role("figure").first
    expect(chart).to_be_visible()
    box = chart.get_by_role("img")
    box.focus()
    for _ in range(3):
        canvas.page.keyboard.press("ArrowLeft")
    expect(chart.locator(".orc-reading").first).to_contain_text(re.compile(r"\d"))
    canvas.page.keyboard.press("Escape")
    expect(backends.get_by_role("article").filter(has_text="This server")).to_be_visible()
