from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from comfy_orchestrator_nodes.domain import LOCAL_BACKEND_ID, Credentials
from comfy_orchestrator_nodes.errors import Conflict, InvalidRequest, NotFound
from comfy_orchestrator_nodes.store.backends import BackendRepository
from comfy_orchestrator_nodes.store.database import Database
from tests.unit.store.samples import NOW, a_backend


@pytest.fixture
def backends(database: Database) -> BackendRepository:
    return BackendRepository(database)


async def test_a_backend_comes_back_with_its_credentials(backends: BackendRepository) -> None:
    await backends.add(a_backend())
    assert await backends.get("attic") == a_backend()


async def test_backends_are_listed_the_oldest_first(backends: BackendRepository) -> None:
    await backends.add(a_backend(id="b", name="B", created_at=NOW + 1))
    await backends.add(a_backend(id="a", name="A", created_at=NOW + 2))
    await backends.add(a_backend(id="c", name="C", created_at=NOW))
    assert [backend.id for backend in await backends.list()] == ["c", "b", "a"]


async def test_an_update_changes_everything_but_id_and_creation(backends: BackendRepository) -> None:
    await backends.add(a_backend())
    changed = a_backend(name="Cellar", enabled=False, tags=(), credentials=Credentials(), created_at=0.0)
    await backends.update(changed)
    assert await backends.get("attic") == replace(changed, created_at=NOW)


async def test_a_name_is_taken_whatever_its_case(backends: BackendRepository) -> None:
    await backends.add(a_backend())
    with pytest.raises(Conflict, match="already a backend named 'ATTIC'"):
        await backends.add(a_backend(id="other", name="ATTIC"))
    await backends.add(a_backend(id="other", name="Other"))
    with pytest.raises(Conflict, match="already a backend named 'attic'"):
        await backends.update(a_backend(id="other", name="attic"))
    await backends.update(a_backend(name="aTTic"))
    assert (await backends.get("attic")).name == "aTTic"


async def test_an_id_is_taken_only_once(backends: BackendRepository) -> None:
    await backends.add(a_backend())
    with pytest.raises(Conflict, match="with the id 'attic'"):
        await backends.add(a_backend(name="Another"))


async def test_a_removed_backend_leaves_no_secret_in_the_file(path: Path) -> None:
    database = await Database.open(path)
    backends = BackendRepository(database)
    await backends.add(a_backend(credentials=Credentials(bearer_token="very-secret-token")))
    await backends.remove("attic")
    await database.close()
    assert b"very-secret-token" not in path.read_bytes()


async def test_the_master_itself_cannot_be_removed(backends: BackendRepository) -> None:
    await backends.add(a_backend(id=LOCAL_BACKEND_ID))
    with pytest.raises(Conflict, match="disable it"):
        await backends.remove(LOCAL_BACKEND_ID)


async def test_an_unknown_backend_is_told_so(backends: BackendRepository) -> None:
    for call in (backends.get("nope"), backends.update(a_backend(id="nope")), backends.remove("nope")):
        with pytest.raises(NotFound, match="no backend 'nope'"):
            await call


async def test_hostile_text_stays_text(backends: BackendRepository) -> None:
    hostile = "x'); DROP TABLE backend; --\x00\u202e"
    await backends.add(a_backend(id=hostile, name=hostile, notes=hostile, tags=(hostile,)))
    assert await backends.get(hostile) == a_backend(id=hostile, name=hostile, notes=hostile, tags=(hostile,))


async def test_text_that_is_no_unicode_is_refused(backends: BackendRepository) -> None:
    with pytest.raises(InvalidRequest, match="cannot be stored"):
        await backends.add(a_backend(notes="\ud800"))
    assert await backends.list() == ()
