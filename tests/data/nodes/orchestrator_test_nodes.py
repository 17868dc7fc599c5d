"""Nodes for tests, put into the custom_nodes folder of real servers: what no core node does without a model."""

from __future__ import annotations

import time
from typing import Any

import comfy.model_management
import comfy.utils
from PIL import Image


class Sleep:
    """Takes its time, as a sampler does; stops when it is interrupted."""

    CATEGORY = "test"
    FUNCTION = "run"
    RETURN_TYPES = ("IMAGE",)

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:  # noqa: N802 - ComfyUI's name
        return {"required": {"image": ("IMAGE",), "seconds": ("FLOAT", {"default": 1.0, "min": 0.0, "max": 600.0})}}

    def run(self, image: Any, seconds: float) -> tuple[Any]:
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            comfy.model_management.throw_exception_if_processing_interrupted()
            time.sleep(min(0.02, max(0.0, end - time.monotonic())))
        return (image,)


class Paint:
    """Shows previews while it works, as a sampler does."""

    CATEGORY = "test"
    FUNCTION = "run"
    RETURN_TYPES = ("IMAGE",)

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:  # noqa: N802 - ComfyUI's name
        return {"required": {"image": ("IMAGE",), "seconds": ("FLOAT", {"default": 1.0, "min": 0.0, "max": 60.0})}}

    def run(self, image: Any, seconds: float) -> tuple[Any]:
        level = int(image.mean() * 255)
        preview = ("JPEG", Image.new("RGB", (64, 64), (level, level, level)), 64)
        steps = 10
        bar = comfy.utils.ProgressBar(steps)
        for step in range(steps):
            comfy.model_management.throw_exception_if_processing_interrupted()
            time.sleep(seconds / steps)
            bar.update_absolute(step + 1, steps, preview)
        return (image,)


class Fail:
    """Raises."""

    CATEGORY = "test"
    FUNCTION = "run"
    RETURN_TYPES = ("IMAGE",)

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:  # noqa: N802 - ComfyUI's name
        return {"required": {"image": ("IMAGE",), "message": ("STRING", {"default": "broken"})}}

    def run(self, image: Any, message: str) -> tuple[Any]:
        raise RuntimeError(message)


class FailDark:
    """Raises for dark images."""

    CATEGORY = "test"
    FUNCTION = "run"
    RETURN_TYPES = ("IMAGE",)

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:  # noqa: N802 - ComfyUI's name
        return {"required": {"image": ("IMAGE",)}}

    def run(self, image: Any) -> tuple[Any]:
        if image.mean() < 0.5:
            raise RuntimeError("too dark")
        return (image,)


class AnyType(str):
    """Fits every type."""

    __slots__ = ()

    def __ne__(self, other: object) -> bool:
        return False

    __hash__ = str.__hash__


ANY = AnyType("*")


class Text:
    """Makes a text of a value."""

    CATEGORY = "test"
    FUNCTION = "run"
    RETURN_TYPES = ("STRING",)

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:  # noqa: N802 - ComfyUI's name
        return {"required": {"value": (ANY,), "text": ("STRING", {"default": ""})}}

    def run(self, value: Any, text: str) -> tuple[str]:
        return (f"{text} {value}",)


class Pair:
    """Puts two values side by side, as any ordinary node with two inputs does."""

    CATEGORY = "test"
    FUNCTION = "run"
    RETURN_TYPES = (ANY,)

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:  # noqa: N802 - ComfyUI's name
        return {"required": {"first": (ANY,), "second": (ANY,)}}

    def run(self, first: Any, second: Any) -> tuple[str]:
        return (f"{first} {second}",)


class Show:
    """Writes what it gets into the history."""

    CATEGORY = "test"
    FUNCTION = "run"
    INPUT_IS_LIST = True
    OUTPUT_NODE = True
    RETURN_TYPES = ()

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:  # noqa: N802 - ComfyUI's name
        return {"required": {"value": (ANY,)}}

    def run(self, value: list[Any]) -> dict[str, Any]:
        return {"ui": {"values": value}}


NODE_CLASS_MAPPINGS = {
    "OrchestratorTestSleep": Sleep,
    "OrchestratorTestPaint": Paint,
    "OrchestratorTestFail": Fail,
    "OrchestratorTestFailDark": FailDark,
    "OrchestratorTestText": Text,
    "OrchestratorTestPair": Pair,
    "OrchestratorTestShow": Show,
}
