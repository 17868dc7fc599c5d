"""The keyboard, in the hands of somebody who has no mouse."""

from __future__ import annotations

from playwright.sync_api import Locator, Page, expect

_FOCUS = """
() => {
  const held = document.activeElement
  const { outlineStyle, outlineWidth } = getComputedStyle(held)
  return {
    ours: held.closest('.orc-root, .orc-dialog') !== null,
    dialog: held.closest('.orc-dialog') !== null,
    visible: outlineStyle !== 'none' && parseFloat(outlineWidth) >= 2,
    html: held.outerHTML.slice(0, 200),
  }
}
"""
_HOLDS = "wanted => wanted === document.activeElement"


class Keyboard:
    """What is pressed on one page. Wherever it leads in what is ours, the focus must be seen."""

    def __init__(self, page: Page) -> None:
        self.page = page

    def press(self, key: str) -> None:
        """Press a key."""
        self.page.keyboard.press(key)
        focus = self.page.evaluate(_FOCUS)
        assert focus["visible"] or not focus["ours"], f"nobody sees that the focus is on {focus['html']}"

    def go_to(self, wanted: Locator, key: str = "Tab", most: int = 40) -> None:
        """Press a key until something has the focus."""
        for _ in range(most):
            if wanted.evaluate(_HOLDS):
                return
            self.press(key)
        expect(wanted).to_be_focused()

    def choose(self, opener: Locator, entry: str) -> None:
        """Go to a menu's button, open it, and choose an entry."""
        self.go_to(opener)
        self.press("Enter")
        expect(self.page.get_by_role("menuitem").first).to_be_focused()
        self.go_to(self.page.get_by_role("menuitem", name=entry), "ArrowDown")
        self.page.keyboard.press("Enter")

    def is_kept_in_dialog(self, steps: int) -> bool:
        """Whether Tab leads nowhere else in the page. The browser's own buttons are a stop on the way round."""
        places = []
        for _ in range(steps):
            self.press("Tab")
            places.append(self.page.evaluate(_FOCUS))
        return all(place["dialog"] or place["html"].startswith("<body") for place in places)
