"""The orchestrator's sidebar, as a user finds and works it."""

from __future__ import annotations

import re

from playwright.sync_api import FloatRect, Locator, Page, expect

SIDEBAR: FloatRect = {"x": 0, "y": 0, "width": 960, "height": 760}
"""What a picture of it shows of the page."""


class Sidebar:
    """The tab of one page."""

    def __init__(self, page: Page) -> None:
        self.page = page

    @property
    def root(self) -> Locator:
        """The tab's content."""
        return self.page.locator(".orc-root")

    def open(self, view: str) -> Locator:
        """Show a view; return its panel."""
        if not self.root.is_visible():
            self.toggle()
        tab = self.root.get_by_role("tab", name=view)
        tab.click()
        expect(tab).to_have_attribute("aria-selected", "true")
        panel = self.root.get_by_role("tabpanel", name=view)
        expect(panel).to_be_visible()
        return panel

    def toggle(self) -> None:
        """Open the tab, or close it."""
        self.page.get_by_role("button", name=re.compile("Orchestrator|Farm")).first.click()

    def choose(self, opener: Locator, entry: str) -> None:
        """Open a menu and choose an entry."""
        opener.click()
        self.page.get_by_role("menuitem", name=entry).click()

    @property
    def dialog(self) -> Locator:
        """The dialog that is open."""
        return self.page.get_by_role("dialog").and_(self.page.locator(".orc-dialog"))
