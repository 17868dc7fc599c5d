"""What a server declares about a class is read without trusting its shape."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from comfy_orchestrator_nodes.errors import InvalidNodeInfo
from comfy_orchestrator_nodes.workflow.nodeinfo import parse_input, parse_node_info, parse_object_info

KSAMPLER: dict[str, Any] = {
    "input": {
        "required": {
            "model": ["MODEL", {"tooltip": "The model."}],
            "seed": ["INT", {"default": 0, "min": 0, "max": 0xFFFFFFFFFFFFFFFF, "control_after_generate": True}],
            "sampler_name": [["euler", "heun"], {"tooltip": "Which."}],
        },
        "optional": {
            "text": ["STRING", {"multiline": True, "forceInput": True}],
            "mode": ["COMBO", {"options": ["a"]}],
        },
        "hidden": {"prompt": "PROMPT"},
    },
    "input_order": {"required": ["seed", "model", "sampler_name"], "optional": ["mode", "text"], "hidden": ["prompt"]},
    "output": ["LATENT", ["x", "y"]],
    "output_is_list": [False, True],
    "output_name": ["latent"],
    "display_name": "Sampler",
    "output_node": False,
}


def test_inputs_come_in_widget_order_without_the_hidden_ones() -> None:
    info = parse_node_info("KSampler", KSAMPLER)
    assert [spec.name for spec in info.inputs] == ["seed", "model", "sampler_name", "mode", "text"]
    assert [spec.required for spec in info.inputs] == [True, True, True, False, False]


def test_the_largest_seed_keeps_its_exact_value() -> None:
    seed = parse_node_info("KSampler", KSAMPLER).input("seed")
    assert seed is not None
    assert seed.maximum == 2**64 - 1
    assert isinstance(seed.maximum, int)


def test_both_forms_of_a_combo_are_combos_with_choices() -> None:
    old = parse_input("c", [["a", 1], {}], required=True)
    new = parse_input("c", ["COMBO", {"options": ["a", 1]}], required=True)
    assert (old.type, old.choices, old.legacy_combo) == ("COMBO", ("a", 1), True)
    assert (new.type, new.choices, new.legacy_combo) == ("COMBO", ("a", 1), False)
    assert old.default == "a"


def test_a_combo_that_the_browser_fills_has_unknown_choices() -> None:
    spec = parse_input("image", ["COMBO", {"image_upload": True, "remote": {"route": "/x"}}], required=True)
    assert spec.choices is None
    assert spec.remote
    assert spec.upload == "image"


def test_an_input_that_needs_a_link_shows_no_widget() -> None:
    info = parse_node_info("KSampler", KSAMPLER)
    only_links = [spec.name for spec in info.inputs if spec.is_link_only]
    assert only_links == ["model", "text"]
    assert parse_input("x", ["FLOAT,INT", {"widgetType": "FLOAT"}], required=True).widget_type == "FLOAT"
    assert parse_input("x", ["INT,FLOAT"], required=True).widget_type == "FLOAT"


def test_unnamed_outputs_are_named_by_their_type() -> None:
    info = parse_node_info("KSampler", KSAMPLER)
    assert info.output_types == ("LATENT", "COMBO")
    assert info.output_names == ("latent", "COMBO")
    assert info.output_is_list == (False, True)


def test_dynamic_inputs_are_found_through_their_parents_choice() -> None:
    codec = {"key": "h264", "inputs": {"optional": {"crf": ["FLOAT", {"max": 51.0}]}}}
    entry = {
        "input": {
            "required": {
                "format": [
                    "COMFY_DYNAMICCOMBO_V3",
                    {
                        "options": [
                            {"key": "auto", "inputs": {}},
                            {
                                "key": "mp4",
                                "inputs": {"required": {"codec": ["COMFY_DYNAMICCOMBO_V3", {"options": [codec]}]}},
                            },
                        ]
                    },
                ],
                "images": ["COMFY_AUTOGROW_V3", {"template": {"input": {"required": {"image": ["IMAGE", {}]}}}}],
                "loras": ["COMFY_DYNAMICGROUP_V3", {"template": {"required": {"strength": ["FLOAT", {"min": -1}]}}}],
            }
        }
    }
    info = parse_node_info("SaveVideo", entry)
    inputs = {"format": "mp4", "format.codec": "h264"}
    crf = info.resolve("format.codec.crf", inputs)
    assert crf is not None
    assert (crf.type, crf.maximum, crf.required) == ("FLOAT", 51.0, False)
    assert info.resolve("format.codec.crf", {"format": "auto", "format.codec": "h264"}) is None
    image = info.resolve("images.image7", {})
    assert image is not None
    assert image.type == "IMAGE"
    strength = info.resolve("loras.0.strength", {})
    assert strength is not None
    assert strength.minimum == -1
    assert info.resolve("loras.0", {}) is None
    assert info.resolve("nothing.at.all", {}) is None


def test_a_class_of_the_new_schema_is_told_from_an_old_one() -> None:
    assert not parse_node_info("KSampler", KSAMPLER).is_v3
    assert not parse_node_info("Old", {"input": {}, "deprecated": True}).is_v3
    assert parse_node_info("New", {"input": {}, "deprecated": False}).is_v3


@pytest.mark.parametrize("entry", [None, 3, [], "KSampler", {"input": [1]}])
def test_what_is_no_class_at_all_is_refused_by_name(entry: object) -> None:
    with pytest.raises(InvalidNodeInfo, match="'Broken'"):
        parse_node_info("Broken", entry)


def test_one_broken_class_leaves_the_others_usable() -> None:
    infos, problems = parse_object_info({"KSampler": KSAMPLER, "Broken": 7})
    assert list(infos) == ["KSampler"]
    assert list(problems) == ["Broken"]
    with pytest.raises(InvalidNodeInfo):
        parse_object_info([KSAMPLER])


_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)
_keys = st.sampled_from(
    ["input", "required", "optional", "output", "output_name", "output_is_list", "input_order", "a"]
)
_entries = st.recursive(_json, lambda inner: st.dictionaries(_keys, inner, max_size=5), max_leaves=12)


@settings(deadline=None, max_examples=50)
@given(_entries)
def test_no_json_crashes_the_parser(entry: Any) -> None:
    try:
        info = parse_node_info("Fuzzed", entry)
    except InvalidNodeInfo:
        return
    assert len(info.output_types) == len(info.output_names) == len(info.output_is_list)
    for spec in info.inputs:
        assert isinstance(spec.type, str)
        assert spec.widget_type is None or isinstance(spec.widget_type, str)
        assert isinstance(spec.required, bool)
        nested = info.resolve(f"{spec.name}.x.y", {spec.name: "x"})
        assert nested is None or nested.name == f"{spec.name}.x.y"
