"""Node classes as real servers declared them, for tests: `/object_info` of ComfyUI 0.3.75 and of one of late 2026."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path

from comfy_orchestrator_nodes.workflow.nodeinfo import NodeInfo, parse_node_info, parse_object_info

_FOLDER = Path(__file__).parents[1] / "data" / "object_info"


@cache
def _classes(name: str) -> dict[str, NodeInfo]:
    return parse_object_info(json.loads((_FOLDER / f"{name}.json").read_text(encoding="utf-8")))[0]


def old_server() -> dict[str, NodeInfo]:
    """Return classes of ComfyUI 0.3.75, which has no model files."""
    return dict(_classes("comfyui_0.3.75"))


def new_server() -> dict[str, NodeInfo]:
    """Return classes of a ComfyUI of late 2026, which has no model files."""
    return dict(_classes("comfyui_late_2026"))


def with_files(infos: dict[str, NodeInfo], class_type: str, input_name: str, *files: str) -> dict[str, NodeInfo]:
    """Return the classes of a server where a combo lists these files."""
    entry = json.loads(json.dumps(infos[class_type].raw))
    for section in entry["input"].values():
        if input_name in section:
            section[input_name] = [list(files), *section[input_name][1:]]
    return {**infos, class_type: parse_node_info(class_type, entry)}
