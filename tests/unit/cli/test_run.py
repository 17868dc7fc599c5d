"""``run``: values in, results out, every way to end."""

from __future__ import annotations

import asyncio
import hashlib
import os
import signal
import sys
from pathlib import Path
from typing import Any

import pytest

from comfy_orchestrator_nodes.cli import running
from comfy_orchestrator_nodes.cli.failures import Exit
from comfy_orchestrator_nodes.domain import Output, Parameter
from tests.fakes.execution import raising, stepping, until
from tests.fakes.node_classes import png
from tests.unit.cli.conftest import Api, Cli, ended
from tests.unit.library.conftest import grey

PASSING: dict[str, Any] = {
    "prompt": {"1": {"class_type": "LoadImage", "inputs": {"image": "example.png"}}},
    "parameters": (Parameter("photo", "IMAGE", "1", "image", "example.png", role="image"),),
    "outputs": (Output("image", "IMAGE", "1", 0),),
}
"""A definition that gives back the image that it takes."""

SAYING: dict[str, Any] = {
    "prompt": {"1": {"class_type": "PrimitiveString", "inputs": {"value": "nothing"}}},
    "parameters": (Parameter("text", "STRING", "1", "value", "nothing"),),
    "outputs": (Output("text", "STRING", "1", 0),),
}


async def test_a_value_goes_in_and_the_image_is_saved_under_its_outputs_name(
    api: Api, cli: Cli, tmp_path: Path
) -> None:
    await api.service.library.create(grey("Grey"))

    said = await cli.ok("run", "grey", "--set", "color=255", "--out", str(tmp_path / "out"))

    saved = tmp_path / "out" / "image.png"
    assert said.out == f"image: {saved}\n"
    assert saved.read_bytes() == png(8, 8, 255)


async def test_an_image_goes_in_and_comes_back_as_it_was(api: Api, cli: Cli, tmp_path: Path) -> None:
    await api.service.library.create(grey("Passing on", **PASSING))
    photo = tmp_path / "photo.png"
    photo.write_bytes(png(5, 4, 0x102030))

    said = await cli.ok("run", "passing on", "--image", f"photo={photo}", "--out", str(tmp_path), "--json")

    (path,) = said.document["outputs"]["image"]["files"]
    assert Path(path).read_bytes() == photo.read_bytes()
    assert said.document["job"]["status"] == "succeeded"


async def test_a_text_is_printed_and_may_come_from_a_file(api: Api, cli: Cli, tmp_path: Path) -> None:
    await api.service.library.create(grey("Saying", **SAYING))
    (tmp_path / "text.txt").write_text("two\nlines\n", "utf-8")

    assert (await cli.ok("run", "saying", "--set", "text=a=b")).out == "text: a=b\n"
    said = await cli.ok("run", "saying", "--set-file", f"text={tmp_path / 'text.txt'}", "--json")
    assert said.document["outputs"]["text"]["data"] == "two\nlines"


async def test_results_never_overwrite_what_is_there(api: Api, cli: Cli, tmp_path: Path) -> None:
    await api.service.library.create(grey())
    (tmp_path / "image.png").write_bytes(b"mine")

    for _ in range(2):
        await cli.ok("run", "grey", "--out", str(tmp_path))

    assert (tmp_path / "image.png").read_bytes() == b"mine"
    assert sorted(path.name for path in tmp_path.glob("image*")) == ["image.png", "image_2.png", "image_3.png"]


@pytest.mark.parametrize("name", ["../../up", "/etc/passwd", "con", "a\\b:c*", "…"])
async def test_an_outputs_name_cannot_lead_out_of_the_folder(api: Api, cli: Cli, tmp_path: Path, name: str) -> None:
    await api.service.library.create(grey(outputs=(Output(name, "IMAGE", "1", 0),)))
    folder = tmp_path / "a" / "b" / "out"

    said = await cli.ok("run", "grey", "--out", str(folder), "--json")

    (path,) = said.document["outputs"][name]["files"]
    assert Path(path).parent == folder
    assert Path(path).stem.lower() != "con"
    assert [p for p in tmp_path.rglob("*.png") if p.parent != folder] == []


async def test_a_job_that_fails_says_why_and_ends_with_1(api: Api, cli: Cli, tmp_path: Path) -> None:
    await api.service.library.create(grey())
    api.local.behave(raising("ValueError", "no such colour"))

    said = await cli.run("run", "grey", "--attempts", "1", "--no-cache", "--out", str(tmp_path))

    assert said.exit == Exit.JOB_FAILED
    assert "no such colour" in said.err
    assert "node 1, EmptyImage" in said.err
    assert list(tmp_path.glob("*.png")) == []


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["run", "grya"], "There is no definition 'grya'. Did you mean 'grey'"),
        (["run", "something"], "There is no definition 'something'. The library has grey."),
        (["run", "grey", "--set", "colour=1"], "no parameter 'colour'. Did you mean 'color'?"),
        (["run", "grey", "--set", "color"], "--set takes NAME=VALUE, not 'color'."),
        (["run", "grey", "--set", "color=blue"], "'color' takes a whole number, not 'blue'."),
        (["run", "grey", "--set", "color=1", "--set", "color=2"], "'color' is set twice."),
        (["run", "grey", "--image", "color=a.png"], "'color' takes no file but a INT"),
        (["run", "grey", "--output", "video"], "There is no output of 'Grey' 'video'"),
        (["run", "grey", "--version", "7"], "There is no definition version 'grey v7'."),
    ],
)
async def test_what_cannot_be_meant_is_refused_before_anything_runs(
    api: Api, cli: Cli, tmp_path: Path, arguments: list[str], message: str
) -> None:
    await api.service.library.create(grey())

    said = await cli.run(*arguments, "--out", str(tmp_path))

    assert said.exit == Exit.BAD_INPUT
    assert message in said.err
    assert not api.local.executions


async def test_a_file_that_is_not_there_is_named(api: Api, cli: Cli) -> None:
    await api.service.library.create(grey("Passing on", **PASSING))
    said = await cli.run("run", "passing-on", "--image", "photo=nowhere.png")
    assert (said.exit, "There is no file 'nowhere.png' (for 'photo')." in said.err) == (Exit.BAD_INPUT, True)


async def test_an_ambiguous_name_lists_the_ids(api: Api, cli: Cli) -> None:
    await api.service.library.create(grey("Same name"))
    await api.service.library.create(grey("Same name", color=1))
    said = await cli.run("run", "Same Name")
    assert (said.exit, "same-name, same-name-2" in said.err) == (Exit.BAD_INPUT, True)


async def test_detached_only_the_job_is_named_and_jobs_tells_of_it(api: Api, cli: Cli, tmp_path: Path) -> None:
    done = asyncio.Event()
    api.local.behave(until(done))
    await api.service.library.create(grey())

    job = (await cli.ok("run", "grey", "--detach", "--no-cache")).out.strip()
    assert job in (await cli.ok("jobs")).out
    done.set()
    answer = await api.until(f"/jobs/{job}", lambda found: found["status"] == "succeeded")
    assert answer["id"] == job
    assert "succeeded" in (await cli.ok("jobs", job)).out
    assert (await cli.ok("jobs", "--status", "failed", "--json")).document["jobs"] == []


async def test_progress_is_told_on_the_way(api: Api, cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(running, "POLL_S", 0.05)
    progress = running._progress
    gates = [asyncio.Event(), asyncio.Event()]
    api.local.behave(stepping(gates))
    await api.service.library.create(grey())
    command = asyncio.create_task(cli.ok("run", "grey", "--no-cache", "--out", str(tmp_path)))
    gates[0].set()
    (job,) = (await api.until("/jobs", lambda found: bool(found["jobs"])))["jobs"]
    await api.until(f"/jobs/{job['id']}", lambda found: bool(found["progress"] and found["progress"]["done_ratio"]))
    asked = asyncio.Event()

    def noted(job: dict[str, Any]) -> tuple[float | None, str]:
        asked.set()
        return progress(job)

    monkeypatch.setattr(running, "_progress", noted)
    await asyncio.wait_for(asked.wait(), 20)
    gates[1].set()
    assert "running on local, EmptyImage" in (await command).err


@pytest.mark.skipif(sys.platform == "win32", reason="a console's Ctrl-C cannot be sent to one process on Windows")
async def test_ctrl_c_cancels_the_job_and_says_so(api: Api, cli: Cli, tmp_path: Path) -> None:
    api.local.behave(until(asyncio.Event()))
    await api.service.library.create(grey())
    process = await cli.start("run", "grey", "--no-cache", "--out", str(tmp_path))
    page = await api.until("/jobs", lambda found: bool(found["jobs"]) and found["jobs"][0]["status"] == "running")

    process.send_signal(signal.SIGINT)
    said = await ended(process)

    assert said.exit == Exit.INTERRUPTED
    job = page["jobs"][0]["id"]
    assert f"Job {job} is" in said.err
    assert "cancel" in said.err
    assert "Traceback" not in said.err
    await api.until(f"/jobs/{job}", lambda found: found["status"] == "cancelled")


async def test_a_master_that_goes_away_for_good_is_given_up_and_the_job_named(
    api: Api, cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(running, "PATIENCE_S", 0.0)
    api.local.behave(until(asyncio.Event()))
    await api.service.library.create(grey())
    command = asyncio.create_task(cli.run("run", "grey", "--no-cache", "--out", str(tmp_path), "--json"))
    page = await api.until("/jobs", lambda found: bool(found["jobs"]) and found["jobs"][0]["status"] == "running")

    await api.http.server.close()
    said = await command

    assert said.exit == Exit.UNREACHABLE
    assert said.document["error"]["code"] == "master_unreachable"
    assert page["jobs"][0]["id"] in said.document["error"]["message"]


async def test_what_comes_damaged_is_not_kept(api: Api, cli: Cli, tmp_path: Path) -> None:
    await api.service.library.create(grey())
    await cli.ok("run", "grey", "--out", str(tmp_path / "first"))
    content = png(8, 8, 0)
    stored = api.service.artifacts.root / hashlib.sha256(content).hexdigest()[:2] / hashlib.sha256(content).hexdigest()
    stored.write_bytes(content[:-1] + b"?")

    said = await cli.run("run", "grey", "--out", str(tmp_path / "second"))

    assert said.exit == Exit.JOB_FAILED
    assert list((tmp_path / "second").iterdir()) == []


@pytest.mark.parametrize("name", ["Grey / dark", "Grau ⅓ – schön?", "100% grey#1"])
async def test_any_name_finds_its_definition(api: Api, cli: Cli, name: str) -> None:
    stored = await api.service.library.create(grey(name))
    answer = (await cli.ok("run", stored.name, "--json", "--detach")).document
    assert answer["definition"] == stored.id


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no broken pipes")
async def test_a_reader_that_has_enough_ends_it_quietly(api: Api, cli: Cli) -> None:
    await api.service.library.create(grey())
    reading, writing = os.pipe()
    os.close(reading)
    try:
        process = await cli.start("definitions", stdout=writing)
        said = await ended(process)
    finally:
        os.close(writing)
    assert (said.exit, said.err) == (Exit.OUTPUT_CLOSED, "")
