"""Where links lead: through nodes that do not run, and into inputs that moved."""

from __future__ import annotations

from tests.golden.compose import Graph, Json, case, image, save

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
