from __future__ import annotations

from dataclasses import replace

import pytest

from comfy_orchestrator_nodes.errors import Conflict, NotFound
from comfy_orchestrator_nodes.store.database import Database
from comfy_orchestrator_nodes.store.definitions import DefinitionRepository, slug
from comfy_orchestrator_nodes.store.jobs import JobRepository
from tests.unit.store.samples import Clock, a_definition, a_job, a_run, dispatched, succeeded


@pytest.fixture
def definitions(database: Database) -> DefinitionRepository:
    return DefinitionRepository(database)


async def test_a_definition_comes_back_as_it_was_stored(definitions: DefinitionRepository) -> None:
    assert await definitions.create(a_definition(version=9)) == a_definition(version=1)
    assert await definitions.get("blue") == a_definition()


async def test_an_id_is_taken_only_once(definitions: DefinitionRepository) -> None:
    await definitions.create(a_definition())
    with pytest.raises(Conflict, match="already a definition with the id 'blue'"):
        await definitions.create(a_definition())


async def test_saving_makes_the_next_version_and_keeps_the_old_ones(definitions: DefinitionRepository) -> None:
    first = await definitions.create(a_definition())
    second = await definitions.save(replace(first, prompt={"1": {"class_type": "Other", "inputs": {}}}))
    assert second.version == 2
    assert await definitions.get("blue") == second
    assert await definitions.get("blue", 1) == first
    assert [definition.version for definition in await definitions.versions("blue")] == [2, 1]


async def test_rolling_back_makes_an_old_version_the_latest_again(
    definitions: DefinitionRepository, clock: Clock
) -> None:
    first = await definitions.create(a_definition())
    await definitions.save(replace(first, prompt={}))
    clock.advance(60)
    third = await definitions.roll_back("blue", 1)
    assert third == replace(first, version=3, created_at=clock())
    assert third.content_hash == first.content_hash
    assert await definitions.get("blue") == third


async def test_describing_changes_the_name_of_all_versions_and_makes_none(definitions: DefinitionRepository) -> None:
    await definitions.create(a_definition())
    await definitions.save(a_definition())
    described = await definitions.describe("blue", name="Azure", tags=("sky",))
    assert (described.name, described.description, described.tags) == ("Azure", "a blue image", ("sky",))
    assert {definition.name for definition in await definitions.versions("blue")} == {"Azure"}
    assert len(await definitions.versions("blue")) == 2


async def test_a_duplicate_starts_a_history_of_its_own(definitions: DefinitionRepository, clock: Clock) -> None:
    original = await definitions.save(await definitions.create(a_definition()))
    clock.advance(5)
    copy = await definitions.duplicate("blue")
    assert (copy.id, copy.name, copy.version, copy.created_at) == ("blue-copy", "Blue (copy)", 1, clock())
    assert copy.content_hash == original.content_hash
    assert (await definitions.duplicate("blue")).id == "blue-copy-2"
    assert (await definitions.duplicate("blue", name="Grün & Blau")).id == "grun-blau"


async def test_a_free_id_is_readable_and_free(definitions: DefinitionRepository) -> None:
    assert await definitions.free_id("Blue!") == "blue"
    await definitions.create(a_definition())
    assert await definitions.free_id("Blue!") == "blue-2"


@pytest.mark.parametrize(
    ("name", "expected"),
    [("Upscale 4x (fast)", "upscale-4x-fast"), ("Ärger", "arger"), ("画像", "workflow"), ("a" * 99, "a" * 60)],
)
def test_a_slug_is_plain_ascii(name: str, expected: str) -> None:
    assert slug(name) == expected


async def test_definitions_are_listed_by_name_search_and_tag(definitions: DefinitionRepository) -> None:
    await definitions.create(a_definition(id="b", name="beta", tags=("x",), description="100%"))
    await definitions.create(a_definition(id="a", name="Alpha", tags=("x", "y"), description=""))
    await definitions.create(a_definition(id="g", name="gamma", tags=("x y",), description=""))
    assert [found.id for found in await definitions.list()] == ["a", "b", "g"]
    assert [found.id for found in await definitions.list(tag="x")] == ["a", "b"]
    assert [found.id for found in await definitions.list(search="ALPH")] == ["a"]
    assert [found.id for found in await definitions.list(search="0%")] == ["b"]
    assert await definitions.list(search="_eta") == ()


async def test_a_list_holds_only_the_latest_and_workflows_when_asked(definitions: DefinitionRepository) -> None:
    await definitions.save(await definitions.create(a_definition()))
    (listed,) = await definitions.list()
    (whole,) = await definitions.list(workflows=True)
    assert (listed.version, listed.workflow) == (2, None)
    assert whole == await definitions.get("blue")
    assert whole.workflow == a_definition().workflow


async def test_what_is_not_there_is_told_so(definitions: DefinitionRepository) -> None:
    for call in (
        definitions.get("nope"),
        definitions.save(a_definition()),
        definitions.versions("nope"),
        definitions.describe("nope", name="x"),
        definitions.duplicate("nope"),
        definitions.roll_back("nope", 1),
        definitions.remove("nope"),
    ):
        with pytest.raises(NotFound):
            await call
    await definitions.create(a_definition())
    with pytest.raises(NotFound, match="no definition version 'blue v7'"):
        await definitions.get("blue", 7)


async def test_a_definition_is_removed_with_its_versions(definitions: DefinitionRepository) -> None:
    await definitions.save(await definitions.create(a_definition()))
    await definitions.remove("blue")
    assert await definitions.list() == ()
    assert (await definitions.create(a_definition())).version == 1


async def test_a_definition_in_use_stays_until_its_jobs_are_over(
    definitions: DefinitionRepository, database: Database
) -> None:
    jobs = JobRepository(database)
    await definitions.create(a_definition())
    await jobs.create(a_job(), run=a_run())
    with pytest.raises(Conflict, match="1 unfinished job"):
        await definitions.remove("blue")
    await jobs.apply(dispatched())
    await jobs.apply(succeeded())
    await definitions.remove("blue")
    assert (await jobs.get("job")).spec.definition_id == "blue"
