"""Where things are on a developer's machine. Everything that dev.py makes lives in two ignored folders."""

from __future__ import annotations

import os
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
"""The repository."""

VENV = ROOT / ".venv"
"""The environment of the tests and checks."""

DEV = ROOT / ".dev"
"""Everything else: the real ComfyUI, its environment, instances, logs, stamps."""

PACK_NAME = "comfyui-orchestrator"
"""The folder name under custom_nodes, as ComfyUI Manager would choose it."""


def venv_python(venv: Path) -> Path:
    """Return the interpreter of a virtual environment on this operating system."""
    return venv / "Scripts" / "python.exe" if os.name == "nt" else venv / "bin" / "python"
