"""FanOut: something becomes items, which everything behind it does one by one, on all backends at once."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

from ..errors import InvalidRequest
from ..flow import fan_out
from ..flow.fan_out import Items
from ..flow.words import WAYS
from .any_type import ANY
from .batches import split
from .host import Host
from .io import CATEGORY

LAYOUT_TYPE = "FAN_OUT_LAYOUT"

_TOOLTIPS = {
    fan_out.BATCH: "images, masks, latents or sound, so many at a time",
    fan_out.LIST: "the elements of what is connected",
    fan_out.LINES: "the lines of the text",
    fan_out.JSON: "the elements of a JSON array in the text",
    fan_out.SEEDS: "seeds, counted up",
    fan_out.GRID: "all combinations of named lists in the text, such as cfg: 4, 8",
}


def build(host: Host) -> type:
    """Return the node class for one master."""

    class FanOut:
        """Turns one thing into many items."""

        CATEGORY = CATEGORY
        DESCRIPTION = (
            "Turns a batch, a list, text, seeds or a grid into items. What follows runs once per item, in parallel."
        )
        FUNCTION = "run"
        INPUT_IS_LIST = True
        RETURN_TYPES = (ANY, "INT", "INT", *([ANY] * WAYS), LAYOUT_TYPE)
        RETURN_NAMES = ("item", "index", "count", *(f"out_{number}" for number in range(1, WAYS + 1)), "layout")
        OUTPUT_IS_LIST = (True,) * (WAYS + 4)
        OUTPUT_TOOLTIPS = (
            "The items. For a grid, each combination as JSON text.",
            "The items' numbers, from 0.",
            "How many items there are; there even if there are none.",
            *(
                f"For a grid, the values of its name {number}. With 'distribute', the items that are dealt here."
                for number in range(1, WAYS + 1)
            ),
            "How items were dealt out, for Merge, which finds it by itself.",
        )

        @classmethod
        def INPUT_TYPES(cls) -> dict[str, Any]:  # noqa: N802 - ComfyUI's name
            """Declare the inputs."""
            sources = "; ".join(f"{name}: {what}" for name, what in _TOOLTIPS.items())
            dealing = "Deal the items out over so many outputs out_1, out_2, … for branches that differ. 0: do not."
            return {
                "required": {"source": (list(fan_out.SOURCES), {"default": fan_out.BATCH, "tooltip": sources})},
                "optional": {
                    "value": (ANY, {"tooltip": "What becomes items, for the sources batch and list."}),
                    "text": ("STRING", {"default": "", "multiline": True, "tooltip": "For lines, json and grid."}),
                    "chunk": (
                        "INT",
                        {"default": 1, "min": 1, "max": 4096, "tooltip": "For batch: how many at a time."},
                    ),
                    "first_seed": (
                        "INT",
                        {"default": 0, "min": 0, "max": fan_out.SEEDS_END - 1, "tooltip": "For seeds: the first one."},
                    ),
                    "seeds": (
                        "INT",
                        {"default": 4, "min": 0, "max": fan_out.MAX_ITEMS, "tooltip": "For seeds: how many."},
                    ),
                    "distribute": ("INT", {"default": 0, "min": 0, "max": WAYS, "tooltip": dealing}),
                },
            }

        @classmethod
        def VALIDATE_INPUTS(  # noqa: N802 - ComfyUI's name
            cls, source: Any = None, text: Any = None, input_types: Any = None
        ) -> bool | str:
            """Refuse a source without what it needs. Arguments come as lists of one; a linked one is None."""
            chosen, written, connected = _one(source), _one(text), _one(input_types) or {}
            if chosen is not None and chosen not in fan_out.SOURCES:
                return f"There is no source {chosen!r}; choose one of {', '.join(fan_out.SOURCES)}."
            if chosen in (fan_out.BATCH, fan_out.LIST) and "value" not in connected:
                return f"The source {chosen!r} needs something connected to 'value'."
            if chosen in fan_out.OF_TEXT and isinstance(written, str) and "text" not in connected:
                try:
                    fan_out.made(chosen, (), [written], 0, 0)
                except InvalidRequest as error:
                    return str(error)
            return True

        async def run(
            self,
            source: Sequence[str],
            value: Sequence[Any] = (),
            text: Sequence[str] = ("",),
            chunk: Sequence[int] = (1,),
            first_seed: Sequence[int] = (0,),
            seeds: Sequence[int] = (4,),
            distribute: Sequence[int] = (0,),
        ) -> tuple[list[Any], ...]:
            """Make the items."""
            if source[0] == fan_out.BATCH:
                items = Items(await asyncio.to_thread(split, value, chunk[0]))
            else:
                items = fan_out.made(source[0], value, text, first_seed[0], seeds[0])
            count, ways = len(items.values), distribute[0]
            if source[0] == fan_out.GRID and ways:
                raise InvalidRequest("A grid has an output for each name and deals nothing out. Set 'distribute' to 0.")
            columns = list(items.columns.values()) or [fan_out.dealt(items.values, ways, way) for way in range(ways)]
            outputs = [list(column) or [host.blocker(None)] for column in columns]
            unused = host.blocker("This FanOut has fewer outputs: see 'distribute', or the names of its grid.")
            outputs += [[unused]] * (WAYS - len(outputs))
            layout = {"count": count, "ways": ways}
            none = [host.blocker(None)]
            return (list(items.values) or none, list(range(count)) or none, [count], *outputs, [layout])

    return FanOut


def _one(value: Any) -> Any:
    """With INPUT_IS_LIST everything comes as a list of one."""
    return value[0] if isinstance(value, (list, tuple)) and value else value
