"""The command line: what can be asked for."""

from __future__ import annotations

import argparse
import math
import os
from collections.abc import Callable, Mapping, Sequence
from typing import TypeAlias

DEFAULT_MASTER = "http://127.0.0.1:8188"
VARIABLE = "ORCHESTRATOR_URL"
TOKEN_VARIABLE = "ORCHESTRATOR_AGENT_TOKEN"
STATUSES = ("queued", "dispatched", "running", "lost", "waiting", "cancelling", "succeeded", "failed", "cancelled")

_Add: TypeAlias = Callable[[str, str], argparse.ArgumentParser]
"""Adds a command of a name and with an explanation."""

_EPILOG = """exit codes:
  0  done
  1  the job failed or was cancelled, or its result is lost
  2  the command line, a file or a value cannot be used
  3  the master cannot be reached, is no orchestrator, or cannot work now
  130  interrupted with Ctrl-C; a job that was waited for has been cancelled
"""


def parse(arguments: Sequence[str], environment: Mapping[str, str] = os.environ) -> argparse.Namespace:
    """Return the parsed command line; exits with code 2 and a message where it cannot be used."""
    return _parser(environment).parse_args(arguments)


def _parser(environment: Mapping[str, str]) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m comfy_orchestrator_nodes",
        description="Runs and converts ComfyUI workflows from the command line.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    common = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    common.add_argument(
        "--master",
        metavar="URL",
        default=environment.get(VARIABLE) or DEFAULT_MASTER,
        help=f"the ComfyUI with the Orchestrator (default: ${VARIABLE}, else {DEFAULT_MASTER})",
    )
    common.add_argument("--json", action="store_true", help="print one JSON document for scripts, errors included")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)

    def add(name: str, text: str) -> argparse.ArgumentParser:
        return commands.add_parser(name, help=text, description=text, parents=[common], allow_abbrev=False)

    _add_file_commands(add)
    _add_farm_commands(add)
    _add_run(add("run", "Run a definition of the library on the best backend and fetch its results."))
    return parser


def _add_file_commands(add: _Add) -> None:
    convert = add("convert", "Convert a workflow to a prompt in API format, exactly as ComfyUI's front end does.")
    inspect = add("inspect", "Say what a file holds: inputs and outputs that can be exposed, what it needs.")
    for command in (convert, inspect):
        command.add_argument("file", metavar="FILE", help="JSON, PNG, WebP, JPEG, FLAC, MP3, MP4, WebM; - for stdin")
        command.add_argument(
            "--object-info",
            metavar="URL|FILE",
            help="what the nodes are: a ComfyUI's address, or a saved answer of its /object_info (default: the master)",
        )
    convert.add_argument("--out", metavar="FILE", help="where to write it (default: standard output)")
    take = add("import", "Put a workflow, or definitions exported from a library, into the library.")
    take.add_argument("file", metavar="FILE", help="any file that 'inspect' understands, or one made by 'export'")
    take.add_argument("--name", help="what a workflow is called in the library (default: as its file)")
    take.add_argument(
        "--on-conflict",
        choices=("refuse", "new_version", "new_id"),
        default="refuse",
        help="what to do with an exported definition whose id is taken by other content (default: refuse)",
    )
    take.add_argument(
        "--embedded", action="store_true", help="not the workflow itself, but the definitions that it carries"
    )
    export = add("export", "Write a definition, with those that it runs, to one file for another library.")
    export.add_argument("definition", metavar="DEFINITION", help="its id or name")
    export.add_argument("--version", type=_positive, help="which version (default: the latest)")
    export.add_argument("--out", metavar="FILE", help="where to write it (default: standard output)")


def _add_farm_commands(add: _Add) -> None:
    add("backends", "List the backends: state, queue, devices.")
    add_backend = add("add-backend", "Register another ComfyUI.")
    add_backend.add_argument("name", metavar="NAME", help="what it is called")
    add_backend.add_argument("url", metavar="URL", help="such as http://192.168.1.5:8188")
    add_backend.add_argument("--tag", action="append", default=[], help="may be given several times")
    edit_backend = add("edit-backend", "Give a backend's agent another token.")
    edit_backend.add_argument("name", metavar="BACKEND", help="its name or id")
    for command, needed in ((add_backend, False), (edit_backend, True)):
        command.add_argument(
            "--agent-token",
            metavar="FILE",
            required=needed,
            help="a file that holds the token of the agent there, - for stdin, or env for "
            f"${TOKEN_VARIABLE}: everybody on this machine could read it in the command line itself",
        )
    definitions = add("definitions", "List the library.")
    definitions.add_argument("search", metavar="WORD", nargs="*", help="only those that hold each of these words")
    definitions.add_argument("--tag", help="only those with this tag")
    jobs = add("jobs", "List jobs, the newest first, or tell one job's story.")
    jobs.add_argument("job", metavar="JOB", nargs="?", help="id of one job")
    jobs.add_argument("--status", action="append", choices=STATUSES, default=[], help="may be given several times")
    jobs.add_argument("--definition", help="only jobs of this definition (id)")
    jobs.add_argument("--limit", type=_limit, default=20, help="how many at most, up to 500 (default: 20)")
    cancel = add("cancel", "Cancel jobs.")
    cancel.add_argument("job", metavar="JOB", nargs="+", help="ids of jobs")


def _add_run(run: argparse.ArgumentParser) -> None:
    run.add_argument("definition", metavar="DEFINITION", help="its id or name in the library")
    run.add_argument(
        "--set",
        action="append",
        metavar="NAME=VALUE",
        default=[],
        help="a parameter's value; may be given several times",
    )
    run.add_argument(
        "--set-file", action="append", metavar="NAME=FILE", default=[], help="a text parameter's value, from a file"
    )
    run.add_argument(
        "--image",
        action="append",
        metavar="NAME=FILE",
        default=[],
        help="a file for an image, mask, latent, audio or video parameter; the same name again makes a batch",
    )
    run.add_argument("--out", metavar="DIR", default=".", help="where results are saved (default: here)")
    run.add_argument("--output", action="append", metavar="NAME", help="only this output; may be given several times")
    run.add_argument("--version", type=_positive, help="which version (default: the latest)")
    run.add_argument("--backend", default="auto", help="auto, a backend's name or id, or tag:NAME (default: auto)")
    run.add_argument("--attempts", type=_positive, help="how often to try (default: as the workflow says)")
    run.add_argument("--time-limit", type=_seconds, metavar="SECONDS", help="let it fail after this time")
    run.add_argument("--no-cache", action="store_true", help="run it even if the same was run before")
    run.add_argument("--detach", action="store_true", help="print the job's id and do not wait for it")


def _positive(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError("must be at least 1")
    return value


def _limit(text: str) -> int:
    value = _positive(text)
    if value > 500:
        raise argparse.ArgumentTypeError("must be at most 500")
    return value


def _seconds(text: str) -> float:
    value = float(text)
    if not math.isfinite(value) or value <= 0:
        raise argparse.ArgumentTypeError("must be a number above 0")
    return value
