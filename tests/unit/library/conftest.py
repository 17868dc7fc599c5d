"""A whole master on real sockets with its routes, and definitions that run each other."""

from __future__ import annotations

from typing import Any

import pytest

from comfy_orchestrator_nodes.domain import Definition, Output, Parameter
from comfy_orchestrator_nodes.service import Service
from tests.unit.api.conftest import Api, access, api, http, outbox

__all__ = ["Api", "access", "api", "http", "outbox"]


PROMPT: dict[str, Any] = {
    "1": {"class_type": "EmptyImage", "inputs": {"width": 64, "height": 32, "batch_size": 1, "color": 7}},
    "2": {"class_type": "SaveImage", "inputs": {"images": ["1", 0], "filename_prefix": "ComfyUI"}},
}
"""An empty image, saved; in API format."""

WORKFLOW: dict[str, Any] = {
    "version": 0.4,
    "last_node_id": 2,
    "last_link_id": 1,
    "nodes": [
        {
            "id": 1,
            "type": "EmptyImage",
            "mode": 0,
            "inputs": [],
            "outputs": [{"name": "IMAGE", "type": "IMAGE", "links": [1]}],
            "widgets_values": [64, 32, 1, 7],
        },
        {
            "id": 2,
            "type": "SaveImage",
            "mode": 0,
            "inputs": [{"name": "images", "type": "IMAGE", "link": 1}],
            "outputs": [],
            "widgets_values": ["ComfyUI"],
        },
    ],
    "links": [[1, 1, 0, 2, 0, "IMAGE"]],
}
"""The same in UI format."""


def grey(name: str = "Grey", color: int = 0, **changes: Any) -> Definition:
    """Return a definition that is not stored yet: one image of one colour."""
    inputs = {"width": 8, "height": 8, "batch_size": 1, "color": color}
    values: dict[str, Any] = {
        "id": "",
        "version": 1,
        "name": name,
        "prompt": {"1": {"class_type": "EmptyImage", "inputs": inputs}},
        "parameters": (Parameter("color", "INT", "1", "color", color),),
        "outputs": (Output("image", "IMAGE", "1", 0),),
        **changes,
    }
    return Definition(**values)


def runner(name: str, *used: str, **changes: Any) -> Definition:
    """Return a definition that runs others in Remote Workflow nodes, with a document that does so too."""
    nodes = {str(n): _node(id_) for n, id_ in enumerate(used, 1)}
    workflow = {"nodes": [_document_node(n, id_) for n, id_ in enumerate(used, 1)], "links": [], "version": 0.4}
    outputs = (Output("image", "IMAGE", "1", 2),)
    return grey(name, prompt=nodes, parameters=(), outputs=outputs, workflow=workflow, **changes)


def _node(used: str) -> dict[str, Any]:
    return {
        "class_type": "OrchestratorRemoteWorkflow",
        "inputs": {"workflow": used, "backend": "auto", "parameters": "{}"},
    }


def _document_node(number: int, used: str) -> dict[str, Any]:
    return {"id": number, "type": "OrchestratorRemoteWorkflow", "widgets_values": [used, "auto", "{}"]}


@pytest.fixture
def service(api: Api) -> Service:
    return api.service
