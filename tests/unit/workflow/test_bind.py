"""Values are bound to parameters without guessing, and everything that does not fit is told at once."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from comfy_orchestrator_nodes.domain import Definition, FileRef, Parameter, Value
from comfy_orchestrator_nodes.errors import BindingFailed
from comfy_orchestrator_nodes.workflow.bind import MAX_SEED, bind, fit
from tests.support.node_classes import old_server

PROMPT: dict[str, Any] = {
    "1": {
        "class_type": "KSampler",
        "inputs": {"seed": 1, "steps": 20, "cfg": 8.0, "sampler_name": "euler", "scheduler": "normal", "denoise": 1.0},
    },
    "2": {"class_type": "CLIPTextEncode", "inputs": {"text": "a cat"}},
    "3": {"class_type": "LoadImage", "inputs": {"image": "example.png"}},
    "4": {"class_type": "CheckpointLoaderSimple", "inputs": {"ckpt_name": "a.safetensors"}},
    "5": {"class_type": "OrchestratorWorkflowInput", "inputs": {"name": "strength", "type": "FLOAT"}},
}
PARAMETERS = (
    Parameter("seed", "INT", "1", "seed", default=1, minimum=0, maximum=2**64 - 1, role="seed"),
    Parameter("steps", "INT", "1", "steps", default=20, minimum=1, maximum=10_000),
    Parameter("cfg", "FLOAT", "1", "cfg", default=8.0, minimum=0.0, maximum=100.0),
    Parameter("sampler", "COMBO", "1", "sampler_name", default="euler", choices=("euler", "heun")),
    Parameter("prompt", "STRING", "2", "text", default="a cat", multiline=True),
    Parameter("image", "IMAGE", "3", "image", default="example.png"),
    Parameter("checkpoint", "COMBO", "4", "ckpt_name", default="a.safetensors", choices=("a.safetensors",)),
)
FILE = FileRef("a" * 64, 10, "image/png")


def definition(*parameters: Parameter) -> Definition:
    return Definition("d", 1, "D", PROMPT, parameters or PARAMETERS, ())


def problems(values: dict[str, Any], *parameters: Parameter) -> dict[str, str]:
    with pytest.raises(BindingFailed) as caught:
        bind(definition(*parameters), values)
    return caught.value.problems


def test_values_come_back_typed() -> None:
    bound = bind(
        definition(), {"seed": 7, "cfg": 5, "sampler": "heun", "prompt": "x", "image": Value("IMAGE", files=(FILE,))}
    )
    assert bound["seed"] == Value("INT", 7)
    assert bound["cfg"] == Value("FLOAT", 5.0)
    assert isinstance(bound["cfg"].data, float)
    assert bound["sampler"] == Value("COMBO", "heun")
    assert bound["image"].files == (FILE,)


def test_what_is_left_out_keeps_the_constant_of_the_prompt() -> None:
    assert bind(definition(), {}) == {}


def test_a_default_that_differs_from_the_prompt_is_bound() -> None:
    changed = replace(PARAMETERS[1], default=30)
    assert bind(definition(changed), {}) == {"steps": Value("INT", 30)}


def test_a_required_value_cannot_be_left_out() -> None:
    needed = Parameter("strength", "FLOAT", "5", "value", required=True)
    assert problems({}, needed) == {"strength": "a value of type FLOAT is required"}
    assert bind(definition(needed), {"strength": 0.5}) == {"strength": Value("FLOAT", 0.5)}


def test_every_problem_is_told_at_once_and_near_names_are_offered() -> None:
    found = problems({"sed": 1, "steps": "3", "cfg": math.nan, "prompt": None, "image": "photo.png"})
    assert found.keys() == {"sed", "steps", "cfg", "prompt", "image"}
    assert "'seed'" in found["sed"]
    assert "not the text '3'" in found["steps"]
    assert "upload a file" in found["image"]


@pytest.mark.parametrize("value", ["3", True, None, 3.5, [3], {"a": 3}, math.inf])
def test_only_a_whole_number_is_an_int(value: Any) -> None:
    assert "steps" in problems({"steps": value})


@pytest.mark.parametrize("value", ["1.5", False, None, [1.0], 2**2000, 2**53 + 1])
def test_only_a_number_that_fits_is_a_float(value: Any) -> None:
    assert "weight" in problems({"weight": value}, Parameter("weight", "FLOAT", "1", "cfg"))


@pytest.mark.parametrize("value", [0, 1, "true", None])
def test_only_true_and_false_are_booleans(value: Any) -> None:
    assert "on" in problems({"on": value}, Parameter("on", "BOOLEAN", "1", "x"))


def test_seeds_go_to_the_full_range_and_no_further() -> None:
    seed = Parameter("seed", "INT", "1", "seed", role="seed")
    assert bind(definition(seed), {"seed": MAX_SEED})["seed"].data == 2**64 - 1
    assert "above the maximum" in problems({"seed": 2**64}, seed)["seed"]
    assert "below the minimum" in problems({"seed": -1}, seed)["seed"]


def test_a_seed_that_a_browser_rounded_up_past_the_maximum_is_refused() -> None:
    rounded_by_javascript = float(2**64)
    assert "seed" in problems({"seed": rounded_by_javascript})


def test_ranges_and_choices_come_from_the_class_where_the_parameter_has_none() -> None:
    bare = (Parameter("steps", "INT", "1", "steps"), Parameter("sampler", "COMBO", "1", "sampler_name"))
    with pytest.raises(BindingFailed) as caught:
        bind(definition(*bare), {"steps": 0, "sampler": "oiler"}, old_server())
    assert "below the minimum of 1" in caught.value.problems["steps"]
    assert "'euler'" in caught.value.problems["sampler"]
    assert bind(definition(*bare), {"steps": 1, "sampler": "heun"}, old_server())


def test_a_model_that_another_backend_may_have_is_not_refused() -> None:
    assert bind(definition(), {"checkpoint": "sub\\b.safetensors"})["checkpoint"].data == "sub\\b.safetensors"


def test_a_choice_is_one_of_the_listed_ones() -> None:
    assert "did you mean 'euler'" in problems({"sampler": "Euler"})["sampler"]


def test_a_value_of_another_type_is_refused() -> None:
    assert "takes an IMAGE, not a MASK" in problems({"image": Value("MASK", files=(FILE,))})["image"]
    assert "without any file" in problems({"image": Value("IMAGE")})["image"]
    assert "takes an INT, not an IMAGE" in problems({"steps": Value("IMAGE", files=(FILE,))})["steps"]


def test_a_scalar_value_of_a_narrower_type_fits() -> None:
    assert fit(PARAMETERS[2], Value("INT", 4)) == Value("FLOAT", 4.0)
    assert fit(PARAMETERS[3], Value("STRING", "heun")) == Value("COMBO", "heun")


def test_half_a_character_is_refused_before_it_breaks_the_request() -> None:
    assert "surrogate" in problems({"prompt": "\ud83c"})["prompt"]


_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=6,
)


@settings(deadline=None)
@given(st.sampled_from(PARAMETERS), _json)
def test_a_bound_scalar_equals_what_was_given_and_has_the_declared_type(parameter: Parameter, value: Any) -> None:
    try:
        bound = fit(parameter, value)
    except BindingFailed:
        return
    assert bound.data == value
    expected = {"INT": int, "FLOAT": float, "STRING": str}.get(parameter.type)
    if expected is not None:
        assert type(bound.data) is expected


@settings(deadline=None)
@given(st.integers() | st.floats(allow_nan=False), st.integers(-10, 10), st.integers(0, 20))
def test_what_is_bound_lies_in_the_range(value: float, low: int, width: int) -> None:
    parameter = Parameter("x", "FLOAT", "1", "cfg", minimum=low, maximum=low + width)
    try:
        bound = fit(parameter, value)
    except BindingFailed:
        return
    assert low <= bound.data <= low + width
