"""Which of ComfyUI's users queued a prompt. A prompt handler is not told, so the request is remembered for it."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from contextvars import ContextVar
from typing import Any

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

REMEMBERED = 10_000
"""Of how many prompts."""


class Owners:
    """Knows the users of prompts. Written on the server loop, read from any thread."""

    def __init__(self, user_of: Callable[[web.Request], str | None], new_id: Callable[[], str]) -> None:
        """Begin without a prompt.

        Args:
            user_of: tells which user makes a request, or None if that is not known.
            new_id: makes ids for prompts whose sender chose none.
        """
        self._user_of = user_of
        self._new_id = new_id
        self._asking: ContextVar[str | None] = ContextVar("the user whose request is handled", default=None)
        self._owners: OrderedDict[str, str] = OrderedDict()

    def middleware(self) -> Middleware:
        """Return what ComfyUI's application must pass its requests through."""

        @web.middleware
        async def remember(request: web.Request, handler: Handler) -> web.StreamResponse:
            if request.method == "POST" and request.path in ("/prompt", "/api/prompt"):
                self._asking.set(self._user_of(request))
            return await handler(request)

        return remember

    def note(self, json_data: dict[str, Any]) -> dict[str, Any]:
        """Take note of a prompt that is being queued; return its request with an id, if it needs one to be known by."""
        user = self._asking.get()
        if user is None:
            return json_data
        prompt_id = str(json_data.get("prompt_id") or self._new_id())
        self._owners[prompt_id] = user
        if len(self._owners) > REMEMBERED:
            self._owners.popitem(last=False)
        return {**json_data, "prompt_id": prompt_id}

    def of(self, prompt_id: str) -> str | None:
        """Return the user who queued a prompt, or None if that is not known."""
        return self._owners.get(prompt_id)
