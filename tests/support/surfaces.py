"""The ways in which users see the canvas."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from tools.devtools.environments import MORE_FRONT_ENDS, OLDEST_FRONT_END, front_end


@dataclass(frozen=True)
class Surface:
    """One front end with one of its two renderers."""

    front_end: str
    nodes2: bool

    @property
    def arguments(self) -> tuple[str, ...]:
        """What makes a ComfyUI serve it."""
        known = self.front_end in MORE_FRONT_ENDS
        return ("--front-end-root", str(front_end(self.front_end))) if known else ()

    def __str__(self) -> str:
        return f"{self.front_end}-{'nodes2' if self.nodes2 else 'canvas'}"


SURFACES = [Surface(version, nodes2) for version in ("1.32.9", "1.58.1") for nodes2 in (False, True)]

each_front_end = pytest.mark.parametrize("surface", [SURFACES[0], SURFACES[-1]], ids=str, indirect=True)
"""For what does not depend on the renderer: each front end once, and each renderer once."""

SIDEBAR_ONLY = "sidebar_only"
"""The marker of what the host has next to no part in: tried with the newest front end, with ``--matrix`` with all."""

newest = pytest.mark.parametrize("surface", [SURFACES[-1]], ids=str, indirect=True)
"""For what no front end does in a way of its own."""

with_the_oldest = pytest.mark.parametrize(
    "surface", [Surface(OLDEST_FRONT_END, False), SURFACES[0], SURFACES[-1]], ids=str, indirect=True
)
"""Also the oldest front end that is supported, which draws everything on the canvas."""
