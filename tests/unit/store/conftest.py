from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from comfy_orchestrator_nodes.store.artifacts import ArtifactStore
from comfy_orchestrator_nodes.store.database import Database
from comfy_orchestrator_nodes.store.invariants import check_invariants
from tests.unit.store.samples import Clock


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "store" / "orchestrator.sqlite3"


@pytest.fixture
async def database(path: Path, clock: Clock) -> AsyncIterator[Database]:
    """An open database whose invariants are checked at the end of the test."""
    opened = await Database.open(path, clock=clock)
    try:
        yield opened
        assert await check_invariants(opened) == []
    finally:
        await opened.close()


@pytest.fixture
def artifacts(tmp_path: Path, clock: Clock) -> ArtifactStore:
    return ArtifactStore(tmp_path / "artifacts", limit_bytes=1000, clock=clock, booted_at=0.0)
