"""A definition is lowered to exactly what one backend needs to run, and is itself left as it was."""

from __future__ import annotations

import copy
import json
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from comfy_orchestrator_nodes.backend.carriers import PlainCarriers, loss
from comfy_orchestrator_nodes.domain import Definition, FileRef, Output, Parameter, Value
from comfy_orchestrator_nodes.errors import InvalidPrompt, NotFound, UnsupportedValue, ValueLost
from comfy_orchestrator_nodes.workflow.fragments import Lowered
from comfy_orchestrator_nodes.workflow.graph import ancestors, as_link, links_of
from comfy_orchestrator_nodes.workflow.nodeinfo import NodeInfo
from comfy_orchestrator_nodes.workflow.patch import lower, needed_prompt, preflight
from tests.support.node_classes import new_server, old_server, with_files


def node(class_type: str, *, keep: bool = False, **inputs: Any) -> dict[str, Any]:
    made: dict[str, Any] = {"class_type": class_type, "inputs": inputs}
    return {**made, "_meta": {"orchestrator_keep": True}} if keep else made


TEXT_TO_IMAGE: dict[str, Any] = {
    "1": node("CheckpointLoaderSimple", ckpt_name="sdxl/base.safetensors"),
    "2": node("CLIPTextEncode", text="a cat", clip=["1", 1]),
    "3": node("CLIPTextEncode", text="", clip=["1", 1]),
    "4": node("EmptyLatentImage", width=64, height=64, batch_size=1),
    "5": node(
        "KSampler",
        model=["1", 0],
        positive=["2", 0],
        negative=["3", 0],
        latent_image=["4", 0],
        seed=1,
        steps=20,
        cfg=8.0,
        sampler_name="euler",
        scheduler="normal",
        denoise=1.0,
    ),
    "6": node("VAEDecode", samples=["5", 0], vae=["1", 2]),
    "7": node("SaveImage", images=["6", 0], filename_prefix="cats"),
    "8": node("PreviewImage", images=["6", 0]),
    "9": node("SaveLatent", samples=["5", 0], filename_prefix="latents"),
}
IMAGE_OUT = Output("image", "IMAGE", "6", 0)


def definition(
    prompt: Mapping[str, Any], parameters: tuple[Parameter, ...] = (), outputs: tuple[Output, ...] = (IMAGE_OUT,)
) -> Definition:
    return Definition("d", 1, "D", prompt, parameters, outputs)


def refs(count: int, media_type: str = "image/png") -> tuple[FileRef, ...]:
    return tuple(FileRef(f"{number:064x}", 10, media_type) for number in range(count))


def names(*files: FileRef) -> dict[str, str]:
    return {file.sha256: f"orchestrator/{file.sha256}.png [temp]" for file in files}


def lowered(
    workflow: Definition,
    values: Mapping[str, Value] | None = None,
    *wanted: str,
    infos: dict[str, NodeInfo] | None = None,
    files: Mapping[str, str] | None = None,
    file_inputs: Mapping[str, FileRef] | None = None,
    attempt_id: str = "attempt-1",
) -> Lowered:
    infos = old_server() if infos is None else infos
    sent = files if files is not None else names(*(f for v in (values or {}).values() for f in v.files))
    return lower(
        workflow,
        values or {},
        wanted or tuple(o.name for o in workflow.outputs),
        carriers=PlainCarriers(infos),
        attempt_id=attempt_id,
        files=sent,
        file_inputs=file_inputs,
        infos=infos,
    )


def classes(result: Lowered) -> list[str]:
    return sorted(str(n["class_type"]) for n in result.prompt.values())


def the(result: Lowered, class_type: str) -> dict[str, Any]:
    found = [n for n in result.prompt.values() if n["class_type"] == class_type]
    assert len(found) == 1
    return dict(found[0]["inputs"])


def test_the_wanted_output_ends_in_a_carrier_instead_of_the_savers() -> None:
    result = lowered(definition(TEXT_TO_IMAGE))
    assert "SaveImage" not in classes(result)
    assert "SaveLatent" not in classes(result)
    assert the(result, "PreviewImage")["images"] == ["6", 0]
    collector = result.collectors["image"]
    assert result.prompt[collector.node_id]["class_type"] == "PreviewImage"
    assert collector.key == "images"


def test_only_what_the_wanted_output_depends_on_is_sent() -> None:
    workflow = definition(TEXT_TO_IMAGE, outputs=(IMAGE_OUT, Output("latent", "LATENT", "5", 0)))
    result = lowered(workflow, None, "latent")
    assert set(result.collectors) == {"latent"}
    assert "VAEDecode" not in classes(result)
    assert the(result, "SaveLatent")["samples"] == ["5", 0]


def test_a_node_marked_to_be_kept_runs_as_it_is() -> None:
    prompt = {**TEXT_TO_IMAGE, "7": node("SaveImage", keep=True, images=["6", 0], filename_prefix="cats")}
    result = lowered(definition(prompt))
    assert result.prompt["7"]["inputs"] == {"images": ["6", 0], "filename_prefix": "cats"}


def test_the_definition_is_never_changed() -> None:
    before = copy.deepcopy(TEXT_TO_IMAGE)
    workflow = definition(TEXT_TO_IMAGE, (Parameter("seed", "INT", "5", "seed"),))
    result = lowered(workflow, {"seed": Value("INT", 99)})
    result.prompt["5"]["inputs"]["steps"] = 1
    assert result.prompt["5"]["inputs"]["seed"] == 99
    assert before == TEXT_TO_IMAGE


def test_each_attempt_has_a_carrier_of_its_own_and_the_rest_unchanged() -> None:
    first = lowered(definition(TEXT_TO_IMAGE), attempt_id="attempt-1").prompt
    second = lowered(definition(TEXT_TO_IMAGE), attempt_id="attempt-2").prompt
    changed = {n for n in first if first[n] != second[n]}
    assert {first[n]["class_type"] for n in changed} == {"PrimitiveString"}
    assert "attempt-1" in json.dumps(first)
    assert "attempt-2" in json.dumps(second)


def test_ids_of_added_nodes_do_not_collide() -> None:
    prompt = {**TEXT_TO_IMAGE, "orchestrator_preview_1": node("EmptyImage", width=1, height=1, batch_size=1, color=0)}
    outputs = (IMAGE_OUT, Output("other", "IMAGE", "orchestrator_preview_1", 0))
    result = lowered(definition(prompt, outputs=outputs))
    assert result.prompt["orchestrator_preview_1"]["class_type"] == "EmptyImage"
    assert classes(result).count("PreviewImage") == 2


def test_added_nodes_stand_for_the_nodes_they_serve() -> None:
    result = lowered(definition(TEXT_TO_IMAGE))
    assert result.node_ids[result.collectors["image"].node_id] == "6"
    assert result.node_ids["5"] == "5"
    assert set(result.node_ids) == set(result.prompt)


# --- values in -------------------------------------------------------------------------------------------------------

MASKED: dict[str, Any] = {
    "1": node("LoadImage", image="example.png"),
    "2": node("LoadImageMask", image="mask.png", channel="alpha"),
    "3": node("MaskToImage", mask=["1", 1]),
    "4": node("MaskToImage", mask=["2", 0]),
    "5": node("ImageInvert", image=["1", 0]),
}
MASKED_OUT = (Output("inverted", "IMAGE", "5", 0), Output("own", "IMAGE", "3", 0), Output("other", "IMAGE", "4", 0))
IMAGE_IN = Parameter("image", "IMAGE", "1", "image")
MASK_IN = Parameter("mask", "MASK", "2", "image")


def test_one_image_becomes_the_loaders_file_so_that_its_mask_still_comes_from_there() -> None:
    files = refs(1)
    result = lowered(definition(MASKED, (IMAGE_IN,), MASKED_OUT[:2]), {"image": Value("IMAGE", files=files)})
    assert result.prompt["1"]["inputs"]["image"] == names(*files)[files[0].sha256]
    assert result.prompt["3"]["inputs"]["mask"] == ["1", 1]


def test_a_batch_of_images_replaces_the_loader_for_all_its_consumers() -> None:
    result = lowered(definition(MASKED, (IMAGE_IN,), MASKED_OUT[:2]), {"image": Value("IMAGE", files=refs(3))})
    assert "1" not in result.prompt
    assert classes(result).count("LoadImage") == 3
    image, mask = result.prompt["5"]["inputs"]["image"], result.prompt["3"]["inputs"]["mask"]
    assert result.prompt[image[0]]["class_type"] == "ImageBatch"
    assert result.prompt[mask[0]]["class_type"] == "ImageToMask"


def test_a_batch_keeps_the_order_of_its_files() -> None:
    files = refs(5)
    result = lowered(definition(MASKED, (IMAGE_IN,), MASKED_OUT[:1]), {"image": Value("IMAGE", files=files)})

    def leaves(link: list[Any]) -> list[str]:
        inputs = result.prompt[link[0]]["inputs"]
        return [inputs["image"]] if "image" in inputs else leaves(inputs["image1"]) + leaves(inputs["image2"])

    assert leaves(result.prompt["5"]["inputs"]["image"]) == [names(file)[file.sha256] for file in files]


def test_a_mask_is_not_read_through_the_channel_that_the_workflow_chose() -> None:
    result = lowered(definition(MASKED, (MASK_IN,), MASKED_OUT[2:]), {"mask": Value("MASK", files=refs(1))})
    assert "LoadImageMask" not in classes(result)
    assert the(result, "ImageToMask")["channel"] == "red"


def test_files_of_loaders_that_are_not_exposed_get_their_remote_names() -> None:
    stored = refs(1)[0]
    result = lowered(
        definition(MASKED, (), MASKED_OUT), file_inputs={"mask.png": stored}, files={stored.sha256: "there.png [temp]"}
    )
    assert result.prompt["2"]["inputs"] == {"image": "there.png [temp]", "channel": "alpha"}
    assert result.prompt["1"]["inputs"]["image"] == "example.png"


def test_a_file_that_was_not_sent_is_an_error_not_a_wrong_name() -> None:
    with pytest.raises(ValueLost):
        lowered(definition(MASKED, (IMAGE_IN,), MASKED_OUT), {"image": Value("IMAGE", files=refs(1))}, files={})


def test_several_sounds_cannot_become_one() -> None:
    prompt = {"1": node("LoadAudio", audio="x.flac")}
    workflow = definition(prompt, (Parameter("a", "AUDIO", "1", "audio"),), (Output("o", "AUDIO", "1", 0),))
    with pytest.raises(UnsupportedValue, match="2 files"):
        lowered(workflow, {"a": Value("AUDIO", files=refs(2, "audio/wav"))})


def test_a_list_is_wrapped_because_a_bare_one_would_be_a_link() -> None:
    workflow = definition(TEXT_TO_IMAGE, (Parameter("text", "STRING", "2", "text"),))
    result = lowered(workflow, {"text": Value("COMBO", ["5", 0])})
    assert result.prompt["2"]["inputs"]["text"] == {"__value__": ["5", 0]}


# --- Workflow Input and Output ---------------------------------------------------------------------------------------


def marked(**value: Any) -> dict[str, Any]:
    return {
        **TEXT_TO_IMAGE,
        "20": node("OrchestratorWorkflowInput", name="steps", type="INT", **value),
        "21": node("OrchestratorWorkflowOutput", name="picture", value=["6", 0]),
        "5": node("KSampler", **{**TEXT_TO_IMAGE["5"]["inputs"], "steps": ["20", 0]}),
    }


STEPS = Parameter("steps", "INT", "20", "value")


def test_a_scalar_workflow_input_becomes_a_constant_of_its_consumers() -> None:
    result = lowered(definition(marked(), (STEPS,)), {"steps": Value("INT", 7)})
    assert result.prompt["5"]["inputs"]["steps"] == 7
    assert not any(c.startswith("Orchestrator") for c in classes(result))


def test_a_workflow_input_without_a_value_passes_its_default_on() -> None:
    result = lowered(definition(marked(value=30), (STEPS,)))
    assert result.prompt["5"]["inputs"]["steps"] == 30


def test_a_workflow_input_passes_a_linked_default_on() -> None:
    prompt = {**marked(value=["22", 0]), "22": node("PrimitiveInt", value=12)}
    assert lowered(definition(prompt, (STEPS,))).prompt["5"]["inputs"]["steps"] == ["22", 0]
    bound = lowered(definition(prompt, (STEPS,)), {"steps": Value("INT", 5)})
    assert bound.prompt["5"]["inputs"]["steps"] == 5
    assert "22" not in bound.prompt


def test_an_empty_optional_workflow_input_leaves_its_consumers_unconnected() -> None:
    assert "steps" not in lowered(definition(marked())).prompt["5"]["inputs"]


def test_workflow_inputs_and_outputs_in_a_row_are_seen_through() -> None:
    prompt = {
        "1": node("OrchestratorWorkflowInput", name="a", type="IMAGE"),
        "2": node("OrchestratorWorkflowOutput", name="b", value=["1", 0]),
        "3": node("ImageInvert", image=["2", 0]),
    }
    workflow = definition(prompt, (Parameter("a", "IMAGE", "1", "value"),), (Output("o", "IMAGE", "3", 0),))
    result = lowered(workflow, {"a": Value("IMAGE", files=refs(1))})
    assert classes(result) == ["ImageInvert", "LoadImage", "PreviewImage", "PrimitiveString"]


def test_an_output_that_is_a_constant_is_shown() -> None:
    prompt = {"1": node("OrchestratorWorkflowInput", name="a", type="STRING", value="x")}
    workflow = definition(prompt, (), (Output("o", "STRING", "1", 0),))
    assert the(lowered(workflow), "PreviewAny") == {"source": "x"}


def test_markers_that_feed_themselves_are_refused() -> None:
    prompt = {
        "1": node("OrchestratorWorkflowInput", name="a", type="INT", value=["2", 0]),
        "2": node("OrchestratorWorkflowOutput", name="b", value=["1", 0]),
    }
    with pytest.raises(InvalidPrompt, match="feeds itself"):
        lowered(definition(prompt, (), (Output("o", "INT", "1", 0),)))


# --- the backend -----------------------------------------------------------------------------------------------------


def test_a_model_is_named_as_the_backend_spells_it() -> None:
    infos = with_files(old_server(), "CheckpointLoaderSimple", "ckpt_name", "sdxl\\base.safetensors", "x.ckpt")
    result = lowered(definition(TEXT_TO_IMAGE), infos=infos)
    assert result.prompt["1"]["inputs"]["ckpt_name"] == "sdxl\\base.safetensors"
    assert result.refusals == ()


def test_a_file_of_the_same_name_elsewhere_is_offered_and_not_taken() -> None:
    infos = with_files(old_server(), "CheckpointLoaderSimple", "ckpt_name", "other/Base.safetensors", "x.ckpt")
    result = lowered(definition(TEXT_TO_IMAGE), infos=infos)
    assert result.prompt["1"]["inputs"]["ckpt_name"] == "sdxl/base.safetensors"
    (refusal,) = result.refusals
    assert (refusal.kind, refusal.near) == ("model", ("other/Base.safetensors",))


def test_a_newer_backend_gets_the_inputs_that_its_own_classes_ask_for() -> None:
    prompt = {"1": node("LoadVideo", file="x.mp4"), "2": node("LoadAudio", audio="x.mp3")}
    outputs = (Output("v", "VIDEO", "1", 0), Output("a", "AUDIO", "2", 0))
    result = lowered(definition(prompt, (), outputs), infos=new_server())
    assert the(result, "SaveVideo") == {
        "video": ["1", 0],
        "filename_prefix": "orchestrator/attempt-1/video",
        "format": "auto",
        "format.codec": "auto",
    }
    assert the(result, "SaveAudioAdvanced")["format"] == "flac"


def test_a_backend_without_a_carrier_is_refused_in_words() -> None:
    infos = {name: info for name, info in old_server().items() if name != "SaveLatent"}
    workflow = definition(TEXT_TO_IMAGE, outputs=(Output("latent", "LATENT", "5", 0),))
    with pytest.raises(UnsupportedValue, match="SaveLatent"):
        lowered(workflow, infos=infos)
    with_model = with_files(infos, "CheckpointLoaderSimple", "ckpt_name", "sdxl/base.safetensors")
    (refusal,) = preflight(workflow, {}, ["latent"], carriers=PlainCarriers(with_model), infos=with_model)
    assert refusal.kind == "carrier"


def test_a_type_that_cannot_travel_is_refused_in_words() -> None:
    workflow = definition(TEXT_TO_IMAGE, outputs=(Output("model", "MODEL", "1", 0),))
    with pytest.raises(UnsupportedValue, match="MODEL"):
        lowered(workflow)


def test_preflight_names_each_missing_thing_that_counts() -> None:
    infos = {name: info for name, info in old_server().items() if name not in ("KSampler", "SaveLatent")}
    workflow = definition(TEXT_TO_IMAGE)
    found = preflight(workflow, {}, ["image"], carriers=PlainCarriers(infos), infos=infos)
    assert {refusal.kind for refusal in found} == {"node_class", "model"}
    assert "KSampler" in " ".join(map(str, found))
    assert "SaveLatent" not in " ".join(map(str, found))


def test_a_job_that_may_lose_nothing_is_refused_where_something_would_be_lost() -> None:
    infos = with_files(old_server(), "CheckpointLoaderSimple", "ckpt_name", "sdxl/base.safetensors")
    prompt = {**TEXT_TO_IMAGE, "10": node("PrimitiveInt", value=3)}
    workflow = definition(prompt, outputs=(IMAGE_OUT, Output("number", "INT", "10", 0)))

    def found(*wanted: str) -> list[str]:
        refusals = preflight(workflow, {}, wanted, carriers=PlainCarriers(infos), infos=infos, losses=loss)
        return [f"{refusal.kind}: {refusal}" for refusal in refusals]

    (refusal,) = found("image", "number")
    assert refusal.startswith("carrier: this job must lose nothing, and of IMAGE pixels are rounded")
    assert found("number") == []


def test_names_that_do_not_exist_are_told_with_near_ones() -> None:
    with pytest.raises(NotFound, match="'image'"):
        lowered(definition(TEXT_TO_IMAGE), None, "imag")
    with pytest.raises(NotFound, match="'seed'"):
        lowered(definition(TEXT_TO_IMAGE, (Parameter("seed", "INT", "5", "seed"),)), {"sed": Value("INT", 1)})


def test_the_needed_part_has_neither_savers_nor_markers() -> None:
    part = needed_prompt(definition(marked(value=3)), ["image"])
    assert set(part) == {"1", "2", "3", "4", "5", "6"}


# --- in general ------------------------------------------------------------------------------------------------------


@st.composite
def workflows(draw: st.DrawFn) -> tuple[dict[str, Any], list[str]]:
    """Any acyclic graph of images, with markers and savers in between."""
    count = draw(st.integers(1, 12))
    prompt: dict[str, Any] = {}
    for number in range(count):
        earlier = [str(n) for n in range(number) if prompt[str(n)]["class_type"] != "SaveImage"]
        kind = draw(st.sampled_from(["EmptyImage", "ImageInvert", "ImageBatch", "marker", "SaveImage"]))
        if not earlier or kind == "EmptyImage":
            made = node("EmptyImage", width=8, height=8, batch_size=1, color=number)
        elif kind == "ImageBatch":
            made = node(kind, image1=[draw(st.sampled_from(earlier)), 0], image2=[draw(st.sampled_from(earlier)), 0])
        elif kind == "marker":
            made = node(
                "OrchestratorWorkflowInput", name=f"m{number}", type="IMAGE", value=[draw(st.sampled_from(earlier)), 0]
            )
        elif kind == "SaveImage":
            made = node(kind, images=[draw(st.sampled_from(earlier)), 0], filename_prefix="x")
        else:
            made = node("ImageInvert", image=[draw(st.sampled_from(earlier)), 0])
        prompt[str(number)] = made
    sources = [n for n, made in prompt.items() if made["class_type"] != "SaveImage"]
    return prompt, draw(st.lists(st.sampled_from(sources), min_size=1, max_size=4, unique=True))


@settings(deadline=None)
@given(workflows())
def test_any_workflow_is_lowered_to_a_sound_prompt_of_what_is_needed(drawn: tuple[dict[str, Any], list[str]]) -> None:
    prompt, wanted = drawn
    before = copy.deepcopy(prompt)
    outputs = tuple(Output(f"o{n}", "IMAGE", n, 0) for n in wanted)
    result = lowered(definition(prompt, (), outputs))
    assert prompt == before
    assert set(result.collectors) == {o.name for o in outputs}
    roots = [c.node_id for c in result.collectors.values()]
    assert ancestors(result.prompt, roots) == set(result.prompt)
    for made in result.prompt.values():
        assert not str(made["class_type"]).startswith("Orchestrator")
        assert made["class_type"] != "SaveImage"
        assert all(source in result.prompt for _, (source, _) in links_of(made))
    needed = {n for n in ancestors(prompt, wanted) if prompt[n]["class_type"] != "OrchestratorWorkflowInput"}
    assert needed <= set(result.prompt)
    for node_id in needed:
        constants = {k: v for k, v in prompt[node_id]["inputs"].items() if as_link(v) is None}
        assert constants.items() <= result.prompt[node_id]["inputs"].items()


@settings(deadline=None, max_examples=20)
@given(st.integers(1, 130))
def test_any_number_of_images_becomes_one_batch_on_either_server(count: int) -> None:
    files = refs(count)
    for infos in (old_server(), new_server()):
        result = lowered(
            definition(MASKED, (IMAGE_IN,), MASKED_OUT[:1]), {"image": Value("IMAGE", files=files)}, infos=infos
        )
        loaded = [n["inputs"]["image"] for n in result.prompt.values() if n["class_type"] == "LoadImage"]
        assert sorted(loaded) == sorted(names(*files).values())
        joins = [n["inputs"] for n in result.prompt.values() if n["class_type"] in ("ImageBatch", "BatchImagesNode")]
        assert all(2 <= len(inputs) <= 50 for inputs in joins)
