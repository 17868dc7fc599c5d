from __future__ import annotations

from comfy_orchestrator_nodes.domain import BackendEvent, BackendEventKind
from comfy_orchestrator_nodes.store.backend_events import BackendEventRepository
from comfy_orchestrator_nodes.store.backends import BackendRepository
from comfy_orchestrator_nodes.store.database import Database
from tests.unit.store.samples import a_backend

K = BackendEventKind


async def a_repository(database: Database, *, kept: int = 200) -> BackendEventRepository:
    await BackendRepository(database).add(a_backend())
    return BackendEventRepository(database, kept=kept)


def event(kind: BackendEventKind, at: float = 1.0, reason: str = "", until: float | None = None) -> BackendEvent:
    return BackendEvent("attic", at, kind, reason, until)


async def test_the_newest_events_come_first_as_they_were(database: Database) -> None:
    events = await a_repository(database)
    told = [event(K.ONLINE, 1.0), event(K.SUSPENDED, 2.0, "it failed thrice", 32.0), event(K.DRAINING, 3.0)]
    await events.append(told)
    assert await events.newest("attic", 10) == tuple(reversed(told))
    assert await events.newest("attic", 1) == (told[-1],)


async def test_only_so_many_are_kept_of_each_backend(database: Database) -> None:
    events = await a_repository(database, kept=3)
    await BackendRepository(database).add(a_backend(id="other", name="Other"))
    await events.append([BackendEvent("other", 0.5, K.ONLINE)])
    for at in range(1, 6):
        await events.append([event(K.RESTARTED, float(at))])
    assert [found.at for found in await events.newest("attic", 10)] == [5.0, 4.0, 3.0]
    assert len(await events.newest("other", 10)) == 1


async def test_a_state_that_goes_on_is_not_told_again(database: Database) -> None:
    events = await a_repository(database)
    await events.append([event(K.ONLINE, 1.0), event(K.AGENT_FOUND, 2.0, "1.0"), event(K.DRAINING, 3.0)])
    await events.append([event(K.ONLINE, 4.0), event(K.AGENT_FOUND, 5.0, "1.0")])
    await events.append([event(K.OFFLINE, 6.0, "refused"), event(K.OFFLINE, 7.0, "no route"), event(K.ONLINE, 8.0)])
    assert [found.at for found in await events.newest("attic", 10)] == [8.0, 7.0, 6.0, 3.0, 2.0, 1.0]


async def test_events_go_with_their_backend_and_none_come_after_it(database: Database) -> None:
    events = await a_repository(database)
    await events.append([event(K.ONLINE)])
    await BackendRepository(database).remove("attic")
    await events.append([event(K.OFFLINE)])
    assert await events.newest("attic", 10) == ()
