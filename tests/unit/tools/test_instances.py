"""The care of processes, shown with a main.py that answers like ComfyUI but starts in a moment."""

from __future__ import annotations

import signal
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.processes import is_gone, left_after
from tools.devtools.environments import ComfyUI
from tools.devtools.failure import DevError
from tools.devtools.instances import Farm, Instance, InstanceDied, Spec
from tools.devtools.paths import ROOT

SERVER = """
import json
import sys
from http.server import BaseHTTPRequestHandler, HTTPServer

class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(json.dumps({"system": {"argv": sys.argv}}).encode())

    def log_message(self, *_):
        pass

if "--fail" in sys.argv:
    sys.exit("no such device")
print("arguments:", *sys.argv[1:], flush=True)
server = HTTPServer(("127.0.0.1", int(sys.argv[sys.argv.index("--port") + 1])), Handler)
try:
    server.serve_forever()
except KeyboardInterrupt:
    print("stopped in order", flush=True)
"""

PARENT = """
import sys, threading
from pathlib import Path
from tools.devtools.environments import ComfyUI
from tools.devtools.instances import Farm, Spec
farm = Farm(ComfyUI(Path(sys.argv[1]), Path(sys.executable), provided=False), Path(sys.argv[1]) / "farm")
running, frozen = farm.start(Spec("running"), Spec("frozen"))
pids = [running.pid, frozen.pid]
frozen.sigstop()
print(*pids, flush=True)
threading.Event().wait()
"""

TIMEOUT_S = 30.0

posix_only = pytest.mark.skipif(sys.platform == "win32", reason="Windows cannot freeze a process")


@pytest.fixture
def source(tmp_path: Path) -> Path:
    (tmp_path / "main.py").write_text(SERVER)
    return tmp_path


@pytest.fixture
def farm(source: Path) -> Iterator[Farm]:
    with Farm(ComfyUI(source, Path(sys.executable), provided=False), source / "farm") as farm:
        yield farm


def answers(instance: Instance, timeout_s: float = 2.0) -> bool:
    try:
        with urllib.request.urlopen(instance.url, timeout=timeout_s):
            return True
    except OSError:
        return False


def test_instances_started_together_have_folders_and_ports_of_their_own(farm: Farm) -> None:
    a, b = farm.plain("a", "b")
    assert answers(a)
    assert answers(b)
    assert a.url != b.url
    assert f"--base-directory {a.directory}" in a.log_tail()
    assert {p.name for p in a.directory.iterdir() if p.is_dir()} >= {"custom_nodes", "input", "output", "temp", "user"}


def test_asking_again_gives_the_instance_that_runs(farm: Farm) -> None:
    (first,) = farm.plain("a")
    pid = first.pid
    (again,) = farm.plain("a")
    assert again is first
    assert again.pid == pid


def test_a_killed_instance_comes_back_at_its_url_when_asked_for(farm: Farm) -> None:
    (instance,) = farm.plain("a")
    url = instance.url
    instance.kill()
    assert not instance.alive
    assert not answers(instance)
    farm.plain("a")
    assert instance.url == url
    assert answers(instance)


def test_a_stopped_instance_ends_in_order(farm: Farm) -> None:
    (instance,) = farm.plain("a")
    instance.stop()
    assert not instance.alive
    assert instance.log_tail().endswith("stopped in order")


def test_a_restart_keeps_the_url_and_changes_the_process(farm: Farm) -> None:
    (instance,) = farm.plain("a")
    url, pid = instance.url, instance.pid
    instance.restart()
    assert instance.url == url
    assert instance.pid != pid
    assert answers(instance)


def test_an_instance_that_dies_before_it_is_ready_shows_its_log(farm: Farm) -> None:
    with pytest.raises(InstanceDied, match="no such device"):
        farm.start(Spec("a", arguments=("--fail",)))


def test_a_port_that_another_program_took_is_exchanged_at_the_first_start(farm: Farm, source: Path) -> None:
    (other,) = farm.plain("other")
    comfyui = ComfyUI(source, Path(sys.executable), provided=False)
    taken = Instance(comfyui, Spec("late"), source / "late", set())
    taken.directory.mkdir()
    taken._port = other.port
    taken.spawn()
    try:
        taken.wait_ready()
        assert taken.port != other.port
        assert answers(taken)
    finally:
        taken.kill()


def test_a_name_stands_for_one_kind_of_instance(farm: Farm) -> None:
    farm.plain("a")
    with pytest.raises(DevError, match="of another kind"):
        farm.start(Spec("a", arguments=("--verbose",)))


@posix_only
def test_a_frozen_instance_answers_again_when_thawed(farm: Farm) -> None:
    (instance,) = farm.plain("a")
    instance.sigstop()
    assert not answers(instance, timeout_s=0.2)
    instance.sigcont()
    assert answers(instance)


@posix_only
def test_a_frozen_instance_can_be_stopped(farm: Farm) -> None:
    (instance,) = farm.plain("a")
    instance.sigstop()
    instance.stop()
    assert not instance.alive


def test_a_closed_farm_leaves_neither_processes_nor_folders(farm: Farm) -> None:
    pids = [instance.pid for instance in farm.plain("a", "b")]
    farm.close()
    assert left_after([pid for pid in pids if pid], TIMEOUT_S) == []
    assert not farm.directory.exists()


@posix_only
def test_no_instance_outlives_a_parent_that_is_killed(source: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", PARENT, source], cwd=ROOT, stdout=subprocess.PIPE) as parent:
        assert parent.stdout is not None
        pids = [int(pid) for pid in parent.stdout.readline().split()]
        assert len(pids) == 2
        assert not any(is_gone(pid) for pid in pids)
        parent.send_signal(signal.SIGKILL)
    assert left_after(pids, TIMEOUT_S) == []
