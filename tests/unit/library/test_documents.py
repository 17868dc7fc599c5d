"""Files of every kind become definitions: what was found, what is suggested, what the user should know."""

from __future__ import annotations

import io
import json
import zlib
from typing import Any

import pytest

from comfy_orchestrator_nodes.errors import InvalidDocument, Unavailable
from comfy_orchestrator_nodes.service import Service
from comfy_orchestrator_nodes.workflow.document import Document, from_value
from tests.fakes.fake_comfy import FakeComfy
from tests.fakes.node_classes import NodeClass, info, png
from tests.unit.library.conftest import PROMPT, WORKFLOW, Api

JSON_TYPE = {"Content-Type": "application/json"}


def embedded(**texts: Any) -> bytes:
    """Return a PNG as SaveImage writes it: the texts as JSON in tEXt chunks."""
    plain = png(8, 8, 0)
    chunks = b""
    for name, value in texts.items():
        data = b"tEXt" + name.encode() + b"\0" + json.dumps(value).encode()
        chunks += (len(data) - 4).to_bytes(4, "big") + data + zlib.crc32(data).to_bytes(4, "big")
    return plain[:33] + chunks + plain[33:]


async def opened(service: Service, data: bytes, name: str = "") -> Document:
    found = await service.documents.open(io.BytesIO(data), name)
    assert isinstance(found, Document)
    return found


async def take(api: Api, data: bytes, query: str = "", *, status: int = 201) -> Any:
    return await api.ask("POST", f"/definitions/import?{query}", json=None, data=data, headers=JSON_TYPE, status=status)


async def test_a_workflow_is_converted_and_stored_with_what_is_suggested(api: Api) -> None:
    found = await take(api, json.dumps(WORKFLOW).encode(), "filename=My%20flow.json")

    (one,) = found["imported"]
    assert (one["action"], one["definition"]["id"], one["definition"]["name"]) == ("created", "my-flow", "My flow")
    assert [o["name"] for o in one["definition"]["outputs"]] == ["image"]
    stored = await api.service.library.stored("my-flow")
    assert stored.workflow == WORKFLOW
    assert {node["class_type"] for node in stored.prompt.values()} == {"EmptyImage", "SaveImage"}


async def test_an_image_gives_the_very_prompt_that_made_it(api: Api) -> None:
    ran = {id_: {**node, "is_changed": ["x"]} for id_, node in PROMPT.items()}
    found = await take(api, embedded(workflow=WORKFLOW, prompt=ran), "filename=out.png&name=Made&id=made")

    assert found["found"].startswith("a PNG file with a workflow")
    stored = await api.service.library.stored("made")
    assert stored.prompt == PROMPT
    assert stored.workflow == WORKFLOW


async def test_the_canvas_gives_its_own_conversion_and_that_stays_exact(api: Api) -> None:
    # Nothing could convert this document: its group node is not described. What the front end made of it counts.
    workflow = {**WORKFLOW, "nodes": [*WORKFLOW["nodes"], {"id": 3, "type": "workflow>mine", "mode": 0}]}
    canvas = json.dumps({"workflow": workflow, "prompt": PROMPT}).encode()
    found = await api.ask("POST", "/definitions/read", json=None, data=canvas, headers=JSON_TYPE)
    assert (found["prompt"], found["workflow"], found["converted"]) == (PROMPT, workflow, False)

    body = {"name": "Canvas", "prompt": found["prompt"], "workflow": found["workflow"]}
    await api.ask("POST", "/definitions", body, status=201)
    stored = await api.service.library.stored("canvas")
    assert (stored.prompt, stored.workflow) == (PROMPT, workflow)


async def test_reading_tells_everything_and_stores_nothing(api: Api) -> None:
    found = await api.ask("POST", "/definitions/read", json=None, data=json.dumps(WORKFLOW).encode(), headers=JSON_TYPE)
    assert (found["converted"], found["warnings"]) == (True, [])
    assert found["needs"]["node_classes"] == ["EmptyImage", "SaveImage"]
    assert {p["name"] for p in found["inspection"]["parameters"]} >= {"width", "height", "batch_size", "color"}
    assert await api.service.library.list() == ()


async def test_importing_the_same_file_twice_makes_one_definition(api: Api) -> None:
    data = json.dumps(WORKFLOW).encode()
    await take(api, data, "filename=flow.json")
    again = await take(api, data, "filename=flow.json")
    assert again["imported"][0]["action"] == "reused"
    changed = {**WORKFLOW, "nodes": [{**WORKFLOW["nodes"][0], "widgets_values": [8, 8, 1, 0]}, WORKFLOW["nodes"][1]]}
    other = await take(api, json.dumps(changed).encode(), "filename=flow.json")
    assert (other["imported"][0]["action"], other["imported"][0]["definition"]["id"]) == ("created", "flow-2")


async def test_a_taken_id_is_a_conflict(api: Api) -> None:
    await take(api, json.dumps(PROMPT).encode(), "id=mine&name=One")
    changed = json.loads(json.dumps(PROMPT))
    changed["1"]["inputs"]["color"] = 1
    await take(api, json.dumps(changed).encode(), "id=mine&name=Two", status=409)


async def test_node_classes_that_only_another_backend_has_are_used_too(api: Api) -> None:
    special = info("SpecialImage", {"strength": ["INT", {"default": 1, "min": 0, "max": 9}]}, output=["IMAGE"])
    nodes = [{**WORKFLOW["nodes"][0], "type": "SpecialImage", "widgets_values": [5]}, WORKFLOW["nodes"][1]]
    document = json.dumps({**WORKFLOW, "nodes": nodes}).encode()

    refused = await take(api, document, "filename=special.json", status=422)
    assert "SpecialImage" in refused["error"]["message"]

    async with FakeComfy() as fake:
        fake.classes["SpecialImage"] = NodeClass(special, lambda _values, _files: [[png(8, 8, 0)]])
        await api.add_backend(fake, "special")
        await take(api, document, "filename=special.json")
        preflight = await api.ask("GET", "/definitions/special/preflight")
    stored = await api.service.library.version("special")
    assert stored.prompt["1"] == {
        "class_type": "SpecialImage",
        "inputs": {"strength": 5},
        "_meta": stored.prompt["1"]["_meta"],
    }
    able = {backend["backend"]: (backend["able"], backend["missing"]) for backend in preflight["backends"]}
    assert able["special"] == (True, [])
    (missing,) = able["local"][1]
    assert "node class SpecialImage is not installed" in missing["message"]


async def test_preflight_names_a_missing_model_with_what_is_near(api: Api) -> None:
    choices = [["sdxl/base_1.0.safetensors", "other.safetensors"]]
    loader = info("CheckpointLoader", {"ckpt_name": choices, "mode": [["fast", "slow"]]}, output=["IMAGE"])
    loads = {
        "1": {"class_type": "CheckpointLoader", "inputs": {"ckpt_name": "Base_1.0.safetensors", "mode": "fats"}},
        "2": {"class_type": "SaveImage", "inputs": {"images": ["1", 0], "filename_prefix": "ComfyUI"}},
    }
    async with FakeComfy() as fake:
        fake.classes["CheckpointLoader"] = NodeClass(loader, lambda _values, _files: [[png(8, 8, 0)]])
        await api.add_backend(fake, "other")
        await take(api, json.dumps(loads).encode(), "id=loads")
        needs = await api.ask("GET", "/definitions/loads/needs")
        found = await api.ask("GET", "/definitions/loads/preflight")

    assert [need["value"] for need in needs["models"]] == ["Base_1.0.safetensors"]
    other = next(backend for backend in found["backends"] if backend["backend"] == "other")
    kinds = {missing["kind"]: missing for missing in other["missing"]}
    assert kinds["model"]["near"] == ["sdxl/base_1.0.safetensors"]
    assert "did you mean 'fast'" in kinds["choice"]["message"]


async def test_classes_nobody_has_are_a_warning_where_the_prompt_is_known(api: Api) -> None:
    prompt = {**PROMPT, "3": {"class_type": "Unheard", "inputs": {"image": ["1", 0], "file": "x.safetensors"}}}
    draft = await api.service.documents.draft(from_value(prompt))
    assert any("No server that was reached has Unheard" in warning for warning in draft.warnings)
    assert [need.value for need in draft.needs.models] == ["x.safetensors"]


async def test_a_choice_in_a_text_is_settled_and_said(api: Api) -> None:
    say = info("Say", {"text": ["STRING", {"multiline": True, "dynamicPrompts": True}]}, output=["IMAGE"])
    api.local.classes["Say"] = NodeClass(say, lambda _values, _files: [[png(8, 8, 0)]])
    nodes = [{**WORKFLOW["nodes"][0], "type": "Say", "widgets_values": ["a {red|blue} cat"]}, WORKFLOW["nodes"][1]]
    found = await api.ask(
        "POST",
        "/definitions/read",
        json=None,
        data=json.dumps({**WORKFLOW, "nodes": nodes}).encode(),
        headers=JSON_TYPE,
    )
    assert found["prompt"]["1"]["inputs"]["text"] == "a red cat"
    assert any("{a|b}" in warning for warning in found["warnings"])


async def test_a_master_whose_own_comfyui_is_silent_says_so(api: Api) -> None:
    await api.local.stop()
    with pytest.raises(Unavailable, match="no server says what its nodes are"):
        await api.service.documents.draft(from_value(WORKFLOW))


@pytest.mark.parametrize("data", [b"", b"hello", b"\x89PNG\r\n\x1a\n\0\0", b'{"a": 1}', b"[1, 2]"])
async def test_what_holds_no_workflow_is_refused(api: Api, data: bytes) -> None:
    refused = await take(api, data, "filename=x.json", status=422)
    assert refused["error"]["code"] == "invalid_document"


async def test_a_file_must_be_declared_and_must_not_be_endless(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("comfy_orchestrator_nodes.api.library.MAX_FILE_BYTES", 10)
    refused = await take(api, b"x" * 11, status=413)
    assert refused["error"]["code"] == "body_too_large"

    async def chunks() -> Any:
        for _ in range(11):
            yield b"x"

    answer = await api.ask("POST", "/definitions/read", json=None, data=chunks(), headers=JSON_TYPE, status=413)
    assert answer["error"]["code"] == "body_too_large"


async def test_a_definition_that_yields_nothing_is_not_stored(api: Api) -> None:
    alone = {"1": PROMPT["1"]}
    refused = await take(api, json.dumps(alone).encode(), status=422)
    assert "choose at least one" in refused["error"]["message"]


async def test_an_exported_file_that_does_not_say_its_version_is_refused(service: Service) -> None:
    with pytest.raises(InvalidDocument):
        await opened(service, b'{"format": "comfyui-orchestrator/definitions"}')
