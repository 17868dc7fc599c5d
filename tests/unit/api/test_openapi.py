from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest

from comfy_orchestrator_nodes.api.guard import HEADER
from comfy_orchestrator_nodes.api.openapi import document
from comfy_orchestrator_nodes.api.routes import ROUTES
from comfy_orchestrator_nodes.api.table import Route
from tests.unit.api.conftest import Api

Json = Any
DOCUMENT = document(ROUTES, "1.2.3")


def _operations() -> Iterator[tuple[str, str, Json]]:
    for path, methods in DOCUMENT["paths"].items():
        for method, operation in methods.items():
            yield method.upper(), path, operation


def _references(part: Json) -> Iterator[str]:
    if isinstance(part, dict):
        if isinstance(part.get("$ref"), str):
            yield part["$ref"].rpartition("/")[2]
        for value in part.values():
            yield from _references(value)
    elif isinstance(part, list):
        for value in part:
            yield from _references(value)


def _reached(part: Json) -> set[str]:
    """Return the names of all schemas that a part leads to."""
    found: set[str] = set()
    waiting = list(_references(part))
    while waiting:
        name = waiting.pop()
        if name not in found:
            found.add(name)
            waiting += _references(DOCUMENT["components"]["schemas"][name])
    return found


async def test_the_document_is_served(api: Api) -> None:
    assert await api.ask("GET", "/openapi.json") == json.loads(json.dumps(DOCUMENT))


def test_it_has_every_route_once_and_nothing_else() -> None:
    assert sorted((method, path) for method, path, _ in _operations()) == sorted(
        (route.method, route.full_path) for route in ROUTES
    )
    names = [operation["operationId"] for _, _, operation in _operations()]
    assert len(set(names)) == len(names)


def test_every_reference_leads_somewhere_and_every_schema_is_used() -> None:
    assert _reached(DOCUMENT["paths"]) == set(DOCUMENT["components"]["schemas"])


def test_every_operation_says_what_it_does_and_how_it_can_fail() -> None:
    for method, path, operation in _operations():
        assert operation["summary"].endswith("."), path
        assert {"400", "500", "503"} <= set(operation["responses"]), path
        headers = [p["name"] for p in operation["parameters"] if p["in"] == "header"]
        assert headers == ([] if method == "GET" else [HEADER]), path


def test_no_answer_has_a_field_for_a_secret() -> None:
    for _, path, operation in _operations():
        for name in _reached(operation["responses"]):
            properties = DOCUMENT["components"]["schemas"][name].get("properties", {})
            assert not {"bearer_token", "password", "credentials_headers"} & set(properties), (path, name)


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: f"{route.method} {route.path}")
def test_a_handler_takes_what_its_row_gives(route: Route) -> None:
    given = {"call", "query", *route.path_parameters} | ({"body"} if route.body is not None else set())
    assert set(route.path_parameters) <= route.arguments <= given
    assert re.fullmatch(r"(/[a-z.-]+|/{[a-z_0-9]+})+", route.path)
