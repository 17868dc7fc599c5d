"""The start's objects are kept out of garbage collection, once, and only before work has begun."""

from __future__ import annotations

import gc
from collections.abc import Iterator

import pytest

from comfy_orchestrator_nodes.agent.stalls import Stalls, State


@pytest.fixture(autouse=True)
def thaw() -> Iterator[None]:
    yield
    gc.unfreeze()


async def test_what_the_start_made_is_frozen_before_the_first_prompt() -> None:
    stalls = Stalls(lambda: False, enabled=True)
    await stalls.settle(0)
    assert stalls.state is State.FROZEN
    assert gc.get_freeze_count() > 0


async def test_a_peer_that_has_worked_already_is_left_as_it_is() -> None:
    stalls = Stalls(lambda: True, enabled=True)
    await stalls.settle(0)
    assert stalls.state is State.TOO_LATE
    assert gc.get_freeze_count() == 0


async def test_it_can_be_undone() -> None:
    stalls = Stalls(lambda: False, enabled=False)
    assert stalls.state is State.OFF
    stalls.freeze()
    stalls.thaw()
    assert (stalls.state, gc.get_freeze_count()) == (State.OFF, 0)
