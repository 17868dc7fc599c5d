"""Folders that only their owner can look into, where the system knows such a thing."""

from __future__ import annotations

from pathlib import Path


def make_private_folder(folder: Path) -> None:
    """Make a folder and whatever is missing above it with mode 0700; one that is there is left as it is.

    ``Path.mkdir(parents=True)`` gives its mode to the last folder only.

    Raises:
        OSError: it cannot be made, or is no folder.
    """
    missing = [path for path in (folder, *folder.parents) if not path.is_dir()]
    for path in reversed(missing):
        path.mkdir(mode=0o700, exist_ok=True)
