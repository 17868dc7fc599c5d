"""The example workflows are complete: notes, pictures, and everything that they run."""

from __future__ import annotations

import json
from typing import Any

import pytest
from PIL import Image

from comfy_orchestrator_nodes.workflow import bundle, embedded
from comfy_orchestrator_nodes.workflow.nested import definitions_named_in
from tools.devtools.example_graphs import DEFINITIONS, EXAMPLES
from tools.devtools.examples import FOLDER

NAMES = [example.name for example in EXAMPLES]
MAX_PICTURE_BYTES = 100_000


def load(name: str) -> Any:
    return json.loads((FOLDER / f"{name}.json").read_text(encoding="utf-8"))


def test_the_folder_holds_each_example_with_its_picture_and_nothing_else() -> None:
    files = sorted(path.name for path in FOLDER.iterdir() if path.is_file())
    assert files == sorted(f"{name}{ending}" for name in NAMES for ending in (".json", ".jpg"))


@pytest.mark.parametrize("name", NAMES)
def test_an_example_carries_all_that_it_runs(name: str) -> None:
    document = load(name)
    carried = embedded.read(document)
    assert carried is not None
    assert set(definitions_named_in(document)) <= {definition.id for definition in carried.definitions}


@pytest.mark.parametrize("name", NAMES)
def test_an_example_says_first_what_to_do(name: str) -> None:
    nodes = load(name)["nodes"]
    note = nodes[0]
    assert note["type"] == "MarkdownNote"
    assert note["widgets_values"][0].startswith(f"# {name}\n\n**First**: ")
    assert note["pos"][0] < min(node["pos"][0] for node in nodes[1:])
    assert all(node["title"] for node in nodes)


@pytest.mark.parametrize("name", NAMES)
def test_no_node_of_an_example_lies_on_another(name: str) -> None:
    boxes = [(*node["pos"], *node["size"]) for node in load(name)["nodes"]]
    for number, (x, y, width, height) in enumerate(boxes):
        for other_x, other_y, other_width, other_height in boxes[:number]:
            beside = x >= other_x + other_width or other_x >= x + width
            assert beside or y >= other_y + other_height + 40 or other_y >= y + height + 40


@pytest.mark.parametrize("name", NAMES)
def test_the_picture_is_small_and_wide(name: str) -> None:
    path = FOLDER / f"{name}.jpg"
    assert path.stat().st_size < MAX_PICTURE_BYTES
    with Image.open(path) as image:
        assert image.format == "JPEG"
        assert image.width > image.height


@pytest.mark.parametrize("definition", DEFINITIONS, ids=lambda definition: definition.id)
def test_each_definition_can_be_imported_from_a_file_of_its_own(definition: Any) -> None:
    found = bundle.read((FOLDER / "definitions" / f"{definition.id}{bundle.SUFFIX}").read_bytes())
    assert found.root == definition.id
    assert {one.id: one.content_hash for one in found.definitions}[definition.id] == definition.content_hash
