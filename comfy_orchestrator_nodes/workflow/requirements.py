"""What a definition needs wherever it runs: node classes, model files, and other definitions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from ..domain import Prompt
from .graph import MARKERS, REMOTE_WORKFLOW, class_type, inputs_of
from .models import is_model_file
from .needs import ModelNeed, models_needed
from .nested import used_definitions
from .nodeinfo import NodeInfo


@dataclass(frozen=True)
class Requirements:
    """What must be there; each class and definition once, in the order of the prompt."""

    node_classes: tuple[str, ...]
    models: tuple[ModelNeed, ...]
    definitions: tuple[str, ...]


def requirements(prompt: Prompt, infos: Mapping[str, NodeInfo]) -> Requirements:
    """Return what the prompt needs.

    Args:
        prompt: the graph; give it without the nodes that would not be sent (``patch.needed_prompt``).
        infos: node classes, which tell a model's name from any other text. Of a class that is not in it, every text
            that ends like a model file counts as one.
    """
    classes = dict.fromkeys(class_type(node) for node in prompt.values())
    return Requirements(
        node_classes=tuple(name for name in classes if name not in MARKERS and name != REMOTE_WORKFLOW),
        models=(*models_needed(prompt, infos), *_guessed_models(prompt, infos)),
        definitions=used_definitions(prompt),
    )


def _guessed_models(prompt: Prompt, infos: Mapping[str, NodeInfo]) -> tuple[ModelNeed, ...]:
    return tuple(
        ModelNeed(node_id, class_type(node), name, value)
        for node_id, node in prompt.items()
        if class_type(node) not in infos
        for name, value in inputs_of(node).items()
        if is_model_file(value)
    )
