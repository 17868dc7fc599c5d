"""A bar chart as SVG, without any library."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape

WIDTH, LEFT, BAR, GAP = 760, 120, 11, 14
COLOURS = ("#2563eb", "#10b981", "#f59e0b", "#ef4444", "#8b5cf6")


def bars(title: str, groups: Mapping[str, Mapping[str, float]], *, least: float, most: float, unit: str) -> str:
    """Return grouped horizontal bars from ``least`` to ``most``; longer ones are cut off and keep their number."""
    names = list(dict.fromkeys(name for group in groups.values() for name in group))
    top, scale = 64, (WIDTH - LEFT - 70) / (most - least)
    height = top + sum(len(group) * BAR + GAP for group in groups.values()) + 10
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{height}" viewBox="0 0 {WIDTH} {height}" '
        'font-family="sans-serif" font-size="11">',
        f'<rect width="{WIDTH}" height="{height}" fill="#ffffff"/>',
        f'<text x="{LEFT}" y="20" font-size="14" fill="#111827">{escape(title)}</text>',
    ]
    for i, name in enumerate(names):
        x = LEFT + i * 120
        parts.append(f'<rect x="{x}" y="34" width="10" height="10" fill="{COLOURS[i % len(COLOURS)]}"/>')
        parts.append(f'<text x="{x + 14}" y="43" fill="#374151">{escape(name)}</text>')
    y = top
    for label, group in groups.items():
        middle = y + len(group) * BAR / 2 + 4
        parts.append(f'<text x="{LEFT - 8}" y="{middle}" text-anchor="end" fill="#111827">{escape(label)}</text>')
        for name, value in group.items():
            long = max(1.0, (min(value, most) - least) * scale)
            colour = COLOURS[names.index(name) % len(COLOURS)]
            parts.append(f'<rect x="{LEFT}" y="{y}" width="{long:.1f}" height="{BAR - 2}" fill="{colour}"/>')
            parts.append(f'<text x="{LEFT + long + 4:.1f}" y="{y + 9}" fill="#374151">{value:.2f}{escape(unit)}</text>')
            y += BAR
        y += GAP
    return "\n".join([*parts, "</svg>", ""])
