"""Results that stay where they were made: on the link between two Remote Workflow nodes there is only a handle."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ..domain import STORED_TYPES, Value
from .any_type import ANY
from .host import Host
from .io import CATEGORY
from .values import decode

NATIVE = "OrchestratorNative"


@dataclass(frozen=True)
class Handle:
    """A stored value on a link. The prompt handler sees to it that only Remote Workflow nodes get one.

    ComfyUI may keep it for long: whoever takes it makes sure of the value first.
    """

    value: Value


def build(host: Host) -> dict[str, type]:
    """Return the node class that turns handles into native values, for graphs that Remote Workflow expands into."""

    class Native:
        """Turns handles into native values."""

        CATEGORY = CATEGORY
        DESCRIPTION = "Made by Remote Workflow nodes that run on this server; not meant to be placed by hand."
        FUNCTION = "run"
        INPUT_IS_LIST = True
        RETURN_TYPES = (ANY,)
        OUTPUT_IS_LIST = (True,)

        @classmethod
        def INPUT_TYPES(cls) -> dict[str, Any]:  # noqa: N802 - ComfyUI's name
            """Declare the input."""
            return {"required": {"items": (ANY,)}}

        async def run(self, items: Sequence[Any]) -> tuple[list[Any]]:
            """Return the items as native values."""
            return ([await native(host, one) if isinstance(one, Handle) else one for one in items],)

    return {NATIVE: Native}


async def native(host: Host, handle: Handle) -> Any:
    """Return the native value of a handle, fetched or made again if need be.

    Raises:
        ValueLost: it is lost and cannot be made again.
        JobError: making it again failed.
    """
    service = host.service()
    owner = f"value {uuid.uuid4()}"
    try:
        value = await host.crossing.run(service.orchestrator.at_hand(handle.value, owner=owner))
        return await asyncio.to_thread(decode, value, service.artifacts)
    finally:
        service.artifacts.release(owner)


def stays(value: Value) -> bool:
    """Whether a value goes over a link as a handle, if nobody looks into it: a constant never does."""
    return value.type in STORED_TYPES and bool(value.files)
