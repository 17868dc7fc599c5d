"""Files that the real ComfyUI made, and real workflows, go all the way into a library and out again."""

from __future__ import annotations

from pathlib import Path

import pytest

from comfy_orchestrator_nodes.domain import Definition
from comfy_orchestrator_nodes.service import Service
from comfy_orchestrator_nodes.workflow import bundle
from comfy_orchestrator_nodes.workflow.convert import to_prompt
from comfy_orchestrator_nodes.workflow.document import Document, from_value
from comfy_orchestrator_nodes.workflow.inspect import inspect
from comfy_orchestrator_nodes.workflow.nested import node_types
from comfy_orchestrator_nodes.workflow.nodeinfo import parse_object_info
from comfy_orchestrator_nodes.workflow.requirements import requirements
from tests.unit.library.conftest import Api
from tests.unit.workflow.test_golden import COLLECTION, OWN, object_info

_WORKFLOW_ONLY = {"unicode.png", "zipped.png", "zipped_unicode.png"}
MEDIA = sorted(path for path in (OWN.parent / "media").iterdir() if path.name not in _WORKFLOW_ONLY)


@pytest.mark.parametrize("path", MEDIA, ids=lambda path: path.name)
async def test_what_comfyui_saved_gives_the_prompt_that_made_it(service: Service, path: Path) -> None:
    with path.open("rb") as file:
        opened = await service.documents.open(file, path.name)
    assert isinstance(opened, Document)
    assert opened.prompt is not None
    draft = await service.documents.draft(opened)
    assert draft.converted is False
    assert {id_: node["inputs"] for id_, node in draft.prompt.items()} == {
        id_: node["inputs"] for id_, node in opened.prompt.items()
    }
    assert all(node.keys() <= {"class_type", "inputs", "_meta"} for node in draft.prompt.values())


async def test_such_a_file_is_imported_over_http(api: Api) -> None:
    data = (OWN.parent / "media" / "exif.jpg").read_bytes()
    answer = await api.ask(
        "POST",
        "/definitions/read?filename=exif.jpg",
        json=None,
        data=data,
        headers={"Content-Type": "image/jpeg"},
    )
    assert answer["found"].startswith("a JPEG file with")


@pytest.mark.skipif(not COLLECTION.is_dir(), reason="the collection of real workflows is not here (GOLDEN_DIR)")
@pytest.mark.parametrize("collection", sorted(folder.name for folder in COLLECTION.glob("*_fe1581")))
def test_real_workflows_survive_export_and_import(collection: str) -> None:
    count = 0
    for path in sorted((COLLECTION / collection).glob("*.json")):
        case = object_info(f"{collection}/{path.name}")
        classes = object_info(case["object_info"])
        document = from_value(case["workflow"])
        assert document.workflow is not None
        used = {name: classes[name] for name in node_types(document.workflow) if name in classes}
        prompt = to_prompt(document.workflow, used)
        assert prompt == to_prompt(document.workflow, classes), "the classes that it names are all it takes"
        infos = parse_object_info(used)[0]
        parameters, outputs = inspect(prompt, infos).suggestion()
        if not outputs:
            continue
        count += 1
        definition = Definition("real", 1, "Real", prompt, parameters, outputs, workflow=document.workflow)
        written = bundle.write([definition], {"real": requirements(prompt, infos)}, "a test")
        assert bundle.read(written).definitions == (definition,), path.name
    assert count or collection.startswith("blue"), "blueprints have no outputs of their own"
