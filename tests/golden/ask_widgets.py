"""What becomes of saved values: widgets of all kinds, and those that come and go."""

from __future__ import annotations

from tests.golden.compose import Graph, case, image, save

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
