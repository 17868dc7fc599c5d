"""The HTTP routes under ``/orchestrator`` and the messages to browsers: parse, call a verb, shape."""

from __future__ import annotations

from .access import Access
from .events import BrowserEvents
from .routes import add_routes

__all__ = ["Access", "BrowserEvents", "add_routes"]
