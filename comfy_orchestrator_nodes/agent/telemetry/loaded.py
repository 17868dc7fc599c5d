"""Which models ComfyUI holds loaded, from the list of its model management, read without importing it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from .models import LoadedModel

MOST = 100


def loaded_models(current: Callable[[], Iterable[Any]]) -> tuple[LoadedModel, ...]:
    """Return the loaded models, the largest first.

    ComfyUI changes the list while it runs, on another thread: an entry that is being unloaded is left out.

    Args:
        current: returns ``comfy.model_management.current_loaded_models``.
    """
    found = []
    for entry in list(current())[:MOST]:
        try:
            model = _described(entry)
        except (AttributeError, TypeError, ValueError, RuntimeError, ReferenceError):
            continue
        if model is not None:
            found.append(model)
    return tuple(sorted(found, key=lambda model: -model.size_bytes))


def _described(entry: Any) -> LoadedModel | None:
    patcher = entry.model
    if patcher is None:
        # ComfyUI holds it weakly, and nobody uses it any more.
        return None
    inner = getattr(patcher, "model", patcher)
    return LoadedModel(
        name=type(inner).__name__,
        size_bytes=int(entry.model_memory()),
        loaded_bytes=int(entry.model_loaded_memory()),
        device=str(entry.device),
    )
