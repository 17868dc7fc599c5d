"""The last result of a definition is shown small."""

from __future__ import annotations

import asyncio
import io
import logging
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from PIL import Image

from comfy_orchestrator_nodes.domain import FileRef, Job, JobSpec, JobStatus, Value
from comfy_orchestrator_nodes.orchestrator.jobs import Request
from comfy_orchestrator_nodes.orchestrator.thumbnails import Thumbnails
from comfy_orchestrator_nodes.scheduler.updates import JobChanged
from comfy_orchestrator_nodes.store.artifacts import ArtifactStore
from tests.fakes.node_classes import png
from tests.unit.library.conftest import Api, grey


class Maker:
    """Thumbnails with a store of their own, and a way to wait for them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "thumbnails"
        self.artifacts = ArtifactStore(folder / "artifacts")
        self.thumbnails = Thumbnails(self.folder, self.artifacts, pause_s=0.0)
        self.made: asyncio.Queue[str] = asyncio.Queue()
        self.thumbnails.changed = self.made.put_nowait

    def end(self, definition_id: str, data: bytes, *, type_: str = "IMAGE", media_type: str = "image/png") -> None:
        """Tell of a job that made this."""
        self.tell(definition_id, Value(type_, files=(self.artifacts.put(data, media_type),)))

    def tell(self, definition_id: str, value: Value, status: JobStatus = JobStatus.SUCCEEDED) -> None:
        spec = JobSpec(definition_id, 1, "hash", {}, ("image",))
        job = Job("job", "run", "key", spec, status, 0.0, outputs={"image": value})
        self.thumbnails(JobChanged(job, "finished"))

    async def next(self) -> str:
        return await asyncio.wait_for(self.made.get(), 20)

    def colour(self, definition_id: str) -> tuple[int, ...]:
        """Return the colour of the middle of a thumbnail."""
        thumbnail = self.thumbnails.get(definition_id)
        assert thumbnail is not None
        with Image.open(thumbnail.path) as image:
            found = image.convert("RGB").getpixel((image.width // 2, image.height // 2))
        assert isinstance(found, tuple)
        return found


@pytest.fixture
async def maker(tmp_path: Path) -> AsyncIterator[Maker]:
    made = Maker(tmp_path)
    await made.thumbnails.start()
    yield made
    await made.thumbnails.close()


def near(found: tuple[int, ...], wanted: tuple[int, ...]) -> bool:
    return all(abs(one - other) <= 3 for one, other in zip(found, wanted, strict=True))


async def test_the_last_result_is_shown_and_outlives_a_restart(maker: Maker, tmp_path: Path) -> None:
    maker.end("grey", png(8, 8, 0x800000))
    assert await maker.next() == "grey"
    assert near(maker.colour("grey"), (0x80, 0, 0))
    maker.end("grey", png(8, 8, 0x008000))
    await maker.next()
    assert near(maker.colour("grey"), (0, 0x80, 0))

    await maker.thumbnails.close()
    (maker.folder / "half.part").write_bytes(b"x")
    again = Thumbnails(maker.folder, maker.artifacts)
    await again.start()
    await again.close()
    assert again.get("grey") == maker.thumbnails.get("grey")
    assert [path.suffix for path in maker.folder.iterdir()] == [".webp"]


async def test_of_many_results_in_a_row_only_the_last_matters(maker: Maker) -> None:
    for color in range(50):
        maker.end("grey", png(8, 8, color << 16))
    maker.end("other", png(8, 8, 0xFF))
    assert {await maker.next(), await maker.next()} == {"grey", "other"}
    assert near(maker.colour("grey"), (49, 0, 0))
    assert maker.made.empty()


async def test_what_is_no_image_or_no_success_makes_none(maker: Maker) -> None:
    ref = maker.artifacts.put(png(8, 8, 1), "image/png")
    maker.end("sound", b"RIFF", type_="AUDIO", media_type="audio/wav")
    maker.tell("failed", Value("IMAGE", files=(ref,)), JobStatus.FAILED)
    maker.tell("empty", Value("IMAGE"))
    maker.end("grey", png(8, 8, 2))
    assert await maker.next() == "grey"
    assert [maker.thumbnails.get(name) for name in ("sound", "failed", "empty")] == [None, None, None]


async def test_a_damaged_or_lost_image_is_told_and_the_next_one_is_made(
    maker: Maker, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    maker.end("damaged", png(8, 8, 0)[:45])
    maker.end("text", b"hello")
    maker.tell("lost", Value("IMAGE", files=(FileRef("0" * 64, 5, "image/png"),)))
    maker.end("grey", png(8, 8, 0))
    assert await maker.next() == "grey"
    told = [record.getMessage() for record in caplog.records]
    assert len([text for text in told if text.startswith("No thumbnail could be made")]) == 3
    assert [record.exc_info for record in caplog.records] == [None, None, None]


async def test_deleting_a_definition_deletes_its_picture(maker: Maker) -> None:
    maker.end("grey", png(8, 8, 0))
    await maker.next()
    maker.thumbnails.remove("grey")
    assert maker.thumbnails.get("grey") is None
    assert list(maker.folder.iterdir()) == []


async def test_a_job_that_really_ran_is_shown_over_http(api: Api) -> None:
    made = asyncio.Event()
    api.service.thumbnails.changed = lambda _: made.set()
    stored = await api.service.library.create(grey(color=0x0000FF))
    await api.ask("GET", f"/thumbnails/{stored.id}", status=404)
    ticket = await api.service.orchestrator.submit(Request(stored.id))
    await asyncio.wait_for(asyncio.shield(ticket.done), 20)
    await asyncio.wait_for(made.wait(), 20)

    shown = (await api.ask("GET", "/thumbnails"))["thumbnails"][stored.id]
    async with api.http.get(shown["url"]) as answer:
        assert answer.headers["Cache-Control"] == "private, max-age=31536000, immutable"
        assert answer.content_type == "image/webp"
        with Image.open(io.BytesIO(await answer.read())) as image:
            assert image.size == (8, 8)
        etag = answer.headers["ETag"]
    async with api.http.get(f"/orchestrator/thumbnails/{stored.id}", headers={"If-None-Match": etag}) as answer:
        assert answer.status == 304
        assert answer.headers["Cache-Control"] == "private, no-cache"

    await api.service.library.remove(stored.id)
    await api.ask("GET", f"/thumbnails/{stored.id}", status=404)
