"""Rules about imports that import-linter and ruff cannot express."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "comfy_orchestrator_nodes"
MODULES = sorted(PACKAGE.rglob("*.py"))

# Modules of ComfyUI itself, and torch: only there when ComfyUI runs the pack.
NEED_COMFYUI = (
    "comfy_orchestrator_nodes/nodes/",
    "comfy_orchestrator_nodes/extension",
    "comfy_orchestrator_nodes/agent/pack.py",
)

IMPORT_ALL = """
import importlib, sys
for name in sys.argv[1:]:
    importlib.import_module(name)
print(*sorted(sys.modules.keys() & {"torch", "server", "folder_paths", "comfy", "nodes"}))
"""


def absolute_imports_of_the_package(source: str) -> list[int]:
    """Return the lines that import the package by its own name."""
    name = PACKAGE.name
    lines = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ImportFrom):
            names = [node.module or ""] if node.level == 0 else []
        elif isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        else:
            continue
        lines += [node.lineno for imported in names if imported.split(".")[0] == name]
    return lines


def test_an_absolute_import_of_the_package_is_seen() -> None:
    assert absolute_imports_of_the_package("import comfy_orchestrator_nodes.domain\nfrom . import errors\n") == [1]
    assert absolute_imports_of_the_package("\nfrom comfy_orchestrator_nodes import errors\n") == [2]


@pytest.mark.parametrize("module", MODULES, ids=lambda m: m.relative_to(PACKAGE).as_posix())
def test_the_package_imports_itself_relatively_because_comfyui_renames_it(module: Path) -> None:
    assert absolute_imports_of_the_package(module.read_text(encoding="utf-8")) == []


def test_all_but_nodes_and_extension_imports_without_comfyui_and_without_torch() -> None:
    paths = [m.relative_to(ROOT) for m in MODULES if not m.relative_to(ROOT).as_posix().startswith(NEED_COMFYUI)]
    names = [".".join(p.with_suffix("").parts).removesuffix(".__init__") for p in paths]
    done = subprocess.run(
        [sys.executable, "-c", IMPORT_ALL, *names], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.stderr == ""
    assert done.stdout.split() == []
