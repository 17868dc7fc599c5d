from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from comfy_orchestrator_nodes.errors import StoreError, StoreInUse
from comfy_orchestrator_nodes.store.lock import StoreLock

HOLDER = """
import sys, pathlib
sys.path.insert(0, sys.argv[2])
from comfy_orchestrator_nodes.errors import StoreInUse
from comfy_orchestrator_nodes.store.lock import StoreLock
try:
    lock = StoreLock.acquire(pathlib.Path(sys.argv[1]), port=8190)
except StoreInUse as error:
    print("refused", error, flush=True)
else:
    print("held", flush=True)
    sys.stdin.read()
"""

Start = Callable[[], "subprocess.Popen[str]"]


@pytest.fixture
def start(path: Path) -> Iterator[Start]:
    """Start another process that takes the lock and keeps it until its input ends."""
    started: list[subprocess.Popen[str]] = []

    def start() -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, "-c", HOLDER, str(path), str(Path(__file__).parents[3])],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()


def said(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


def test_a_second_process_is_told_who_holds_the_store(path: Path, start: Start) -> None:
    holder = start()
    assert said(holder) == "held"
    with pytest.raises(StoreInUse) as caught:
        StoreLock.acquire(path, port=8188)
    assert f"(process {holder.pid}, port 8190)" in str(caught.value)
    assert str(path) in str(caught.value)
    assert caught.value.details()["holder"] == {"pid": holder.pid, "port": 8190}


def test_this_process_keeps_another_one_out_until_it_releases(path: Path, start: Start) -> None:
    lock = StoreLock.acquire(path, port=8188)
    assert said(start()).startswith(f"refused The orchestrator's database {path} is in use by another ComfyUI")
    lock.release()
    assert said(start()) == "held"


def test_the_lock_goes_with_a_process_that_is_killed(path: Path, start: Start) -> None:
    holder = start()
    assert said(holder) == "held"
    holder.kill()
    holder.wait()
    lock = StoreLock.acquire(path, port=8188)
    assert said(start()) == f"refused {held_message(path, os.getpid(), 8188)}"
    lock.release()


def held_message(path: Path, pid: int, port: int) -> str:
    with pytest.raises(StoreInUse) as caught:
        StoreLock.acquire(path, port=1)
    assert f"(process {pid}, port {port})" in str(caught.value)
    return str(caught.value)


def test_the_lock_is_not_handed_down_to_child_processes(path: Path) -> None:
    lock = StoreLock.acquire(path, port=8188)
    with subprocess.Popen([sys.executable, "-c", "import sys; sys.stdin.read()"], stdin=subprocess.PIPE) as child:
        lock.release()
        StoreLock.acquire(path, port=8188).release()
        child.communicate(b"")


def test_one_process_cannot_hold_it_twice(path: Path) -> None:
    lock = StoreLock.acquire(path, port=8188)
    with pytest.raises(StoreInUse):
        StoreLock.acquire(path, port=8189)
    lock.release()
    lock.release()
    StoreLock.acquire(path, port=8188).release()


def test_the_other_master_s_lock_on_another_folder_does_not_matter(path: Path, tmp_path: Path) -> None:
    lock = StoreLock.acquire(path, port=8188)
    other = StoreLock.acquire(tmp_path / "other" / path.name, port=8189)
    other.release()
    lock.release()


def test_a_holder_that_wrote_nothing_readable_is_still_a_holder(path: Path) -> None:
    lock = StoreLock.acquire(path, port=8188)
    lock.path.write_text("scribble")
    with pytest.raises(StoreInUse, match=r"in use by another ComfyUI\. "):
        StoreLock.acquire(path, port=8189)
    lock.release()


def test_a_lock_file_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("a file")
    with pytest.raises(StoreError, match=r"lock file .* cannot be opened"):
        StoreLock.acquire(tmp_path / "taken" / "store.sqlite3", port=8188)
