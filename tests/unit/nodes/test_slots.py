"""What a Remote Workflow node's parameters say, and what its slots mean."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from comfy_orchestrator_nodes.domain import Definition, Output, Parameter
from comfy_orchestrator_nodes.errors import InvalidRequest
from comfy_orchestrator_nodes.nodes.slots import SLOTS, NodeParameters, default_inputs, parse, resolve

DEFINITION = Definition(
    id="d",
    version=2,
    name="Portrait",
    prompt={},
    parameters=(Parameter("steps", "INT", "1", "steps"), Parameter("photo", "IMAGE", "2", "image")),
    outputs=(Output("image", "IMAGE", "3", 0), Output("mask", "MASK", "4", 0)),
)


def test_empty_parameters_say_nothing() -> None:
    assert parse("") == NodeParameters()
    assert parse("{}") == NodeParameters()


def test_parameters_are_read_whole() -> None:
    text = json.dumps({"version": 1, "values": {"steps": 4}, "in": ["photo"], "out": ["mask"], "wanted": ["mask"]})
    assert parse(text) == NodeParameters(1, {"steps": 4}, ("photo",), ("mask",), ("mask",))


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("{", "JSON"),
        ("[]", "object"),
        ('{"seed": 5}', "values"),
        ('{"version": true}', "version"),
        ('{"version": "2"}', "version"),
        ('{"values": [1]}', "values"),
        ('{"in": "photo"}', "list of names"),
        ('{"in": [1]}', "list of names"),
        ('{"in": ["a", "a"]}', "twice"),
        (json.dumps({"out": [f"o{i}" for i in range(SLOTS + 1)]}), str(SLOTS)),
        ("[" * 100_000, "JSON"),
    ],
)
def test_parameters_that_cannot_be_read_say_how_to_mend_them(text: str, told: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        parse(text)
    assert told in str(caught.value)


@given(st.text())
def test_no_text_breaks_the_parser(text: str) -> None:
    try:
        parse(text)
    except InvalidRequest:
        return


def test_by_default_images_come_first_and_outputs_in_their_order() -> None:
    slots = resolve(DEFINITION, NodeParameters())
    assert [p.name for p in slots.inputs] == ["photo", "steps"]
    assert [o.name for o in slots.outputs] == ["image", "mask"]
    assert slots.wanted == ("image", "mask")
    assert default_inputs(DEFINITION) == slots.inputs


def test_slots_are_found_by_name_whatever_their_order() -> None:
    slots = resolve(DEFINITION, NodeParameters(inputs=("steps",), outputs=("mask", "image"), wanted=("image",)))
    assert [p.name for p in slots.inputs] == ["steps"]
    assert [o.name for o in slots.outputs] == ["mask", "image"]
    assert slots.wanted == ("image",)


def test_a_slot_that_is_gone_is_refused_with_the_repair() -> None:
    with pytest.raises(InvalidRequest) as caught:
        resolve(DEFINITION, NodeParameters(version=1, inputs=("photos",)))
    for part in ("'photos'", "'photo'", "version 1", "version 2", "Choose the workflow"):
        assert part in str(caught.value)
