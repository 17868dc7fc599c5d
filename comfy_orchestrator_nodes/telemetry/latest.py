"""What is known of each backend's machine now."""

from __future__ import annotations

from dataclasses import dataclass

from ..backend.readings import Reading

AGENT, PLAIN = "agent", "plain"


@dataclass(frozen=True)
class Latest:
    """The latest reading of one backend. ``at`` is by this server's clock."""

    backend_id: str
    at: float
    source: str
    """``agent``, or ``plain``: a ComfyUI without one tells memory alone."""
    interval_s: float
    """How often it is read now."""
    reading: Reading
    problem: str = ""
    """What keeps it from telling more, in words; empty when nothing does."""
