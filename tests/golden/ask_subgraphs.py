"""What instances of subgraphs do to values, links and ids."""

from __future__ import annotations

from tests.golden.compose import Graph, case, image, save

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
