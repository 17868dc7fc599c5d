"""What a backend has: its node classes and its model files."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from http import HTTPStatus

from ..domain import Json
from ..errors import InvalidNodeInfo, ProtocolViolation
from ..workflow.nodeinfo import NodeInfo, parse_node_info, parse_object_info
from .answers import parse_names
from .fields import Malformed, loads, obj
from .http import Http
from .urls import segment

_log = logging.getLogger(__name__)

_UNLISTED_FOLDERS = frozenset({"custom_nodes", "configs"})
"""Folders in ``/models`` that hold no models; listing custom_nodes walks every file of every pack."""

_FOLDERS_AT_ONCE = 4


async def read_class(http: Http, class_type: str) -> NodeInfo | None:
    """Return one node class; see ``ComfyClient.object_info``."""
    path = f"/object_info/{segment(class_type)}"

    def parse(answer: Json) -> NodeInfo | None:
        classes = obj(answer, "the answer")
        return parse_node_info(class_type, classes[class_type]) if class_type in classes else None

    try:
        return await http.ask(path, parse, document=True)
    except InvalidNodeInfo as error:
        raise ProtocolViolation(http.name, f"{path} cannot be used: {error}") from error


async def read_classes(http: Http) -> Mapping[str, NodeInfo]:
    """Return all node classes; see ``ComfyClient.all_object_info``."""
    async with http.request("GET", "/object_info", timeout=http.timeout(http.timeouts.document_s)) as response:
        if response.status != HTTPStatus.OK:
            raise http.fault(response)
        document = await http.read(response, http.limits.document_bytes)
    try:
        # Hundreds of classes: half a second of parsing is not for the loop.
        infos, broken = await asyncio.to_thread(lambda: parse_object_info(loads(document)))
    except (Malformed, InvalidNodeInfo) as error:
        raise ProtocolViolation(http.name, f"/object_info cannot be used: {error}") from error
    for reason in broken.values():
        _log.warning("%s: a node class is left out: %s", http.name, reason)
    return infos


async def read_models(http: Http) -> Mapping[str, frozenset[str]]:
    """Return the files of each model folder; see ``ComfyClient.models``."""
    folders = sorted(await http.ask("/models", parse_names) - _UNLISTED_FOLDERS)
    gate = asyncio.Semaphore(_FOLDERS_AT_ONCE)

    async def files(folder: str) -> frozenset[str]:
        async with gate:
            return await http.ask(f"/models/{segment(folder)}", parse_names, document=True)

    listed = await asyncio.gather(*(files(folder) for folder in folders))
    return dict(zip(folders, listed, strict=True))
