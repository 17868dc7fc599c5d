"""Files that Remote Workflow nodes name for their inputs: written into the prompt as loader nodes. Pure.

A value ``{"photo": "cat.png"}`` for an input that takes an image means a file in ComfyUI's own folders, spelled as its
loader nodes spell it. A loader node in front of the input says the same in ComfyUI's words: so ComfyUI checks that the
file is there, runs the node again when it changes, and everything behind it sees an ordinary connection.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

from ..domain import Definition
from ..errors import InvalidRequest
from ..workflow.graph import REMOTE_WORKFLOW
from .slots import input_name, parse, resolve

LOADERS: Mapping[str, tuple[str, str, int]] = {
    "IMAGE": ("LoadImage", "image", 0),
    "MASK": ("LoadImage", "image", 1),
    "LATENT": ("LoadLatent", "latent", 0),
    "AUDIO": ("LoadAudio", "audio", 0),
    "VIDEO": ("LoadVideo", "file", 0),
}
"""Type to the class that loads it, the input that names the file, and the output that yields it."""


def load_picked(prompt: Mapping[str, Any], definition: Callable[[str], Definition | None]) -> dict[str, Any]:
    """Return the prompt with a loader for each file that a Remote Workflow node names where nothing is connected.

    A node whose parameters cannot be understood is left as it is: its validation says what is wrong.
    """
    loaded: dict[str, Any] = {}
    for node_id, node in prompt.items():
        is_ours = isinstance(node, dict) and node.get("class_type") == REMOTE_WORKFLOW
        loaded |= _with_loaders(node_id, node, definition) if is_ours else {node_id: node}
    return loaded


def _with_loaders(
    node_id: str, node: dict[str, Any], definition: Callable[[str], Definition | None]
) -> dict[str, dict[str, Any]]:
    inputs = node.get("inputs")
    if not isinstance(inputs, dict):
        return {node_id: node}
    workflow, text = inputs.get("workflow"), inputs.get("parameters")
    known = definition(workflow) if isinstance(workflow, str) else None
    if known is None or not isinstance(text, str):
        return {node_id: node}
    try:
        parameters = parse(text)
        slots = {parameter.name: input_name(index) for index, parameter in enumerate(resolve(known, parameters).inputs)}
    except InvalidRequest:
        return {node_id: node}
    named = {
        name: (slot, parameter.type)
        for name, slot in slots.items()
        if (parameter := known.parameter(name)) is not None and parameter.type in LOADERS
    }
    # Where a subgraph shows the node's widget, its value comes as a constant for the slot.
    given = {name: inputs[slot] for name, (slot, _) in named.items() if isinstance(inputs.get(slot), str)}
    files = {n: v for n, v in {**parameters.values, **given}.items() if n in named and isinstance(v, str)}
    if not files:
        return {node_id: node}
    kept = {name: value for name, value in inputs.items() if name not in {named[n][0] for n in given}}
    links: dict[str, Any] = {}
    loaders: dict[str, dict[str, Any]] = {}
    for name, value in files.items():
        slot, type_ = named[name]
        if value and slot not in kept:
            class_type, file_input, output = LOADERS[type_]
            loaders[f"{node_id}.{slot}"] = {"class_type": class_type, "inputs": {file_input: value}}
            links[slot] = [f"{node_id}.{slot}", output]
    others = {name: value for name, value in parameters.values.items() if name not in files}
    rest = json.dumps({**(json.loads(text) if text.strip() else {}), "values": others}, sort_keys=True)
    return {node_id: {**node, "inputs": {**kept, **links, "parameters": rest}}, **loaders}
