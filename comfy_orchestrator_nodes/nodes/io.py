"""Workflow Input and Workflow Output: what a sub-workflow takes and yields, by name. Pass-through when run locally.

Also the two nodes that exist only in graphs that Remote Workflow expands into on this server.
"""

from __future__ import annotations

from typing import Any

from ..domain import SCALAR_TYPES, STORED_TYPES
from ..workflow.graph import WORKFLOW_INPUT, WORKFLOW_OUTPUT
from .any_type import ANY

CATEGORY = "orchestrator"
PICK = "OrchestratorPick"
COLLECT = "OrchestratorCollect"

_TYPES = [*sorted(STORED_TYPES), *sorted(SCALAR_TYPES - {"COMBO"})]


class WorkflowInput:
    """Names a value that a Remote Workflow node passes into this workflow."""

    CATEGORY = CATEGORY
    DESCRIPTION = (
        "Names an input of this workflow for Remote Workflow nodes. Run here, it passes on what is connected to it."
    )
    FUNCTION = "run"
    RETURN_TYPES = (ANY,)
    RETURN_NAMES = ("value",)
    OUTPUT_TOOLTIPS = ("What was passed in, or else what is connected here.",)

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:  # noqa: N802 - ComfyUI's name
        """Declare the inputs."""
        return {
            "required": {
                "name": ("STRING", {"default": "input", "tooltip": "What Remote Workflow nodes call this input."}),
                "type": (_TYPES, {"default": "IMAGE", "tooltip": "The type of the value."}),
            },
            "optional": {"value": (ANY, {"tooltip": "The value to use when none is passed in."})},
        }

    def run(self, name: str, type: str, value: Any = None) -> tuple[Any]:  # noqa: A002 - the widget's name
        """Pass the default on."""
        if value is None:
            raise ValueError(
                f"The workflow input {name!r} has no value here: connect a {type} to try the workflow on its own."
            )
        return (value,)


class WorkflowOutput:
    """Names a value that this workflow yields to a Remote Workflow node."""

    CATEGORY = CATEGORY
    DESCRIPTION = "Names an output of this workflow for Remote Workflow nodes. Run here, it passes its value on."
    FUNCTION = "run"
    RETURN_TYPES = (ANY,)
    RETURN_NAMES = ("value",)
    OUTPUT_TOOLTIPS = ("The value, to go on with when the workflow runs here.",)
    OUTPUT_NODE = True

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:  # noqa: N802 - ComfyUI's name
        """Declare the inputs."""
        return {
            "required": {
                "name": ("STRING", {"default": "output", "tooltip": "What Remote Workflow nodes call this output."}),
                "value": (ANY, {"tooltip": "The value to yield."}),
            }
        }

    def run(self, name: str, value: Any) -> tuple[Any]:
        """Pass the value on."""
        return (value,)


class Pick:
    """Takes one item of a list, inside an expanded graph: a link keeps ComfyUI's cache keys small and true."""

    CATEGORY = CATEGORY
    DESCRIPTION = "Made by Remote Workflow nodes that run on this server; not meant to be placed by hand."
    FUNCTION = "run"
    INPUT_IS_LIST = True
    RETURN_TYPES = (ANY,)

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:  # noqa: N802 - ComfyUI's name
        """Declare the inputs."""
        return {"required": {"items": (ANY,), "index": ("INT", {"default": 0, "min": 0})}}

    def run(self, items: list[Any], index: list[int]) -> tuple[Any]:
        """Return the item; a list of one element serves every index."""
        return (items[index[0]] if len(items) > 1 else items[0],)


class Collect:
    """Gathers what the copies of an expanded sub-workflow yield, in item order, as one value that is a list."""

    CATEGORY = CATEGORY
    DESCRIPTION = "Made by Remote Workflow nodes that run on this server; not meant to be placed by hand."
    FUNCTION = "run"
    INPUT_IS_LIST = True
    RETURN_TYPES = (ANY,)

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:  # noqa: N802 - ComfyUI's name
        """Declare the inputs. ``item_0``, … are linked undeclared, which ComfyUI passes on for V1 classes."""
        return {"required": {"count": ("INT", {"default": 1, "min": 1})}}

    def run(self, count: list[int], **items: list[Any]) -> tuple[list[Any]]:
        """Return the items as one list."""
        return ([_one(items[f"item_{index}"]) for index in range(count[0])],)


def _one(values: list[Any]) -> Any:
    """Return the one value of an output; a list of images becomes a batch, as it does when it comes from afar."""
    if len(values) == 1:
        return values[0]
    import torch  # only there inside ComfyUI

    if values and all(isinstance(value, torch.Tensor) and value.shape[1:] == values[0].shape[1:] for value in values):
        return torch.cat(values, dim=0)
    return list(values)


NODE_CLASS_MAPPINGS = {
    WORKFLOW_INPUT: WorkflowInput,
    WORKFLOW_OUTPUT: WorkflowOutput,
    PICK: Pick,
    COLLECT: Collect,
}
NODE_DISPLAY_NAME_MAPPINGS = {
    WORKFLOW_INPUT: "Workflow Input",
    WORKFLOW_OUTPUT: "Workflow Output",
    PICK: "Pick Item (internal)",
    COLLECT: "Collect Items (internal)",
}
