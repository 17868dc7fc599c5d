"""Saving a job's results: never over a file that is there, and never anywhere else than asked."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Any

from ..backend.carriers import upload_name
from ..domain import FileRef
from .failures import bad_input
from .master import Master

Json = Any

_UNSAFE = re.compile(r"[^\w.-]+")
_RESERVED = re.compile(r"(?i)(con|prn|aux|nul|com\d|lpt\d)(\..*)?")
"""Names that Windows keeps for devices, whatever follows the dot."""

_MAX_STEM = 80


def prepare(folder: Path) -> None:
    """Make the folder for results, before anything is run for them.

    Raises:
        CommandFailed: it cannot be made.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise bad_input(f"The folder {str(folder)!r} cannot be used for results: {error.strerror}.") from None


async def save(master: Master, outputs: Mapping[str, Json], folder: Path) -> dict[str, Json]:
    """Fetch what a job made.

    Args:
        master: where it is stored.
        outputs: the outputs as the master shows them.
        folder: where files are put, each under a name that is free.

    Returns:
        Output name to ``{"type", "data", "files"}``; ``files`` are the paths of what was saved.

    Raises:
        CommandFailed: the master cannot be reached, has lost a file, or the file cannot be written.
    """
    saved: dict[str, Json] = {}
    for name, value in outputs.items():
        paths = [str(await _save(master, file, folder, name)) for file in value["files"]]
        saved[name] = {"type": value["type"], "data": value["data"], "files": paths}
    return saved


async def _save(master: Master, file: Mapping[str, Json], folder: Path, output: str) -> Path:
    ref = FileRef(file["sha256"], file["size_bytes"], file["media_type"])
    try:
        target = _reserve(folder, _stem(output), PurePosixPath(upload_name(ref).filename).suffix)
        unfinished = target.with_name(f"{target.name}.part")
        try:
            await master.download(file["url"], ref.sha256, unfinished)
            unfinished.replace(target)
        except BaseException:
            unfinished.unlink(missing_ok=True)
            target.unlink(missing_ok=True)
            raise
    except OSError as error:
        raise bad_input(f"A result cannot be saved in {str(folder)!r}: {error.strerror}.") from None
    return target


def _reserve(folder: Path, stem: str, suffix: str) -> Path:
    """Return a new, empty file: ``stem.png``, or ``stem_2.png`` and so on where that name is taken."""
    number = 1
    while True:
        path = folder / (f"{stem}{suffix}" if number == 1 else f"{stem}_{number}{suffix}")
        try:
            path.open("xb").close()
        except FileExistsError:
            number += 1
        else:
            return path


def _stem(output: str) -> str:
    """Return a file name for an output; its own name comes from a workflow and may be anything."""
    stem = _UNSAFE.sub("_", output).strip("._ ")[:_MAX_STEM] or "output"
    return f"{stem}_" if _RESERVED.fullmatch(stem) else stem
