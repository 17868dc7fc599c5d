"""Results behind which nothing stands: the node that made them shows them itself.

ComfyUI refuses a prompt in which nothing is an output. A graph of Remote Workflow nodes alone is one, and yet it is the
first that a new user composes: so ``prompt_handler.show_ends`` puts this node behind each of them that nothing uses.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

from .any_type import ANY
from .host import Host
from .io import CATEGORY
from .prompt_handler import SHOW
from .slots import SLOTS

IMAGES = tuple(f"image_{index + 1}" for index in range(SLOTS))


def build(host: Host) -> dict[str, type]:
    """Return the node class that shows results on the node that made them."""

    class Show:
        """Shows the images of a Remote Workflow node on that node."""

        CATEGORY = CATEGORY
        DESCRIPTION = "Put behind a Remote Workflow node that nothing else uses; not meant to be placed by hand."
        FUNCTION = "run"
        INPUT_IS_LIST = True
        OUTPUT_NODE = True
        RETURN_TYPES = ()

        @classmethod
        def INPUT_TYPES(cls) -> dict[str, Any]:  # noqa: N802 - ComfyUI's name
            """Declare the inputs."""
            return {
                "required": {"node": ("STRING", {"default": ""}), "report": (ANY,)},
                "optional": dict.fromkeys(IMAGES, (ANY,)),
            }

        async def run(self, node: Sequence[str], report: Sequence[Any], **images: Sequence[Any]) -> dict[str, Any]:
            """Show the images in the order of their outputs; of other results the node tells that they are there."""
            execution = host.execution()
            batches = [batch for name in IMAGES for batch in images.get(name, ())]
            files = [file for batch in batches for file in await asyncio.to_thread(host.save_previews, batch)]
            ui = {"images": files}
            if files:
                host.show_result(execution, node[0], ui)
            return {"ui": ui}

    return {SHOW: Show}
