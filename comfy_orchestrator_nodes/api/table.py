"""One row for each route. Handlers, parsing, errors and the OpenAPI document all follow from the rows.

A handler is a coroutine function. What it takes is read from its signature: ``call`` always, the path's parameters by
name, ``query`` and ``body`` as models; what it answers is its return type. Its docstring becomes the documentation.
"""

from __future__ import annotations

import inspect
import logging
import re
import uuid
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, TypeAlias, get_origin, get_type_hints

from aiohttp import web
from pydantic import BaseModel, ValidationError

from ..errors import OrchestratorError
from ..service import Service
from . import guard
from .access import Access
from .refusals import MethodNotAllowed, RangeNotSatisfiable
from .schemas import PREFIX, Body, ErrorEnvelope, NoBody, Problem, Query, malformed, status_of

log = logging.getLogger(__name__)

CHANGING = frozenset({"POST", "PUT", "PATCH", "DELETE"})

Answer: TypeAlias = "BaseModel | web.StreamResponse"
Handler: TypeAlias = Callable[..., Awaitable[Answer]]


@dataclass(frozen=True)
class Call:
    """One request, checked, with what it may reach."""

    request: web.Request
    access: Access

    @property
    def service(self) -> Service:
        """The service; raises Unavailable when there is none."""
        return self.access.service()

    @property
    def user(self) -> str | None:
        """Which of several users asks, as ComfyUI's front end says under ``--multi-user``."""
        return self.request.headers.get("comfy-user", "").strip()[:100] or None

    @property
    def by(self) -> str:
        """Who asks, for a job's story."""
        return f"{self.user} by the API" if self.user else "the API"


@dataclass(frozen=True)
class Route:
    """One row. ``path`` lies below ``PREFIX``; ``errors`` are those to expect beyond what any route may answer."""

    method: str
    path: str
    handler: Handler
    errors: tuple[type[OrchestratorError], ...] = ()
    status: int = 200
    upload: bool = False
    """The body is a file of any media type, which the handler reads itself."""
    download: bool = False
    """The answer is a file."""

    @property
    def full_path(self) -> str:
        """The path as registered."""
        return PREFIX + self.path

    @property
    def name(self) -> str:
        """The handler's name: what client generators call the operation."""
        return str(getattr(self.handler, "__name__", "handler"))

    @property
    def changes(self) -> bool:
        """Whether it changes something."""
        return self.method in CHANGING

    @cached_property
    def _hints(self) -> Mapping[str, Any]:
        return get_type_hints(self.handler)

    @cached_property
    def path_parameters(self) -> tuple[str, ...]:
        """The names in braces in the path, each of which the handler takes as a text."""
        return tuple(re.findall(r"{(\w+)}", self.path))

    @cached_property
    def body(self) -> type[Body] | None:
        """What the JSON body must look like; None where none is read. A DELETE never has one."""
        if not self.changes or self.upload or self.method == "DELETE":
            return None
        hint: type[Body] = self._hints.get("body", NoBody)
        return hint

    @cached_property
    def query(self) -> type[Query]:
        """What may stand behind the question mark."""
        hint: type[Query] = self._hints.get("query", Query)
        return hint

    @cached_property
    def answer(self) -> type[BaseModel] | None:
        """The form of a successful answer; None for a file."""
        hint = self._hints["return"]
        return hint if isinstance(hint, type) and issubclass(hint, BaseModel) else None

    @cached_property
    def arguments(self) -> frozenset[str]:
        """The names of what the handler takes."""
        return frozenset(inspect.signature(self.handler).parameters)

    def matches(self, path: str) -> bool:
        """Whether a path is one of this row's, whatever the method."""
        return self._pattern.fullmatch(path) is not None

    @cached_property
    def _pattern(self) -> re.Pattern[str]:
        return re.compile(re.sub(r"\\{\w+\\}", "[^{}/]+", re.escape(self.full_path)))


def endpoint(route: Route, access: Access) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
    """Return what aiohttp calls for a row: check, parse, call the handler, shape the answer or the error."""

    async def handle(request: web.Request) -> web.StreamResponse:
        try:
            arguments = await _arguments(route, request)
            answer = await route.handler(Call(request, access), **arguments)
            return answer if isinstance(answer, web.StreamResponse) else shaped(answer, route.status)
        except OrchestratorError as error:
            return refused(error)
        except ConnectionError:
            # The caller went away: there is nobody to answer.
            raise
        except Exception:
            # The boundary of a request: the answer must have our form, and nothing of the fault in it.
            reference = uuid.uuid4().hex[:12]
            log.exception("%s %s failed unexpectedly (reference %s)", request.method, request.path, reference)
            return _broken(reference)

    return handle


def fallback(routes: Sequence[Route]) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
    """Return the handler of every other address below ``PREFIX``: no such address, or not with this method."""

    async def handle(request: web.Request) -> web.StreamResponse:
        path = request.path.removeprefix("/api")
        allowed = sorted({method for route in routes if route.matches(path) for method in _methods(route)})
        if allowed:
            return refused(MethodNotAllowed(request.method, path, allowed))
        return _envelope(
            404,
            Problem(
                code="not_found",
                message=f"There is no address {path} here. {PREFIX}/openapi.json lists those there are.",
                details={"kind": "address", "id": path, "near": []},
            ),
        )

    return handle


def shaped(answer: BaseModel, status: int) -> web.Response:
    """Return an answer as JSON."""
    return web.Response(
        text=answer.model_dump_json(by_alias=True),
        status=status,
        content_type="application/json",
        headers={"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"},
    )


def refused(error: OrchestratorError) -> web.Response:
    """Return an error as its envelope."""
    response = _envelope(status_of(type(error)), Problem.of(error))
    if isinstance(error, MethodNotAllowed):
        response.headers["Allow"] = ", ".join(error.allowed)
    if isinstance(error, RangeNotSatisfiable):
        response.headers["Content-Range"] = f"bytes */{error.size_bytes}"
    if response.status == 503:
        response.headers["Retry-After"] = "1"
    return response


def _envelope(status: int, problem: Problem) -> web.Response:
    return shaped(ErrorEnvelope(error=problem), status)


def _broken(reference: str) -> web.Response:
    """Answer a fault of our own; the log holds what it was."""
    message = f"The orchestrator itself failed. Its log tells more, under the reference {reference}."
    return _envelope(500, Problem(code="internal", message=message, details={"reference": reference}))


def _methods(route: Route) -> tuple[str, ...]:
    return ("GET", "HEAD") if route.method == "GET" else (route.method,)


async def _arguments(route: Route, request: web.Request) -> dict[str, Any]:
    if route.changes:
        guard.check_header(request)
    found: dict[str, Any] = {name: request.match_info[name] for name in route.path_parameters}
    query = _parsed_query(route.query, request)
    if "query" in route.arguments:
        found["query"] = query
    if route.body is not None:
        guard.check_json_type(request)
        body = _parsed(route.body, "body", await guard.read_json(request))
        if "body" in route.arguments:
            found["body"] = body
    return found


def _parsed_query(model: type[Query], request: web.Request) -> Query:
    given: dict[str, Any] = {}
    for name in request.query:
        values = request.query.getall(name)
        given[name] = values if _takes_many(model, name) or len(values) > 1 else values[0]
    parsed: Query = _parsed(model, "query", given)
    return parsed


def _takes_many(model: type[Query], name: str) -> bool:
    field = model.model_fields.get(name)
    return field is not None and get_origin(field.annotation) in (tuple, list)


def _parsed(model: type[Any], what: str, given: Any) -> Any:
    try:
        return model.model_validate(given)
    except ValidationError as error:
        raise malformed(what, error) from None
