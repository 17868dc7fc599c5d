"""What the orchestrator adds to a trivial job: from ``submit()`` to the decoded image, all writes included.

The floor is a bare aiohttp client with keep-alive and one WebSocket that does the same exchange with the same peer and
decodes the same PNG. Both take turns, prompt by prompt, so that whatever else the machine does hits them alike.
"""

from __future__ import annotations

import asyncio
import io
import json
import statistics
import tempfile
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import aiohttp
import numpy as np
import numpy.typing as npt
from PIL import Image

from comfy_orchestrator_nodes.backend import codecs
from comfy_orchestrator_nodes.domain import LOCAL_BACKEND_ID, Backend, BackendStatus, Definition, Output, Parameter
from comfy_orchestrator_nodes.orchestrator.jobs import Request, raise_failure
from comfy_orchestrator_nodes.service import Service, open_service
from tools.devtools.bench import Result
from tools.devtools.instances import Farm

ROUNDS = 200
WARM_UP = 20
SIDE_PX = 64

Pixels = npt.NDArray[np.float32]
Once = Callable[[int], Awaitable[Pixels]]


class BareClient:
    """The least that can be done: one connection pool, one socket, one prompt after the other."""

    def __init__(self, session: aiohttp.ClientSession, url: str) -> None:
        self._session = session
        self._url = url
        self._client_id = uuid.uuid4().hex
        self._messages: AsyncIterator[Any] | None = None

    async def connect(self) -> None:
        """Open the socket."""
        socket = await self._session.ws_connect(f"{self._url}/ws?clientId={self._client_id}", max_msg_size=0)
        self._messages = aiter(socket)

    async def once(self, color: int) -> Pixels:
        """Run the prompt once and return its image, ``(1, H, W, 3)`` float32."""
        prompt_id = str(uuid.uuid4())
        body = {"prompt": self.graph(color), "prompt_id": prompt_id, "client_id": self._client_id}
        async with self._session.post(f"{self._url}/prompt", json=body) as response:
            response.raise_for_status()
            await response.read()
        await self._until_over(prompt_id)
        async with self._session.get(f"{self._url}/history/{prompt_id}") as response:
            entry = await response.json()
        file = entry[prompt_id]["outputs"]["2"]["images"][0]
        async with self._session.get(f"{self._url}/view", params=file) as response:
            data = await response.read()
        with Image.open(io.BytesIO(data)) as image:
            return (np.asarray(image.convert("RGB"), dtype=np.float32) / 255.0)[None]

    def graph(self, color: int) -> dict[str, Any]:
        """Return the prompt. Node 2 yields the image."""
        return {
            "1": {"class_type": "EmptyImage", "inputs": empty_image(color)},
            "2": {"class_type": "PreviewImage", "inputs": {"images": ["1", 0]}},
        }

    async def _until_over(self, prompt_id: str) -> None:
        if self._messages is None:
            raise RuntimeError("connect first")
        async for message in self._messages:
            if message.type is not aiohttp.WSMsgType.TEXT:
                continue
            told = json.loads(message.data)
            if told["type"] != "executing" or told["data"]["node"] is not None:
                continue
            if told["data"].get("prompt_id") == prompt_id:
                return


async def run(farm: Farm) -> Result:
    """Measure both clients against one plain peer."""
    (peer,) = farm.plain("dispatch-peer")
    nowhere = Backend(LOCAL_BACKEND_ID, "This server", "http://127.0.0.1:9", enabled=False)
    with tempfile.TemporaryDirectory() as folder:
        async with (
            aiohttp.ClientSession() as session,
            open_service(Path(folder), nowhere, lambda _: None, clock=time.time) as service,
        ):
            bare = BareClient(session, peer.url)
            await bare.connect()
            ours = await _orchestrated(service, peer.url)
            await _compare(bare.once, ours, WARM_UP)
            floor, subject = await _compare(bare.once, ours, ROUNDS)
    figures = {
        "floor_median_ms": 1000 * statistics.median(floor),
        "submit_to_value_median_ms": 1000 * statistics.median(subject),
        "floor_p95_ms": 1000 * statistics.quantiles(floor, n=20)[-1],
        "submit_to_value_p95_ms": 1000 * statistics.quantiles(subject, n=20)[-1],
    }
    ratio = figures["submit_to_value_median_ms"] / figures["floor_median_ms"]
    return Result(figures, {"submit_to_value_over_floor": ratio})


async def _orchestrated(service: Service, url: str) -> Once:
    definition = await service.library.create(
        Definition(
            id="",
            version=0,
            name="empty image",
            prompt={"1": {"class_type": "EmptyImage", "inputs": empty_image(0)}},
            parameters=(Parameter("color", "INT", "1", "color", 0),),
            outputs=(Output("image", "IMAGE", "1", 0),),
        )
    )
    state = await service.registry.add(Backend("", "peer", url))
    while service.health.of(state.backend.id).status is not BackendStatus.ONLINE:  # noqa: ASYNC110 - outside what is timed
        await asyncio.sleep(0.02)

    async def once(color: int) -> Pixels:
        ticket = await service.orchestrator.submit(Request(definition.id, {"color": color}, use_cache=False))
        job = await ticket.done
        raise_failure(job)
        (ref,) = job.outputs["image"].files
        with service.artifacts.open(ref) as file:
            pixels: Pixels = codecs.read([file], "IMAGE")
        return pixels

    return once


async def _compare(floor: Once, subject: Once, rounds: int) -> tuple[list[float], list[float]]:
    """Run both in turn and return their times in seconds; their images must be the same."""
    times: tuple[list[float], list[float]] = ([], [])
    for index in range(rounds):
        # A constant of its own each time, so that no cache of the peer helps.
        color = (index * 7919 + rounds) % (1 << 24)
        images = []
        for once, measured in zip((floor, subject), times, strict=True):
            started = time.perf_counter()
            images.append(await once(color if once is floor else color ^ 0x800000))
            measured.append(time.perf_counter() - started)
        if images[0].shape != images[1].shape:
            raise RuntimeError(f"the two clients got different images: {images[0].shape} and {images[1].shape}")
    return times


def empty_image(color: int) -> dict[str, int]:
    """Return the inputs of the EmptyImage node."""
    return {"width": SIDE_PX, "height": SIDE_PX, "batch_size": 1, "color": color}
