"""The OpenAPI document and the server must agree: requests made from the one are sent to the other."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, settings
from schemathesis.config import SchemathesisConfig

from comfy_orchestrator_nodes.api.guard import HEADER, HEADER_VALUE
from comfy_orchestrator_nodes.api.openapi import document
from comfy_orchestrator_nodes.api.routes import ROUTES
from comfy_orchestrator_nodes.backend.urls import normalize_base_url
from comfy_orchestrator_nodes.domain import LOCAL_BACKEND_ID
from comfy_orchestrator_nodes.errors import InvalidUrl
from tests.unit.api.conftest import definition

Json = Any

ROOT = Path(__file__).resolve().parents[2]

EXAMPLES = 10
"""Random requests for each operation, beyond those that cover its schema."""

CONTROL = "".join(map(chr, [*range(32), 127]))
"""aiohttp itself refuses these in headers, before any route sees the request."""

WELL_FORMED = ["2xx", "404", "409", "410", "415", "416", "422", "502", "504"]
"""What a request of the documented form may be answered: 400 and the like would mean that the document is wrong."""


@dataclass
class Live:
    """A running server with one backend, one definition and one job."""

    url: str
    fake_url: str
    ids: dict[str, str]


_live: list[Live] = []
"""The server that the hooks send requests to; set by the fixture before any request is made."""


def _filled(url: str) -> dict[str, str]:
    """Put one of everything into the server and return its id by path parameter."""

    def post(path: str, body: Json) -> Json:
        answer = requests.post(f"{url}/orchestrator{path}", json=body, headers={HEADER: HEADER_VALUE}, timeout=30)
        assert answer.status_code == 201, answer.text
        return answer.json()

    stored = post("/definitions", definition())
    job = post("/jobs", {"definition": stored["id"]})
    waited = requests.get(f"{url}/orchestrator/jobs/{job['id']}?wait_s=30", timeout=40).json()
    file = waited["outputs"]["image"]["files"][0]
    return {
        "backend_id": LOCAL_BACKEND_ID,
        "definition_id": stored["id"],
        "job_id": job["id"],
        "run_id": job["run_id"],
        "sha256": file["sha256"],
    }


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    folder = tmp_path_factory.mktemp("openapi")
    command = [sys.executable, "-m", "tests.contract.api_server", str(folder)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            url, fake_url = process.stdout.readline().split()
            server = Live(url, fake_url, _filled(url))
            _live.append(server)
            yield server
        finally:
            _live.clear()
            process.stdin.close()
            process.wait(timeout=30)


config = SchemathesisConfig.from_dict(
    {
        "generation": {"deterministic": True, "exclude-header-characters": CONTROL},
        # It would take minutes to list every border of every field; what matters of it has tests of its own below.
        "phases": {"coverage": {"enabled": False}},
        "checks": {
            "not_a_server_error": {"expected-statuses": ["2xx", "3xx", "4xx", "502", "504"]},
            "positive_data_acceptance": {"expected-statuses": WELL_FORMED},
        },
    }
)


def _handy(part: Json) -> Json:
    """Drop limits whose borders could only be tried with lists of thousands; tests of their own are cheaper."""
    if isinstance(part, list):
        return [_handy(item) for item in part]
    if not isinstance(part, dict):
        return part
    return {k: _handy(v) for k, v in part.items() if not (k in ("maxItems", "maxProperties", "maxLength") and v > 100)}


schema = schemathesis.openapi.from_dict(_handy(document(ROUTES, "1.2.3")), config=config)


@schema.hook
def map_path_parameters(context: Any, path_parameters: dict[str, Json] | None) -> dict[str, Json] | None:
    """Ask for what there is every other time: what is made up is never found."""
    if not path_parameters or not _live:
        return path_parameters
    known = _live[0].ids
    return {
        name: known.get(name, value) if isinstance(value, str) and len(value) % 2 else value
        for name, value in path_parameters.items()
    }


@schema.hook
def map_body(context: Any, body: Json) -> Json:
    """Keep made-up backends on this machine."""
    if not _live or not isinstance(body, dict) or not isinstance(body.get("base_url"), str):
        return body
    try:
        normalize_base_url(body["base_url"])
    except InvalidUrl:
        return body
    return {**body, "base_url": _live[0].fake_url if len(body["base_url"]) % 2 else "http://127.0.0.1:9"}


@schema.parametrize()
@settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)
def test_the_server_answers_as_the_document_says(case: Any, live: Live) -> None:
    case.call_and_validate(base_url=live.url, timeout=30)
