from __future__ import annotations

import argparse
import re
import sys
from pathlib import Path

import pytest

from tools.devtools import interpreter
from tools.devtools.checks import Check, checks, run_checks
from tools.devtools.commands import instance_spec, main
from tools.devtools.environments import find_comfyui
from tools.devtools.failure import DevError
from tools.devtools.instances import Spec
from tools.devtools.pack import Install


def test_an_instance_is_plain_unless_told_otherwise() -> None:
    assert instance_spec("peer-1") == Spec("peer-1", Install.NOTHING)
    assert instance_spec("master=pack") == Spec("master", Install.LINK)


@pytest.mark.parametrize("text", ["", "=pack", "../up", "a/b", "peer=fast"])
def test_what_is_no_instance_is_refused(text: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError):
        instance_spec(text)


def test_an_unknown_option_is_refused_before_anything_is_set_up(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as exit_:
        main(["check", "--fast"])
    assert exit_.value.code == 2
    assert "unrecognized arguments: --fast" in capsys.readouterr().err


def test_all_checks_run_although_the_first_fails(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    failing = Check("first", (sys.executable, "-c", "import sys; print('the reason'); sys.exit(1)"))
    passing = Check("second", (sys.executable, "-c", "print('noise')"))
    assert run_checks([failing, passing], tmp_path) == 1
    shown = capsys.readouterr().out
    assert "the reason" in shown
    assert "noise" not in shown
    assert [line.split(" (")[0] for line in shown.splitlines()[-2:]] == ["FAILED first", "ok     second"]


def test_checks_that_pass_end_with_success(tmp_path: Path) -> None:
    assert run_checks([Check("only", (sys.executable, "-c", ""))], tmp_path) == 0


def test_a_missing_program_fails_its_check(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_checks([Check("npm", ("no-such-program-anywhere",))], tmp_path) == 1
    assert "no-such-program-anywhere is not installed" in capsys.readouterr().out


def test_the_front_end_is_checked_where_there_is_one(tmp_path: Path) -> None:
    before = [check.name for check in checks(tmp_path)]
    (tmp_path / "js").mkdir()
    (tmp_path / "js" / "package.json").touch()
    assert [check.name for check in checks(tmp_path)] == [*before, "typescript", "eslint", "vitest"]


def test_an_old_python_is_refused_with_its_version(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "version_info", (3, 9, 18, "final", 0))
    assert re.search(r"needs Python 3\.10 or newer.* is 3\.9\.18", interpreter.refusal() or "")


def test_the_running_python_is_accepted() -> None:
    assert interpreter.refusal() is None


def test_a_comfyui_path_without_comfyui_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("COMFYUI_PATH", str(tmp_path))
    with pytest.raises(DevError, match=r"no main\.py"):
        find_comfyui()


def test_the_users_own_comfyui_is_taken_with_its_interpreter(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "main.py").touch()
    monkeypatch.setenv("COMFYUI_PATH", str(tmp_path))
    monkeypatch.delenv("COMFYUI_PYTHON", raising=False)
    with pytest.raises(DevError, match="set COMFYUI_PYTHON"):
        find_comfyui()
    monkeypatch.setenv("COMFYUI_PYTHON", sys.executable)
    found = find_comfyui()
    assert (found.source, found.python, found.provided) == (tmp_path, Path(sys.executable), False)
