"""What a workflow needs is listed, and what a backend lacks is said in words with what the user may have meant."""

from __future__ import annotations

from typing import Any

import pytest

from comfy_orchestrator_nodes.workflow.models import is_model_file, near_matches, respell
from comfy_orchestrator_nodes.workflow.needs import (
    FileName,
    file_input_type,
    files_needed,
    missing,
    models_needed,
    parse_file_name,
)
from comfy_orchestrator_nodes.workflow.nodeinfo import parse_node_info
from tests.support.node_classes import new_server, old_server, with_files


def node(class_type: str, **inputs: Any) -> dict[str, Any]:
    return {"class_type": class_type, "inputs": inputs}


PROMPT = {
    "1": node("CheckpointLoaderSimple", ckpt_name="sdxl/base.safetensors"),
    "2": node("LoraLoader", model=["1", 0], clip=["1", 1], lora_name="detail.safetensors", strength_model=1.0),
    "3": node("LoadImage", image="sub/photo.png [output]"),
    "4": node("LoadImageMask", image="mask.png", channel="red"),
    "5": node("KSampler", model=["2", 0], sampler_name="euler", scheduler="normal"),
}


def test_models_are_the_model_files_chosen_in_combos() -> None:
    found = [(need.class_type, need.input_name, need.value) for need in models_needed(PROMPT, old_server())]
    assert found == [
        ("CheckpointLoaderSimple", "ckpt_name", "sdxl/base.safetensors"),
        ("LoraLoader", "lora_name", "detail.safetensors"),
    ]


def test_files_are_those_that_loaders_name_unless_they_are_exposed() -> None:
    needs = files_needed(PROMPT, old_server(), {("4", "image")})
    assert [(n.node_id, n.type, n.value, n.name) for n in needs] == [
        ("3", "IMAGE", "sub/photo.png [output]", FileName("photo.png", "sub", "output"))
    ]


@pytest.mark.parametrize(
    ("written", "name"),
    [
        ("a.png", FileName("a.png", "", "input")),
        ("a.png [temp]", FileName("a.png", "", "temp")),
        ("sub\\deep/a b.png [input]", FileName("a b.png", "sub/deep", "input")),
        ("orchestrator/f00.latent [temp]", FileName("f00.latent", "orchestrator", "temp")),
        ("[temp] a.png", FileName("[temp] a.png", "", "input")),
    ],
)
def test_file_names_are_split_as_comfyui_splits_them(written: str, name: FileName) -> None:
    assert parse_file_name(written) == name


def test_a_loader_of_others_is_known_by_its_upload_button_and_its_output() -> None:
    entry = {"input": {"required": {"pic": [["a"], {"image_upload": True}]}}, "output": ["STRING", "MASK"]}
    assert file_input_type("TheirLoader", "pic", parse_node_info("TheirLoader", entry)) == "MASK"
    assert file_input_type("TheirLoader", "other", parse_node_info("TheirLoader", entry)) is None
    assert file_input_type("LoadVideo", "file", None) == "VIDEO"


def test_nothing_is_missing_where_all_is_there() -> None:
    infos = with_files(old_server(), "CheckpointLoaderSimple", "ckpt_name", "sdxl\\base.safetensors")
    infos = with_files(infos, "LoraLoader", "lora_name", "detail.safetensors")
    assert missing(PROMPT, infos) == ()


def test_each_missing_thing_is_told_once_with_what_is_near() -> None:
    infos = with_files(old_server(), "CheckpointLoaderSimple", "ckpt_name", "SDXL/Base.safetensors")
    infos = with_files(infos, "LoraLoader", "lora_name")
    prompt = {**PROMPT, "5": node("KSampler", sampler_name="Euler"), "6": node("ksampler"), "7": node("TheirNode")}
    found = {(r.node_id, r.kind): r for r in missing(prompt, infos)}
    assert set(found) == {("1", "model"), ("2", "model"), ("5", "choice"), ("6", "node_class"), ("7", "node_class")}
    assert found["1", "model"].near == ("SDXL/Base.safetensors",)
    assert "no files of this kind" in str(found["2", "model"])
    assert "'euler'" in str(found["5", "choice"])
    assert found["6", "node_class"].near == ("KSampler",)
    assert str(found["7", "node_class"]) == "node class TheirNode is not installed."


def test_what_is_known_of_a_backend_without_its_class_descriptions_is_used() -> None:
    classes = {n["class_type"] for n in PROMPT.values()} - {"KSampler"}
    models = {"checkpoints": {"sdxl\\base.safetensors"}, "loras": {"sub/detail.safetensors"}}
    found = {(r.node_id, r.kind): r for r in missing(PROMPT, {}, classes=classes, models=models)}
    assert set(found) == {("2", "model"), ("5", "node_class")}
    assert found["2", "model"].near == ("sub/detail.safetensors",)


def test_nothing_is_claimed_of_a_backend_of_which_nothing_is_known() -> None:
    assert missing(PROMPT, {}) == ()


def test_files_to_upload_are_not_taken_for_missing_choices() -> None:
    prompt = {"3": node("LoadImage", image="orchestrator/x.png [temp]"), "4": node("LoadLatent", latent="y [temp]")}
    assert missing(prompt, old_server()) == ()
    assert missing({"1": node("LoadAudio", audio="z.flac"), "2": node("LoadVideo", file="v.mp4")}, new_server()) == ()


def test_an_empty_list_of_the_new_form_says_nothing_but_of_models() -> None:
    entry = {"input": {"required": {"x": ["COMBO", {"options": []}], "y": [[], {}]}}, "deprecated": False}
    infos = {"Theirs": parse_node_info("Theirs", entry)}
    assert missing({"1": node("Theirs", x="anything")}, infos) == ()
    assert [r.kind for r in missing({"1": node("Theirs", x="m.safetensors")}, infos)] == ["model"]
    assert [r.kind for r in missing({"1": node("Theirs", y="anything")}, infos)] == ["choice"]


def test_several_choices_of_one_input_are_checked_one_by_one() -> None:
    entry = {"input": {"required": {"x": ["COMBO", {"options": ["a", "b"], "multiselect": True}]}}}
    infos = {"Theirs": parse_node_info("Theirs", entry)}
    assert missing({"1": node("Theirs", x={"__value__": ["a", "b"]})}, infos) == ()
    (refusal,) = missing({"1": node("Theirs", x={"__value__": ["a", "z"]})}, infos)
    assert refusal.value == "z"


def test_only_folder_separators_are_respelled() -> None:
    assert respell("a/b.pt", ["a\\b.pt"]) == "a\\b.pt"
    assert respell("a/b.pt", ["a/b.pt", "a\\b.pt"]) == "a/b.pt"
    assert respell("a/b.pt", ["A/b.pt", "b.pt"]) is None
    assert respell("a/b/c.pt", ["a/b\\c.pt", "a\\b/c.pt"]) is None


def test_near_matches_prefer_the_same_file_elsewhere() -> None:
    assert near_matches("sdxl/base.safetensors", ["basis.safetensors", "old\\BASE.safetensors"]) == (
        "old\\BASE.safetensors",
    )
    assert near_matches("base_v1.safetensors", ["base_v2.safetensors", "zzz.ckpt"]) == ("base_v2.safetensors",)
    assert near_matches("base.safetensors", []) == ()


def test_model_files_are_known_by_their_suffix() -> None:
    assert is_model_file("Sub\\X.SafeTensors")
    assert not is_model_file("photo.png")
    assert not is_model_file(3)
