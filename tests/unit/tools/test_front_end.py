from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from tools.devtools import front_end
from tools.devtools.failure import DevError
from tools.devtools.paths import ROOT


def test_the_bundle_is_made_anew_when_a_source_or_a_text_changes(tmp_path: Path) -> None:
    for name in (
        "js/src/main.ts",
        "js/package-lock.json",
        "js/tsconfig.json",
        "js/vite.config.ts",
        "locales/en/main.json",
    ):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("before")
    before = front_end.sources_fingerprint(tmp_path)
    assert front_end.sources_fingerprint(tmp_path) == before
    (tmp_path / "locales/en/main.json").write_text("after")
    assert front_end.sources_fingerprint(tmp_path) != before


def test_without_node_it_is_said_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(front_end, "_node_folder", lambda: None)
    with pytest.raises(DevError, match=r"Node\.js 20\.19 or newer"):
        front_end.npm("ci")


def test_a_node_that_is_too_old_does_not_count(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, prints in (("node", "v18.19.0"), ("npm", "9")):
        program = tmp_path / name
        program.write_text(f"#!/bin/sh\necho {prints}\n")
        program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    monkeypatch.setattr(front_end, "_venv_programs", lambda: tmp_path / "none")
    assert front_end._node_folder() is None


def test_the_lock_file_names_no_registry() -> None:
    lock = json.loads((ROOT / "js" / "package-lock.json").read_text(encoding="utf-8"))
    assert not [name for name, package in lock["packages"].items() if "resolved" in package]


def test_every_package_is_pinned() -> None:
    package = json.loads((ROOT / "js" / "package.json").read_text(encoding="utf-8"))
    versions = {**package["dependencies"], **package["devDependencies"]}
    assert {name: v for name, v in versions.items() if not re.fullmatch(r"\d+\.\d+\.\d+", v)} == {}
