"""The way from the routes to the running service. Routes are registered at import time, before there is a service."""

from __future__ import annotations

from ..errors import Unavailable
from ..service import Service
from .events import BrowserEvents

_STARTING = "The orchestrator is starting. Try again in a moment."


class Access:
    """Holds the service once it is open. Lives on the server loop."""

    def __init__(self, version: str, events: BrowserEvents) -> None:
        """Make it without a service.

        Args:
            version: this package's version.
            events: what sends messages to the browsers; it knows how far each job is.
        """
        self.version = version
        self.events = events
        self._service: Service | None = None
        self._problem = _STARTING

    def open(self, service: Service) -> None:
        """Let the routes work with an open service."""
        self._service = service

    def close(self, problem: str) -> None:
        """Answer every request with ``problem`` from now on: why there is no service, and what the user can do."""
        self._service = None
        self._problem = problem

    def service(self) -> Service:
        """Return the service.

        Raises:
            Unavailable: there is none; the message says why.
        """
        if self._service is None:
            raise Unavailable(self._problem)
        return self._service
