from __future__ import annotations

import time
from typing import Any

from tests.fakes.execution import raising
from tests.fakes.fake_comfy import FakeComfy
from tests.unit.api.conftest import Api, definition


async def _run(api: Api, **more: Any) -> Any:
    stored = await api.ask("POST", "/definitions", definition(), status=201)
    job = await api.ask("POST", "/jobs", {"definition": stored["id"], "backend": "peer", **more}, status=201)
    return await api.ask("GET", f"/jobs/{job['id']}?wait_s=20")


async def test_a_backend_tells_what_it_did_and_when(api: Api) -> None:
    async with FakeComfy() as fake:
        peer = await api.add_backend(fake)
        before = time.time()
        job = await _run(api)
        (attempt,) = (await api.ask("GET", f"/backends/{peer['id']}/attempts"))["attempts"]
    assert (attempt["job_id"], attempt["definition"], attempt["status"]) == (job["id"], job["definition"], "succeeded")
    assert before <= attempt["created_at"] <= attempt["started_at"] <= attempt["ended_at"] <= time.time()
    assert (attempt["cause"], attempt["message"]) == (None, "")


async def test_an_attempt_that_failed_says_why(api: Api) -> None:
    async with FakeComfy() as fake:
        peer = await api.add_backend(fake)
        fake.behave(raising("ValueError", "the lamp is out"))
        await _run(api, attempts=1)
        (attempt,) = (await api.ask("GET", f"/backends/{peer['id']}/attempts"))["attempts"]
    assert attempt["cause"] == "execution_error"
    assert "the lamp is out" in attempt["message"]


async def test_only_attempts_within_the_span_are_listed(api: Api) -> None:
    async with FakeComfy() as fake:
        peer = await api.add_backend(fake)
        job = await _run(api)
        ended = job["attempts"][0]["ended_at"]
        path = f"/backends/{peer['id']}/attempts"
        assert len((await api.ask("GET", f"{path}?since={ended - 60}&until={ended + 60}"))["attempts"]) == 1
        assert (await api.ask("GET", f"{path}?since={ended + 60}"))["attempts"] == []
        assert (await api.ask("GET", f"{path}?until={ended - 3600}"))["attempts"] == []
        assert (await api.ask("GET", "/backends/local/attempts"))["attempts"] == []
        await api.ask("GET", "/backends/nobody/attempts", status=404)
