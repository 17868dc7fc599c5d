"""What every request must satisfy, and how errors look."""

from __future__ import annotations

import io
import json
import logging
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer
from hypothesis import given
from hypothesis import strategies as st

from comfy_orchestrator_nodes.api import Access
from comfy_orchestrator_nodes.api.guard import HEADER, MAX_BODY_BYTES, MAX_DEPTH, parse_json
from comfy_orchestrator_nodes.api.refusals import MalformedRequest
from comfy_orchestrator_nodes.api.routes import ROUTES
from comfy_orchestrator_nodes.api.schemas import STATUSES, Done, status_of
from comfy_orchestrator_nodes.api.table import Call, Route, endpoint
from comfy_orchestrator_nodes.errors import OrchestratorError
from tests.unit.api.conftest import Api, Client

CHANGING = [route for route in ROUTES if route.changes]


def _path(route: Route) -> str:
    return route.full_path.replace("{", "").replace("}", "")


def _name(route: Route) -> str:
    return f"{route.method} {route.path}"


@pytest.mark.parametrize("route", CHANGING, ids=_name)
async def test_a_changing_request_without_our_header_is_refused(http: Client, route: Route) -> None:
    async with http.request(route.method, _path(route), json={}) as response:
        assert response.status == 403
        error = (await response.json())["error"]
    assert error["code"] == "header_missing"
    assert f"{HEADER}: 1" in error["message"]


@pytest.mark.parametrize("route", [r for r in CHANGING if r.body is not None], ids=_name)
@pytest.mark.parametrize("media_type", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data"])
async def test_a_body_that_any_web_page_could_send_is_refused(http: Client, route: Route, media_type: str) -> None:
    headers = {HEADER: "1", "Content-Type": media_type}
    async with http.request(route.method, _path(route), data=b"{}", headers=headers) as response:
        assert response.status == 415
        assert (await response.json())["error"]["code"] == "media_type_refused"


@pytest.mark.parametrize("route", ROUTES, ids=_name)
async def test_other_methods_are_answered_with_those_that_are_taken(http: Client, route: Route) -> None:
    async with http.request("TRACE", _path(route), headers={HEADER: "1"}) as response:
        assert response.status == 405
        assert route.method in response.headers["Allow"].split(", ")
        assert (await response.json())["error"]["code"] == "method_not_allowed"


@pytest.mark.parametrize("prefix", ["", "/api"])
async def test_an_unknown_address_is_answered_in_our_form(http: Client, prefix: str) -> None:
    async with http.get(f"{prefix}/orchestrator/nonsense") as response:
        assert response.status == 404
        error = (await response.json())["error"]
    assert error["code"] == "not_found"
    assert "openapi.json" in error["message"]


async def test_every_address_is_served_under_api_too(api: Api) -> None:
    async with api.http.get("/api/orchestrator/status") as response:
        assert (await response.json())["ready"] is True


@pytest.mark.parametrize(
    "route",
    [r for r in ROUTES if not r.path.startswith(("/status", "/openapi.json", "/listeners", "/conditions", "/metrics"))],
    ids=_name,
)
async def test_without_a_service_every_route_says_why(http: Client, access: Access, route: Route) -> None:
    access.close("Another ComfyUI on port 8188 is the master of this folder.")
    body: dict[str, Any] = {"data": b"x", "headers": {HEADER: "1", "Content-Type": "image/png"}}
    if not route.upload:
        body = {"json": _bodies.get(route.name, {}), "headers": {HEADER: "1"}}
    async with http.request(route.method, _path(route), **body) as response:
        error = (await response.json())["error"]
        assert response.status == 503, error
    assert error["message"] == "Another ComfyUI on port 8188 is the master of this folder."


_bodies = {
    "add_backend": {"name": "x", "base_url": "http://127.0.0.1:9"},
    "test_backend": {"name": "x", "base_url": "http://127.0.0.1:9"},
    "create_definition": {"name": "x", "prompt": {}, "parameters": [], "outputs": []},
    "save_definition": {"prompt": {}, "parameters": [], "outputs": []},
    "inspect_prompt": {"prompt": {"1": {"class_type": "X", "inputs": {}}}},
    "roll_back_definition": {"version": 1},
    "embed_definitions": {"ids": []},
    "submit_job": {"definition": "x"},
    "decide_job": {"decision": "drop"},
    "prioritise_job": {"priority": 1},
}
"""Bodies that are well-formed, where an empty one is not."""


async def test_status_tells_why_there_is_no_service(http: Client) -> None:
    async with http.get("/orchestrator/status") as response:
        status = await response.json()
    assert status == {
        "version": "1.2.3",
        "ready": False,
        "problem": "The orchestrator is starting. Try again in a moment.",
        "counts": None,
    }


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"{", "not JSON"),
        (b"\xff", "not JSON"),
        (b'{"name": NaN}', "NaN is no JSON number"),
        (b'{"name": 1e999}', "too large a number"),
        (b'{"name": ' + b"1" * 5000 + b"}", "not JSON"),
        (b'{"name": "\\ud800"}', "half of a surrogate pair"),
        (b'{"a":' * (MAX_DEPTH + 1) + b"1" + b"}" * (MAX_DEPTH + 1), "nested deeper"),
        (b"[" * 1_000_000, "nested deeper"),
        (b"[]", "(all of it)"),
        (b'{"name": "x", "base_url": 1, "colour": 2}', "base_url: input should be a valid string; colour: there is no"),
    ],
    ids=lambda value: str(value)[:30],
)
async def test_a_malformed_body_is_refused_with_what_is_wrong(api: Api, body: bytes, said: str) -> None:
    answer = await api.ask(
        "POST", "/backends", status=400, data=body, json=None, headers={"Content-Type": "application/json"}
    )
    assert answer["error"]["code"] == "malformed_request"
    assert said in answer["error"]["message"]


async def test_a_body_over_the_limit_is_refused_however_it_is_sent(api: Api) -> None:
    async def endless() -> Any:
        for _ in range((MAX_BODY_BYTES >> 20) + 1):
            yield b" " * (1 << 20)

    headers = {"Content-Type": "application/json"}
    for body in (io.BytesIO(b" " * (MAX_BODY_BYTES + 1)), endless()):
        answer = await api.ask("POST", "/jobs", status=413, data=body, json=None, headers=headers)
        assert answer["error"]["code"] == "body_too_large"


async def test_an_unknown_or_repeated_query_field_is_refused(api: Api) -> None:
    unknown = await api.ask("GET", "/jobs?colour=red", status=400)
    assert unknown["error"]["details"]["problems"] == [{"field": "colour", "problem": "there is no such field"}]
    repeated = await api.ask("GET", "/jobs?limit=1&limit=2", status=400)
    assert repeated["error"]["details"]["problems"][0]["field"] == "limit"


async def test_a_fault_of_our_own_is_logged_and_not_shown(access: Access, caplog: pytest.LogCaptureFixture) -> None:
    async def broken(call: Call) -> Done:
        """Fail."""
        raise RuntimeError("the secret reason")

    app = web.Application()
    app.router.add_get("/broken", endpoint(Route("GET", "/broken", broken), access))
    async with TestClient(TestServer(app)) as client, client.get("/broken") as response:
        text = await response.text()
        assert response.status == 500
    error = json.loads(text)["error"]
    assert error["code"] == "internal"
    assert "the secret reason" not in text
    (record,) = (r for r in caplog.records if r.levelno == logging.ERROR)
    assert error["details"]["reference"] in record.getMessage()
    assert record.exc_info is not None


def test_every_error_has_a_status_and_a_code_of_its_own() -> None:
    classes: list[type[OrchestratorError]] = [OrchestratorError, *_below(OrchestratorError)]
    assert {status_of(error) for error in classes} == set(STATUSES.values())
    assert len({error.code for error in classes}) == len(classes)


def _below(error: type[OrchestratorError]) -> list[type[OrchestratorError]]:
    # Those of tests do not count.
    ours = [c for c in error.__subclasses__() if c.__module__.startswith("comfy_orchestrator_nodes")]
    return [*ours, *(deeper for below in ours for deeper in _below(below))]


plain_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(st.text(), inner, max_size=5),
    max_leaves=10,
)


@given(plain_json)
def test_json_is_read_as_it_was_written(document: Any) -> None:
    assert parse_json(json.dumps(document).encode()) == document


@given(st.binary())
def test_any_bytes_are_json_or_refused(body: bytes) -> None:
    try:
        parsed = parse_json(body)
    except MalformedRequest:
        return
    assert json.loads(body) == parsed
