from __future__ import annotations

import pytest

from comfy_orchestrator_nodes.domain import FileRef, Value
from comfy_orchestrator_nodes.errors import StoreDamaged
from comfy_orchestrator_nodes.store import results as results_module
from comfy_orchestrator_nodes.store.artifacts import ArtifactStore
from comfy_orchestrator_nodes.store.database import Database
from comfy_orchestrator_nodes.store.results import ResultCache, files_of
from tests.unit.store.samples import Clock, a_file


@pytest.fixture
def results(database: Database, artifacts: ArtifactStore) -> ResultCache:
    return ResultCache(database, artifacts)


def outputs_of(*refs: FileRef) -> dict[str, Value]:
    return {"image": Value("IMAGE", files=refs), "seed": Value("INT", 2**64 - 1)}


async def test_a_result_comes_back_for_its_key_only(results: ResultCache, artifacts: ArtifactStore) -> None:
    outputs = outputs_of(artifacts.put(b"a", "image/png"), artifacts.put(b"b", "image/png"))
    await results.put("key", "job", outputs)
    assert await results.get("key") == outputs
    assert await results.get("other key") is None


async def test_a_newer_result_replaces_the_older(results: ResultCache, artifacts: ArtifactStore) -> None:
    await results.put("key", "job", {"seed": Value("INT", 1)})
    await results.put("key", "job 2", {"seed": Value("INT", 2)})
    assert await results.get("key") == {"seed": Value("INT", 2)}


async def test_a_result_with_a_lost_file_is_forgotten(
    results: ResultCache, artifacts: ArtifactStore, database: Database
) -> None:
    kept, lost = artifacts.put(b"a", "image/png"), artifacts.put(b"b", "image/png")
    await results.put("key", "job", outputs_of(kept, lost))
    artifacts.path(lost).unlink()
    assert await results.get("key") is None
    artifacts.put(b"b", "image/png")
    assert await results.get("key") is None


async def test_a_result_can_be_leased_as_it_is_taken(results: ResultCache, artifacts: ArtifactStore) -> None:
    outputs = outputs_of(artifacts.put(b"a", "image/png"))
    await results.put("key", "job", outputs)
    assert await results.get("key", owner="job 2") == outputs
    assert artifacts.clear() == 0
    artifacts.release("job 2")
    assert artifacts.clear() == 1
    assert await results.get("key", owner="job 2") is None


async def test_results_are_forgotten_one_by_one_or_all(results: ResultCache) -> None:
    for key in "abc":
        await results.put(key, "job", {"seed": Value("INT", 1)})
    await results.forget("a")
    await results.forget("a")
    assert await results.get("a") is None
    assert await results.clear() == 2
    assert await results.get("b") is None


async def test_the_longest_unused_results_are_dropped_over_the_limit(
    database: Database, artifacts: ArtifactStore, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(results_module, "_TRIM_EVERY", 4)
    results = ResultCache(database, artifacts, limit=2)
    for key in "abc":
        await results.put(key, "job", {"seed": Value("INT", 1)})
        clock.advance(100)
    assert await results.get("a") is not None
    clock.advance(100)
    await results.put("d", "job", {"seed": Value("INT", 1)})
    assert [key for key in "abcd" if await results.get(key) is not None] == ["a", "d"]


async def test_a_damaged_result_is_named(results: ResultCache, database: Database) -> None:
    await results.put("key", "job", {"seed": Value("INT", 1)})
    await database.write(lambda connection: connection.execute("UPDATE result SET outputs = '[]'"))
    with pytest.raises(StoreDamaged, match="row of result 'key'"):
        await results.get("key")


def test_files_of_values_are_listed_in_order() -> None:
    refs = [a_file(letter) for letter in "abc"]
    values = {
        "one": Value("IMAGE", files=(refs[0], refs[1])),
        "two": Value("INT", 1),
        "three": Value("MASK", files=(refs[2],)),
    }
    assert files_of(values) == tuple(refs)
