"""axe-core, which finds what keeps people with disabilities out: run on what is ours of a page, in both palettes."""

from __future__ import annotations

from playwright.sync_api import Page

from tools.devtools.paths import ROOT

SCRIPT = ROOT / "js" / "node_modules" / "axe-core" / "axe.min.js"
PALETTES = ("light", "dark")
"""The host's own two. The last is its usual one."""
OURS = (".orc-root", ".orc-dialog", ".orc-node-status[data-copy]", ".orc-top-bar")
RULES = ("wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa")

_STACKING = """
.orc-dialog, .orc-menu { z-index: 2147483647 }
.orc-card { contain: none !important }
"""
"""axe does not know of the browser's top layer, where these are: it takes their words for covered."""
_RUN = """
async ([ours, rules]) => {
  // What lies under a widget of a node, axe cannot tell: the line is judged as a copy above all else.
  const copies = [...document.querySelectorAll('.orc-node-status')].map(line => {
    const copy = line.cloneNode(true)
    copy.style.cssText = 'position: fixed; inset: 0 0 auto auto; width: 400px; z-index: 2147483647'
    copy.dataset.copy = ''
    document.body.append(copy)
    return copy
  })
  try {
    const include = ours.filter(one => document.querySelector(one)).map(one => [one])
    const { violations, incomplete } = await axe.run({ include }, { runOnly: rules })
    const undecided = incomplete.filter(({ id }) => id === 'color-contrast').map(rule => ({
      ...rule, nodes: rule.nodes.filter(node => node.any.some(one => one.data?.messageKey === 'bgOverlap')),
    }))
    const why = ({ any, all, none }) => [...any, ...all, ...none].map(one => one.message).join("; ")
    return [...violations, ...undecided].flatMap(({ id, nodes }) => nodes.map(node =>
      `${id}: ${node.html.slice(0, 240)}: ${why(node)}`))
  } finally {
    copies.forEach(copy => copy.remove())
  }
}
"""
_WEAR = """
palette => (window.app ?? window.comfyAPI.app.app).extensionManager.setting.set('Comfy.ColorPalette', palette)
"""
_WORN = """
palette => {
  const style = getComputedStyle(document.documentElement)
  const pen = document.createElement('canvas').getContext('2d')
  pen.fillStyle = style.getPropertyValue('--comfy-menu-bg')
  return (parseInt(pen.fillStyle.slice(1, 3), 16) < 128) === (palette === 'dark')
}
"""


class Axe:
    """What examines one page."""

    def __init__(self, page: Page) -> None:
        if not SCRIPT.exists():
            raise FileNotFoundError(f"{SCRIPT} is missing: run `npm --prefix js ci`")
        self.page = page
        page.add_script_tag(path=SCRIPT)
        page.add_style_tag(content=_STACKING)

    def violations(self) -> list[str]:
        """Return what is wrong with our elements that are shown, in each palette."""
        found = []
        for palette in PALETTES:
            self.page.evaluate(_WEAR, palette)
            self.page.wait_for_function(_WORN, arg=palette)
            found += [f"{palette}: {one}" for one in self.page.evaluate(_RUN, [OURS, RULES])]
        return found
