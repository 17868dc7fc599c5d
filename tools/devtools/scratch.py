"""Folders for one run of something, removed at its end, or by the next run if it was killed."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import NoReturn

from tools.devtools.lock import exclusive
from tools.devtools.paths import DEV
from tools.devtools.steps import remove_tree


class _InUse(Exception):
    """The run that made the folder goes on."""


@contextmanager
def scratch(purpose: str, home: Path = DEV / "instances") -> Iterator[Path]:
    """Give a new empty folder below ``home`` and remove it at the end, with those of earlier runs that were killed."""
    with ExitStack() as owned:
        with exclusive(home / "scratch.lock", lambda: None):
            _sweep(home)
            folder = home / f"{purpose}-{uuid.uuid4().hex[:8]}"
            lock = folder.with_suffix(".owner")
            owned.callback(lock.unlink, missing_ok=True)
            owned.enter_context(exclusive(lock, _in_use))
            folder.mkdir()
        owned.callback(remove_tree, folder)
        yield folder


def _sweep(home: Path) -> None:
    for lock in home.glob("*.owner"):
        try:
            with exclusive(lock, _in_use):
                remove_tree(lock.with_suffix(""))
        except (_InUse, OSError):
            continue  # still owned, or its servers are still on their way out: the next run removes it
        lock.unlink()


def _in_use() -> NoReturn:
    raise _InUse
