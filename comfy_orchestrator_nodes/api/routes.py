"""All routes in one table, and how they get onto ComfyUI's server."""

from __future__ import annotations

import asyncio
from functools import lru_cache
from typing import Any

from aiohttp import web

from . import (
    backend_history,
    backends,
    conditions,
    definitions,
    embedded,
    jobs,
    library,
    playback,
    questions,
    runs,
    settings,
    system,
    telemetry,
    values,
)
from .access import Access
from .openapi import document
from .schemas import PREFIX, View
from .table import Call, Route, endpoint, fallback


class OpenApiView(View, extra="allow"):
    """The OpenAPI document of these routes."""


async def get_openapi(call: Call) -> OpenApiView:
    """Return the OpenAPI document of these routes."""
    return OpenApiView.model_validate(await asyncio.to_thread(_document, call.access.version))


@lru_cache(maxsize=1)
def _document(version: str) -> dict[str, Any]:
    """Make the document once: that takes a quarter of a second."""
    return document(ROUTES, version)


ROUTES: tuple[Route, ...] = (
    *system.ROUTES,
    Route("GET", "/openapi.json", get_openapi),
    *backends.ROUTES,
    *backend_history.ROUTES,
    *telemetry.ROUTES,
    *definitions.ROUTES,
    *library.ROUTES,
    *embedded.ROUTES,
    *conditions.ROUTES,
    *jobs.ROUTES,
    *questions.ROUTES,
    *runs.ROUTES,
    *values.ROUTES,
    *playback.ROUTES,
    *settings.ROUTES,
)


def add_routes(routes: web.RouteTableDef, access: Access) -> None:
    """Register every route; ComfyUI doubles each of them under ``/api``.

    Args:
        routes: ComfyUI's own table, before the server starts.
        access: the way to the service, which need not be open yet.
    """
    for route in ROUTES:
        routes.route(route.method, route.full_path)(endpoint(route, access))
    # Whatever else lies below the prefix is answered in our form, and not by ComfyUI's static files.
    routes.route("*", PREFIX + "/{tail:.*}")(fallback(ROUTES))
