"""Keeps pytest from importing the repository's ``__init__.py``: it is ComfyUI's way into the pack and needs ComfyUI."""

from __future__ import annotations

from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


def pytest_collect_directory(path: Path, parent: pytest.Collector) -> pytest.Collector | None:
    """Collect the repository as a folder of tests and not as a package."""
    if path != ROOT:
        return None
    folder: pytest.Dir = pytest.Dir.from_parent(parent, path=path)
    return folder
