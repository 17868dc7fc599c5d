"""The other commands, and how every command ends."""

from __future__ import annotations

import io
import json
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from comfy_orchestrator_nodes.api import guard
from comfy_orchestrator_nodes.api.schemas import PREFIX
from comfy_orchestrator_nodes.cli import master as cli_master
from comfy_orchestrator_nodes.cli.arguments import STATUSES, parse
from comfy_orchestrator_nodes.cli.console import Console
from comfy_orchestrator_nodes.cli.failures import Exit
from comfy_orchestrator_nodes.domain import JobStatus
from tests.fakes.fake_comfy import FakeComfy
from tests.unit.cli.conftest import ROOT, Api, Cli
from tests.unit.library.conftest import PROMPT, WORKFLOW, grey, runner


def saved(folder: Path, value: Any, name: str = "empty.json") -> str:
    path = folder / name
    path.write_text(json.dumps(value), "utf-8")
    return str(path)


async def test_a_workflow_is_converted_by_a_servers_node_classes(api: Api, cli: Cli, tmp_path: Path) -> None:
    said = await cli.ok("convert", saved(tmp_path, WORKFLOW), "--object-info", api.local.url)

    prompt = json.loads(said.out)
    assert {id_: (node["class_type"], node["inputs"]) for id_, node in prompt.items()} == {
        id_: (node["class_type"], node["inputs"]) for id_, node in PROMPT.items()
    }


async def test_saved_node_classes_do_without_any_server(tmp_path: Path, api: Api) -> None:
    classes = {name: found.info for name, found in api.local.classes.items()}
    cli = Cli("http://127.0.0.1:9")
    said = await cli.ok(
        "convert",
        saved(tmp_path, WORKFLOW),
        "--object-info",
        saved(tmp_path, classes, "object_info.json"),
        "--out",
        str(tmp_path / "api.json"),
    )
    assert said.out == f"2 nodes written to {tmp_path / 'api.json'}\n"
    assert json.loads((tmp_path / "api.json").read_text())["1"]["inputs"]["color"] == 7


async def test_every_reason_against_a_conversion_is_told(api: Api, cli: Cli, tmp_path: Path) -> None:
    strange = json.loads(json.dumps(WORKFLOW))
    strange["nodes"][0]["type"] = "NobodyHasThis"
    said = await cli.run("convert", saved(tmp_path, strange), "--object-info", api.local.url, "--json")
    assert said.exit == Exit.BAD_INPUT
    assert said.document["error"]["code"] == "conversion_failed"
    assert "NobodyHasThis" in said.document["error"]["message"]


async def test_what_is_a_prompt_already_is_handed_through_without_any_server(tmp_path: Path) -> None:
    said = await Cli("http://127.0.0.1:9").ok("convert", saved(tmp_path, PROMPT))
    assert json.loads(said.out) == PROMPT
    assert "nothing had to be converted" in said.err


async def test_inspecting_tells_inputs_outputs_and_needs(api: Api, cli: Cli, tmp_path: Path) -> None:
    said = await cli.ok("inspect", saved(tmp_path, WORKFLOW), "--object-info", f"{api.local.url}/object_info")
    assert "a workflow (schema 0.4) of 2 nodes" in said.out
    assert "1.width" in said.out
    assert "Node classes: EmptyImage, SaveImage" in said.out

    found = (await cli.ok("inspect", saved(tmp_path, PROMPT), "--object-info", api.local.url, "--json")).document
    assert [(o["name"], o["type"], o["suggested"]) for o in found["outputs"]] == [("image", "IMAGE", True)]
    assert {p["name"] for p in found["parameters"]} >= {"width", "height", "color"}


@pytest.mark.parametrize("command", ["convert", "inspect", "import"])
async def test_a_file_without_a_workflow_is_bad_input(cli: Cli, tmp_path: Path, command: str) -> None:
    (tmp_path / "notes.json").write_text('{"shopping": ["milk"]}')
    said = await cli.run(command, str(tmp_path / "notes.json"))
    assert (said.exit, "neither a workflow" in said.err) == (Exit.BAD_INPUT, True)

    missing = await cli.run(command, str(tmp_path / "missing.json"))
    assert (missing.exit, "cannot be read: No such file" in missing.err) == (Exit.BAD_INPUT, True)


async def test_backends_are_listed_with_their_state(api: Api, cli: Cli) -> None:
    async with FakeComfy() as fake:
        await api.add_backend(fake, "workshop")
        said = await cli.ok("backends")
        found = (await cli.ok("backends", "--json")).document
    line = next(line for line in said.out.splitlines() if line.startswith("workshop"))
    assert line.split()[1:4] == ["online", "0", "0.3.75"]
    assert [backend["name"] for backend in found["backends"]][-1] == "workshop"


async def test_a_workflow_is_imported_run_and_listed(api: Api, cli: Cli, tmp_path: Path) -> None:
    said = await cli.ok("import", saved(tmp_path, WORKFLOW, "Empty image.json"))
    assert "created: empty-image v1 (Empty image)" in said.out
    assert "empty-image" in (await cli.ok("definitions", "EMPTY")).out
    assert "empty-image" not in (await cli.ok("definitions", "--tag", "other")).out

    await cli.ok("run", "empty-image", "--out", str(tmp_path / "out"))
    assert (tmp_path / "out" / "image.png").is_file()


async def test_what_is_exported_can_be_imported_again(api: Api, cli: Cli, tmp_path: Path) -> None:
    inner = await api.service.library.create(grey("Inner"))
    outer = await api.service.library.create(runner("Outer", inner.id))
    path = str(tmp_path / "outer.json")

    assert (await cli.ok("export", "Outer", "--out", path)).out == f"2 definitions written to {path}\n"
    assert json.loads((await cli.ok("export", "outer")).out) == json.loads(Path(path).read_text())
    assert "inner" in (await cli.ok("inspect", path)).out
    assert (await cli.ok("import", path)).out.count("reused") == 2

    await api.service.library.save(grey("Inner", color=9, id=inner.id))
    refused = await cli.run("import", path)
    assert (refused.exit, "'inner' with other content" in refused.err) == (Exit.BAD_INPUT, True)
    said = await cli.ok("import", path, "--on-conflict", "new_version")
    assert "new version: inner v3" in said.out
    assert outer.version == 1


async def test_cancelling_an_unknown_job_is_bad_input(cli: Cli) -> None:
    said = await cli.run("cancel", "no-such-job", "--json")
    assert (said.exit, said.document["error"]["code"]) == (Exit.BAD_INPUT, "not_found")


async def test_a_master_that_is_not_there_ends_with_3_and_says_what_to_do() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    said = await Cli(f"http://127.0.0.1:{port}").run("backends")
    assert said.exit == Exit.UNREACHABLE
    assert f"The master at http://127.0.0.1:{port} cannot be reached: no connection (" in said.err
    assert "ORCHESTRATOR_URL" in said.err


async def test_a_server_that_is_no_orchestrator_is_told_apart() -> None:
    async with TestServer(web.Application()) as other:
        said = await Cli(str(other.make_url("/"))).run("jobs", "--json")
    assert (said.exit, said.document["error"]["code"]) == (Exit.UNREACHABLE, "not_an_orchestrator")


async def test_a_master_that_is_not_ready_ends_with_3(api: Api, cli: Cli) -> None:
    api.access.close("It is being updated.")
    said = await cli.run("jobs")
    api.access.open(api.service)
    assert (said.exit, said.err) == (Exit.UNREACHABLE, "Error: It is being updated.\n")


async def test_an_address_that_is_none_is_bad_input() -> None:
    said = await Cli("ftp://somewhere").run("jobs")
    assert (said.exit, "--master 'ftp://somewhere' cannot be used" in said.err) == (Exit.BAD_INPUT, True)


@pytest.mark.parametrize(
    "command",
    [[], ["fly"], ["run"], ["jobs", "--limit", "0"], ["run", "x", "--attempts", "none"], ["jobs", "--lim", "1"]],
)
def test_a_wrong_command_line_ends_with_2(command: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        parse(command, {})
    assert ended.value.code == Exit.BAD_INPUT
    assert "usage:" in capsys.readouterr().err


def test_the_master_comes_from_the_option_the_environment_or_the_default() -> None:
    assert parse(["jobs"], {}).master == "http://127.0.0.1:8188"
    assert parse(["jobs"], {"ORCHESTRATOR_URL": "http://pc:1"}).master == "http://pc:1"
    assert parse(["jobs", "--master", "http://pc:2"], {"ORCHESTRATOR_URL": "http://pc:1"}).master == "http://pc:2"


def test_the_client_speaks_as_the_routes_expect_although_it_does_not_import_them() -> None:
    assert cli_master.HEADER == (guard.HEADER, guard.HEADER_VALUE)
    assert cli_master.PREFIX == PREFIX
    assert set(STATUSES) == {status.value for status in JobStatus}


def test_it_starts_without_anything_but_aiohttp_from_a_clone() -> None:
    program = (
        "import sys, runpy\n"
        "absent = ('torch', 'numpy', 'PIL', 'pydantic', 'aiosqlite', 'server', 'folder_paths')\n"
        "sys.modules.update(dict.fromkeys(absent))\n"
        "sys.argv = ['comfy_orchestrator_nodes', '--help']\n"
        "runpy.run_module('comfy_orchestrator_nodes', run_name='__main__')\n"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert "exit codes:" in done.stdout


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        return True


def test_a_terminal_gets_a_bar_that_leaves_nothing_behind() -> None:
    err = Terminal()
    console = Console(io.StringIO(), err)
    console.progress(None, "queued")
    console.progress(0.5, "running on a very long name")
    console.progress(1.0, "done")
    console.note("Saved.")

    shown = err.getvalue()
    assert "[############------------]  50% running on a very long name" in shown
    line = ""
    for part in shown.split("\r"):
        line = part + line[len(part) :]
    assert line.strip() == "Saved."


def test_no_message_from_afar_commands_the_terminal() -> None:
    out, err = Terminal(), Terminal()
    console = Console(out, err)
    console.text("a\x1b[2Jb")
    console.note("a\x1b]0;title\x07b\nc")
    console.progress(0.1, "a\rb\x1b[1A")
    console.table(("name",), [("x\x1b[31m\ny",)])
    assert "\x1b" not in out.getvalue() + err.getvalue()
    assert "\x07" not in err.getvalue()
    piped = io.StringIO()
    Console(piped, err).text("a\x1b[2Jb")
    assert piped.getvalue() == "a\x1b[2Jb\n"
