"""The library's verbs on a real store: searching, who uses what, deleting."""

from __future__ import annotations

import asyncio

import pytest

from comfy_orchestrator_nodes.errors import Conflict, InvalidRequest, NotFound
from comfy_orchestrator_nodes.orchestrator.jobs import Request
from comfy_orchestrator_nodes.service import Service
from tests.fakes.execution import until
from tests.unit.library.conftest import Api, grey, runner


async def found(service: Service, search: str, tag: str | None = None) -> list[str]:
    return [definition.name for definition in await service.library.list(search=search, tag=tag)]


async def test_every_word_of_a_search_must_occur_somewhere(service: Service) -> None:
    await service.library.create(grey("Upscale photo", description="Four times as large", tags=("photo", "GPU")))
    await service.library.create(grey("Schöne Landschaft", tags=("photo",)))

    assert await found(service, "gpu LARGE upscale") == ["Upscale photo"]
    assert await found(service, "SCHÖNE") == ["Schöne Landschaft"]
    assert await found(service, "photo") == ["Schöne Landschaft", "Upscale photo"]
    assert await found(service, "photo", tag="GPU") == ["Upscale photo"]
    assert await found(service, "upscale landschaft") == []


async def test_renaming_and_tagging_is_found_at_once(service: Service) -> None:
    stored = await service.library.create(grey("Old"))
    await service.library.describe(stored.id, name="New", tags=("fresh",))

    assert await found(service, "new fresh") == ["New"]
    assert await found(service, "old") == ["New"], "the id stays, and is searched too"


async def test_a_definition_that_another_runs_is_not_deleted_by_accident(service: Service) -> None:
    inner = await service.library.create(grey("Inner"))
    outer = await service.library.create(runner("Outer", inner.id))

    with pytest.raises(Conflict, match="is used by 'Outer'") as refused:
        await service.library.remove(inner.id)
    assert refused.value.details()["used_by"] == [outer.id]
    assert await service.library.version(inner.id) == inner

    await service.library.remove(inner.id, force=True)
    with pytest.raises(NotFound):
        await service.library.version(inner.id)


async def test_only_the_latest_version_of_a_user_counts(service: Service) -> None:
    inner = await service.library.create(grey("Inner"))
    outer = await service.library.create(runner("Outer", inner.id))
    await service.library.save(grey("Outer", id=outer.id))

    assert (await service.library.uses(inner.id)).definitions == ()
    await service.library.remove(inner.id)


async def test_unfinished_jobs_are_named_and_keep_their_definition_even_from_force(api: Api) -> None:
    done = asyncio.Event()
    api.local.behave(until(done))
    stored = await api.service.library.create(grey())
    ticket = await api.service.orchestrator.submit(Request(stored.id))

    assert (await api.service.library.uses(stored.id)).unfinished_jobs == (ticket.job_id,)
    with pytest.raises(Conflict, match="unfinished"):
        await api.service.library.remove(stored.id, force=True)

    done.set()
    await asyncio.wait_for(asyncio.shield(ticket.done), 20)
    assert (await api.service.library.uses(stored.id)).unfinished_jobs == ()
    await api.service.library.remove(stored.id)


async def test_asking_who_uses_what_is_not_there_says_so(service: Service) -> None:
    with pytest.raises(NotFound):
        await service.library.uses("nothing")


async def test_deleting_over_http_asks_for_force(api: Api) -> None:
    inner = await api.service.library.create(grey("Inner"))
    await api.service.library.create(runner("Outer", inner.id))

    uses = await api.ask("GET", f"/definitions/{inner.id}/uses")
    assert [user["name"] for user in uses["definitions"]] == ["Outer"]
    refused = await api.ask("DELETE", f"/definitions/{inner.id}", status=409)
    assert refused["error"]["details"]["used_by"] == ["outer"]
    await api.ask("DELETE", f"/definitions/{inner.id}?force=true")
    await api.ask("GET", f"/definitions/{inner.id}", status=404)


async def test_nothing_may_run_itself_however_long_the_way(service: Service) -> None:
    with pytest.raises(InvalidRequest, match="'A' would run itself: a runs a"):
        await service.library.create(runner("A", "a", id="a"))
    a = await service.library.create(grey("A"))
    await service.library.create(runner("B", "a", "elsewhere"))
    await service.library.create(runner("C", "b"))

    with pytest.raises(InvalidRequest, match="'A' would run itself: a runs c runs b runs a"):
        await service.library.save(runner("A", "c", id="a"))
    assert (await service.library.version("a")).version == a.version


async def test_rolling_back_must_not_close_a_circle_either(service: Service) -> None:
    await service.library.create(grey("B"))
    await service.library.create(runner("A", "b"))
    await service.library.save(grey("A", id="a"))
    await service.library.save(runner("B", "a", id="b"))

    with pytest.raises(InvalidRequest, match="'A' would run itself: a runs b runs a"):
        await service.library.roll_back("a", 1)
    assert (await service.library.roll_back("a", 2)).version == 3
