"""``dev.py check``: everything that is quick. All checks run, whatever fails before them."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tools.devtools.front_end import environment, npm
from tools.devtools.paths import ROOT, VENV, venv_python


@dataclass(frozen=True)
class Check:
    """One command and what it is called in the summary."""

    name: str
    command: Sequence[str]


def checks(root: Path = ROOT) -> list[Check]:
    """Return the checks that this working tree has something for."""
    python = str(venv_python(VENV))
    found = [
        Check("ruff check", (python, "-m", "ruff", "check", ".")),
        Check("ruff format", (python, "-m", "ruff", "format", "--check", ".")),
        Check("mypy", (python, "-m", "mypy")),
        Check("layers", (python, "-c", "from importlinter.cli import lint_imports_command as lint; lint()")),
        Check("unit tests", (python, "-m", "pytest", "-q", "tests/unit")),
    ]
    if (root / "js" / "package.json").is_file():
        found += [
            Check("typescript", npm("run", "--silent", "typecheck")),
            Check("eslint", npm("run", "--silent", "lint")),
            Check("vitest", npm("run", "--silent", "test")),
        ]
    return found


def run_checks(selected: Sequence[Check], root: Path = ROOT) -> int:
    """Run checks, show the output of those that fail, then one line each. Returns 0 if all passed, else 1."""
    summary: list[str] = []
    failed = False
    for check in selected:
        started = time.monotonic()
        code, output = _run(check, root)
        failed = failed or code != 0
        if code:
            print(f"--- {check.name}\n{output.rstrip()}\n", flush=True)
        summary.append(f"{'FAILED' if code else 'ok':<7}{check.name} ({time.monotonic() - started:.1f} s)")
    if summary:
        print("\n".join(summary), flush=True)
    return 1 if failed else 0


def _run(check: Check, root: Path) -> tuple[int, str]:
    try:
        done = subprocess.run(
            check.command,
            cwd=root,
            env={**environment(), "PYTHONUTF8": "1"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            check=False,
        )
    except FileNotFoundError as error:
        return 127, f"{error.filename} is not installed."
    return done.returncode, done.stdout.decode(errors="replace")
