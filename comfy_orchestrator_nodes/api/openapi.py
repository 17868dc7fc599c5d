"""The OpenAPI 3.1 document, made from the same rows that register the handlers."""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Sequence
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import JsonSchemaMode, models_json_schema

from ..errors import InvalidRequest, OrchestratorError, StoreError, Unavailable
from . import guard
from .refusals import BodyTooLarge, HeaderMissing, MalformedRequest, MediaTypeRefused, MethodNotAllowed
from .schemas import ErrorEnvelope, NoBody, status_of
from .table import Route

Json = dict[str, Any]

_REF = "#/components/schemas/{model}"

_ALWAYS: tuple[type[OrchestratorError], ...] = (MalformedRequest, Unavailable, StoreError, OrchestratorError)
_CHANGING: tuple[type[OrchestratorError], ...] = (HeaderMissing, MediaTypeRefused, BodyTooLarge)

_STATUS_TEXTS = {
    200: "Done.",
    201: "Made.",
    206: "The asked range of the file.",
    304: "The caller's copy is still good.",
    400: "The request does not have the documented form.",
    403: f"The header '{guard.HEADER}: {guard.HEADER_VALUE}' is missing.",
    404: "There is no such thing.",
    405: "Not with this method.",
    409: "The change does not fit the present state.",
    410: "The stored file is gone or damaged.",
    412: "The file is not the one that the caller has.",
    413: "The body is too large.",
    415: "The Content-Type is not the one that is taken here.",
    416: "The range lies outside the file.",
    422: "The request is well-formed, but its content cannot be used.",
    500: "The orchestrator itself failed, or its store cannot be used.",
    502: "A backend did not answer as it should.",
    503: "The orchestrator is not ready, or its store is busy.",
    504: "A backend did not answer in time.",
    507: "There is no room.",
}


def document(routes: Sequence[Route], version: str) -> Json:
    """Return the document.

    Args:
        routes: all rows.
        version: of this package.
    """
    models = _Models(routes)
    paths: dict[str, Json] = {}
    for route in routes:
        paths.setdefault(route.full_path, {})[route.method.lower()] = _operation(route, models)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "ComfyUI Orchestrator",
            "version": version,
            "description": (
                "Everything the orchestrator does, for its own page and for scripts. ComfyUI serves each address under "
                f"/api too. Requests that change something carry the header '{guard.HEADER}: {guard.HEADER_VALUE}'."
            ),
        },
        "paths": paths,
        "components": {"schemas": models.definitions},
    }


class _Models:
    """The schemas of all models: what a request may be, and what an answer is."""

    def __init__(self, routes: Sequence[Route]) -> None:
        wanted: dict[tuple[type[BaseModel], JsonSchemaMode], None] = {(ErrorEnvelope, "serialization"): None}
        for route in routes:
            if route.body is not None:
                wanted[route.body, "validation"] = None
            if route.answer is not None:
                wanted[route.answer, "serialization"] = None
        self._refs, found = models_json_schema(list(wanted), ref_template=_REF)
        self.definitions: Json = found.get("$defs", {})

    def request(self, model: type[BaseModel]) -> Json:
        return self._refs[model, "validation"]

    def answer(self, model: type[BaseModel]) -> Json:
        return self._refs[model, "serialization"]

    def query(self, model: type[BaseModel]) -> Json:
        """Return the schema of a query, whose fields become parameters; it is no component itself."""
        schema = model.model_json_schema(ref_template=_REF)
        self.definitions.update(schema.pop("$defs", {}))
        return schema


def _operation(route: Route, models: _Models) -> Json:
    summary, _, description = (inspect.getdoc(route.handler) or "").partition("\n")
    operation: Json = {
        "operationId": route.name if route.method != "POST" or not route.upload else f"{route.name}_by_post",
        "summary": summary,
        "tags": [route.path.split("/")[1]],
        "parameters": [*_path_parameters(route), *_query_parameters(route, models), *_headers(route)],
        "responses": _responses(route, models),
    }
    if description.strip():
        operation["description"] = description.strip()
    if route.body is not None:
        schema = models.request(route.body)
        operation["requestBody"] = {"required": True, "content": {"application/json": {"schema": schema}}}
    if route.upload:
        file = {"schema": {"type": "string", "format": "binary"}}
        operation["requestBody"] = {"required": True, "content": {"application/octet-stream": file, "image/png": file}}
    return operation


def _path_parameters(route: Route) -> list[Json]:
    return [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string", "minLength": 1}}
        for name in route.path_parameters
    ]


def _query_parameters(route: Route, models: _Models) -> list[Json]:
    schema = models.query(route.query)
    required = schema.get("required", [])
    return [
        {"name": name, "in": "query", "required": name in required, "schema": _without_null(field)}
        for name, field in schema.get("properties", {}).items()
    ]


def _without_null(schema: Json) -> Json:
    """Return a query field's schema without null, which an address cannot carry."""
    choices = [choice for choice in schema.get("anyOf", []) if choice != {"type": "null"}]
    if len(choices) != 1:
        return schema
    kept = {name: value for name, value in schema.items() if name not in ("anyOf", "default")}
    return {**choices[0], **kept}


def _headers(route: Route) -> list[Json]:
    if not route.changes:
        return []
    schema = {"type": "string", "const": guard.HEADER_VALUE}
    return [{"name": guard.HEADER, "in": "header", "required": True, "schema": schema}]


def _responses(route: Route, models: _Models) -> Json:
    responses: Json = {str(route.status): _success(route, models)}
    if route.download:
        for status in (206, 304, 412):
            responses[str(status)] = {"description": _STATUS_TEXTS[status]}
        responses["206"]["content"] = {"*/*": {"schema": {}}}
    envelope = {"application/json": {"schema": models.answer(ErrorEnvelope)}}
    for status in sorted(_statuses(route)):
        responses[str(status)] = {"description": _STATUS_TEXTS[status], "content": envelope}
    return responses


def _success(route: Route, models: _Models) -> Json:
    if route.answer is None:
        return {"description": "The file.", "content": {"*/*": {"schema": {}}}}
    return {
        "description": _STATUS_TEXTS[route.status],
        "content": {"application/json": {"schema": models.answer(route.answer)}},
    }


def _statuses(route: Route) -> set[int]:
    classes: set[type[OrchestratorError]] = {*_ALWAYS, *(_CHANGING if route.changes else ()), *route.errors}
    if route.body not in (None, NoBody):
        # Any content may turn out to be unusable, such as a name of spaces.
        classes.add(InvalidRequest)
    found = {status_of(error) for error in classes}
    for error in route.errors:
        found |= {status_of(below) for below in _subclasses(error)}
    return found | {status_of(MethodNotAllowed)}


def _subclasses(error: type[OrchestratorError]) -> Iterable[type[OrchestratorError]]:
    for below in error.__subclasses__():
        yield below
        yield from _subclasses(below)
