"""Puts this pack into a ComfyUI's custom_nodes folder."""

from __future__ import annotations

import os
import shutil
import subprocess
from enum import Enum
from pathlib import Path

from tools.devtools.failure import DevError
from tools.devtools.paths import PACK_NAME, ROOT
from tools.devtools.steps import remove_tree


class Install(Enum):
    """How the pack comes into an instance."""

    NOTHING = "nothing"
    """A plain ComfyUI."""
    LINK = "link"
    """A link to the working tree: what is edited is what runs after a restart."""
    COPY = "copy"
    """The files that a clone would have, as ComfyUI Manager installs them."""


def install_pack(custom_nodes: Path, install: Install) -> None:
    """Make ``custom_nodes`` hold the pack in the wanted way, or not at all."""
    target = custom_nodes / PACK_NAME
    if install is Install.LINK and _is_link(target):
        return
    _remove(target)
    if install is Install.LINK:
        _link(target)
    elif install is Install.COPY:
        _copy(target)


def tracked_files(repository: Path) -> list[Path]:
    """Return the files, relative to ``repository``, that a clone of its present working tree would have.

    Raises:
        DevError: it is not a git working tree.
    """
    command = ["git", "-C", str(repository), "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    answer = subprocess.run(command, capture_output=True, check=False)
    if answer.returncode:
        raise DevError(f"git cannot list the files of {repository}: {answer.stderr.decode(errors='replace').strip()}")
    names = sorted(set(answer.stdout.decode().split("\0")) - {""})
    return [Path(name) for name in names if (repository / name).is_file()]


def _is_link(path: Path) -> bool:
    return path.exists() and path.resolve() == ROOT


def _remove(path: Path) -> None:
    if os.name == "nt" and path.exists() and path.resolve() != path.absolute():
        path.rmdir()  # a junction: rmtree would follow it
        return
    remove_tree(path)


def _link(target: Path) -> None:
    if os.name == "nt":  # a junction needs no rights, a symlink does
        subprocess.run(["cmd", "/c", "mklink", "/J", str(target), str(ROOT)], check=True, capture_output=True)
        return
    target.symlink_to(ROOT, target_is_directory=True)


def _copy(target: Path) -> None:
    for name in tracked_files(ROOT):
        destination = target / name
        destination.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(ROOT / name, destination)
