"""Real ComfyUI servers for tests, demo and benchmarks: each with directories of its own, none outliving us."""

from __future__ import annotations

import atexit
import json
import os
import shutil
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import IO, NoReturn

from tools.devtools.environments import ComfyUI
from tools.devtools.failure import DevError
from tools.devtools.pack import Install, install_pack
from tools.devtools.ports import free_port
from tools.devtools.steps import remove_tree

READY_TIMEOUT_S = 180.0
"""For a start beside several others on a slow machine; ten seconds are usual."""

STOP_TIMEOUT_S = 8.0
POLL_S = 0.1
WATCH_S = 0.5
# Windows' way of what start_new_session does elsewhere.
NEW_GROUP: int = getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0)
LAUNCHER = Path(__file__).with_name("comfyui_launcher.py")
BIND_ERRORS = ("address already in use", "errno 98", "errno 48", "10048")

# The guard of a stopped instance: at the end of its standard input it kills the process whose id it was given.
GUARD = "import os, signal, sys; sys.stdin.buffer.read(); os.kill(int(sys.argv[1]), signal.SIGKILL)"


class InstanceDied(DevError):
    """An instance ended, or did not become ready; the message holds the end of its log."""


@dataclass(frozen=True)
class Spec:
    """What an instance is. ``arguments`` are added to those of ComfyUI's main.py."""

    name: str
    install: Install = Install.NOTHING
    arguments: tuple[str, ...] = ()


class Instance:
    """One ComfyUI server on loopback, with its own input, output, temp, user, models and custom_nodes folders.

    Its URL stays the same over ``restart`` and ``kill`` + ``spawn``, as a user's PC keeps its address.
    """

    def __init__(self, comfyui: ComfyUI, spec: Spec, directory: Path, taken_ports: set[int]) -> None:
        self.spec = spec
        self.directory = directory
        self.log_path = directory / "comfyui.log"
        self._comfyui = comfyui
        self._taken_ports = taken_ports
        self._port = free_port(taken_ports)
        self._process: subprocess.Popen[bytes] | None = None
        self._guard: subprocess.Popen[bytes] | None = None
        self._was_ready = False

    @property
    def name(self) -> str:
        """The name it was given."""
        return self.spec.name

    @property
    def port(self) -> int:
        """The port it listens on."""
        return self._port

    @property
    def url(self) -> str:
        """Its base URL, without a trailing slash."""
        return f"http://127.0.0.1:{self._port}"

    @property
    def pid(self) -> int | None:
        """The process id while it runs."""
        return self._process.pid if self._process is not None and self.alive else None

    @property
    def alive(self) -> bool:
        """Whether its process exists (it may be stopped, or not ready yet)."""
        return self._process is not None and self._process.poll() is None

    def log_tail(self, lines: int = 40) -> str:
        """Return the end of what it printed."""
        if not self.log_path.is_file():
            return "(no log)"
        return "\n".join(self.log_path.read_text(encoding="utf-8", errors="replace").splitlines()[-lines:])

    def spawn(self) -> None:
        """Start the process, without waiting until it answers."""
        if self.alive:
            raise DevError(f"{self.name} runs already.")
        if self._process is not None:
            self._close_lifeline(self._process)
        self._prepare()
        environment = {k: v for k, v in os.environ.items() if not k.startswith(("PYTHON", "VIRTUAL_ENV"))}
        environment |= {"PYTHONUNBUFFERED": "1", "PYTHONFAULTHANDLER": "1", "HF_HUB_OFFLINE": "1"}
        environment.setdefault("OMP_NUM_THREADS", "1")
        with self.log_path.open("ab") as log:
            self._process = subprocess.Popen(
                self._command(),
                cwd=self.directory,
                env=environment,
                stdin=subprocess.PIPE,  # the lifeline: see the launcher
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # Ctrl-C is for us; we end it in order
                creationflags=NEW_GROUP,
            )

    def wait_ready(self, timeout_s: float = READY_TIMEOUT_S) -> None:
        """Wait until it answers.

        Raises:
            InstanceDied: it ended or did not answer in time.
        """
        deadline = time.monotonic() + timeout_s
        while not self._answers():
            if not self.alive:
                if self._port_was_taken():
                    self._port = free_port(self._taken_ports)
                    self.spawn()
                    continue
                raise InstanceDied(f"{self.name} ended before it was ready. The end of its log:\n{self.log_tail()}")
            if time.monotonic() > deadline:
                raise InstanceDied(
                    f"{self.name} did not answer within {timeout_s:.0f} s. The end of its log:\n{self.log_tail()}"
                )
            time.sleep(POLL_S)
        self._was_ready = True

    def start(self) -> None:
        """Start it and wait until it answers."""
        self.spawn()
        self.wait_ready()

    def begin_stop(self) -> None:
        """Ask it to end, as Ctrl-C would, without waiting."""
        if self._process is not None:
            self.sigcont()
            self._close_lifeline(self._process)

    def stop(self) -> None:
        """End it as Ctrl-C would, by force when it does not follow."""
        if self._process is None:
            return
        self.begin_stop()
        try:
            self._process.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self.kill()

    def kill(self) -> None:
        """End it at once, as a power cut would (kill -9)."""
        if self._process is None:
            return
        self._process.kill()
        self._process.wait()
        self._close_lifeline(self._process)
        self._dismiss_guard()

    def restart(self) -> None:
        """Stop it in order and start it again at the same URL."""
        self.stop()
        self.start()

    def sigstop(self) -> None:
        """Freeze it: connections stand, nothing answers (POSIX only).

        Raises:
            DevError: it does not run, or this is Windows.
        """
        if sys.platform == "win32":
            raise DevError("An instance cannot be frozen on Windows.")
        if self._process is None or not self.alive:
            raise DevError(f"{self.name} does not run.")
        if self._guard is None:
            # A frozen process cannot notice that we are gone, so another one does.
            self._guard = subprocess.Popen(
                [sys.executable, "-c", GUARD, str(self._process.pid)], stdin=subprocess.PIPE, start_new_session=True
            )
        self._process.send_signal(signal.SIGSTOP)

    def sigcont(self) -> None:
        """Thaw it; nothing happens if it is not frozen."""
        if sys.platform == "win32" or self._guard is None or self._process is None:
            return
        self._dismiss_guard()
        self._process.send_signal(signal.SIGCONT)

    def _dismiss_guard(self) -> None:
        if self._guard is None:
            return
        self._guard.kill()
        self._guard.wait()
        self._close_lifeline(self._guard)
        self._guard = None

    @staticmethod
    def _close_lifeline(process: subprocess.Popen[bytes]) -> None:
        pipe: IO[bytes] | None = process.stdin
        if pipe is not None:
            pipe.close()

    def _prepare(self) -> None:
        for folder in ("input", "output", "temp", "user", "models", "custom_nodes"):
            (self.directory / folder).mkdir(parents=True, exist_ok=True)
        example = self._comfyui.source / "input" / "example.png"
        if example.is_file():
            shutil.copyfile(example, self.directory / "input" / "example.png")
        install_pack(self.directory / "custom_nodes", self.spec.install)

    def _command(self) -> list[str]:
        database = (self.directory / "user" / "comfyui.db").as_posix()
        mend = ["--mend-torchvision"] if self._comfyui.provided else []
        return [
            *(str(self._comfyui.python), str(LAUNCHER), *mend, str(self._comfyui.source / "main.py")),
            *("--cpu", "--disable-api-nodes", "--disable-auto-launch"),
            *("--listen", "127.0.0.1", "--port", str(self._port)),
            # Moves models, custom_nodes, input, output, temp and user; the source folder stays untouched.
            *("--base-directory", str(self.directory), "--database-url", f"sqlite:///{database}"),
            *self.spec.arguments,
        ]

    def _answers(self) -> bool:
        """Whether this instance, and not another server that took its port, answers."""
        try:
            with _open_directly(f"{self.url}/system_stats", timeout_s=5.0) as answer:
                told = json.load(answer)
        except (OSError, ValueError):
            return False
        return self.alive and str(self.directory) in told["system"]["argv"]

    def _port_was_taken(self) -> bool:
        """Whether a first start failed because another program was quicker; a later start must keep its URL."""
        end = self.log_tail(60).lower()
        return not self._was_ready and any(sign in end for sign in BIND_ERRORS)


def _open_directly(url: str, timeout_s: float) -> IO[bytes]:
    """Open a URL without any proxy of the environment."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    answer: IO[bytes] = opener.open(url, timeout=timeout_s)
    return answer


class Farm:
    """Named instances that start together and end together, also when we end by an exception, Ctrl-C or kill -9.

    Args:
        comfyui: what they run.
        directory: one folder for all of them; each gets a folder of its name in it.
        keep: whether the folders stay when the farm is closed.
    """

    def __init__(self, comfyui: ComfyUI, directory: Path, *, keep: bool = False) -> None:
        self.directory = directory
        self.instances: dict[str, Instance] = {}
        self._comfyui = comfyui
        self._keep = keep
        self._ports: set[int] = set()
        atexit.register(self.close)

    def start(self, *specs: Spec) -> list[Instance]:
        """Return ready instances, one for each specification, starting in parallel those that do not run.

        Raises:
            DevError: the name is in use for another kind of instance.
            InstanceDied: one of them did not become ready.
        """
        wanted = [self._instance(spec) for spec in specs]
        for instance in wanted:
            instance.sigcont()
            if not instance.alive:
                instance.spawn()
        for instance in wanted:
            instance.wait_ready()
        return wanted

    def plain(self, *names: str) -> list[Instance]:
        """Return ready instances that are ComfyUI with nothing installed."""
        return self.start(*(Spec(name) for name in names))

    def with_pack(self, *names: str) -> list[Instance]:
        """Return ready instances that have this pack installed, as a link to the working tree."""
        return self.start(*(Spec(name, Install.LINK) for name in names))

    def watch(self) -> NoReturn:
        """Wait until an instance ends by itself, or for Ctrl-C.

        Raises:
            InstanceDied: one of them ended.
        """
        while True:
            for instance in self.instances.values():
                if not instance.alive:
                    raise InstanceDied(f"{instance.name} ended. The end of its log:\n{instance.log_tail()}")
            time.sleep(WATCH_S)

    def stop(self, instances: Sequence[Instance]) -> None:
        """Stop some, in parallel; ``start`` starts them again."""
        for instance in instances:
            instance.begin_stop()
        for instance in instances:
            instance.stop()

    def close(self) -> None:
        """Stop all instances, in parallel, and remove their folders unless they are to be kept."""
        atexit.unregister(self.close)
        self.stop(list(self.instances.values()))
        self.instances.clear()
        if not self._keep:
            remove_tree(self.directory)

    def _instance(self, spec: Spec) -> Instance:
        known = self.instances.get(spec.name)
        if known is None:
            directory = self.directory / spec.name
            directory.mkdir(parents=True, exist_ok=True)
            known = self.instances[spec.name] = Instance(self._comfyui, spec, directory, self._ports)
        if known.spec != spec:
            raise DevError(f"There is already an instance {spec.name!r} of another kind: {known.spec}.")
        return known

    def __enter__(self) -> Farm:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
