"""The English texts that ComfyUI shows of nodes are those that the classes declare; translations have the same keys."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, cast

import pytest

from comfy_orchestrator_nodes.nodes import flow, io, remote_workflow
from comfy_orchestrator_nodes.nodes.host import Host
from comfy_orchestrator_nodes.orchestrator.snapshot import Snapshot
from comfy_orchestrator_nodes.workflow.graph import REMOTE_WORKFLOW

LOCALES = Path(__file__).parents[3] / "locales"


class _Host:
    def snapshot(self) -> Snapshot:
        return Snapshot()


def _classes() -> dict[str, Any]:
    host = cast("Host", _Host())
    return {REMOTE_WORKFLOW: remote_workflow.build(host), **flow.build(host), **io.NODE_CLASS_MAPPINGS}


ENGLISH: dict[str, Any] = json.loads((LOCALES / "en" / "nodeDefs.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize("name", list(ENGLISH))
def test_english_texts_are_those_of_the_class(name: str) -> None:
    node, texts = _classes()[name], ENGLISH[name]
    declared = node.INPUT_TYPES()
    inputs = {**declared["required"], **declared.get("optional", {})}
    assert texts["description"] == node.DESCRIPTION
    for input_name, said in texts["inputs"].items():
        options = inputs[input_name][1] if len(inputs[input_name]) > 1 else {}
        assert said.get("tooltip", options.get("tooltip")) == options.get("tooltip"), input_name
    for index, said in texts["outputs"].items():
        assert said["name"] == node.RETURN_NAMES[int(index)]
        assert said["tooltip"] == node.OUTPUT_TOOLTIPS[int(index)]
