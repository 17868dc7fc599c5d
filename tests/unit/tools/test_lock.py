from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tools.devtools.lock import exclusive
from tools.devtools.paths import ROOT

HOLDER = """
import sys
from pathlib import Path
from tools.devtools.lock import exclusive
with exclusive(Path(sys.argv[1]), lambda: None):
    print("held", flush=True)
    sys.stdin.read()
"""


class Waited(Exception):
    pass


def refuse() -> None:
    raise Waited


def test_a_lock_held_by_another_process_is_noticed_and_free_after_its_death(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER, path], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline().strip() == b"held"
        with pytest.raises(Waited), exclusive(path, refuse):
            pass
        holder.kill()
    with exclusive(path, refuse):
        pass


def test_a_lock_can_be_taken_again_after_it_was_left(tmp_path: Path) -> None:
    for _ in range(2):
        with exclusive(tmp_path / "new folder" / "lock", refuse):
            pass
