from __future__ import annotations

from tests.fakes.fake_comfy import FakeComfy
from tests.unit.api.conftest import Api, definition


async def test_a_submitted_job_runs_and_its_image_can_be_fetched(api: Api) -> None:
    async with FakeComfy() as fake:
        peer = await api.add_backend(fake)
        stored = await api.ask("POST", "/definitions", definition(), status=201)

        job = await api.ask(
            "POST", "/jobs", {"definition": stored["id"], "values": {"width": 8}, "backend": "peer"}, status=201
        )
        done = await api.ask("GET", f"/jobs/{job['id']}?wait_s=20")

        assert done["status"] == "succeeded", done
        assert [attempt["backend"] for attempt in done["attempts"]] == [peer["name"]]
        (file,) = done["outputs"]["image"]["files"]
        async with api.http.get(file["url"]) as response:
            assert response.content_type == "image/png"
            assert len(await response.read()) == file["size_bytes"]
