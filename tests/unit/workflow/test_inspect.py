"""What a workflow offers is found and named, and what most users want of it is suggested."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from comfy_orchestrator_nodes.domain import Output
from comfy_orchestrator_nodes.errors import InvalidPrompt
from comfy_orchestrator_nodes.workflow.inspect import inspect
from comfy_orchestrator_nodes.workflow.naming import Naming, slug, unique_names
from tests.support.node_classes import new_server, old_server


def node(class_type: str, title: str = "", **inputs: Any) -> dict[str, Any]:
    made: dict[str, Any] = {"class_type": class_type, "inputs": inputs}
    return {**made, "_meta": {"title": title}} if title else made


def sampler(**inputs: Any) -> dict[str, Any]:
    constants = {"steps": 20, "cfg": 8.0, "sampler_name": "euler", "scheduler": "normal", "denoise": 1.0}
    links = {"model": ["2", 0], "positive": ["3", 0], "negative": ["4", 0], "latent_image": ["5", 0]}
    return {**constants, **links, **inputs}


WORKFLOW: dict[str, Any] = {
    "1": node("CheckpointLoaderSimple", ckpt_name="base.safetensors"),
    "2": node(
        "LoraLoader", model=["1", 0], clip=["1", 1], lora_name="x.safetensors", strength_model=0.8, strength_clip=1
    ),
    "3": node("CLIPTextEncode", "CLIP Text Encode (Prompt)", text="a cat", clip=["2", 1]),
    "4": node("CLIPTextEncode", text="blurry", clip=["2", 1]),
    "5": node("EmptyLatentImage", width=512, height=768, batch_size=1),
    "6": node("KSampler", **sampler(seed=42)),
    "7": node("VAEDecode", samples=["6", 0], vae=["1", 2]),
    "8": node("SaveImage", images=["7", 0], filename_prefix="ComfyUI"),
    "9": node("PreviewImage", images=["7", 0]),
    "10": node("EmptyImage", width=1, height=1, batch_size=1, color=0),
}


def test_the_usual_inputs_are_suggested_under_plain_names() -> None:
    assert inspect(WORKFLOW, old_server()).suggested_parameters == (
        "prompt",
        "negative_prompt",
        "seed",
        "steps",
        "cfg",
        "denoise",
        "width",
        "height",
        "checkpoint",
        "lora_strength_model",
        "lora_strength_clip",
    )


def test_everything_that_has_an_effect_can_be_exposed() -> None:
    places = {(p.node_id, p.input_name) for p in inspect(WORKFLOW, old_server()).parameters}
    constants = {
        (node_id, name)
        for node_id, made in WORKFLOW.items()
        for name, value in made["inputs"].items()
        if not isinstance(value, list) and node_id != "10"
    }
    assert places == constants


def test_a_parameter_carries_what_its_class_declares() -> None:
    found = {p.name: p for p in inspect(WORKFLOW, old_server()).parameters}
    seed, prompt, sampler_name = found["seed"], found["prompt"], found["sampler_name"]
    assert (seed.type, seed.default, seed.minimum, seed.maximum, seed.role) == ("INT", 42, 0, 2**64 - 1, "seed")
    assert (prompt.type, prompt.multiline, prompt.role, prompt.node_id) == ("STRING", True, "text", "3")
    assert sampler_name.choices is not None
    assert "euler" in sampler_name.choices
    assert found["cfg"].step == 0.1
    assert found["cfg"].tooltip.startswith("The Classifier-Free Guidance")


def test_the_saved_image_is_the_output_and_a_preview_of_the_same_is_not_another() -> None:
    found = inspect(WORKFLOW, old_server())
    assert found.outputs == (Output("image", "IMAGE", "7", 0),)
    assert found.suggested_outputs == ("image",)


def test_several_of_a_kind_are_told_apart_by_title_or_number() -> None:
    titled = {
        **WORKFLOW,
        "6": node("KSampler", "Base", **sampler(seed=1)),
        "11": node("KSampler", "Refiner", **sampler(seed=2, latent_image=["6", 0])),
        "7": node("VAEDecode", samples=["11", 0], vae=["1", 2]),
    }
    names = inspect(titled, old_server()).suggested_parameters
    assert {"base_seed", "refiner_seed", "base_steps", "refiner_steps"} <= set(names)
    untitled = {
        **titled,
        "6": node("KSampler", **sampler(seed=1)),
        "11": node("KSampler", **sampler(seed=2, latent_image=["6", 0])),
    }
    assert {"seed", "seed_2"} <= set(inspect(untitled, old_server()).suggested_parameters)


def test_texts_are_told_apart_by_where_they_end() -> None:
    through_control = {
        **WORKFLOW,
        "12": node("ControlNetApplyAdvanced", positive=["3", 0], negative=["4", 0], strength=1.0),
        "6": node("KSampler", **sampler(seed=1, positive=["12", 0], negative=["12", 1])),
    }
    found = {p.name: p.node_id for p in inspect(through_control, old_server()).parameters}
    assert (found["prompt"], found["negative_prompt"]) == ("3", "4")


def test_a_sampler_that_adds_no_noise_needs_no_seed() -> None:
    advanced = sampler(
        noise_seed=1, add_noise="disable", start_at_step=0, end_at_step=9, return_with_leftover_noise="x"
    )
    found = inspect({**WORKFLOW, "6": node("KSamplerAdvanced", **advanced)}, old_server())
    assert "seed" not in found.suggested_parameters
    assert "noise_seed" in {p.input_name for p in found.parameters}


LOADERS: dict[str, Any] = {
    "1": node("LoadImage", image="photo.png"),
    "2": node("LoadImageMask", "Where", image="mask.png", channel="red"),
    "3": node("LoadLatent", latent="l.latent"),
    "4": node("LoadAudio", audio="a.flac"),
    "5": node("LoadVideo", file="v.mp4"),
    "6": node("SaveImage", images=["1", 0], filename_prefix="cats/best"),
    "7": node("PreviewImage", "The mask", images=["8", 0]),
    "8": node("MaskToImage", mask=["2", 0]),
    "9": node("SaveLatent", samples=["3", 0], filename_prefix="latents/ComfyUI"),
    "10": node("PreviewAudio", audio=["4", 0]),
    "11": node("SaveVideo", video=["5", 0], filename_prefix="video/ComfyUI", format="auto", codec="auto"),
    "12": node("PreviewAny", source=["13", 0]),
    "13": node("PrimitiveInt", value=3),
}


def test_loaders_offer_their_files_as_values_of_the_type_they_load() -> None:
    found = {p.node_id: (p.type, p.role, p.choices) for p in inspect(LOADERS, old_server()).parameters if p.role}
    assert found == {
        "1": ("IMAGE", "image", None),
        "2": ("MASK", "mask", None),
        "3": ("LATENT", "latent", None),
        "4": ("AUDIO", "audio", None),
        "5": ("VIDEO", "video", None),
    }


def test_every_kind_of_output_is_found_with_its_type() -> None:
    found = inspect(LOADERS, old_server())
    assert {(o.name, o.type, o.node_id) for o in found.outputs} == {
        ("image", "IMAGE", "1"),
        ("the_mask", "IMAGE", "8"),
        ("latent", "LATENT", "3"),
        ("audio", "AUDIO", "4"),
        ("video", "VIDEO", "5"),
        ("int", "INT", "13"),
    }
    assert set(found.suggested_outputs) == {"image", "latent", "video"}


def test_previews_are_suggested_where_nothing_is_saved() -> None:
    only_previews = {k: v for k, v in LOADERS.items() if not v["class_type"].startswith("Save")}
    assert set(inspect(only_previews, old_server()).suggested_outputs) == {"the_mask", "audio"}


def test_outputs_of_one_type_are_told_apart_by_their_file_prefix() -> None:
    prompt = {
        "1": LOADERS["1"],
        "2": node("ImageInvert", image=["1", 0]),
        "3": node("SaveImage", images=["1", 0], filename_prefix="before"),
        "4": node("SaveImage", images=["2", 0], filename_prefix="x/after"),
    }
    assert [o.name for o in inspect(prompt, old_server()).outputs] == ["before_image", "after_image"]


def test_what_cannot_be_carried_or_is_unknown_is_said() -> None:
    prompt = {
        "1": node("SaveGLB", mesh=["2", 0], filename_prefix="m"),
        "2": node("TheirMesh", detail=3),
    }
    found = inspect(prompt, old_server())
    assert found.outputs == ()
    assert found.unknown_classes == ("TheirMesh",)
    assert any("SaveGLB" in remark for remark in found.remarks)


# --- our own nodes ---------------------------------------------------------------------------------------------------

EXPLICIT: dict[str, Any] = {
    **WORKFLOW,
    "20": node("OrchestratorWorkflowInput", name="How many steps", type="INT", value=12),
    "21": node("OrchestratorWorkflowInput", name="Source", type="IMAGE"),
    "22": node("VAEEncode", pixels=["21", 0], vae=["1", 2]),
    "6": node("KSampler", **sampler(seed=1, steps=["20", 0], latent_image=["22", 0])),
    "23": node("OrchestratorWorkflowOutput", name="Picture", value=["7", 0]),
}


def test_workflow_inputs_and_outputs_win_over_suggestions() -> None:
    found = inspect(EXPLICIT, old_server())
    assert found.suggested_parameters == ("How many steps", "Source")
    assert found.suggested_outputs == ("Picture",)
    assert {"seed", "cfg"} <= {p.name for p in found.parameters}
    assert found.outputs == (Output("Picture", "IMAGE", "7", 0),)


def test_a_workflow_input_takes_over_the_range_of_what_it_feeds() -> None:
    parameters, outputs = inspect(EXPLICIT, old_server()).suggestion()
    steps, source = parameters
    assert (steps.type, steps.default, steps.minimum, steps.maximum, steps.role) == ("INT", 12, 1, 10_000, "steps")
    assert not steps.required
    assert (source.type, source.input_name, source.required, source.role) == ("IMAGE", "value", True, "image")
    assert [o.name for o in outputs] == ["Picture"]


def test_a_text_that_feeds_a_combo_becomes_a_choice() -> None:
    prompt = {
        **EXPLICIT,
        "24": node("OrchestratorWorkflowInput", name="how", type="STRING", value="euler"),
        "6": node("KSampler", **sampler(seed=1, sampler_name=["24", 0])),
    }
    found = next(p for p in inspect(prompt, old_server()).parameters if p.name == "how")
    assert found.type == "COMBO"
    assert found.choices is not None
    assert "heun" in found.choices


def test_a_workflow_output_that_leads_nowhere_or_cannot_leave_is_said() -> None:
    prompt = {
        **WORKFLOW,
        "30": node("OrchestratorWorkflowOutput", name="empty"),
        "31": node("OrchestratorWorkflowOutput", name="brain", value=["1", 0]),
    }
    found = inspect(prompt, old_server())
    assert found.suggested_outputs == ("image",)
    assert any("'empty'" in r for r in found.remarks)
    assert any("MODEL" in r for r in found.remarks)


def test_two_workflow_inputs_of_one_name_are_refused() -> None:
    prompt = {**EXPLICIT, "21": node("OrchestratorWorkflowInput", name="How many steps", type="IMAGE")}
    with pytest.raises(InvalidPrompt, match="How many steps"):
        inspect(prompt, old_server())


def test_an_unsound_prompt_is_refused() -> None:
    with pytest.raises(InvalidPrompt):
        inspect({"1": node("A", x=["2", 0])}, {})


# --- in general ------------------------------------------------------------------------------------------------------


def test_both_servers_offer_the_same_of_the_same_workflow() -> None:
    old, new = inspect(WORKFLOW, old_server()), inspect(WORKFLOW, new_server())
    assert old.suggested_parameters == new.suggested_parameters
    assert old.outputs == new.outputs


@settings(deadline=None)
@given(
    st.lists(
        st.builds(Naming, st.sampled_from("abc"), st.sampled_from(["", "x", "y", "a"]), st.booleans()), max_size=12
    )
)
def test_names_are_unique_and_prominent_ones_are_shortest(namings: list[Naming]) -> None:
    names = unique_names(namings, ["b"])
    assert len({*names, "b"}) == len(names) + 1
    for naming, name in zip(namings, names, strict=True):
        alone = [n for n in namings if n.base == naming.base and n.prominent]
        if alone == [naming] and naming.base != "b":
            assert name == naming.base


@settings(deadline=None)
@given(st.text())
def test_a_slug_is_lower_case_words(text: str) -> None:
    made = slug(text)
    assert made == "" or all(part for part in made.split("_"))
    assert len(made) <= 48
