from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tools.devtools.agent_pack import AGENT_PACK_NAME, write_agent_pack
from tools.devtools.failure import DevError


def test_the_pack_holds_all_that_a_pack_needs_and_nothing_of_the_master(tmp_path: Path) -> None:
    target = write_agent_pack(tmp_path)
    assert {path.name for path in target.iterdir()} == {
        *("__init__.py", "agent", "pyproject.toml", "requirements.txt", "README.md", "LICENSE"),
    }
    sources = [path.read_text(encoding="utf-8") for path in (target / "agent").rglob("*.py")]
    assert sources
    assert not any("comfy_orchestrator_nodes import" in text or "from ..." in text for text in sources)


# A pack's own __init__ needs ComfyUI; what it is made of is imported below a package that does not run it.
IMPORT = """
import importlib, sys, types
pack = types.ModuleType("renamed")
pack.__path__ = [sys.argv[1]]
sys.modules["renamed"] = pack
for name in ("wire", "blob_routes", "introduction", "stalls", "values", "nodes"):
    importlib.import_module("renamed.agent." + name)
"""


def test_it_imports_under_another_name(tmp_path: Path) -> None:
    subprocess.run([sys.executable, "-c", IMPORT, str(write_agent_pack(tmp_path))], cwd=tmp_path, check=True)


def test_writing_it_again_replaces_it(tmp_path: Path) -> None:
    (write_agent_pack(tmp_path) / "left_over.py").touch()
    assert not (write_agent_pack(tmp_path) / "left_over.py").exists()


def test_something_else_of_that_name_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / AGENT_PACK_NAME).mkdir()
    (tmp_path / AGENT_PACK_NAME / "mine.txt").touch()
    with pytest.raises(DevError, match="was not written by this command"):
        write_agent_pack(tmp_path)
    assert (tmp_path / AGENT_PACK_NAME / "mine.txt").exists()
