"""Which Python can run this project. Written so that older ones can read it and be told."""

from __future__ import annotations

import sys

OLDEST = (3, 10)


def refusal() -> str | None:
    """Return why the running interpreter cannot run the project; None if it can."""
    if sys.version_info >= OLDEST:
        return None
    have = ".".join(str(number) for number in sys.version_info[:3])
    return f"This needs Python 3.10 or newer; {sys.executable} is {have}. Run it with a newer one."
