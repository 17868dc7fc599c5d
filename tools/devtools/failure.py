"""The one exception that dev.py shows to its user without a traceback."""

from __future__ import annotations


class DevError(Exception):
    """Something a developer can mend; the message says what and how."""
