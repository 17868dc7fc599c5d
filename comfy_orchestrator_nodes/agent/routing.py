"""How the agent's routes are written, guarded and answered.

A part of the agent (blobs, telemetry, …) is a ``Part``: what it can do, what the handshake says of it, and its routes.
"""

from __future__ import annotations

import json
import logging
import uuid
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

from .access import Access
from .errors import AgentError, MalformedRequest

log = logging.getLogger(__name__)

PREFIX = "/orchestrator/agent"
MAX_BODY_BYTES = 1 << 20
Json = Any
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass(frozen=True)
class Part:
    """What one part of the agent adds to it."""

    capabilities: tuple[str, ...] = ()
    """What masters may rely on, by the names of ``docs/agent-protocol.md``."""
    facts: Mapping[str, Json] = field(default_factory=dict)
    """Members of the handshake. It needs no token, so nothing secret."""
    routes: Sequence[web.RouteDef] = ()
    """For whoever has the token, or is this machine's owner."""
    owner_routes: Sequence[web.RouteDef] = ()
    """For this machine's owner alone, whatever the token."""
    open_routes: Sequence[web.RouteDef] = ()
    """For everybody."""


def add_parts(table: web.RouteTableDef, parts: Sequence[Part], access: Access) -> None:
    """Register the routes of all parts on ComfyUI's own table, which doubles each under ``/api``."""
    for part in parts:
        for routes, check in (
            (part.routes, access.check),
            (part.owner_routes, access.check_owner),
            (part.open_routes, None),
        ):
            for route in routes:
                handler = guarded(route.handler, check)
                # Without the route's further arguments: ComfyUI cannot repeat those under /api.
                table.route(route.method, route.path)(handler)


def guarded(handler: Handler, check: Callable[[web.Request], None] | None) -> Handler:
    """Return a handler that lets in who may, and answers errors in the documented form."""

    async def handle(request: web.Request) -> web.StreamResponse:
        try:
            if check is not None:
                check(request)
            return await handler(request)
        except AgentError as error:
            return refused(error)
        except ConnectionError:
            # The caller went away: there is nobody to answer.
            raise
        except Exception:
            # The boundary of a request: the answer must have our form, and nothing of the fault in it.
            reference = uuid.uuid4().hex[:12]
            log.exception("%s %s failed unexpectedly (reference %s)", request.method, request.path, reference)
            return refused(
                AgentError("The agent failed; the peer's log holds the details.", reference=reference),
            )

    return handle


def refused(error: AgentError) -> web.Response:
    """Return the answer to a request that failed."""
    body = {"error": {"code": error.code, "message": str(error), "details": error.details}}
    headers = {"Cache-Control": "no-store"}
    if "retry_after_s" in error.details:
        headers["Retry-After"] = str(error.details["retry_after_s"])
    return web.json_response(body, status=error.status, headers=headers)


def answer(body: Json, status: int = 200) -> web.Response:
    """Return a successful answer."""
    return web.json_response(body, status=status, headers={"Cache-Control": "no-store"})


async def read_object(request: web.Request, max_bytes: int = MAX_BODY_BYTES) -> dict[str, Json]:
    """Return the request's body.

    Raises:
        MalformedRequest: it is larger than that, or no JSON object.
    """
    body = bytearray()
    async for chunk in request.content.iter_any():
        body += chunk
        if len(body) > max_bytes:
            raise MalformedRequest(f"The body is larger than {max_bytes} bytes.")
    try:
        document = json.loads(body)
    except (ValueError, RecursionError):
        raise MalformedRequest("The body is not JSON.") from None
    if not isinstance(document, dict):
        raise MalformedRequest("The body is not a JSON object.")
    return document
