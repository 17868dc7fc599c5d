from __future__ import annotations

from pathlib import Path

import pytest

import install


def test_nothing_is_built_where_the_front_end_came_with_the_pack(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "web").mkdir()
    (tmp_path / "web" / "orchestrator.js").touch()
    monkeypatch.setattr(install, "ROOT", tmp_path)
    assert install.main() == 0
    assert capsys.readouterr().out == ""


def test_without_node_the_installation_succeeds_and_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "js").mkdir()
    (tmp_path / "js" / "package-lock.json").write_text("{}")
    monkeypatch.setattr(install, "ROOT", tmp_path)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert install.main() == 0
    assert "Node.js 20.19 or newer" in capsys.readouterr().out


def test_a_build_that_fails_does_not_fail_the_installation_and_shows_why(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "js").mkdir()
    (tmp_path / "js" / "package-lock.json").write_text("not JSON")
    npm = tmp_path / "npm"
    npm.write_text("#!/bin/sh\necho no such package >&2\nexit 1\n")
    npm.chmod(0o755)
    monkeypatch.setattr(install, "ROOT", tmp_path)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    assert install.main() == 0
    assert "no such package" in capsys.readouterr().out


def test_a_pack_without_its_source_says_so(tmp_path: Path) -> None:
    assert "registry or by git" in install.build(tmp_path / "js")
