"""A sub-workflow as part of the master's own prompt."""

from __future__ import annotations

import pytest

from comfy_orchestrator_nodes.domain import Definition, Output, Parameter, Value
from comfy_orchestrator_nodes.errors import InvalidRequest
from comfy_orchestrator_nodes.nodes.expansion import LinkedList, expand
from comfy_orchestrator_nodes.nodes.io import COLLECT, PICK
from comfy_orchestrator_nodes.workflow.graph import WORKFLOW_OUTPUT

PROMPT = {
    "1": {"class_type": "LoadImage", "inputs": {"image": "example.png"}},
    "2": {"class_type": "ImageScaleBy", "inputs": {"image": ["1", 0], "upscale_method": "area", "scale_by": 2.0}},
    "3": {"class_type": "SaveImage", "inputs": {"images": ["2", 0], "filename_prefix": "x"}},
}
DEFINITION = Definition(
    id="d",
    version=1,
    name="Enlarge",
    prompt=PROMPT,
    parameters=(Parameter("photo", "IMAGE", "1", "image"), Parameter("by", "FLOAT", "2", "scale_by", 2.0)),
    outputs=(Output("image", "IMAGE", "2", 0),),
)
CLASSES = {"LoadImage", "ImageScaleBy", "SolidMask", PICK, COLLECT, WORKFLOW_OUTPUT}


def test_every_item_gets_a_copy_and_a_collector_gathers_them_in_order() -> None:
    constants = [{"by": Value("FLOAT", 2.0)}, {"by": Value("FLOAT", 3.0)}]
    links = {"photo": LinkedList(("1", 0))}
    made = expand(DEFINITION, ["image"], constants, links, prefix="9.local", known_classes=CLASSES)
    scales = {i: n for i, n in made.nodes.items() if n["class_type"] == "ImageScaleBy"}
    assert [n["inputs"]["scale_by"] for n in scales.values()] == [2.0, 3.0]
    picks = [n["inputs"] for n in made.nodes.values() if n["class_type"] == PICK]
    assert picks == [{"items": ["1", 0], "index": 0}, {"items": ["1", 0], "index": 1}]
    collect = made.nodes[made.outputs["image"][0]]
    assert collect["class_type"] == COLLECT
    assert collect["inputs"]["count"] == 2
    for index, scale in enumerate(scales):
        passed = made.nodes[collect["inputs"][f"item_{index}"][0]]
        assert passed["inputs"]["value"] == [scale, 0]


def test_ids_are_unique_and_links_to_the_outer_prompt_stay_as_they_are() -> None:
    # The outer node has the id of a node of the sub-workflow.
    links = {"photo": LinkedList(("2", 5))}
    made = expand(DEFINITION, ["image"], [{}], links, prefix="9.local", known_classes=CLASSES)
    assert all(node_id.startswith("9.local.") for node_id in made.nodes)
    (pick,) = (n for n in made.nodes.values() if n["class_type"] == PICK)
    assert pick["inputs"]["items"] == ["2", 5]


def test_nothing_is_saved_and_what_nobody_wants_is_left_out() -> None:
    made = expand(DEFINITION, ["image"], [{}], {"photo": LinkedList(("1", 0))}, prefix="p", known_classes=CLASSES)
    classes = {node["class_type"] for node in made.nodes.values()}
    assert "SaveImage" not in classes
    assert "SolidMask" not in classes


def test_an_unlinked_loader_keeps_its_file() -> None:
    made = expand(DEFINITION, ["image"], [{}], {}, prefix="p", known_classes=CLASSES)
    (loader,) = (n for n in made.nodes.values() if n["class_type"] == "LoadImage")
    assert loader["inputs"]["image"] == "example.png"


def test_a_class_that_this_server_lacks_is_named() -> None:
    with pytest.raises(InvalidRequest, match="ImageScaleBy"):
        expand(DEFINITION, ["image"], [{}], {}, prefix="p", known_classes=CLASSES - {"ImageScaleBy"})
