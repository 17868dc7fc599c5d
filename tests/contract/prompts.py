"""Prompts of ComfyUI's own nodes that need no model."""

from __future__ import annotations

import random
import uuid
from typing import Any

Prompt = dict[str, Any]


def new_id() -> str:
    """Return a fresh prompt_id."""
    return str(uuid.uuid4())


def empty_image(width: int = 16, height: int = 16, *, color: int | None = None, batch_size: int = 1) -> Prompt:
    """Return an EmptyImage node; its random colour keeps the backend from using an earlier result."""
    shade = random.randrange(0xFFFFFF) if color is None else color
    inputs = {"width": width, "height": height, "batch_size": batch_size, "color": shade}
    return {"class_type": "EmptyImage", "inputs": inputs}


def preview_prompt(**image: int) -> Prompt:
    """Return a prompt of an image and its preview, nodes 1 and 2."""
    return {"1": empty_image(**image), "2": {"class_type": "PreviewImage", "inputs": {"images": ["1", 0]}}}
