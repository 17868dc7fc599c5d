"""The client against a real ComfyUI that is killed, frozen and started again."""

from __future__ import annotations

import asyncio
import sys
import uuid

import pytest

from comfy_orchestrator_nodes.backend.answers import HistoryStatus, Place
from comfy_orchestrator_nodes.backend.client import ComfyClient
from comfy_orchestrator_nodes.backend.http import Timeouts
from comfy_orchestrator_nodes.backend.messages import Connected, Disconnected, Executing
from comfy_orchestrator_nodes.domain import Backend
from comfy_orchestrator_nodes.errors import BackendTimedOut, BackendUnreachable, ConnectionLost
from tests.contract.prompts import preview_prompt
from tests.support.recorder import Recorder
from tools.devtools.instances import Instance

pytestmark = pytest.mark.comfy

IMPATIENT = Timeouts(control_s=1.0, document_s=1.0, submit_s=1.0, heartbeat_s=1.0, retry_min_s=0.1, retry_max_s=0.5)


def client_of(instance: Instance, timeouts: Timeouts | None = None) -> ComfyClient:
    return ComfyClient(Backend(instance.name, instance.name, instance.url), timeouts=timeouts)


async def test_a_killed_backend_is_lost_found_again_and_knows_nothing(plain_peer: Instance) -> None:
    prompt_id = str(uuid.uuid4())
    async with (
        client_of(plain_peer, Timeouts(retry_min_s=0.1, retry_max_s=0.5)) as client,
        Recorder(client) as recorder,
    ):
        await client.submit(preview_prompt(), prompt_id=prompt_id)
        await recorder.wait_over(prompt_id)
        plain_peer.kill()
        lost = await recorder.wait_for(Disconnected)
        with pytest.raises(BackendUnreachable):
            await client.ping()
        await asyncio.to_thread(plain_peer.start)
        back = await recorder.wait_for(Connected, after=recorder.messages.index(lost))
        where = await client.find(prompt_id)

    first = next(message for message in recorder.messages if isinstance(message, Connected))
    assert isinstance(lost.error, ConnectionLost)
    assert back.client_id != first.client_id
    assert where.place is Place.ABSENT


@pytest.mark.skipif(sys.platform == "win32", reason="Windows cannot freeze a process")
async def test_a_frozen_backend_times_out_and_goes_on_when_it_thaws(plain_peer: Instance) -> None:
    asked, later = str(uuid.uuid4()), str(uuid.uuid4())
    async with client_of(plain_peer, IMPATIENT) as client, Recorder(client) as recorder:
        plain_peer.sigstop()
        try:
            with pytest.raises(BackendTimedOut):
                await client.ping()
            with pytest.raises(BackendTimedOut):
                await client.submit(preview_prompt(), prompt_id=asked)
            lost = await recorder.wait_for(Disconnected)
        finally:
            plain_peer.sigcont()
        await recorder.wait_for(Connected, after=recorder.messages.index(lost))
        # The prompt had been sent: the kernel kept it, and ComfyUI took it once it went on.
        await client.submit(preview_prompt(), prompt_id=later)
        await recorder.wait_for(Executing, lambda m: m.prompt_id == later and m.node_id is None)
        places = [(await client.find(prompt_id)).entry for prompt_id in (asked, later)]

    assert [entry.status for entry in places if entry is not None] == [HistoryStatus.SUCCESS] * 2
