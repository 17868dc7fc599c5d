"""What a browser hears while a prompt runs: progress, lines of text and previews, by node."""

from __future__ import annotations

import asyncio
import io
import json
import struct
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import aiohttp
from PIL import Image

from tests.support.master import Master

PREVIEW, TEXT = 4, 3
"""ComfyUI's binary messages: a preview with metadata, and a line of text."""


@dataclass
class Heard:
    """What was heard of one prompt, in order."""

    prompt_id: str = ""
    texts: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    values: dict[str, list[tuple[float, float]]] = field(default_factory=lambda: defaultdict(list))
    previews: dict[str, list[Image.Image]] = field(default_factory=lambda: defaultdict(list))


async def watch(master: Master, prompt: Mapping[str, Any], timeout_s: float = 90.0) -> Heard:
    """Queue a prompt as a browser does, and listen until it has ended."""
    heard = Heard()
    url = f"{master.instance.url}/ws?clientId=watching"
    async with aiohttp.ClientSession() as session, session.ws_connect(url, max_msg_size=0) as socket:
        await socket.send_json({"type": "feature_flags", "data": {"supports_preview_metadata": True}})
        body = {"prompt": dict(prompt), "client_id": "watching"}
        async with session.post(f"{master.instance.url}/prompt", json=body) as answer:
            assert answer.status == 200, await answer.text()
            heard.prompt_id = (await answer.json())["prompt_id"]
        await asyncio.wait_for(_listen(socket, heard), timeout_s)
    return heard


async def _listen(socket: aiohttp.ClientWebSocketResponse[Any], heard: Heard) -> None:
    async for frame in socket:
        if frame.type is aiohttp.WSMsgType.BINARY:
            _take_binary(frame.data, heard)
            continue
        message = json.loads(frame.data)
        data = message["data"]
        if message["type"] == "progress_state":
            for node in data["nodes"].values():
                heard.values[node["display_node_id"]].append((node["value"], node["max"]))
        if message["type"] == "executing" and data["node"] is None and data["prompt_id"] == heard.prompt_id:
            return


def _take_binary(data: bytes, heard: Heard) -> None:
    kind, length = struct.unpack(">II", data[:8])
    head, rest = data[8 : 8 + length], data[8 + length :]
    if kind == TEXT:
        heard.texts[head.decode()].append(rest.decode())
    elif kind == PREVIEW:
        heard.previews[json.loads(head)["display_node_id"]].append(Image.open(io.BytesIO(rest)).convert("RGB"))
