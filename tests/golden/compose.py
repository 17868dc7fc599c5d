"""Workflows that ask the front end one question each, written down as it saves them.

``CASES`` maps a case's name to its workflow. ``make_cases.py`` lets the real front end answer.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

Json = Any

CASES: dict[str, Callable[[], dict[str, Json]]] = {}


def case(function: Callable[[], Graph]) -> Callable[[], Graph]:
    CASES[function.__name__] = lambda: function().document()
    return function


class Graph:
    """A graph under construction: the root, or the inside of a subgraph."""

    def __init__(self, root: Graph | None = None) -> None:
        self.root = root or self
        self.nodes: list[dict[str, Json]] = []
        self.links: list[list[Json]] = []
        self.inputs: list[dict[str, Json]] = []
        self.outputs: list[dict[str, Json]] = []
        self.definitions: list[dict[str, Json]] = []
        self.extra: dict[str, Json] = {}

    def node(self, type_: str, values: Json = None, *, id_: Json = None, **fields: Json) -> dict[str, Json]:
        """Add a node; ``values`` are its ``widgets_values``."""
        node: dict[str, Json] = {
            "id": self._next_id() if id_ is None else id_,
            "type": type_,
            "pos": [0, 0],
            "size": [200, 100],
            "flags": {},
            "order": len(self.nodes),
            "mode": 0,
            "inputs": [],
            "outputs": [],
            "properties": {},
            **fields,
        }
        if values is not None:
            node["widgets_values"] = values
        self.nodes.append(node)
        return node

    def _next_id(self) -> int:
        return 1 + max((node["id"] for node in self.nodes if isinstance(node["id"], int)), default=0)

    def link(
        self, origin: Json, slot: int, target: dict[str, Json], name: str, type_: str = "*", *, widget: bool = False
    ) -> int:
        """Link an output to a named input, which is added to the target as saved."""
        id_ = 1 + max((link[0] for link in self.links), default=0)
        saved: dict[str, Json] = {"name": name, "type": type_, "link": id_}
        if widget:
            saved["widget"] = {"name": name}
        target["inputs"].append(saved)
        origin_id = origin["id"] if isinstance(origin, dict) else origin
        self.links.append([id_, origin_id, slot, target["id"], len(target["inputs"]) - 1, type_])
        if isinstance(origin, dict):
            outputs = origin["outputs"]
            while len(outputs) <= slot:
                outputs.append({"name": "out", "type": type_, "links": []})
            outputs[slot]["links"] = [*(outputs[slot]["links"] or []), id_]
        return id_

    # --- subgraphs ---

    def subgraph(self, name: str, number: int) -> Graph:
        """Start a definition; ``instance`` makes nodes of it."""
        inner = Graph(self.root)
        inner.extra = {"name": name, "id": f"00000000-0000-4000-8000-{number:012d}"}
        self.root.definitions.append({"graph": inner})
        return inner

    def take(self, name: str, type_: str, *targets: tuple[dict[str, Json], str, bool]) -> None:
        """Give a subgraph an input that feeds the named inputs of inner nodes."""
        slot = len(self.inputs)
        ids = [self.link(-10, slot, node, target, type_, widget=widget) for node, target, widget in targets]
        self.inputs.append(
            {"id": f"10000000-0000-4000-8000-{slot:012d}", "name": name, "type": type_, "linkIds": ids, "pos": [0, 0]}
        )

    def give(self, name: str, type_: str, origin: dict[str, Json], slot: int) -> None:
        """Give a subgraph an output fed by an inner node."""
        id_ = 1 + max((link[0] for link in self.links), default=0)
        self.links.append([id_, origin["id"], slot, -20, len(self.outputs), type_])
        self.outputs.append(
            {
                "id": f"20000000-0000-4000-8000-{len(self.outputs):012d}",
                "name": name,
                "type": type_,
                "linkIds": [id_],
                "pos": [0, 0],
            }
        )

    def instance(self, inner: Graph, values: Json = None, **fields: Json) -> dict[str, Json]:
        """Add an instance of a subgraph."""
        node = self.node(inner.extra["id"], values, **fields)
        node["outputs"] = [{"name": o["name"], "type": o["type"], "links": []} for o in inner.outputs]
        return node

    # --- documents ---

    def document(self) -> dict[str, Json]:
        definitions = [entry["graph"].definition() for entry in self.definitions]
        return {
            "version": 0.4,
            "last_node_id": max((node["id"] for node in self.nodes if isinstance(node["id"], int)), default=0),
            "last_link_id": max((link[0] for link in self.links), default=0),
            "nodes": self.nodes,
            "links": self.links,
            "groups": [],
            "config": {},
            "extra": {},
            **({"definitions": {"subgraphs": definitions}} if definitions else {}),
            **self.extra,
        }

    def definition(self) -> dict[str, Json]:
        keys = ("id", "origin_id", "origin_slot", "target_id", "target_slot", "type")
        return {
            "version": 1,
            "state": {"lastGroupId": 0, "lastNodeId": 0, "lastLinkId": 0, "lastRerouteId": 0},
            "revision": 0,
            "config": {},
            "inputNode": {"id": -10, "bounding": [0, 0, 120, 60]},
            "outputNode": {"id": -20, "bounding": [0, 0, 120, 60]},
            "inputs": self.inputs,
            "outputs": self.outputs,
            "widgets": [],
            "nodes": self.nodes,
            "groups": [],
            "links": [dict(zip(keys, link, strict=True)) for link in self.links],
            "extra": {},
            **self.extra,
        }


def image(graph: Graph, value: int = 1) -> dict[str, Json]:
    return graph.node("EmptyImage", [8, 8, value, 0])


def save(graph: Graph, origin: Json, slot: int = 0, prefix: str = "ComfyUI") -> dict[str, Json]:
    node = graph.node("SaveImage", [prefix])
    graph.link(origin, slot, node, "images", "IMAGE")
    return node


# --- widgets and values ----------------------------------------------------------------------------------------------


@case
def values_as_object_in_order() -> Graph:
    graph = Graph()
    save(graph, graph.node("EmptyImage", {"width": 16, "height": 24, "batch_size": 2, "color": 255}))
    return graph


@case
def values_as_object_with_a_key_too_many() -> Graph:
    graph = Graph()
    save(graph, graph.node("EmptyImage", {"width": 16, "height": 24, "batch_size": 2, "color": 255, "x": 1}))
    return graph


@case
def values_shorter_and_longer_than_widgets() -> Graph:
    graph = Graph()
    save(graph, graph.node("EmptyImage", [16]))
    save(graph, graph.node("EmptyImage", [16, 24, 2, 5, "spare", None]))
    return graph


@case
def values_of_the_wrong_kind() -> Graph:
    graph = Graph()
    graph.node("CLIPTextEncode", [12.50])
    graph.node("CLIPTextEncode", [None])
    graph.node("CLIPTextEncode", [{"a": 1}])
    graph.node("CLIPTextEncode", [[1, None, "x"]])
    graph.node("CLIPTextEncode", ["a\r\nb\rc"])
    graph.node("SaveImage", [7])
    graph.node("EmptyImage", ["8", None, [1, 2], {"a": [1.0]}])
    return graph


@case
def numbers_beyond_doubles() -> Graph:
    graph = Graph()
    for seed in (2**53, 2**53 + 1, 2**64 - 1, -(2**60) - 3, 10**21, 10**25):
        graph.node("KSampler", [seed, "fixed", 20, 8.0, "euler", "normal", 1.0])
    graph.node("KSampler", [-0.0, "fixed", 1e-7, 1e21, "euler", "normal", 0.1 + 0.2])
    return graph


@case
def combos_without_a_value() -> Graph:
    graph = Graph()
    graph.node("KSampler", [1, "fixed", 20, 8, None, None, 1])
    graph.node("KSampler", [1, None, 20, 8, "sample_euler", "sample_normal", 1])
    graph.node("LoadImage", [None, "image"])
    return graph


@case
def seed_without_its_control_entry() -> Graph:
    graph = Graph()
    graph.node("KSampler", [5, 20, 8, "euler", "normal", 1])
    graph.node("RandomNoise", [5])
    graph.node("PrimitiveInt", [5])
    return graph


@case
def choices_and_comments_in_texts() -> Graph:
    graph = Graph()
    for text in (
        "a {b} c",
        "http://example.com/x",
        "one // two\nthree",
        "/* a */ b /* c",
        r"\{a\|b\} \\ \n",
        "{a{b}c}",
        "{open",
        "close}",
        "{}",
        "\\",
        "{/*}*/q}",
        "{a\\|b}",
    ):
        graph.node("CLIPTextEncode", [text])
    return graph


@case
def file_names_that_quote_widgets() -> Graph:
    graph = Graph()
    empty = image(graph)
    graph.node("KSampler", [42, "fixed", 20, 7.5, "euler", "normal", 1], title="Sampler A")
    graph.node("KSampler", [43, "fixed", 21, 8, "euler", "normal", 1], properties={"Node name for S&R": "named"})
    graph.node("CLIPTextEncode", ['a/b\\c:d*e?"f"<g>|h\ni'], title="Text")
    for prefix in (
        "%KSampler.seed%",
        "%Sampler A.cfg%",
        "%named.seed%_%named.steps%",
        "%Text.text%",
        "%Nobody.seed%",
        "%KSampler.nothing%",
        "%width%x%height%",
        "%a.b.c%",
        "100%",
        "%%",
    ):
        save(graph, empty, prefix=prefix)
    graph.node("PreviewImage")
    return graph


@case
def front_end_inputs_of_media_nodes() -> Graph:
    graph = Graph()
    graph.node("LoadImage", ["example.png", "image"])
    graph.node("LoadAudio", ["a.flac", None, ""])
    graph.node("RecordAudio", [""])
    graph.node("PreviewAny", [])
    graph.node("ImageCompare", [])
    return graph


@case
def bounding_box_and_curve() -> Graph:
    graph = Graph()
    graph.node("ImageCropV2", [{"x": 1, "y": 2, "width": 3, "height": 4}, 1, 2, 3, 4])
    graph.node("ImageCropV2", [])
    graph.node("CurveEditor", [{"points": [[0, 0], [0.5, 0.25], [1, 1]], "interpolation": "linear"}])
    graph.node("CurveEditor", [[[0, 0], [1, 1]]])
    return graph


# --- links -----------------------------------------------------------------------------------------------------------


@case
def slots_saved_in_another_order() -> Graph:
    graph = Graph()
    model = graph.node("CheckpointLoaderSimple", ["a.safetensors"])
    latent = graph.node("EmptyLatentImage", [8, 8, 1])
    positive, negative = graph.node("CLIPTextEncode", ["p"]), graph.node("CLIPTextEncode", ["n"])
    sampler = graph.node("KSampler", [1, "fixed", 20, 8, "euler", "normal", 1])
    graph.link(latent, 0, sampler, "latent_image", "LATENT")
    graph.link(negative, 0, sampler, "negative", "CONDITIONING")
    graph.link(positive, 0, sampler, "positive", "CONDITIONING")
    graph.link(model, 0, sampler, "model", "MODEL")
    return graph


@case
def links_into_inputs_that_are_gone() -> Graph:
    graph = Graph()
    source = image(graph)
    target = save(graph, source)
    graph.link(source, 0, target, "was_a_slot", "IMAGE")
    graph.link(source, 0, target, "was_a_widget", "INT", widget=True)
    return graph


@case
def two_links_into_one_input() -> Graph:
    graph = Graph()
    first, second = image(graph, 1), image(graph, 2)
    target = save(graph, first)
    graph.links.append([9, second["id"], 0, target["id"], 0, "IMAGE"])
    target["inputs"][0]["link"] = 9
    other = save(graph, first)
    graph.links.append([10, second["id"], 0, other["id"], 0, "IMAGE"])
    return graph


@case
def ids_that_are_text() -> Graph:
    graph = Graph()
    source = graph.node("EmptyImage", [8, 8, 1, 0], id_="source")
    target = graph.node("SaveImage", ["x"], id_="7")
    graph.link(source, 0, target, "images", "IMAGE")
    return graph


@case
def first_schema_version() -> Graph:
    graph = Graph()
    save(graph, image(graph))
    keys = ("id", "origin_id", "origin_slot", "target_id", "target_slot", "type")
    graph.extra = {
        "version": 1,
        "state": {"lastNodeId": 2, "lastLinkId": 1, "lastGroupId": 0, "lastRerouteId": 0},
        "links": [dict(zip(keys, link, strict=True)) for link in graph.links],
    }
    return graph


# --- muted, bypassed, virtual ----------------------------------------------------------------------------------------


@case
def bypass_prefers_the_same_slot() -> Graph:
    graph = Graph()
    positive, negative = graph.node("CLIPTextEncode", ["p"]), graph.node("CLIPTextEncode", ["n"])
    apply = graph.node("ControlNetApplyAdvanced", [1, 0, 1], mode=4)
    graph.link(negative, 0, apply, "negative", "CONDITIONING")
    graph.link(positive, 0, apply, "positive", "CONDITIONING")
    sampler = graph.node("KSampler", [1, "fixed", 20, 8, "euler", "normal", 1])
    graph.link(apply, 0, sampler, "positive", "CONDITIONING")
    graph.link(apply, 1, sampler, "negative", "CONDITIONING")
    return graph


@case
def bypass_chain_ends_in_a_muted_node() -> Graph:
    graph = Graph()
    source = image(graph)
    source["mode"] = 2
    previous: Json = source
    for _ in range(4):
        scale = graph.node("ImageScale", ["area", 8, 8, "disabled"], mode=4)
        graph.link(previous, 0, scale, "image", "IMAGE")
        previous = scale
    save(graph, previous)
    return graph


@case
def bypassed_node_of_an_unknown_class() -> Graph:
    graph = Graph()
    unknown = graph.node("NobodyHasThis", [1, 2], mode=4)
    graph.link(image(graph), 0, unknown, "anything", "IMAGE")
    save(graph, unknown)
    graph.node("NeitherThis", ["x"], mode=2)
    return graph


@case
def bypassed_source_keeps_the_widget() -> Graph:
    graph = Graph()
    number = graph.node("PrimitiveInt", [99, "fixed"], mode=4)
    other = graph.node("PrimitiveInt", [98, "fixed"], mode=2)
    empty = graph.node("EmptyImage", [8, 9, 1, 0])
    graph.link(number, 0, empty, "width", "INT", widget=True)
    graph.link(other, 0, empty, "height", "INT", widget=True)
    save(graph, empty)
    return graph


@case
def reroutes_of_all_modes() -> Graph:
    graph = Graph()
    source = image(graph)
    for mode in (0, 2, 4):
        first = graph.node("Reroute", mode=mode)
        second = graph.node("Reroute")
        graph.link(source, 0, first, "", "*")
        graph.link(first, 0, second, "", "*")
        save(graph, second)
    save(graph, graph.node("Reroute"))
    return graph


@case
def primitives_of_all_modes() -> Graph:
    graph = Graph()
    for mode in (0, 2, 4):
        primitive = graph.node("PrimitiveNode", [33, "fixed"], mode=mode)
        empty = graph.node("EmptyImage", [8, 8, 1, 0])
        graph.link(primitive, 0, empty, "width", "INT", widget=True)
        graph.link(primitive, 0, empty, "height", "INT", widget=True)
        save(graph, empty)
    return graph


@case
def primitives_are_rounded_and_kept_in_range() -> Graph:
    graph = Graph()
    for value in (3.25, 0.5, 1000, -4, "x", "7", None, True):
        primitive = graph.node("PrimitiveNode", [value, "fixed"])
        sampler = graph.node("KSampler", [1, "fixed", 20, 8, "euler", "normal", 1])
        graph.link(primitive, 0, sampler, "cfg", "FLOAT", widget=True)
    for value in (3.5, -2, 10**6, 2.49):
        primitive = graph.node("PrimitiveNode", [value, "fixed"])
        sampler = graph.node("KSampler", [1, "fixed", 20, 8, "euler", "normal", 1])
        graph.link(primitive, 0, sampler, "steps", "INT", widget=True)
    return graph


@case
def primitive_saved_with_another_type() -> Graph:
    graph = Graph()
    primitive = graph.node("PrimitiveNode", [33, "fixed"])
    empty = graph.node("EmptyImage", [8, 8, 1, 0])
    graph.link(primitive, 0, empty, "width", "INT", widget=True)
    primitive["outputs"][0]["type"] = "FLOAT"
    return graph


@case
def primitive_for_combo_and_text() -> Graph:
    graph = Graph()
    combo = graph.node("PrimitiveNode", ["heun", "fixed", ""])
    text = graph.node("PrimitiveNode", ["hello // {world}"])
    sampler = graph.node("KSampler", [1, "fixed", 20, 8, "euler", "normal", 1])
    graph.link(combo, 0, sampler, "sampler_name", "COMBO", widget=True)
    encode = graph.node("CLIPTextEncode", ["own"])
    graph.link(text, 0, encode, "text", "STRING", widget=True)
    return graph


@case
def notes_are_left_out() -> Graph:
    graph = Graph()
    graph.node("Note", ["a"])
    graph.node("MarkdownNote", ["b"])
    save(graph, image(graph))
    return graph


# --- dynamic inputs --------------------------------------------------------------------------------------------------


@case
def growing_list_with_gaps() -> Graph:
    graph = Graph()
    batch = graph.node("BatchImagesNode")
    for index in (0, 2, 5):
        graph.link(image(graph, index + 1), 0, batch, f"images.image{index}", "IMAGE")
    save(graph, batch)
    return graph


@case
def growing_list_beyond_nine() -> Graph:
    graph = Graph()
    batch = graph.node("BatchImagesNode")
    source = image(graph)
    for index in range(12):
        graph.link(source, 0, batch, f"images.image{index}", "IMAGE")
    save(graph, batch)
    return graph


@case
def dynamic_combo_of_each_option() -> Graph:
    graph = Graph()
    graph.node("CreateCameraInfo", ["look_at", 1, 2, 3, 0, 0, 0, 0, 35])
    graph.node("CreateCameraInfo", ["orbit", 10, 20, 5])
    graph.node("CreateCameraInfo", ["nothing of the kind", 1, 2])
    graph.node("CreateCameraInfo", [None])
    graph.node("CreateCameraInfo", [])
    return graph


@case
def dynamic_combo_with_linked_children() -> Graph:
    graph = Graph()
    info = graph.node("CreateCameraInfo", ["look_at", 1, 2, 3, 0, 0, 0, 0, 35])
    number = graph.node("PrimitiveFloat", [0.5])
    graph.link(number, 0, info, "mode.position_y", "FLOAT", widget=True)
    graph.link(number, 0, info, "mode.yaw", "FLOAT", widget=True)
    return graph


@case
def rows_of_a_dynamic_group() -> Graph:
    graph = Graph()
    graph.node("LoadLoraModel", [2, "a.safetensors", 0.5, 0.25, "b.safetensors", 1, 1])
    graph.node("LoadLoraModel", [])
    return graph


@case
def custom_combo_counts_its_options() -> Graph:
    graph = Graph()
    graph.node("CustomCombo", ["b", 1, "a", "b", "c", ""])
    graph.node("CustomCombo", ["nowhere", 0, "a", ""])
    graph.node("CustomCombo", [])
    graph.node("CustomCombo", ["a", 0, "a", "", "c"])
    return graph


@case
def switch_of_matched_types_bypassed() -> Graph:
    graph = Graph()
    for mode in (0, 4):
        switch = graph.node("ComfySwitchNode", [True], mode=mode)
        graph.link(image(graph, 1), 0, switch, "on_false", "IMAGE")
        graph.link(image(graph, 2), 0, switch, "on_true", "IMAGE")
        save(graph, switch)
    return graph


# --- subgraphs -------------------------------------------------------------------------------------------------------


def scaler(graph: Graph, number: int = 1) -> Graph:
    """A subgraph with an image, two promoted numbers and one output."""
    inner = graph.subgraph("Scaler", number)
    scale = inner.node("ImageScale", ["area", 64, 32, "disabled"], id_=11)
    inner.take("image", "IMAGE", (scale, "image", False))
    inner.take("width", "INT", (scale, "width", True))
    inner.take("height", "INT", (scale, "height", True))
    inner.give("IMAGE", "IMAGE", scale, 0)
    return inner


@case
def instance_values_beat_inner_ones() -> Graph:
    graph = Graph()
    inner = scaler(graph)
    source = image(graph)
    for values in ([100, 200], [None, 7], [], None, [1, 2, 3], ["8", True]):
        instance = graph.instance(inner, values)
        graph.link(source, 0, instance, "image", "IMAGE")
        save(graph, instance)
    return graph


@case
def instance_inputs_linked_from_outside() -> Graph:
    graph = Graph()
    inner = scaler(graph)
    instance = graph.instance(inner, [100, 200])
    graph.link(image(graph), 0, instance, "image", "IMAGE")
    graph.link(graph.node("PrimitiveInt", [77, "fixed"]), 0, instance, "height", "INT", widget=True)
    save(graph, instance)
    primitive = graph.instance(inner, [100, 200])
    graph.link(graph.node("PrimitiveNode", [55, "fixed"]), 0, primitive, "width", "INT", widget=True)
    save(graph, primitive)
    return graph


@case
def instance_muted_and_bypassed() -> Graph:
    graph = Graph()
    inner = scaler(graph)
    for mode in (2, 4):
        instance = graph.instance(inner, [100, 200], mode=mode)
        graph.link(image(graph), 0, instance, "image", "IMAGE")
        save(graph, instance)
    return graph


@case
def instances_nested_two_deep() -> Graph:
    graph = Graph()
    inner = scaler(graph, 1)
    outer = graph.subgraph("Outer", 2)
    instance = outer.instance(inner, [300, 400], id_=21)
    outer.take("image", "IMAGE", (instance, "image", False))
    outer.take("size", "INT", (instance, "width", True), (instance, "height", True))
    outer.give("IMAGE", "IMAGE", instance, 0)
    for values in ([500], None):
        top = graph.instance(outer, values)
        graph.link(image(graph), 0, top, "image", "IMAGE")
        save(graph, top)
    return graph


@case
def nested_instance_muted_inside() -> Graph:
    graph = Graph()
    inner = scaler(graph, 1)
    outer = graph.subgraph("Outer", 2)
    instance = outer.instance(inner, [300, 400], id_=21, mode=2)
    outer.take("image", "IMAGE", (instance, "image", False))
    outer.give("IMAGE", "IMAGE", instance, 0)
    top = graph.instance(outer)
    graph.link(image(graph), 0, top, "image", "IMAGE")
    save(graph, top)
    return graph


@case
def inner_ids_that_collide() -> Graph:
    graph = Graph()
    first, second = graph.subgraph("First", 1), graph.subgraph("Second", 2)
    for inner in (first, second):
        empty = inner.node("EmptyImage", [8, 8, 1, 0], id_=1)
        scale = inner.node("ImageScale", ["area", 8, 8, "disabled"], id_=2)
        inner.link(empty, 0, scale, "image", "IMAGE")
        inner.give("IMAGE", "IMAGE", scale, 0)
    for inner in (first, second, first):
        save(graph, graph.instance(inner))
    return graph


@case
def inner_ids_that_collide_with_a_counter_saved_as_text() -> Graph:
    graph = inner_ids_that_collide()
    graph.extra = {"last_node_id": "6"}
    return graph


@case
def values_listed_as_proxies() -> Graph:
    graph = Graph()
    inner = graph.subgraph("Old", 1)
    scale = inner.node("ImageScale", ["area", 64, 32, "disabled"], id_=11)
    inner.take("image", "IMAGE", (scale, "image", False))
    inner.take("width", "INT", (scale, "width", True))
    inner.give("IMAGE", "IMAGE", scale, 0)
    for proxies, values in (
        ([["-1", "width"]], [100]),
        ([["11", "width"], ["11", "height"]], [101, 201]),
        ([["11", "crop"], ["-1", "width"], ["99", "x"]], ["center", 102, 0]),
    ):
        instance = graph.instance(inner, values, properties={"proxyWidgets": proxies})
        graph.link(image(graph), 0, instance, "image", "IMAGE")
        save(graph, instance)
    return graph


@case
def primitive_inside_listed_as_proxy() -> Graph:
    graph = Graph()
    inner = graph.subgraph("Old", 1)
    primitive = inner.node("PrimitiveNode", [64, "fixed"], id_=10)
    empty = inner.node("EmptyImage", [8, 8, 1, 0], id_=11)
    inner.link(primitive, 0, empty, "width", "INT", widget=True)
    inner.link(primitive, 0, empty, "height", "INT", widget=True)
    inner.give("IMAGE", "IMAGE", empty, 0)
    for values in ([128], None):
        proxies = {"proxyWidgets": [["10", "value"]]}
        save(graph, graph.instance(inner, values, properties=proxies))
    return graph


@case
def promoted_text_is_sent_as_it_is() -> Graph:
    graph = Graph()
    inner = graph.subgraph("Prompt", 1)
    encode = inner.node("CLIPTextEncode", ["inner // {text}"], id_=11)
    inner.take("text", "STRING", (encode, "text", True))
    inner.give("CONDITIONING", "CONDITIONING", encode, 0)
    graph.instance(inner, ["outer // {text}"])
    graph.instance(inner)
    return graph


@case
def promoted_choice_moves_the_index() -> Graph:
    graph = Graph()
    inner = graph.subgraph("Choice", 1)
    combo = inner.node("CustomCombo", ["a", 0, "a", "b", "c", ""], id_=11)
    inner.take("choice", "COMBO", (combo, "choice", True))
    inner.give("STRING", "STRING", combo, 0)
    graph.instance(inner, ["c"])
    graph.instance(inner)
    return graph


@case
def definition_nested_in_a_definition() -> Graph:
    graph = Graph()
    inner = scaler(graph, 1)
    outer = graph.subgraph("Outer", 2)
    instance = outer.instance(inner, [300, 400], id_=21)
    outer.take("image", "IMAGE", (instance, "image", False))
    outer.give("IMAGE", "IMAGE", instance, 0)
    graph.root.definitions = [entry for entry in graph.root.definitions if entry["graph"] is outer]
    outer.extra["definitions"] = {"subgraphs": [inner.definition()]}
    top = graph.instance(outer)
    graph.link(image(graph), 0, top, "image", "IMAGE")
    save(graph, top)
    return graph


@case
def root_ids_that_collide() -> Graph:
    graph = Graph()
    inner = scaler(graph)
    inner.extra["state"] = {"lastGroupId": 0, "lastNodeId": 30, "lastLinkId": 0, "lastRerouteId": 0}
    for values in ([1, 2], [3, 4], [5, 6]):
        graph.instance(inner, values, id_=5)
    graph.node("EmptyImage", [8, 8, 1, 0], id_=5)
    return graph


@case
def proxies_without_a_source_come_last() -> Graph:
    graph = Graph()
    inner = scaler(graph)
    proxies = [["-1", "width"], ["11", "width"], ["11", "height"], ["-1", "height"], ["-1", "nobody"]]
    graph.instance(inner, [1, 2, 3, 4, 5], properties={"proxyWidgets": proxies})
    graph.instance(inner, [1, 2, 3], properties={"proxyWidgets": str(proxies).replace("'", '"')})
    graph.instance(inner, [1, 2], properties={"proxyWidgets": [["-1", "width"], [11, "height"]]})
    return graph


@case
def promoted_choice_without_a_value() -> Graph:
    graph = Graph()
    inner = graph.subgraph("Choice", 1)
    combo = inner.node("CustomCombo", ["b", 0, "a", "b", ""], id_=11)
    inner.take("choice", "COMBO", (combo, "choice", True))
    inner.give("STRING", "STRING", combo, 0)
    graph.instance(inner, [None])
    graph.node("CustomCombo", [None, 0, "x", "y", ""])
    return graph


@case
def instance_slots_saved_in_another_order() -> Graph:
    graph = Graph()
    inner = scaler(graph)
    instance = graph.instance(inner, [100, 200])
    graph.link(graph.node("PrimitiveInt", [77, "fixed"]), 0, instance, "height", "INT", widget=True)
    instance["inputs"].append({"name": "gone", "type": "INT", "link": None})
    graph.link(image(graph), 0, instance, "image", "IMAGE")
    save(graph, instance)
    return graph


@case
def bypassed_instance_passes_on_by_type() -> Graph:
    graph = Graph()
    inner = graph.subgraph("Two", 1)
    scale = inner.node("ImageScale", ["area", 64, 32, "disabled"], id_=11)
    encode = inner.node("VAEEncode", id_=12)
    inner.link(scale, 0, encode, "pixels", "IMAGE")
    inner.take("vae", "VAE", (encode, "vae", False))
    inner.take("image", "IMAGE", (scale, "image", False))
    inner.give("LATENT", "LATENT", encode, 0)
    inner.give("IMAGE", "IMAGE", scale, 0)
    instance = graph.instance(inner, mode=4)
    graph.link(image(graph), 0, instance, "image", "IMAGE")
    save(graph, instance, 1)
    latent = graph.node("VAEDecode")
    graph.link(instance, 0, latent, "samples", "LATENT")
    return graph


@case
def growing_list_inside_a_dynamic_combo() -> Graph:
    graph = Graph()
    for option in ("scale dimensions", "match size", "scale by multiplier"):
        resize = graph.node("ResizeImageMaskNode", [option, 64, 32, "center", "area"])
        graph.link(image(graph), 0, resize, "input", "IMAGE")
        graph.link(image(graph, 2), 0, resize, "resize_type.match", "IMAGE")
        save(graph, resize)
    return graph


@case
def root_id_that_pushes_a_later_one_away() -> Graph:
    graph = Graph()
    graph.node("EmptyImage", [1, 1, 1, 0], id_=5)
    graph.node("EmptyImage", [2, 2, 1, 0], id_=5)
    pushed = graph.node("ImageScale", ["area", 8, 8, "disabled"], id_=6)
    graph.link(graph.nodes[0], 0, pushed, "image", "IMAGE")
    save(graph, pushed)
    graph.extra = {"last_node_id": 5}
    return graph
