"""What a Remote Workflow node refuses before anything runs."""

from __future__ import annotations

import json
from typing import Any

import pytest

from comfy_orchestrator_nodes.domain import Backend, Definition, Output, Parameter
from comfy_orchestrator_nodes.errors import OrchestratorError
from comfy_orchestrator_nodes.nodes.validation import tags, validate
from comfy_orchestrator_nodes.orchestrator.snapshot import Snapshot

DEFINITION = Definition(
    id="portrait",
    version=2,
    name="Portrait",
    prompt={"1": {"class_type": "LoadImage", "inputs": {}}, "2": {"class_type": "KSampler", "inputs": {"cfg": 7.0}}},
    parameters=(
        Parameter("photo", "IMAGE", "1", "image", required=True),
        Parameter("cfg", "FLOAT", "2", "cfg", 7.0, minimum=0.0, maximum=100.0),
    ),
    outputs=(Output("image", "IMAGE", "2", 0),),
)
SNAPSHOT = Snapshot(
    ready=True,
    definitions={"portrait": DEFINITION},
    backends=(Backend("b1", "big PC", "http://b", tags=("fast",)),),
)


def check(
    snapshot: Snapshot = SNAPSHOT,
    workflow: str = "portrait",
    backend: str = "auto",
    parameters: Any = None,
    **types: str,
) -> None:
    validate(snapshot, workflow, backend, json.dumps(parameters or {}), types)


@pytest.mark.parametrize("backend", ["auto", "big PC", "b1", "tag:fast"])
def test_a_node_that_fits_its_workflow_is_accepted(backend: str) -> None:
    check(backend=backend, parameters={"values": {"cfg": 3}}, in_1="IMAGE", in_2="FLOAT")


def test_a_whole_number_fits_where_any_number_does() -> None:
    check(in_1="IMAGE", in_2="INT")


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"workflow": "portraits"}, "portraits"),
        ({"backend": "small PC"}, "small PC"),
        ({"backend": "tag:slow"}, "tag:slow"),
        ({"in_1": "LATENT"}, "takes IMAGE, but LATENT"),
        ({"in_3": "IMAGE"}, "in_3"),
        ({}, "connect IMAGE to in_1"),
        ({"in_1": "IMAGE", "parameters": {"values": {"cfg": 1000}}}, "cfg"),
        ({"in_1": "IMAGE", "parameters": {"values": {"cgf": 1}}}, "cfg"),
        ({"in_1": "IMAGE", "parameters": {"in": ["picture"]}}, "picture"),
        ({"snapshot": Snapshot(problem="Another ComfyUI is the master.")}, "Another ComfyUI"),
        ({"snapshot": Snapshot()}, "still starting"),
        ({"snapshot": Snapshot(ready=True)}, "import that from the file or image you opened"),
    ],
)
def test_what_cannot_work_is_refused_with_what_to_mend(given: dict[str, Any], told: str) -> None:
    with pytest.raises(OrchestratorError) as caught:
        check(**given)
    assert told in str(caught.value)


def test_tags_are_offered_once_each_and_in_order() -> None:
    backends = [Backend("a", "a", "u", tags=("z", "fast")), Backend("b", "b", "u", tags=("fast",))]
    assert tags(backends) == ["tag:fast", "tag:z"]
