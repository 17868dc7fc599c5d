"""Run by ComfyUI Manager after it has put the pack in place: builds the front end where it did not come with the pack.

The registry's archive holds the built front end, a clone does not. Nothing here can fail an installation: without
Node.js the nodes work all the same, and ComfyUI's log says what to do. Uses the standard library only.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent
STEP_TIMEOUT_S = 600


def main() -> int:
    """Build ``web/orchestrator.js`` if it is missing and can be built. Always returns 0."""
    if (ROOT / "web" / "orchestrator.js").is_file():
        return 0
    problem = build(ROOT / "js")
    if problem:
        print(f"ComfyUI Orchestrator: the nodes work, but there is no front end. {problem}")
    else:
        print("ComfyUI Orchestrator: the front end is built.")
    return 0


def build(source: Path) -> str:
    """Build the front end. Returns what keeps it from being built and how to mend that, or an empty string."""
    if not (source / "package-lock.json").is_file():
        return "Its source is not here either: install the pack again, from the registry or by git."
    npm = shutil.which("npm")
    if npm is None:
        return "Install Node.js 20.19 or newer from https://nodejs.org and run 'python install.py' in this folder."
    for step in (["ci", "--no-audit", "--no-fund"], ["run", "build"]):
        command = [npm, "--prefix", str(source), *step]
        try:
            done = subprocess.run(command, capture_output=True, check=False, timeout=STEP_TIMEOUT_S)
        except (OSError, subprocess.TimeoutExpired) as error:
            return f"'{' '.join(command)}' did not work: {error}"
        if done.returncode:
            output = (done.stdout + done.stderr).decode(errors="replace").strip()
            return f"'{' '.join(command)}' failed:\n{output[-2000:]}"
    return ""


if __name__ == "__main__":
    sys.exit(main())
