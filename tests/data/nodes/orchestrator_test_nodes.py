"""Nodes for tests, put into the custom_nodes folder of real servers: what no core node does without a model."""

from __future__ import annotations

import time
from typing import Any

import comfy.model_management


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


NODE_CLASS_MAPPINGS = {"OrchestratorTestSleep": Sleep, "OrchestratorTestFail": Fail}
