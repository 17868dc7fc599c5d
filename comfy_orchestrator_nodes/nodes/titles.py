"""What a run is called, for people. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any

from ..workflow.graph import REMOTE_WORKFLOW

MAX_LENGTH = 120
MAX_NAMES = 4
"""How many workflows a title names; of more it says that there are some."""

_NAMED_BY = (("extra", "orchestrator", "title"), ("extra", "info", "name"), ("name",), ("title",))
"""Where documents say what they are called: by our own front end, by other packs, by other front ends."""


def run_title(prompt: Any, extra_pnginfo: Any, name_of: Callable[[str], str]) -> str:
    """Return what a prompt is called: as its workflow says, else by the workflows of the library that it runs.

    Args:
        prompt: as ComfyUI gives it to nodes, perhaps unsound.
        extra_pnginfo: what the front end sent along; other senders leave it out.
        name_of: returns what a definition is called.
    """
    workflow = extra_pnginfo.get("workflow") if isinstance(extra_pnginfo, Mapping) else None
    for path in _NAMED_BY:
        title = _text_at(workflow, path)
        if title:
            return _short(title)
    nodes = prompt.values() if isinstance(prompt, Mapping) else ()
    counts = Counter(name_of(workflow_id) for node in nodes if (workflow_id := _runs(node)))
    names = [name if count == 1 else f"{name} \N{MULTIPLICATION SIGN}{count}" for name, count in counts.items()]
    return _short(", ".join([*names[:MAX_NAMES], *(["…"] if len(names) > MAX_NAMES else [])]))


def _runs(node: Any) -> str:
    inputs = node.get("inputs") if isinstance(node, Mapping) and node.get("class_type") == REMOTE_WORKFLOW else None
    workflow = inputs.get("workflow") if isinstance(inputs, Mapping) else None
    return workflow if isinstance(workflow, str) else ""


def _text_at(document: Any, path: tuple[str, ...]) -> str:
    found = document
    for key in path:
        found = found.get(key) if isinstance(found, Mapping) else None
    return " ".join(found.split()) if isinstance(found, str) else ""


def _short(title: str) -> str:
    return title if len(title) <= MAX_LENGTH else title[: MAX_LENGTH - 1] + "…"
