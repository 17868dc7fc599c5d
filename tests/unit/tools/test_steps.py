from __future__ import annotations

import io
import sys
from pathlib import Path

import pytest

from tools.devtools.failure import DevError
from tools.devtools.steps import Steps, fingerprint, remove_tree, write_atomically


@pytest.fixture
def steps(tmp_path: Path) -> Steps:
    return Steps(stamps=tmp_path / "stamps", log=tmp_path / "log.txt", out=io.StringIO())


def test_a_step_that_was_done_is_skipped(steps: Steps, tmp_path: Path) -> None:
    made = tmp_path / "made"
    for _ in range(2):
        steps.run("one", "making", "v1", made, made.touch)
    assert steps.ran == ["one"]


def test_a_step_runs_again_when_what_it_is_made_from_changes(steps: Steps, tmp_path: Path) -> None:
    made = tmp_path / "made"
    steps.run("one", "making", "v1", made, made.touch)
    steps.run("one", "making", "v2", made, made.touch)
    assert steps.ran == ["one", "one"]


def test_a_step_runs_again_when_its_result_was_deleted(steps: Steps, tmp_path: Path) -> None:
    made = tmp_path / "made"
    steps.run("one", "making", "v1", made, made.touch)
    made.unlink()
    steps.run("one", "making", "v1", made, made.touch)
    assert made.exists()


def test_an_interrupted_step_runs_again_even_if_its_old_stamp_was_right(steps: Steps, tmp_path: Path) -> None:
    made = tmp_path / "made"
    steps.run("one", "making", "v1", made, made.touch)

    def interrupted() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        steps.run("one", "making", "v2", made, interrupted)
    steps.run("one", "making", "v1", made, made.touch)
    assert steps.ran == ["one", "one"]


def test_the_borders_between_the_parts_of_a_fingerprint_count() -> None:
    assert fingerprint("ab", "c") != fingerprint("a", "bc")


def test_a_failed_command_shows_the_end_of_its_own_output_and_where_the_rest_is(steps: Steps) -> None:
    steps.command([sys.executable, "-c", "print('earlier command')"])
    with pytest.raises(DevError) as failure:
        steps.command(
            [sys.executable, "-c", "import sys; print('no space left'); sys.exit(3)"], hint="Free some space."
        )
    message = str(failure.value)
    assert "no space left" in message
    assert "earlier command" not in message
    assert message.endswith(f"{steps.log}\nFree some space.")


def test_an_atomic_write_leaves_only_the_file(tmp_path: Path) -> None:
    write_atomically(tmp_path / "deep" / "file", "new")
    assert [p.name for p in (tmp_path / "deep").iterdir()] == ["file"]
    assert (tmp_path / "deep" / "file").read_text() == "new"


def test_removing_a_link_to_a_folder_leaves_the_folder(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "folder", target_is_directory=True)
    remove_tree(tmp_path / "link")
    assert [p.name for p in tmp_path.iterdir()] == ["folder"]
