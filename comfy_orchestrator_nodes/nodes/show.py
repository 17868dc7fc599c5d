"""Results behind which nothing stands: the node that made them shows them itself.

ComfyUI refuses a prompt in which nothing is an output. A graph of nodes of this pack alone is one, and yet it is the
first that a new user composes: so ``prompt_handler.show_ends`` puts this node behind each of them that nothing uses.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

from .any_type import ANY
from .host import Execution, Host
from .io import CATEGORY
from .prompt_handler import SHOW, shown_name
from .slots import SLOTS

VALUES = tuple(shown_name(place) for place in range(SLOTS + 1))
"""A result for each output of a Remote Workflow, and its report."""

MOST_CHARACTERS = 2000
"""Of texts: what a node has room for."""

_IMAGE_DIMENSIONS = 4
_CHANNELS = (1, 3, 4)


def build(host: Host) -> dict[str, type]:
    """Return the node class that shows results on the node that made them."""

    class Show:
        """Shows the images and texts that a node made on that node."""

        CATEGORY = CATEGORY
        DESCRIPTION = "Put behind a node of the orchestrator that nothing else uses; not meant to be placed by hand."
        FUNCTION = "run"
        INPUT_IS_LIST = True
        OUTPUT_NODE = True
        RETURN_TYPES = ()

        @classmethod
        def INPUT_TYPES(cls) -> dict[str, Any]:  # noqa: N802 - ComfyUI's name
            """Declare the inputs."""
            return {
                "required": {"node": ("STRING", {"default": ""})},
                "optional": dict.fromkeys(VALUES, (ANY,)),
            }

        async def run(self, node: Sequence[str], **values: Sequence[Any]) -> dict[str, Any]:
            """Show images and texts in the order of their outputs; that others are there the node itself tells."""
            execution = host.execution()
            results = [value for name in VALUES for value in values.get(name, ())]
            images = [value for value in results if is_image(value)]
            files = [file for batch in images for file in await asyncio.to_thread(host.save_previews, batch)]
            ui = {"images": files}
            if files:
                host.show_result(execution, node[0], ui)
            text = "\n".join(str(value) for value in results if isinstance(value, str | int | float))
            if text:
                host.show_text(Execution(execution.prompt_id, node[0]), text[:MOST_CHARACTERS])
            return {"ui": ui}

    return {SHOW: Show}


def is_image(value: Any) -> bool:
    """Whether a value is a batch of images ``(B, H, W, C)``."""
    shape = tuple(getattr(value, "shape", ()))
    return len(shape) == _IMAGE_DIMENSIONS and shape[-1] in _CHANNELS and 0 not in shape
