"""Definitions leave one library and enter another: everything they use comes along, and nothing is overwritten."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from comfy_orchestrator_nodes.domain import Knobs
from comfy_orchestrator_nodes.errors import Conflict, NotFound
from comfy_orchestrator_nodes.orchestrator.exchange import Action, OnConflict
from comfy_orchestrator_nodes.service import Service
from comfy_orchestrator_nodes.workflow import bundle
from comfy_orchestrator_nodes.workflow.nested import used_definitions
from tests.unit.library.conftest import Api, grey, runner


async def nested(service: Service) -> bytes:
    """Store three definitions that run each other and return the outermost as a file."""
    await service.library.create(grey("Inner"))
    await service.library.create(runner("Middle", "inner"))
    await service.library.create(runner("Outer", "middle", "inner", description="All of it", tags=("demo",)))
    return await service.exchange.export("outer")


async def emptied(service: Service) -> None:
    for definition in await service.library.list():
        await service.library.remove(definition.id, force=True)


async def test_how_its_jobs_run_goes_along_and_is_never_overwritten(service: Service) -> None:
    await service.library.create(grey("Grey", id="grey"))
    theirs = Knobs(on_failure="ask", attempts=5, time_limit_s=60.0, cache=False, prefer=("tag:fast",))
    await service.library.describe("grey", knobs=theirs)
    file = bundle.read(await service.exchange.export("grey"))
    carried = await service.exchange.embed(["grey"])
    await emptied(service)

    await service.exchange.take(file)
    assert (await service.library.stored("grey")).knobs == theirs
    assert bundle.read(carried.text.encode()).definitions[0].knobs == replace(theirs, prefer=None)

    ours = Knobs(attempts=1)
    await service.library.describe("grey", knobs=ours)
    await service.library.save(grey("Grey", id="grey", color=7))
    await service.exchange.take(file, OnConflict.NEW_VERSION)
    assert (await service.library.stored("grey")).knobs == ours


def actions(taken: Any) -> list[tuple[str, str]]:
    return [(one.definition.id, one.action.value) for one in taken]


async def test_a_definition_arrives_with_all_that_it_uses_and_as_it_was(service: Service) -> None:
    data = await nested(service)
    before = await service.library.stored("outer")
    await emptied(service)

    taken = await service.exchange.take(bundle.read(data))

    assert actions(taken) == [("inner", "created"), ("middle", "created"), ("outer", "created")]
    after = await service.library.stored("outer")
    assert (after.content_hash, after.workflow, after.tags, after.description) == (
        before.content_hash,
        before.workflow,
        ("demo",),
        "All of it",
    )


async def test_the_file_says_what_each_definition_needs(service: Service) -> None:
    document = json.loads(await nested(service))
    assert [(d["id"], d["needs"]["node_classes"], d["needs"]["definitions"]) for d in document["definitions"]] == [
        ("outer", [], ["middle"]),
        ("middle", [], ["inner"]),
        ("inner", ["EmptyImage"], []),
    ]


async def test_an_older_version_can_be_exported(service: Service) -> None:
    stored = await service.library.create(grey(color=1))
    await service.library.save(grey(color=2, id=stored.id))
    first = bundle.read(await service.exchange.export(stored.id, 1)).definitions[0]
    assert first.prompt["1"]["inputs"]["color"] == 1


async def test_importing_the_same_again_changes_nothing(service: Service) -> None:
    data = await nested(service)
    taken = await service.exchange.take(bundle.read(data))
    assert {one.action for one in taken} == {Action.REUSED}
    assert [d.version for d in await service.library.list()] == [1, 1, 1]


async def test_other_content_under_a_taken_id_is_refused_before_anything_is_stored(service: Service) -> None:
    data = await nested(service)
    await emptied(service)
    await service.library.create(grey("Mine", color=9, id="middle"))

    with pytest.raises(Conflict, match="'middle' with other content") as refused:
        await service.exchange.take(bundle.read(data))

    assert refused.value.details()["choices"] == ["new_version", "new_id"]
    assert [d.id for d in await service.library.list()] == ["middle"]


async def test_as_a_new_version_the_old_one_stays_and_keeps_its_name(service: Service) -> None:
    data = await nested(service)
    await emptied(service)
    await service.library.create(grey("Mine", color=9, id="middle", tags=("my tag",)))

    taken = await service.exchange.take(bundle.read(data), OnConflict.NEW_VERSION)

    assert actions(taken) == [("inner", "created"), ("middle", "new_version"), ("outer", "created")]
    latest, first = await service.library.versions("middle")
    assert (latest.version, used_definitions(latest.prompt), latest.name, latest.tags) == (
        2,
        ("inner",),
        "Mine",
        ("my tag",),
    )
    assert first.prompt["1"]["inputs"]["color"] == 9


async def test_under_a_new_id_the_definitions_of_the_file_use_that(service: Service) -> None:
    data = await nested(service)
    await emptied(service)
    mine = await service.library.create(grey("Mine", color=9, id="inner"))

    taken = await service.exchange.take(bundle.read(data), OnConflict.NEW_ID)

    assert actions(taken) == [("inner-2", "renamed"), ("middle", "created"), ("outer", "created")]
    assert await service.library.version("inner") == mine
    outer = await service.library.stored("outer")
    assert used_definitions(outer.prompt) == ("middle", "inner-2")
    assert outer.workflow is not None
    assert [node["widgets_values"][0] for node in outer.workflow["nodes"]] == ["middle", "inner-2"]

    again = await service.exchange.take(bundle.read(data), OnConflict.NEW_ID)
    assert {one.action for one in again} == {Action.REUSED}, "importing it once more must not pile up copies"


async def test_what_uses_something_that_is_gone_is_not_exported_half(service: Service) -> None:
    await nested(service)
    await service.library.remove("inner", force=True)
    with pytest.raises(Conflict, match="'Middle' runs the workflow 'inner', which is not in the library"):
        await service.exchange.export("middle")
    with pytest.raises(NotFound):
        await service.exchange.export("inner")


async def test_over_http_a_file_goes_out_and_comes_in(api: Api) -> None:
    await nested(api.service)
    async with api.http.get("/orchestrator/definitions/outer/export") as answer:
        assert answer.status == 200
        assert 'filename="outer.orchestrator.json"' in answer.headers["Content-Disposition"]
        data = await answer.read()
    await emptied(api.service)

    headers = {"Content-Type": "application/json"}
    path = "/definitions/import?filename=outer.orchestrator.json"
    found = await api.ask("POST", path, json=None, data=data, headers=headers, status=201)

    assert found["found"] == "3 exported definitions"
    assert found["imported"][-1]["definition"]["id"] == "outer"
    await api.service.library.save(grey("Inner", color=3, id="inner"))
    refused = await api.ask("POST", path, json=None, data=data, headers=headers, status=409)
    assert refused["error"]["details"]["ids"] == ["inner"]
    read = await api.ask("POST", "/definitions/read", json=None, data=data, headers=headers, status=422)
    assert "import it" in read["error"]["message"]


async def test_what_a_file_leaves_out_is_told(api: Api) -> None:
    data = bundle.write([runner("Outer", "forgotten", id="outer")], {}, "by hand")
    headers = {"Content-Type": "application/json"}
    found = await api.ask("POST", "/definitions/import", json=None, data=data, headers=headers, status=201)
    assert found["warnings"] == ["'Outer' runs the workflow 'forgotten', which is not in the library."]
