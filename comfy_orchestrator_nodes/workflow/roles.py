"""What an input of a workflow means to its user: a seed, the prompt's text, a checkpoint."""

from __future__ import annotations

from collections.abc import Mapping

from ..domain import Json, Prompt
from .graph import Link, as_link, class_type, inputs_of
from .models import is_model_file
from .nodeinfo import InputSpec, NodeInfo

_BY_NAME = {
    ("INT", "steps"): "steps",
    ("FLOAT", "cfg"): "cfg",
    ("FLOAT", "guidance"): "cfg",
    ("FLOAT", "denoise"): "denoise",
    ("INT", "width"): "width",
    ("INT", "height"): "height",
    ("INT", "batch_size"): "batch",
    ("COMBO", "sampler_name"): "sampler",
    ("COMBO", "scheduler"): "scheduler",
}
_MODEL_INPUTS = ("_name", "_name1", "_name2", "_name3", "_name4")
_CHECKPOINT_INPUTS = frozenset({"ckpt_name", "unet_name"})
_ALWAYS_SUGGESTED = frozenset({"text", "steps", "cfg", "denoise"})
_FILE_ROLES = frozenset({"image", "mask", "audio", "video", "latent"})

SUGGESTION_ORDER = (
    *("image", "mask", "video", "audio", "latent", "text", "seed", "steps", "cfg", "denoise", "width", "height"),
    *("model", "strength"),
)
"""The order in which suggested parameters are shown."""


def role_of(spec: InputSpec, value: Json, info: NodeInfo) -> str:
    """Return the role of a constant input, or an empty text."""
    name, kind = spec.name.rsplit(".", 1)[-1], spec.widget_type or spec.type
    if kind == "INT" and (name == "seed" or name.endswith(("_seed", "noise_seed"))):
        return "seed"
    if kind == "STRING":
        return "text" if spec.multiline or spec.options.get("dynamicPrompts") else ""
    if kind == "FLOAT" and name.startswith("strength") and any(i.name.startswith("lora") for i in info.inputs):
        return "strength"
    if kind == "COMBO" and name not in ("sampler_name", "scheduler"):
        looks = is_model_file(value) or any(is_model_file(choice) for choice in spec.choices or ())
        return "model" if looks or (name.endswith(_MODEL_INPUTS) and not spec.choices) else ""
    return _BY_NAME.get((kind, name), "")


def is_suggested(role: str, spec: InputSpec, node: Mapping[str, Json], info: NodeInfo) -> bool:
    """Whether most users of the workflow will want to set this input."""
    if role in _ALWAYS_SUGGESTED or role in _FILE_ROLES or role == "strength":
        return True
    if role == "seed":
        # A sampler that adds no noise ignores its seed.
        return inputs_of(node).get("add_noise") != "disable"
    if role in ("width", "height"):
        return "LATENT" in info.output_types and "LATENT" not in {i.type for i in info.inputs}
    return role == "model" and spec.name in _CHECKPOINT_INPUTS


def base_name(role: str, spec: InputSpec, polarity: str, *, only_text: bool) -> str:
    """Return how such an input is called for short; ``only_text`` says that its node takes no other text."""
    name = spec.name.rsplit(".", 1)[-1]
    if role == "text" and only_text:
        return "negative_prompt" if polarity == "negative" else "prompt"
    if role == "model":
        return "checkpoint" if name == "ckpt_name" else name.removesuffix("_name") or name
    if role == "strength":
        return f"lora_{name}"
    return role if role in _FILE_ROLES or role == "seed" else name


def polarity_of(
    node_id: str, prompt: Prompt, fed: Mapping[Link, list[tuple[str, str]]], infos: Mapping[str, NodeInfo]
) -> str:
    """Say whether what a node yields ends in a sampler's ``positive`` or ``negative`` only; else an empty text."""
    found: set[str] = set()
    seen = {node_id}
    waiting = [node_id]
    while waiting:
        for target, input_name in _targets(waiting.pop(), prompt, fed, infos):
            if input_name in ("positive", "negative"):
                found.add(input_name)
            elif target not in seen:
                seen.add(target)
                waiting.append(target)
    return found.pop() if len(found) == 1 else ""


def _targets(
    node_id: str, prompt: Prompt, fed: Mapping[Link, list[tuple[str, str]]], infos: Mapping[str, NodeInfo]
) -> list[tuple[str, str]]:
    info = infos.get(class_type(prompt[node_id]))
    count = len(info.output_types) if info else 1
    types = info.output_types if info else ("*",)
    carrying = [i for i in range(count) if types[i] in ("CONDITIONING", "STRING", "GUIDER", "*")]
    return [place for index in carrying for place in fed.get((node_id, index), ())]


def constant_inputs(node: Mapping[str, Json]) -> dict[str, Json]:
    """Return a node's inputs that are no links."""
    return {name: value for name, value in inputs_of(node).items() if as_link(value) is None}
