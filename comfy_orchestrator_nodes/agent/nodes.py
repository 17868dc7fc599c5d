"""The two nodes by which values enter and leave a workflow on this peer."""

from __future__ import annotations

from typing import Any

from .blobs import check_sha256
from .errors import AgentError
from .values import FORMS, VALUE, Handle, Values

VALUE_IN = "OrchestratorValueIn"
VALUE_OUT = "OrchestratorValueOut"
UI_KEY = "orchestrator_value"
CATEGORY = "orchestrator/carriers"
KNOWN_TYPES = (
    "IMAGE",
    "MASK",
    "LATENT",
    "AUDIO",
    "VIDEO",
    "CONDITIONING",
    "SIGMAS",
    "SVG",
    "MESH",
    "VOXEL",
    "FILE_3D",
    "NOISE_SCHEDULE",
    "STRING",
    "INT",
    "FLOAT",
    "BOOLEAN",
    "COMBO",
    "JSON",
    "BBOX",
)
"""Types that are known to travel; others do if they are built of the same."""


class AnyType(str):
    """A link type that fits every other: ComfyUI asks whether two types differ."""

    __slots__ = ()

    def __ne__(self, other: object) -> bool:
        return False

    __hash__ = str.__hash__


ANY = AnyType("*")


def build(values: Values) -> dict[str, type]:
    """Return the node classes over a store of values."""

    class ValueIn:
        """Makes a value of a blob of this server."""

        DESCRIPTION = "Placed by ComfyUI Orchestrator: a value that another server sent."
        CATEGORY = CATEGORY
        RETURN_TYPES = (ANY,)
        RETURN_NAMES = ("value",)
        FUNCTION = "load"

        @classmethod
        def INPUT_TYPES(cls) -> dict[str, Any]:  # noqa: N802 - ComfyUI's name
            """Declare the constants that name a value."""
            return {
                "required": {"sha256": ("STRING", {"default": ""}), "type": ("STRING", {"default": "IMAGE"})},
                "optional": {
                    "form": (list(FORMS), {"default": VALUE}),
                    "media_type": ("STRING", {"default": ""}),
                },
            }

        @classmethod
        def VALIDATE_INPUTS(cls, sha256: str) -> bool | str:  # noqa: N802 - ComfyUI's name
            """Refuse what is not here while the master can still send it."""
            try:
                check_sha256(sha256)
            except AgentError as error:
                return str(error)
            return values.has(sha256) or f"blob_missing: the value {sha256} is not on this server: send it again."

        def load(self, sha256: str, type: str, form: str = VALUE, media_type: str = "") -> tuple[Any]:  # noqa: A002
            """Return the value."""
            return (values.read(sha256, type, form),)

    class ValueOut:
        """Makes blobs of the items of a link, and tells their handles in the history."""

        DESCRIPTION = "Placed by ComfyUI Orchestrator: keeps a value here until another server needs it."
        CATEGORY = CATEGORY
        RETURN_TYPES = ()
        FUNCTION = "store"
        OUTPUT_NODE = True
        # The whole list at once: an item that is blocked then blocks the node, instead of being missing unnoticed, and
        # an empty list is one.
        INPUT_IS_LIST = True

        @classmethod
        def INPUT_TYPES(cls) -> dict[str, Any]:  # noqa: N802 - ComfyUI's name
            """Declare the value, and the constants that make this execution one of its own."""
            return {
                "required": {
                    "value": (ANY, {}),
                    "type": ("STRING", {"default": "IMAGE"}),
                    "attempt_id": ("STRING", {"default": ""}),
                },
            }

        def store(
            self,
            value: list[Any],
            type: list[str],  # noqa: A002 - the name of the input
            attempt_id: list[str],
        ) -> dict[str, dict[str, list[Handle]]]:
            """Store each item; the same value twice is stored once."""
            owner = attempt_id[0] if attempt_id else ""
            return {"ui": {UI_KEY: values.write_all(value, type[0], owner)}}

    return {VALUE_IN: ValueIn, VALUE_OUT: ValueOut}


DISPLAY_NAMES = {VALUE_IN: "Value In (Orchestrator)", VALUE_OUT: "Value Out (Orchestrator)"}
