from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from comfy_orchestrator_nodes.backend.client import ComfyClient
from comfy_orchestrator_nodes.backend.http import Timeouts
from tests.fakes.fake_comfy import FakeComfy

QUICK = Timeouts(connect_s=2.0, control_s=20.0, retry_min_s=0.001, retry_max_s=0.01)
"""For tests whose backend answers at once: only the pauses between connections are short."""


@pytest.fixture
async def fake() -> AsyncIterator[FakeComfy]:
    async with FakeComfy() as server:
        yield server


@pytest.fixture
async def client(fake: FakeComfy) -> AsyncIterator[ComfyClient]:
    async with ComfyClient(fake.backend(), timeouts=QUICK) as opened:
        yield opened
