"""Every kind of file that ComfyUI writes a workflow into is read, and what was found is told."""

from __future__ import annotations

import io
import json
import math
from pathlib import Path
from typing import Any

import pytest

from comfy_orchestrator_nodes.errors import InvalidDocument
from comfy_orchestrator_nodes.workflow import document
from tests.golden.compose import Graph, image, save
from tests.golden.questions import CASES

MEDIA = Path(__file__).resolve().parents[2] / "golden" / "media"

WITH_BOTH = [
    "save_image.png",
    "animated.png",
    "animated.webp",
    "exif.jpg",
    "audio.flac",
    "audio.mp3",
    "audio.opus",
    "video.mp4",
    "video.webm",
]
WITH_WORKFLOW = ["unicode.png", "zipped.png", "zipped_unicode.png"]


def small() -> dict[str, Any]:
    graph = Graph()
    save(graph, image(graph))
    return graph.document()


@pytest.mark.parametrize("name", WITH_BOTH)
def test_file_saved_by_comfyui_holds_its_workflow_and_prompt(name: str) -> None:
    found = document.read((MEDIA / name).read_bytes(), name=name)

    assert found.kind == "workflow and prompt"
    assert found.workflow is not None
    assert found.workflow["nodes"][0]["title"] == "Größe ☃ 😀"
    assert found.prompt is not None
    assert found.prompt["1"]["class_type"] == "EmptyImage"


@pytest.mark.parametrize("name", WITH_WORKFLOW)
def test_text_chunk_of_each_encoding_is_read(name: str) -> None:
    found = document.read((MEDIA / name).read_bytes(), name=name)

    assert found.kind == "workflow"
    assert found.workflow is not None
    assert found.workflow["nodes"][0]["title"] == "Größe ☃ 😀"


def test_nan_that_comfyui_writes_about_changed_nodes_is_left_out() -> None:
    found = document.read((MEDIA / "save_image.png").read_bytes())

    assert found.prompt is not None
    assert "is_changed" not in found.prompt["1"]


def test_open_file_is_read_and_left_open() -> None:
    with (MEDIA / "video.mp4").open("rb") as file:
        assert document.read(file).container == "mp4"
        assert not file.closed


@pytest.mark.parametrize("name", sorted(CASES))
def test_workflow_as_json_is_returned_as_it_is(name: str) -> None:
    workflow = json.loads(json.dumps(CASES[name]()))

    found = document.read(json.dumps(workflow).encode(), name=f"{name}.json")

    assert found.kind == "workflow"
    assert found.container == "json"
    assert found.workflow == workflow


def test_both_schemas_are_told_apart() -> None:
    assert document.from_value(small()).schema == "0.4"
    assert document.from_value({**small(), "version": 1}).schema == "1"


def test_byte_order_mark_does_not_matter() -> None:
    assert document.read(b"\xef\xbb\xbf" + json.dumps(small()).encode()).kind == "workflow"


def test_prompt_is_recognised_alone_and_in_a_request() -> None:
    prompt = {"1": {"class_type": "EmptyImage", "inputs": {}}}

    assert document.from_value(prompt).kind == "prompt"
    request = {"prompt": prompt, "client_id": "x", "extra_data": {"extra_pnginfo": {"workflow": small()}}}
    assert document.from_value(request).kind == "workflow and prompt"
    assert document.from_value({"workflow": small(), "output": prompt}).kind == "workflow and prompt"


def test_counts_unfold_subgraphs_and_find_group_nodes() -> None:
    graph = Graph()
    inner = graph.subgraph("Inside", 1)
    for _ in range(3):
        inner.node("EmptyImage")
    outer = graph.subgraph("Outside", 2)
    outer.instance(inner)
    outer.instance(inner)
    graph.instance(outer)
    graph.node("workflow>Old")

    counts = document.from_value(graph.document()).counts

    assert counts == document.Counts(nodes=2, links=0, subgraphs=2, unfolded_nodes=10, group_nodes=1)


def test_description_says_what_was_found() -> None:
    text = document.read((MEDIA / "save_image.png").read_bytes()).describe()

    assert text == "a PNG file with a workflow (schema 0.4) of 1 node and 0 links and a prompt of 1 node"


def test_image_without_a_workflow_says_why_there_may_be_none() -> None:
    png = (MEDIA / "save_image.png").read_bytes()
    bare = png[:33] + png[png.index(b"IDAT") - 4 :]

    with pytest.raises(InvalidDocument, match="was not made by ComfyUI"):
        document.read(bare, name="photo.png")


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ([], "not an object"),
        ({}, "neither a workflow"),
        ({"last_node_id": 1, "links": []}, "neither a workflow"),
        ({"1": {"inputs": {}}}, "neither a workflow"),
        ({"1": {"class_type": "A", "inputs": []}}, "are not an object"),
        ({"nodes": [1]}, "is not an object"),
        ({"nodes": [], "links": {}}, "is not a list"),
        ({"nodes": [], "definitions": {"subgraphs": [1]}}, "is not an object"),
    ],
)
def test_anything_else_is_refused_with_what_it_is_instead(value: Any, message: str) -> None:
    with pytest.raises(InvalidDocument, match=message):
        document.from_value(value)


@pytest.mark.parametrize("number", [math.nan, math.inf, -math.inf])
def test_numbers_that_are_none_are_refused(number: float) -> None:
    workflow = small()
    workflow["nodes"][0]["widgets_values"][0] = number

    with pytest.raises(InvalidDocument, match=r"NaN|too large"):
        document.read(io.BytesIO(json.dumps(workflow).encode()))


def test_half_a_character_is_refused() -> None:
    workflow = small()
    workflow["nodes"][0]["title"] = "\ud83d"

    with pytest.raises(InvalidDocument, match="half of a character"):
        document.read(json.dumps(workflow).encode())


def test_character_beyond_the_basic_plane_is_kept() -> None:
    workflow = small()
    workflow["nodes"][0]["title"] = "😀"

    found = document.read(json.dumps(workflow).encode())

    assert found.workflow is not None
    assert found.workflow["nodes"][0]["title"] == "😀"
