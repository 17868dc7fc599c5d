"""Puts this pack into a ComfyUI's custom_nodes folder."""

from __future__ import annotations

import os
import shutil
import subprocess
from enum import Enum
from pathlib import Path

from tools.devtools.agent_pack import AGENT_PACK_NAME, write_agent_pack
from tools.devtools.failure import DevError
from tools.devtools.paths import PACK_NAME, ROOT
from tools.devtools.project import string_list
from tools.devtools.steps import remove_tree


class Install(Enum):
    """How the pack comes into an instance."""

    NOTHING = "nothing"
    """A plain ComfyUI."""
    LINK = "link"
    """A link to the working tree: what is edited is what runs after a restart."""
    COPY = "copy"
    """The files that the registry publishes, as ComfyUI Manager unpacks them."""
    AGENT = "agent"
    """The agent alone, as a pack of its own."""


def install_pack(custom_nodes: Path, install: Install) -> None:
    """Make ``custom_nodes`` hold the pack in the wanted way, or not at all."""
    target = custom_nodes / PACK_NAME
    if install is Install.LINK and _is_link(target):
        return
    _remove(target)
    remove_tree(custom_nodes / AGENT_PACK_NAME)
    if install is Install.AGENT:
        write_agent_pack(custom_nodes)
    elif install is Install.LINK:
        _link(target)
    elif install is Install.COPY:
        _copy(target)


def published_files(repository: Path) -> list[Path]:
    """Return the files, relative to ``repository``, that the registry's archive of its present state would hold.

    These are all that git tracks or would add, without those that .comfyignore names, and what pyproject.toml includes
    although git ignores it.

    Raises:
        DevError: it is not a git working tree.
    """
    there = _git_files(repository, "--exclude-standard")
    left_out = _git_files(repository, "--ignored", f"--exclude-from={repository / '.comfyignore'}")
    return [Path(name) for name in sorted((there - left_out) | _included(repository)) if (repository / name).is_file()]


def _included(repository: Path) -> set[str]:
    toml = repository / "pyproject.toml"
    return set(string_list(toml.read_text(encoding="utf-8"), "tool.comfy", "includes")) if toml.is_file() else set()


def _git_files(repository: Path, *options: str) -> set[str]:
    command = ["git", "-C", str(repository), "ls-files", "-z", "--cached", "--others", *options]
    answer = subprocess.run(command, capture_output=True, check=False)
    if answer.returncode:
        raise DevError(f"git cannot list the files of {repository}: {answer.stderr.decode(errors='replace').strip()}")
    return set(answer.stdout.decode().split("\0")) - {""}


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
    for name in published_files(ROOT):
        destination = target / name
        destination.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(ROOT / name, destination)
