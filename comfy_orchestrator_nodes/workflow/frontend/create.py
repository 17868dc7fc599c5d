"""Making a node of a class: its slots and widgets before anything saved is read."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from . import js, virtual
from .custom import adorn
from .graph import Graph
from .inputs import add_socket, add_widget
from .node import Node, OutputSlot, Session
from .specs import ClassSpec, UnusableClass, parse_class

SAVES_FILES = frozenset(
    {
        "SaveImage",
        "SaveImageAdvanced",
        "SaveSVGNode",
        "SaveVideo",
        "SaveAnimatedWEBP",
        "SaveWEBM",
        "SaveAudio",
        "SaveAudioMP3",
        "SaveAudioOpus",
        "SaveAudioAdvanced",
        "SaveGLB",
        "Save3DAdvanced",
        "SaveGaussianSplat",
        "SavePointCloud",
        "SaveAnimatedPNG",
        "CLIPSave",
        "VAESave",
        "ModelSave",
        "LoraSave",
        "SaveLatent",
    }
)
"""Classes whose ``filename_prefix`` may quote other nodes' widgets (front end 1.58.1, ``saveImageExtraOutput.ts``)."""

NAME_PROPERTY = "Node name for S&R"


class Factory:
    """Makes the nodes of one conversion; each class is read from ``object_info`` once."""

    def __init__(self, object_info: Mapping[str, Any], session: Session) -> None:
        self._object_info = object_info
        self._session = session
        self._specs: dict[str, ClassSpec] = {}
        self.subgraphs: dict[str, Graph] = {}
        self.reasons: dict[str, None] = {}
        """Why a node could not be made, each once, in order."""

    def knows(self, type_: str) -> bool:
        """Tell whether a node of that type can be made."""
        return type_ in self.subgraphs or type_ in self._object_info or type_ in virtual.OWN_CLASSES

    def create(self, type_: str) -> Node | None:
        """Make a node, or note why there is none of that type."""
        if type_ in self.subgraphs:
            return self._instance(type_)
        if type_ in self._object_info:
            return self._of_class(type_)
        return virtual.create(type_, self._session)

    def _instance(self, type_: str) -> Node:
        node = Node(type_, self._session)
        node.kind = "subgraph"
        node.subgraph = self.subgraphs[type_]
        node.title = node.subgraph.name
        node.virtual = True
        return node

    def _of_class(self, type_: str) -> Node | None:
        spec = self._spec(type_)
        node = Node(type_, self._session)
        node.kind = "class"
        node.spec = spec
        node.title = spec.display_name
        if type_ not in SAVES_FILES:
            node.properties[NAME_PROPERTY] = type_
        try:
            for each in spec.ordered:
                add_socket(node, each)
            for each in spec.ordered:
                add_widget(node, each)
        except UnusableClass as error:
            self.reasons[f"the definition of node class {type_!r} cannot be used: {error}"] = None
            return None
        node.outputs = [OutputSlot(output.type, output.name) for output in spec.outputs]
        for widget in node.widgets:
            widget.resolves_prompts = widget.dynamic_prompts
        adorn(node)
        return node

    def _spec(self, type_: str) -> ClassSpec:
        spec = self._specs.get(type_)
        if spec is None:
            entry = self._object_info[type_]
            spec = parse_class(type_, entry if isinstance(entry, dict) else {})
            self._specs[type_] = spec
        return spec

    def reason_for(self, type_: str) -> str:
        """Say why there is no node of a type, and what to do about it."""
        if type_.startswith(("workflow>", "workflow/")):
            name = type_[len("workflow>") :]
            return (
                f"{name!r} is a group node, which ComfyUI has replaced by subgraphs: "
                "open the workflow in ComfyUI, which converts it, and save it again"
            )
        if js.truthy(type_):
            return f"node class {type_!r} is not installed on this server"
        return "a node has no type"
