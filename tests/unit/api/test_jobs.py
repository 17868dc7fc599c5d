from __future__ import annotations

import asyncio
import struct
import zlib
from typing import Any

import pytest

from tests.fakes.execution import raising, until
from tests.fakes.fake_comfy import FakeComfy
from tests.fakes.node_classes import png
from tests.unit.api.conftest import IMAGE, Api, definition

PHOTO = png(16, 16, 0x336699)


async def _submit(api: Api, definition_id: str, status: int = 201, **more: Any) -> Any:
    return await api.ask("POST", "/jobs", {"definition": definition_id, **more}, status=status)


async def _stored(api: Api) -> str:
    return str((await api.ask("POST", "/definitions", definition(), status=201))["id"])


async def _ended(api: Api, job: Any) -> Any:
    return await api.ask("GET", f"/jobs/{job['id']}?wait_s=20")


async def test_a_submitted_job_runs_and_its_image_can_be_fetched(api: Api) -> None:
    async with FakeComfy() as fake:
        peer = await api.add_backend(fake)
        job = await _submit(api, await _stored(api), values={"width": 8}, backend="peer")
        assert job["values"]["width"]["data"] == 8
        done = await _ended(api, job)

        assert done["status"] == "succeeded", done
        (attempt,) = done["attempts"]
        assert (attempt["backend"], attempt["backend_id"], attempt["number"]) == ("peer", peer["id"], 1)
        assert attempt["downloaded_bytes"] > 0
        (file,) = done["outputs"]["image"]["files"]
        async with api.http.get(file["url"]) as response:
            assert response.content_type == "image/png"
            assert len(await response.read()) == file["size_bytes"] == attempt["downloaded_bytes"]


async def test_an_uploaded_image_is_what_the_backend_gets(api: Api) -> None:
    through = {
        "name": "Through",
        "prompt": {
            "1": {"class_type": "LoadImage", "inputs": {"image": "example.png"}},
            "2": {"class_type": "SaveImage", "inputs": {"images": ["1", 0], "filename_prefix": "x"}},
        },
        "parameters": [{"name": "photo", "type": "IMAGE", "node_id": "1", "input_name": "image"}],
        "outputs": [IMAGE],
    }
    stored = await api.ask("POST", "/definitions", through, status=201)
    headers = {"Content-Type": "image/png"}
    file = await api.ask("PUT", "/values", status=201, data=PHOTO, json=None, headers=headers)

    job = await _submit(api, stored["id"], values={"photo": {"$value": {"type": "IMAGE", "files": [file]}}})
    done = await _ended(api, job)

    assert done["status"] == "succeeded", done
    (result,) = done["outputs"]["image"]["files"]
    async with api.http.get(result["url"]) as response:
        assert _pixels(await response.read()) == _pixels(PHOTO)
    assert done["attempts"][0]["uploaded_bytes"] > len(PHOTO)


def _pixels(data: bytes) -> bytes:
    """Return the decompressed rows of a PNG with one IDAT chunk."""
    at = data.index(b"IDAT")
    (length,) = struct.unpack(">I", data[at - 4 : at])
    return zlib.decompress(data[at + 4 : at + 4 + length])


async def test_equal_work_is_done_once_and_told_as_cached(api: Api) -> None:
    stored = await _stored(api)
    first = await _ended(api, await _submit(api, stored))
    again = await _submit(api, stored)
    assert (first["status"], again["cached"], again["status"]) == ("succeeded", True, "succeeded")
    assert again["outputs"] == first["outputs"]
    fresh = await _submit(api, stored, cache=False)
    assert fresh["cached"] is False


async def test_a_failure_tells_the_node_its_message_and_its_traceback(api: Api) -> None:
    api.local.behave(raising("ValueError", "the sampler fell over"))
    done = await _ended(api, await _submit(api, await _stored(api), attempts=1))
    assert done["status"] == "failed"
    assert done["failure"]["cause"] == "execution_error"
    assert "the sampler fell over" in done["failure"]["message"]
    assert done["failure"]["class_type"] == "EmptyImage"
    assert done["failure"]["traceback"]


async def test_waiting_ends_when_the_time_is_up(api: Api) -> None:
    gate = asyncio.Event()
    api.local.behave(until(gate, steps=4))
    job = await _submit(api, await _stored(api))
    running = await api.ask("GET", f"/jobs/{job['id']}?wait_s=0.05")
    assert running["status"] in ("queued", "dispatched", "running")
    running = await api.until(f"/jobs/{job['id']}", lambda found: found["progress"] is not None)
    assert 0 < running["progress"]["done_ratio"] <= 1
    assert running["progress"]["backend_id"] == "local"
    gate.set()
    done = await _ended(api, job)
    assert (done["status"], done["progress"]) == ("succeeded", None)


async def test_a_cancelled_job_ends_and_its_backend_lets_go(api: Api) -> None:
    api.local.behave(until(asyncio.Event()))
    job = await _submit(api, await _stored(api))
    await api.until(f"/jobs/{job['id']}", lambda found: found["status"] == "running")
    await api.ask("POST", f"/jobs/{job['id']}/cancel", headers={"comfy-user": "alice"})
    assert (await _ended(api, job))["status"] == "cancelled"
    assert api.local.remaining == 0
    story = await api.ask("GET", f"/jobs/{job['id']}/events")
    assert "alice by the API" in str(story["events"])
    again = await api.ask("POST", f"/jobs/{job['id']}/cancel")
    assert again["status"] == "cancelled"


async def test_a_job_that_ended_can_be_run_again(api: Api) -> None:
    stored = await _stored(api)
    api.local.behave(until(gate := asyncio.Event()))
    job = await _submit(api, stored)
    refused = await api.ask("POST", f"/jobs/{job['id']}/retry", status=409)
    assert "only a job that has ended" in refused["error"]["message"]
    gate.set()
    await _ended(api, job)
    again = await api.ask("POST", f"/jobs/{job['id']}/retry", status=201)
    assert again["id"] != job["id"]
    assert (await _ended(api, again))["status"] == "succeeded"


async def test_a_person_decides_what_becomes_of_a_failed_job(api: Api) -> None:
    api.local.behave(raising("ValueError", "no"))
    job = await _submit(api, await _stored(api), attempts=1, on_failure="ask")
    asks = await _ended(api, job)
    assert asks["status"] == "waiting"
    await api.ask("POST", f"/jobs/{job['id']}/decision", {"decision": "shrug"}, status=400)
    await api.ask("POST", f"/jobs/{job['id']}/decision", {"decision": "retry"})
    assert (await _ended(api, job))["status"] == "succeeded"
    await api.ask("POST", f"/jobs/{job['id']}/decision", {"decision": "retry"}, status=404)


async def test_a_waiting_job_explains_where_it_could_go(api: Api) -> None:
    async with FakeComfy() as fake:
        await api.add_backend(fake)
        gate = asyncio.Event()
        fake.behave(until(gate))
        stored = await _stored(api)
        first = await _submit(api, stored, backend="peer", cache=False)
        await api.until(f"/jobs/{first['id']}", lambda found: found["status"] == "running")
        second = await _submit(api, stored, backend="peer", cache=False)
        why = await api.ask("GET", f"/jobs/{second['id']}/explanation")
        assert [c["backend"] for c in why["candidates"]] == ["peer"]
        assert [(r["backend"], r["reason"]) for r in why["refusals"]] == [("local", "pinned")]
        assert why["live"]
        assert why["placements"] == []
        gate.set()
        await _ended(api, second)
        kept = await api.ask("GET", f"/jobs/{second['id']}/explanation")
        assert (kept["live"], kept["candidates"], kept["refusals"]) == (False, [], [])
        (placement,) = kept["placements"]
        (attempt,) = (await api.ask("GET", f"/jobs/{second['id']}"))["attempts"]
        assert (placement["attempt_id"], placement["backend_id"]) == (attempt["id"], attempt["backend_id"])
        assert [c["backend"] for c in placement["candidates"]] == ["peer"]
        assert placement["candidates"][0]["completion_s"] > 0
        assert [(r["backend"], r["reason"]) for r in placement["refusals"]] == [("local", "pinned")]
    await api.ask("GET", "/jobs/nonsense/explanation", status=404)


async def test_a_job_that_no_backend_could_run_says_why_after_it_failed(api: Api) -> None:
    job = await _ended(api, await _submit(api, await _stored(api), backend="nobody", cache=False))
    assert job["failure"]["cause"] == "no_backend"
    (placement,) = (await api.ask("GET", f"/jobs/{job['id']}/explanation"))["placements"]
    assert placement["backend_id"] is None
    assert [(r["backend"], r["reason"]) for r in placement["refusals"]] == [("local", "pinned")]


async def test_a_job_is_run_again_elsewhere(api: Api) -> None:
    async with FakeComfy() as fake:
        await api.add_backend(fake)
        job = await _ended(api, await _submit(api, await _stored(api), cache=False))
        again = await api.ask("POST", f"/jobs/{job['id']}/retry", {"elsewhere": True}, status=201)
        done = await _ended(api, again)
        assert done["status"] == "succeeded"
        assert {a["backend"] for a in job["attempts"]} == {"peer"}
        assert {a["backend"] for a in done["attempts"]} == {"local"}


async def _queue(api: Api, fake: FakeComfy, gate: asyncio.Event, count: int) -> list[str]:
    """Let one job run on the peer until the gate opens, and others wait behind it; return the ids of these."""
    await api.add_backend(fake)
    fake.behave(until(gate))
    stored = await _stored(api)
    first = await _submit(api, stored, backend="peer", cache=False)
    await api.until(f"/jobs/{first['id']}", lambda found: found["status"] == "running")
    return [(await _submit(api, stored, backend="peer", cache=False))["id"] for _ in range(count)]


async def _order(api: Api, jobs: list[str]) -> list[int]:
    """Return the places of jobs in the order in which they were started."""
    ended = [await _ended(api, {"id": job}) for job in jobs]
    assert {job["status"] for job in ended} == {"succeeded"}
    starts = [job["attempts"][0]["started_at"] for job in ended]
    return sorted(range(len(jobs)), key=lambda place: starts[place])


async def test_waiting_jobs_are_served_in_the_order_that_somebody_gives_them(api: Api) -> None:
    gate = asyncio.Event()
    async with FakeComfy() as fake:
        jobs = await _queue(api, fake, gate, 5)
        await api.ask("POST", f"/jobs/{jobs[3]}/move", {"before": None})
        await api.ask("POST", f"/jobs/{jobs[4]}/move", {"before": jobs[1]})
        urgent = await api.ask("POST", f"/jobs/{jobs[2]}/priority", {"priority": 1})
        assert urgent["priority"] == 1
        gate.set()
        assert await _order(api, jobs) == [2, 3, 0, 4, 1]


async def test_a_place_can_be_found_between_any_two_jobs(api: Api) -> None:
    gate = asyncio.Event()
    async with FakeComfy() as fake:
        jobs = await _queue(api, fake, gate, 4)
        for _ in range(30):  # each halves the gap before the last one
            await api.ask("POST", f"/jobs/{jobs[0]}/move", {"before": jobs[3]})
            await api.ask("POST", f"/jobs/{jobs[1]}/move", {"before": jobs[3]})
        gate.set()
        assert await _order(api, jobs) == [2, 0, 1, 3]


async def test_only_jobs_that_wait_have_a_place(api: Api) -> None:
    gate = asyncio.Event()
    async with FakeComfy() as fake:
        (waiting,) = await _queue(api, fake, gate, 1)
        (running,) = (await api.ask("GET", "/jobs?status=running"))["jobs"]
        await api.ask("POST", f"/jobs/{running['id']}/move", {}, status=409)
        await api.ask("POST", f"/jobs/{waiting}/move", {"before": running["id"]}, status=409)
        await api.ask("POST", f"/jobs/{waiting}/move", {"before": waiting}, status=409)
        await api.ask("POST", f"/jobs/{waiting}/move", {"before": "nobody"}, status=404)
        await api.ask("POST", "/jobs/nobody/priority", {"priority": 1}, status=404)
        gate.set()
        await _ended(api, {"id": waiting})
        await api.ask("POST", f"/jobs/{waiting}/priority", {"priority": 1}, status=404)


async def test_all_jobs_are_cancelled_or_those_that_fit(api: Api) -> None:
    async with FakeComfy() as fake:
        waiting = await _queue(api, fake, asyncio.Event(), 3)
        peer = (await api.ask("GET", "/backends"))["backends"][1]
        assert (await api.ask("POST", "/jobs/cancel", {"run": "nobody"}))["job_ids"] == []
        (there,) = (await api.ask("POST", "/jobs/cancel", {"backend": peer["id"]}))["job_ids"]
        assert there not in waiting
        left = (await api.ask("POST", "/jobs/cancel", {}))["job_ids"]
        for job in (there, *left):
            assert (await _ended(api, {"id": job}))["status"] in ("cancelled", "succeeded")
        assert await api.until("/status", lambda status: set(status["counts"]["jobs"]) <= {"cancelled", "succeeded"})
        await api.until(f"/backends/{peer['id']}", lambda _: fake.remaining == 0)


async def test_who_asked_is_told_of_jobs_and_runs(api: Api) -> None:
    body = {"definition": await _stored(api)}
    job = await api.ask("POST", "/jobs", body, status=201, headers={"comfy-user": "ann"})
    assert job["owner"] == "ann"
    assert (await api.ask("GET", f"/runs/{job['run_id']}"))["owner"] == "ann"


async def test_a_jobs_story_is_told_in_order_and_continued(api: Api) -> None:
    job = await _submit(api, await _stored(api))
    await _ended(api, job)
    story = (await api.ask("GET", f"/jobs/{job['id']}/events"))["events"]
    assert story[0]["kind"] == "created"
    assert [event["sequence"] for event in story] == list(range(1, len(story) + 1))
    rest = (await api.ask("GET", f"/jobs/{job['id']}/events?after={len(story) - 1}"))["events"]
    assert rest == story[-1:]
    await api.ask("GET", "/jobs/nonsense/events", status=404)


async def test_jobs_are_listed_newest_first_filtered_and_in_pages(api: Api) -> None:
    stored = await _stored(api)
    ids: list[str] = []
    for width in (8, 16, 24):
        job = await _submit(api, stored, values={"width": width})
        ids.insert(0, (await _ended(api, job))["id"])

    async def listed(query: str) -> list[str]:
        return [job["id"] for job in (await api.ask("GET", f"/jobs?{query}"))["jobs"]]

    assert await listed("") == ids
    assert await listed("status=succeeded&status=failed") == ids
    assert await listed("status=failed") == []
    assert await listed("definition=other") == []
    assert await listed("backend=local") == ids
    assert await listed(f"run={ids[1]}") == [ids[1]]
    assert await listed(f"search={ids[2][:13]}") == [ids[2]]
    page = await api.ask("GET", "/jobs?limit=2")
    assert [job["id"] for job in page["jobs"]] == ids[:2]
    rest = await api.ask("GET", f"/jobs?limit=2&cursor={page['next']}")
    assert ([job["id"] for job in rest["jobs"]], rest["next"]) == (ids[2:], None)


@pytest.mark.parametrize(
    ("more", "status", "said"),
    [
        ({"values": {"widht": 1}}, 422, "did you mean 'width'"),
        ({"values": {"width": "wide"}}, 422, "takes a whole number"),
        ({"values": {"width": 0}}, 422, "below the minimum"),
        ({"values": {"width": {"$value": {"files": []}}}}, 400, "value 'width' cannot be used: type: field required"),
        ({"values": {"width": {"$value": {"type": "INT", "data": 5, "x": 1}}}}, 400, "there is no such field"),
        ({"outputs": ["picture"]}, 404, "image"),
        ({"version": 7}, 404, "v7"),
        ({"definition": "nonsense"}, 404, "nonsense"),
        ({"attempts": 0}, 400, "attempts"),
        ({"time_limit_s": 0}, 400, "time_limit_s"),
        ({"fidelity": "lossy"}, 400, "fidelity"),
    ],
    ids=lambda value: str(value)[:40],
)
async def test_a_job_that_makes_no_sense_is_refused(api: Api, more: dict[str, Any], status: int, said: str) -> None:
    stored = await _stored(api)
    refused = await api.ask("POST", "/jobs", {"definition": stored, **more}, status=status)
    assert said in str(refused["error"])
    assert (await api.ask("GET", "/jobs"))["jobs"] == []


async def test_a_file_that_is_not_stored_is_told_as_lost(api: Api) -> None:
    body = definition(
        prompt={
            "1": {"class_type": "LoadImage", "inputs": {"image": "example.png"}},
            "2": {"class_type": "SaveImage", "inputs": {"images": ["1", 0], "filename_prefix": "x"}},
        },
        parameters=[{"name": "photo", "type": "IMAGE", "node_id": "1", "input_name": "image"}],
    )
    stored = await api.ask("POST", "/definitions", body, status=201)
    gone = {"sha256": "0" * 64, "size_bytes": 5, "media_type": "image/png"}
    values = {"photo": {"$value": {"type": "IMAGE", "files": [gone]}}}
    lost = await _submit(api, stored["id"], 410, values=values)
    assert lost["error"]["code"] == "value_lost"


async def test_runs_are_listed_with_their_jobs_and_cancelled_as_a_whole(api: Api) -> None:
    api.local.behave(until(asyncio.Event()))
    job = await _submit(api, await _stored(api))
    run = await api.ask("GET", f"/runs/{job['run_id']}")
    assert (run["status"], [found["id"] for found in run["jobs"]]) == ("running", [job["id"]])
    assert (run["jobs_total"], sum(run["jobs_by_status"].values())) == (1, 1)
    assert await api.ask("POST", f"/runs/{job['run_id']}/cancel") == {"cancelled_jobs": 1}
    await _ended(api, job)
    await api.until(f"/runs/{job['run_id']}", lambda found: found["status"] == "cancelled")
    (listed,) = (await api.ask("GET", "/runs?status=cancelled"))["runs"]
    assert (listed["id"], listed["jobs_by_status"]) == (job["run_id"], {"cancelled": 1})
    assert (await api.ask("GET", "/runs?status=running"))["runs"] == []
    await api.ask("GET", "/runs/nonsense", status=404)


async def test_status_counts_what_there_is(api: Api) -> None:
    await _ended(api, await _submit(api, await _stored(api)))
    status = await api.ask("GET", "/status")
    assert (status["version"], status["ready"], status["problem"]) == ("1.2.3", True, "")
    counts = status["counts"]
    assert (counts["definitions"], counts["jobs"], counts["backends"]) == (1, {"succeeded": 1}, {"online": 1})
    assert counts["storage"]["files"] == 1


async def test_a_job_that_asks_tells_what_happened_and_how_long_it_waits(api: Api) -> None:
    async with FakeComfy() as peer:
        peer.behave(raising("ValueError", "no such colour"))
        backend = await api.add_backend(peer, "desk")
        job = await _submit(api, await _stored(api), on_failure="ask", attempts=1, backend=backend["id"])
        assert (await _ended(api, job))["status"] == "waiting"

        asked = await api.ask("GET", "/questions")

        (question,) = asked["questions"]
        assert (question["job"]["id"], question["definition_name"]) == (job["id"], "Empty image")
        (tried,) = question["attempts"]
        assert tried["backend"] == "desk"
        assert "no such colour" in tried["failure"]["message"]
        assert 0 < question["remaining_s"] <= 60
        assert asked["choices"] == ["retry", "retry_elsewhere", "drop", "fail"]
        await api.ask("POST", f"/jobs/{job['id']}/decision", {"decision": "fail"})
        assert (await api.ask("GET", "/questions"))["questions"] == []
