"""Files that a node names for its inputs."""

from __future__ import annotations

import json
from typing import Any

from comfy_orchestrator_nodes.domain import Definition, Output, Parameter
from comfy_orchestrator_nodes.nodes.picked import load_picked
from comfy_orchestrator_nodes.workflow.graph import REMOTE_WORKFLOW

PHOTO = Definition(
    id="p",
    version=1,
    name="Photo",
    prompt={},
    parameters=(
        Parameter("text", "STRING", "3", "text"),
        Parameter("photo", "IMAGE", "1", "image"),
        Parameter("area", "MASK", "2", "value"),
    ),
    outputs=(Output("image", "IMAGE", "1", 0),),
)


def node(text: str, **linked: Any) -> dict[str, Any]:
    return {"class_type": REMOTE_WORKFLOW, "inputs": {"workflow": "p", "parameters": text, **linked}}


def loaded(values: dict[str, Any], **linked: Any) -> dict[str, Any]:
    return load_picked({"5": node(json.dumps({"version": 1, "values": values}), **linked)}, lambda _: PHOTO)


def said(prompt: dict[str, Any]) -> Any:
    return json.loads(prompt["5"]["inputs"]["parameters"])


def test_a_file_that_is_named_for_an_input_is_loaded_in_front_of_it() -> None:
    prompt = loaded({"photo": "cat.png", "area": "sub/hole.png [temp]", "text": "a.png"})
    assert prompt["5"]["inputs"]["in_1"] == ["5.in_1", 0]
    assert prompt["5"]["inputs"]["in_2"] == ["5.in_2", 1]
    assert prompt["5.in_1"] == {"class_type": "LoadImage", "inputs": {"image": "cat.png"}}
    assert prompt["5.in_2"] == {"class_type": "LoadImage", "inputs": {"image": "sub/hole.png [temp]"}}
    assert said(prompt) == {"version": 1, "values": {"text": "a.png"}}


def test_what_is_connected_counts_and_an_empty_name_is_none() -> None:
    prompt = loaded({"photo": "cat.png", "area": ""}, in_1=["9", 0])
    assert prompt["5"]["inputs"]["in_1"] == ["9", 0]
    assert "in_2" not in prompt["5"]["inputs"]
    assert list(prompt) == ["5"]
    assert said(prompt)["values"] == {}


def test_a_widget_that_a_subgraph_shows_names_its_file_in_the_slot() -> None:
    prompt = loaded({"photo": "inner.png"}, in_1="outer.png", in_2="")
    assert prompt["5"]["inputs"]["in_1"] == ["5.in_1", 0]
    assert prompt["5.in_1"]["inputs"] == {"image": "outer.png"}
    assert "in_2" not in prompt["5"]["inputs"]


def test_prompts_without_named_files_stay_as_they_are() -> None:
    for text in ('{"values": {"text": "x"}}', "", "{", '{"in": ["gone"]}', '{"values": {"photo": 5}}'):
        prompt = {"5": node(text), "6": {"class_type": "SaveImage", "inputs": {}}, "7": None}
        assert load_picked(prompt, lambda _: PHOTO) == prompt
        assert load_picked(prompt, lambda _: None) == prompt
