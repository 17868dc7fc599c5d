"""Nodes that count their own executions, so that tests need not believe the master, and that wait for a test."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import comfy.model_management
import folder_paths


class Count:
    """Notes each of its executions in a file that outlives the server."""

    CATEGORY = "test"
    FUNCTION = "run"
    RETURN_TYPES = ("IMAGE",)

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:  # noqa: N802 - ComfyUI's name
        return {"required": {"image": ("IMAGE",), "token": ("STRING", {"default": ""})}}

    @classmethod
    def IS_CHANGED(cls, **_: Any) -> float:  # noqa: N802 - ComfyUI's name
        return float("nan")  # never cached: each prompt counts

    def run(self, image: Any, token: str) -> tuple[Any]:
        with (Path(folder_paths.get_output_directory()) / "executions.log").open("a", encoding="utf-8") as log:
            log.write(f"{token}\n")
        return (image,)


class Gate:
    """Waits until the test puts a file of this name into the server's output folder; stops when interrupted."""

    CATEGORY = "test"
    FUNCTION = "run"
    RETURN_TYPES = ("IMAGE",)

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:  # noqa: N802 - ComfyUI's name
        return {"required": {"image": ("IMAGE",), "name": ("STRING", {"default": "gate"})}}

    @classmethod
    def IS_CHANGED(cls, **_: Any) -> float:  # noqa: N802 - ComfyUI's name
        return float("nan")

    def run(self, image: Any, name: str) -> tuple[Any]:
        gate = Path(folder_paths.get_output_directory()) / name
        while not gate.exists():
            comfy.model_management.throw_exception_if_processing_interrupted()
            time.sleep(0.02)
        return (image,)


NODE_CLASS_MAPPINGS = {"OrchestratorTestCount": Count, "OrchestratorTestGate": Gate}
