from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tools.devtools.failure import DevError
from tools.devtools.pack import Install, install_pack, published_files
from tools.devtools.paths import PACK_NAME, ROOT


def test_published_files_are_what_git_would_track_without_what_comfyignore_names(tmp_path: Path) -> None:
    subprocess.run(["git", "init", "-q", str(tmp_path)], check=True)
    for name in ("__init__.py", "tests/test_a.py", "pack/tests/kept.py", "junk.pyc"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / ".gitignore").write_text("*.pyc\n")
    (tmp_path / ".comfyignore").write_text("/tests/\n/.gitignore\n/.comfyignore\n")
    assert published_files(tmp_path) == [Path("__init__.py"), Path("pack/tests/kept.py")]


def test_what_git_ignores_and_pyproject_includes_is_published(tmp_path: Path) -> None:
    subprocess.run(["git", "init", "-q", str(tmp_path)], check=True)
    (tmp_path / ".gitignore").write_text("/built.js\n")
    (tmp_path / ".comfyignore").write_text("/.gitignore\n/.comfyignore\n")
    (tmp_path / "pyproject.toml").write_text('[tool.comfy]\nincludes = ["built.js", "not-there.js"]\n')
    (tmp_path / "built.js").touch()
    assert published_files(tmp_path) == [Path("built.js"), Path("pyproject.toml")]


def test_a_folder_without_git_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DevError, match="git cannot list"):
        published_files(tmp_path)


def test_the_pack_itself_is_published_and_its_tests_are_not() -> None:
    names = {path.parts[0] for path in published_files(ROOT)}
    assert {"comfy_orchestrator_nodes", "pyproject.toml", "requirements.txt", "LICENSE"} <= names
    assert not names & {"tests", "tools", "benchmarks", "js", ".ci", ".gitignore"}


def test_installing_nothing_takes_the_pack_away_and_leaves_the_working_tree(tmp_path: Path) -> None:
    install_pack(tmp_path, Install.LINK)
    assert (tmp_path / PACK_NAME / "pyproject.toml").samefile(ROOT / "pyproject.toml")
    install_pack(tmp_path, Install.NOTHING)
    assert list(tmp_path.iterdir()) == []
    assert (ROOT / "pyproject.toml").is_file()


def test_a_copy_replaces_a_link(tmp_path: Path) -> None:
    install_pack(tmp_path, Install.LINK)
    install_pack(tmp_path, Install.COPY)
    assert not (tmp_path / PACK_NAME).is_symlink()
    assert not (tmp_path / PACK_NAME / "tests").exists()
    assert (tmp_path / PACK_NAME / "comfy_orchestrator_nodes" / "errors.py").is_file()
