"""The command line of dev.py."""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from types import FrameType
from typing import NoReturn

from tools.devtools.agent_pack import write_agent_pack
from tools.devtools.checks import checks, run_checks
from tools.devtools.demo import run_demo
from tools.devtools.environments import MORE_FRONT_ENDS, find_comfyui, front_end, set_up
from tools.devtools.failure import DevError
from tools.devtools.instances import Farm, Spec
from tools.devtools.lock import exclusive
from tools.devtools.pack import Install
from tools.devtools.paths import DEV, ROOT, VENV, venv_python
from tools.devtools.scratch import scratch

KINDS = {"plain": Install.NOTHING, "pack": Install.LINK, "copy": Install.COPY, "agent": Install.AGENT}


def main(arguments: Sequence[str]) -> int:
    """Run one command. Returns the exit status: 0 when all is well, 1 when not, 130 after Ctrl-C."""
    parser = _parser()
    options, extra = parser.parse_known_args(list(arguments))
    if extra and options.command != "test":
        parser.error(f"unrecognized arguments: {' '.join(extra)}")
    signal.signal(signal.SIGTERM, _leave)
    try:
        return _run(options, extra)
    except DevError as error:
        print(f"\n{error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="dev.py", description="Sets up what is missing, then does one thing.")
    commands = parser.add_subparsers(dest="command", required=True, metavar="command")
    demo = commands.add_parser("demo", help="two workflows on real servers: a master and two peers")
    demo.add_argument("--keep", action="store_true", help="leave it all running, until Ctrl-C")
    test = commands.add_parser("test", help="all checks and all tests; arguments for pytest choose tests instead")
    test.add_argument("--all", action="store_true", help="the whole matrix")
    commands.add_parser("check", help="style, types, layers and unit tests")
    bench = commands.add_parser("bench", help="measure; each benchmark beside its floor")
    bench.add_argument("names", nargs="*", metavar="NAME", help="which (default: all)")
    bench.add_argument("--json", type=Path, metavar="FILE", help="also write the results there")
    agent = commands.add_parser("agent-pack", help="write the agent as a pack of its own, for a peer's custom_nodes")
    agent.add_argument(
        "directory", nargs="?", type=Path, default=Path(), metavar="DIR", help="where to (default: here)"
    )
    chaos = commands.add_parser("chaos", help="jobs on real servers that are killed, frozen and cut off at random")
    chaos.add_argument("--minutes", type=float, default=10.0, metavar="M", help="for how long (default: 10)")
    comfyui = commands.add_parser("comfyui", help="start real ComfyUIs by hand; Ctrl-C stops them")
    comfyui.add_argument(
        "instances",
        nargs="*",
        type=instance_spec,
        default=[Spec("master", Install.LINK), Spec("peer")],
        metavar="NAME[=KIND]",
        help="KIND is plain, pack (a link to this working tree), copy or agent (default: master=pack peer=plain)",
    )
    comfyui.add_argument("--front-end", choices=MORE_FRONT_ENDS, help="serve this one instead of ComfyUI's own")
    return parser


def instance_spec(text: str) -> Spec:
    """Parse ``NAME`` or ``NAME=KIND``.

    Raises:
        argparse.ArgumentTypeError: the kind is unknown, or the name is not one for a folder.
    """
    name, _, kind = text.partition("=")
    if not name.replace("-", "").replace("_", "").isalnum():
        raise argparse.ArgumentTypeError(f"{name!r} is not a name: use letters, digits, - and _")
    if kind and kind not in KINDS:
        raise argparse.ArgumentTypeError(f"{kind!r} is not a kind: use {', '.join(KINDS)}")
    return Spec(name, KINDS[kind or "plain"])


def _run(options: argparse.Namespace, extra: Sequence[str]) -> int:
    if options.command == "check":
        set_up(comfyui=False)
        return run_checks(checks())
    if options.command == "agent-pack":
        print(f"Written: {write_agent_pack(options.directory)}")
        return 0
    chosen = getattr(options, "front_end", None)
    set_up(comfyui=True, front_ends=MORE_FRONT_ENDS if options.command == "test" else (chosen,) if chosen else ())
    if options.command == "test":
        return _test(matrix=options.all, pytest_arguments=extra)
    if options.command == "bench":
        to_file = ["--json", str(options.json.resolve())] if options.json else []
        return _hand_over("-m", "tools.devtools.bench", *to_file, *options.names)
    if options.command == "chaos":
        return _hand_over("-m", "tools.devtools.chaos", "--minutes", str(options.minutes))
    if options.command == "demo":
        return _demo(keep=options.keep)
    return _comfyui(options.instances, options.front_end)


def _test(*, matrix: bool, pytest_arguments: Sequence[str]) -> int:
    """Run every check and every test; with arguments for pytest, only what they choose."""
    chosen = [check for check in checks() if check.name != "unit tests"] if not pytest_arguments else []
    checked = run_checks(chosen)
    pytest = ["-m", "pytest", *(["--matrix"] if matrix else []), *pytest_arguments]
    if checked == 0:
        return _hand_over(*pytest)
    return subprocess.call([venv_python(VENV), *pytest], cwd=ROOT) or checked


def _hand_over(*arguments: str) -> int:
    """Go on in the project's environment, in the repository's folder."""
    os.chdir(ROOT)
    command = [str(venv_python(VENV)), *arguments]
    if os.name == "nt":
        return subprocess.call(command)
    sys.stdout.flush()
    sys.stderr.flush()
    return os.execv(command[0], command)  # the same process: who kills this one kills that


def _comfyui(specs: Sequence[Spec], version: str | None) -> int:
    """Run instances until Ctrl-C, or until one of them ends. Their folders stay for the next time."""
    more = ("--front-end-root", str(front_end(version))) if version else ()
    home = DEV / "instances" / "by-hand"
    with ExitStack() as held:
        for spec in specs:
            held.enter_context(exclusive(home / f"{spec.name}.lock", partial(_refuse_second, spec.name)))
        farm = held.enter_context(Farm(find_comfyui(), home, keep=True))
        print(f"Starting {', '.join(spec.name for spec in specs)} …", flush=True)
        instances = farm.start(*(Spec(s.name, s.install, more) for s in specs))
        for instance in instances:
            print(f"  {instance.name}: {instance.url}   log: {instance.log_path}", flush=True)
        print("Ctrl-C stops them.", flush=True)
        farm.watch()


def _demo(*, keep: bool) -> int:
    """Run the demo on a master with this pack and two peers, one of them plain."""
    with scratch("demo") as folder, Farm(find_comfyui(), folder) as farm:
        print("Starting a master, a plain peer and a peer with the pack …", flush=True)
        master, *peers = farm.start(Spec("master", Install.LINK), Spec("plain-peer"), Spec("pack-peer", Install.LINK))
        run_demo(master, peers)
        if keep:
            print(f"\nOpen {master.url} in a browser. Ctrl-C stops everything.", flush=True)
            farm.watch()
    return 0


def _refuse_second(name: str) -> NoReturn:
    raise DevError(f"An instance {name!r} runs already, in another terminal. Choose another name.")


def _leave(_signal: int, _frame: FrameType | None) -> NoReturn:
    sys.exit(143)
