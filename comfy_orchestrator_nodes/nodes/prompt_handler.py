"""What is written into a prompt before it is validated: which outputs of Remote Workflow nodes somebody uses. Pure.

ComfyUI caches a node by its inputs alone. An output that nobody used is not fetched, so when a link to it is added the
node must count as another one: therefore the names of the used outputs go into its inputs.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

from ..domain import Definition, Json
from ..errors import InvalidRequest
from ..workflow.graph import REMOTE_WORKFLOW
from .slots import parse, resolve

FIRST_OUTPUT = 2
"""Where ``out_1`` stands among the node's outputs, after ``index`` and ``info``."""


def annotate(prompt: Mapping[str, Any], definition: Callable[[str], Definition | None]) -> dict[str, Any]:
    """Return the prompt with ``wanted`` written into the parameters of each Remote Workflow node.

    A node whose parameters cannot be understood is left as it is: its validation says what is wrong.
    """
    used = _used_outputs(prompt)
    return {
        node_id: _annotated(node, used.get(node_id, set()), definition)
        if isinstance(node, dict) and node.get("class_type") == REMOTE_WORKFLOW
        else node
        for node_id, node in prompt.items()
    }


def _used_outputs(prompt: Mapping[str, Any]) -> dict[str, set[int]]:
    used: dict[str, set[int]] = {}
    for node in prompt.values():
        inputs = node.get("inputs") if isinstance(node, dict) else None
        for value in inputs.values() if isinstance(inputs, dict) else ():
            if isinstance(value, list) and len(value) == 2 and isinstance(value[1], int):
                used.setdefault(str(value[0]), set()).add(value[1])
    return used


def _annotated(node: dict[str, Any], used: set[int], definition: Callable[[str], Definition | None]) -> dict[str, Any]:
    inputs = node.get("inputs")
    if not isinstance(inputs, dict):
        return node
    workflow, text = inputs.get("workflow"), inputs.get("parameters", "")
    known = definition(workflow) if isinstance(workflow, str) else None
    if known is None or not isinstance(text, str):
        return node
    try:
        parameters = parse(text)
        outputs = resolve(known, parameters).outputs
    except InvalidRequest:
        return node
    data: dict[str, Json] = json.loads(text) if text.strip() else {}
    data["wanted"] = [output.name for slot, output in enumerate(outputs) if slot + FIRST_OUTPUT in used]
    return {**node, "inputs": {**inputs, "parameters": json.dumps(data, sort_keys=True)}}
