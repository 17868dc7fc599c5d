"""All composed workflows: ``CASES`` maps a case's name to what makes its workflow.

Each asks the front end one question; ``make_cases.py`` lets the real one answer.
"""

from __future__ import annotations

from tests.golden import ask_links, ask_subgraphs, ask_widgets
from tests.golden.compose import CASES

__all__ = ["CASES", "ask_links", "ask_subgraphs", "ask_widgets"]
