from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tools.devtools.paths import ROOT
from tools.devtools.scratch import scratch

OWNER = """
import sys
from pathlib import Path
from tools.devtools.scratch import scratch
with scratch("killed", Path(sys.argv[1])) as folder:
    (folder / "file").touch()
    print(folder, flush=True)
    sys.stdin.read()
"""


def folders(home: Path) -> list[Path]:
    return [path for path in home.iterdir() if path.is_dir()]


def test_a_folder_is_there_during_a_run_and_gone_after_it(tmp_path: Path) -> None:
    with scratch("run", tmp_path) as folder:
        assert folders(tmp_path) == [folder]
    assert [path.name for path in tmp_path.iterdir()] == ["scratch.lock"]


def test_a_folder_of_a_killed_run_goes_with_the_next_run_and_not_before(tmp_path: Path) -> None:
    command = [sys.executable, "-c", OWNER, str(tmp_path)]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as owner:
        assert owner.stdout is not None
        kept = Path(owner.stdout.readline().strip())
        with scratch("beside", tmp_path) as beside:
            assert set(folders(tmp_path)) == {kept, beside}
        owner.kill()
    assert folders(tmp_path) == [kept]
    with scratch("next", tmp_path) as after:
        assert folders(tmp_path) == [after]
