"""The command line of dev.py."""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from tools.devtools.checks import checks, run_checks
from tools.devtools.environments import find_comfyui, second_front_end, set_up
from tools.devtools.failure import DevError
from tools.devtools.instances import Farm, Spec
from tools.devtools.pack import Install
from tools.devtools.paths import DEV, ROOT, VENV, venv_python

KINDS = {"plain": Install.NOTHING, "pack": Install.LINK, "copy": Install.COPY}
WATCH_S = 0.5


def main(arguments: Sequence[str]) -> int:
    """Run one command. Returns the exit status: 0 when all is well, 1 when not, 130 after Ctrl-C."""
    options, extra = _parser().parse_known_args(list(arguments))
    if extra and options.command != "test":
        _parser().error(f"unrecognized arguments: {' '.join(extra)}")
    signal.signal(signal.SIGTERM, _leave)
    try:
        if options.command == "check":
            set_up(comfyui=False)
            return run_checks(checks())
        if options.command == "test":
            return _test(everything=options.all, pytest_arguments=extra)
        if options.command == "comfyui":
            return _comfyui(options.instances, first_port_kind=options.front_end)
        set_up(comfyui=True)
        return _in_venv([options.command, *list(arguments)[1:]])
    except DevError as error:
        print(f"\n{error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="dev.py", description="Sets up what is missing, then does one thing.")
    commands = parser.add_subparsers(dest="command", required=True, metavar="command")
    demo = commands.add_parser("demo", help="a master and two peers run two workflows on an image")
    demo.add_argument("--keep", action="store_true", help="leave it all running and print the URL")
    test = commands.add_parser("test", help="all tests, also those on real ComfyUIs; other arguments go to pytest")
    test.add_argument("--all", action="store_true", help="the whole matrix: every seed, every front end")
    commands.add_parser("check", help="style, types, layers and unit tests")
    bench = commands.add_parser("bench", help="measure; each benchmark beside its floor")
    bench.add_argument("names", nargs="*", metavar="NAME", help="which (default: all)")
    bench.add_argument("--json", type=Path, metavar="FILE", help="also write the results there")
    comfyui = commands.add_parser("comfyui", help="start real ComfyUIs by hand; Ctrl-C stops them")
    comfyui.add_argument(
        "instances",
        nargs="*",
        default=["master=pack", "peer=plain"],
        metavar="NAME[=KIND]",
        help="KIND is plain, pack (a link to this working tree) or copy (default: master=pack peer=plain)",
    )
    comfyui.add_argument("--front-end", choices=["own", "second"], default="own", help="which front end is served")
    return parser
