"""One suite over two servers: the fake backend and a real ComfyUI. What passes on one must pass on the other."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass

import pytest

from comfy_orchestrator_nodes.backend.client import ComfyClient
from comfy_orchestrator_nodes.domain import Backend
from tests.contract.prompts import Prompt, empty_image, preview_prompt
from tests.fakes.execution import until
from tests.fakes.fake_comfy import FakeComfy
from tests.support.recorder import Recorder

_SLOW_STEPS = 80
"""Of some tenths of a second each: an interrupt takes effect between two, and a test is over long before the last."""


@dataclass
class Peer:
    """A server under test and our client of it."""

    url: str
    client: ComfyClient
    fake: FakeComfy | None

    def recorder(self) -> Recorder:
        """Return a listener to the client's socket."""
        return Recorder(self.client)

    def slow_prompt(self, prompt_id: str) -> Prompt:
        """Return a prompt that runs until it is interrupted: for real a long chain, on the fake a closed gate."""
        if self.fake is not None:
            self.fake.behave(until(asyncio.Event()), prompt_id)
            return preview_prompt()
        chain: Prompt = {"0": empty_image(320, 320)}
        for step in range(1, _SLOW_STEPS + 1):
            inputs = {"image": [str(step - 1), 0], "blur_radius": 15, "sigma": 10.0}
            chain[str(step)] = {"class_type": "ImageBlur", "inputs": inputs}
        return chain | {"out": {"class_type": "PreviewImage", "inputs": {"images": [str(_SLOW_STEPS), 0]}}}


@pytest.fixture(params=["fake", pytest.param("comfy", marks=pytest.mark.comfy)])
async def peer(request: pytest.FixtureRequest) -> AsyncIterator[Peer]:
    """Each server in turn."""
    fake: FakeComfy | None = None
    if request.param == "fake":
        fake = FakeComfy()
        await fake.start()
        url = fake.url
    else:
        url = request.getfixturevalue("plain_peer").url
    try:
        async with ComfyClient(Backend("peer", "peer", url)) as client:
            yield Peer(url, client, fake)
    finally:
        if fake is not None:
            await fake.stop()
