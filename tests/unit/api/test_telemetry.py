from __future__ import annotations

import asyncio
import time

import pytest

from comfy_orchestrator_nodes.metrics import METRICS
from tests.fakes.fake_comfy import FakeComfy
from tests.unit.api.conftest import PATIENCE_S, Api, definition
from tests.unit.telemetry.conftest import GIB, FakeAgent


async def test_the_catalogue_names_every_metric_with_its_unit(api: Api) -> None:
    metrics = (await api.ask("GET", "/metrics"))["metrics"]
    assert [metric["name"] for metric in metrics] == list(METRICS)
    assert {"name", "scope", "unit", "label", "meaning"} == set(metrics[0])


async def test_a_backends_machine_is_told_now_in_short_and_in_full(api: Api) -> None:
    async with FakeComfy() as fake:
        FakeAgent().install(fake)
        peer = await api.add_backend(fake)
        machine = await api.until(
            "/telemetry", lambda told: any(m["backend_id"] == peer["id"] for m in told["machines"])
        )
        (short,) = [m for m in machine["machines"] if m["backend_id"] == peer["id"]]
        full = await api.ask("GET", f"/backends/{peer['id']}/telemetry")
    assert (short["source"], short["problem"], short["host"]["cpu_ratio"]) == ("agent", "", 0.25)
    assert "processes" not in short["devices"][0]
    (gpu,) = full["devices"]
    assert gpu["throttled_by"] == ["power limit"]
    assert gpu["processes"] == [{"pid": 7, "name": "python", "vram_used_bytes": GIB, "own": True}]
    assert full["models"][0]["name"] == "SDXL"
    assert full["sources"] == [{"name": "nvml", "state": "ok", "message": ""}]


async def test_what_was_measured_is_told_over_time(api: Api) -> None:
    async with FakeComfy() as fake:
        FakeAgent().install(fake)
        peer = await api.add_backend(fake)
        path = f"/backends/{peer['id']}/samples?metrics=power_w&metrics=cpu_ratio&step=1&stats=avg&stats=max"
        answer = await api.until(path, lambda told: len(told["series"]) == 2)
        many = await api.ask("GET", f"/samples?backends={peer['id']}&backends=nobody&metrics=power_w")
    host, gpu = answer["series"]
    assert (host["device"], host["metric"], gpu["device_name"], gpu["metric"]) == ("", "cpu_ratio", "A GPU", "power_w")
    assert len(gpu["avg"]) == len(gpu["max"]) == answer["steps"]
    assert {value for value in gpu["max"] if value is not None} == {200}
    assert None in gpu["avg"]
    assert gpu["min"] is None
    assert answer["from"] % answer["step_s"] == 0
    assert [series["backend_id"] for series in many["series"]] == [peer["id"]]


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ("from=20&to=10", "before `to`"),
        ("from=99999999999", "before `to`"),
        ("metrics=warmth", "There is no metric 'warmth'"),
        ("from=1600000000&to=1700000000&step=60", "longer step"),
    ],
)
async def test_a_question_that_cannot_be_answered_says_why(api: Api, query: str, said: str) -> None:
    for path in (f"/samples?{query}", f"/backends/local/samples?{query}"):
        refused = await api.ask("GET", path, status=422)
        assert said in refused["error"]["message"]


@pytest.mark.parametrize("query", ["from=abc", "step=0", "stats=median", "from=nan", "step=1.5", "metric=power_w"])
async def test_a_question_of_another_form_is_refused(api: Api, query: str) -> None:
    await api.ask("GET", f"/samples?{query}", status=400)


async def test_backends_that_there_are_none_of_have_nothing(api: Api) -> None:
    await api.ask("GET", "/backends/nobody/samples", status=404)
    await api.ask("GET", "/backends/nobody/telemetry", status=404)
    assert (await api.ask("GET", "/samples?backends=nobody"))["series"] == []


async def test_a_tab_that_shows_machines_is_told_and_others_are_not(api: Api) -> None:
    async with FakeComfy() as fake:
        agent = FakeAgent()
        agent.install(fake)
        peer = await api.add_backend(fake)
        await api.ask("PUT", "/listeners/jobs-tab", {})
        await api.ask("PUT", "/listeners/farm-tab", {"telemetry": True})

        def told() -> list[dict[str, object]]:
            machines = [m for data in api.outbox.of("orchestrator.telemetry") for m in data["machines"]]
            return [m for m in machines if m["backend_id"] == peer["id"]]

        await api.outbox.wait_for(lambda: len(told()) >= 2)
        assert {client for event, _, client in api.outbox.sent if event == "orchestrator.telemetry"} == {"farm-tab"}
        assert agent.asked[-1]["watch_s"] == "5"
        times = [float(str(m["at"])) for m in told()]
        assert times == sorted(times)
        await api.ask("DELETE", "/listeners/farm-tab")
        count = len(told())

        async def nobody_looks() -> None:
            while api.service.telemetry._watched_until >= time.time():
                await asyncio.sleep(0.02)

        await asyncio.wait_for(nobody_looks(), PATIENCE_S)
        assert len(told()) == count


async def test_a_removed_backend_takes_its_history_with_it(api: Api) -> None:
    async with FakeComfy() as fake:
        FakeAgent().install(fake)
        peer = await api.add_backend(fake)
        path = f"/samples?backends={peer['id']}"
        await api.until(path, lambda told: bool(told["series"]))
        await api.ask("DELETE", f"/backends/{peer['id']}")
        assert (await api.ask("GET", path))["series"] == []


async def test_lists_tell_what_jobs_took(api: Api) -> None:
    stored = await api.ask("POST", "/definitions", definition(), status=201)
    async with FakeComfy() as fake:
        peer = await api.add_backend(fake)
        job = await api.ask("POST", "/jobs", {"definition": stored["id"], "backend": "peer"}, status=201)
        done = await api.ask("GET", f"/jobs/{job['id']}?wait_s=20")
    (listed,) = (await api.ask("GET", "/jobs"))["jobs"]
    assert (listed["backend_id"], listed["peak_vram_bytes"], listed["energy_j"]) == (peer["id"], None, None)
    await api.service.attempts.note_usage(done["attempts"][0]["id"], 6 * GIB, 120.5)
    (listed,) = (await api.ask("GET", "/jobs"))["jobs"]
    assert (listed["peak_vram_bytes"], listed["energy_j"]) == (6 * GIB, 120.5)
    (attempt,) = (await api.ask("GET", f"/jobs/{job['id']}"))["attempts"]
    assert (attempt["peak_vram_bytes"], attempt["energy_j"]) == (6 * GIB, 120.5)
    (listed,) = (await api.ask("GET", f"/runs/{done['run_id']}"))["jobs"]
    assert listed["energy_j"] == 120.5
