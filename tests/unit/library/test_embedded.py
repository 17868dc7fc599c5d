"""A meta-graph carries the definitions that it runs, and another library takes them from it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from PIL import Image, PngImagePlugin

from comfy_orchestrator_nodes.api.guard import HEADER
from comfy_orchestrator_nodes.errors import InvalidDocument
from comfy_orchestrator_nodes.service import Service
from comfy_orchestrator_nodes.workflow import embedded
from tests.unit.library.conftest import Api, grey, runner

Json = dict[str, Any]


def meta_graph(carried: Any, *names: str) -> Json:
    """Return the document of a meta-graph that runs definitions, and carries some."""
    nodes = [
        {"id": n, "type": "OrchestratorRemoteWorkflow", "mode": 0, "widgets_values": [name, "auto", "{}"]}
        for n, name in enumerate(names, 1)
    ]
    extra = {"ds": {"scale": 1}, "orchestrator": {"definitions": carried}}
    return {"version": 0.4, "nodes": nodes, "links": [], "last_node_id": len(nodes), "last_link_id": 0, "extra": extra}


async def carried(api: Api) -> str:
    """Store three definitions that run each other, and return what a meta-graph of the outermost carries."""
    await api.service.library.create(grey("Inner"))
    await api.service.library.create(runner("Middle", "inner"))
    await api.service.library.create(runner("Outer", "middle", "inner", tags=("demo",)))
    found = await api.ask("POST", "/definitions/embed", {"ids": ["outer", "outer"]})
    assert found["ids"] == ["outer", "middle", "inner"]
    return str(found["definitions"])


async def emptied(service: Service) -> None:
    for definition in await service.library.list():
        await service.library.remove(definition.id, force=True)


async def upload(api: Api, path: str, body: Json | bytes, *, status: int = 200) -> Any:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    headers = {HEADER: "1", "Content-Type": "application/octet-stream"}
    async with api.http.post(f"/orchestrator{path}", data=data, headers=headers) as response:
        answer = await response.json()
        assert response.status == status, answer
        return answer


def standings(answer: Json) -> dict[str, str]:
    return {one["id"]: one["standing"] for one in answer["definitions"]}


async def test_another_master_is_told_what_it_does_not_know_and_takes_it(api: Api) -> None:
    document = meta_graph(await carried(api), "outer")
    before = await api.service.library.version("outer")
    await emptied(api.service)

    found = await upload(api, "/definitions/embedded/read", document)
    assert standings(found) == {"inner": "unknown", "middle": "unknown", "outer": "unknown"}
    assert found["missing"] == []
    assert [one["runs"] for one in found["definitions"]] == [[], ["inner"], ["middle", "inner"]]
    assert await api.service.library.list() == ()

    taken = await upload(api, "/definitions/embedded/import", document, status=201)
    assert [(one["id_in_file"], one["action"]) for one in taken["imported"]] == [
        ("inner", "created"),
        ("middle", "created"),
        ("outer", "created"),
    ]
    after = await api.service.library.stored("outer")
    assert (after.content_hash, after.tags, after.workflow) == (before.content_hash, ("demo",), None)
    assert set(standings(await upload(api, "/definitions/embedded/read", document)).values()) == {"equal"}


async def test_an_image_that_the_meta_graph_made_carries_them_too(api: Api, tmp_path: Path) -> None:
    document = meta_graph(await carried(api), "outer")
    await emptied(api.service)
    texts = PngImagePlugin.PngInfo()
    texts.add_text("workflow", json.dumps(document))
    texts.add_text("prompt", json.dumps({"1": {"class_type": "EmptyImage", "inputs": {}}}))
    Image.new("RGB", (4, 4)).save(tmp_path / "made.png", pnginfo=texts)
    data = (tmp_path / "made.png").read_bytes()

    assert len((await upload(api, "/definitions/embedded/read", data))["definitions"]) == 3
    taken = await upload(api, "/definitions/embedded/import?id=middle", data, status=201)
    assert [one["definition"]["id"] for one in taken["imported"]] == ["inner", "middle"]


async def test_other_content_under_a_taken_id_differs_and_is_never_overwritten(api: Api) -> None:
    document = meta_graph(await carried(api), "outer")
    await emptied(api.service)
    await api.service.library.create(grey("Mine", color=9, id="inner"))

    found = await upload(api, "/definitions/embedded/read", document)
    assert standings(found) == {"inner": "differs", "middle": "unknown", "outer": "unknown"}
    assert found["definitions"][0]["here"]["name"] == "Mine"
    refused = await upload(api, "/definitions/embedded/import", document, status=409)
    assert refused["error"]["details"]["choices"] == ["new_version", "new_id"]
    assert [d.id for d in await api.service.library.list()] == ["inner"]

    taken = await upload(api, "/definitions/embedded/import?on_conflict=new_id", document, status=201)
    renamed = next(one["definition"]["id"] for one in taken["imported"] if one["id_in_file"] == "inner")
    assert renamed != "inner"
    again = await upload(api, "/definitions/embedded/read", document)
    assert again["definitions"][0]["standing"] == "differs"
    assert again["definitions"][0]["same_as"] == renamed
    assert (await api.service.library.version("inner")).name == "Mine"


async def test_what_is_neither_carried_nor_known_is_listed(api: Api) -> None:
    await api.service.library.create(grey("Inner"))
    text = (await api.ask("POST", "/definitions/embed", {"ids": ["inner"]}))["definitions"]
    document = meta_graph(text, "inner", "gone", "inner")
    deep = {**document["nodes"][0], "widgets_values": {"workflow": "deep"}}
    document["definitions"] = {"subgraphs": [{"nodes": [deep]}]}
    assert (await upload(api, "/definitions/embedded/read", document))["missing"] == ["gone", "deep"]


async def test_a_browser_may_write_it_as_an_object_and_whole_numbers_as_it_does(api: Api) -> None:
    inputs = {"width": 8.0, "height": 8, "batch_size": 1, "color": 1.5}
    await api.service.library.create(grey("Floats", prompt={"1": {"class_type": "EmptyImage", "inputs": inputs}}))
    text = (await api.ask("POST", "/definitions/embed", {"ids": ["floats"]}))["definitions"]
    as_object = json.loads(text.replace("8.0", "8"))
    found = await upload(api, "/definitions/embedded/read", meta_graph(as_object, "floats"))
    assert standings(found) == {"floats": "equal"}


async def test_what_was_changed_on_its_way_is_refused_whole(api: Api) -> None:
    text = await carried(api)
    await emptied(api.service)
    changed = meta_graph(text.replace('"height": 8', '"height": 9'), "outer")
    for path in ("read", "import"):
        refused = await upload(api, f"/definitions/embedded/{path}", changed, status=422)
        assert "was changed on its way" in refused["error"]["message"]
    assert await api.service.library.list() == ()


@pytest.mark.parametrize("damaged", ["", "{", "[]", 5, {}, {"format": "x"}, "{" * 1000, "\ud800"])
def test_whatever_is_carried_is_read_or_refused(damaged: Any) -> None:
    with pytest.raises(InvalidDocument):
        embedded.read(meta_graph(damaged))


@pytest.mark.parametrize("extra", [None, [], {"orchestrator": 5}, {"orchestrator": {"definitions": None}}])
def test_a_workflow_that_carries_nothing_is_one(extra: Any) -> None:
    assert embedded.read({"nodes": [], "extra": extra}) is None


async def test_a_choice_that_is_not_carried_is_refused(api: Api) -> None:
    document = meta_graph(await carried(api), "outer")
    refused = await upload(api, "/definitions/embedded/import?id=other", document, status=404)
    assert "embedded workflow 'other'" in refused["error"]["message"]
    nothing = await upload(api, "/definitions/embedded/import", meta_graph(None, "outer"), status=422)
    assert "carries no definitions" in nothing["error"]["message"]


async def test_only_what_is_in_the_library_can_be_carried(api: Api) -> None:
    await api.ask("POST", "/definitions/embed", {"ids": ["gone"]}, status=404)
    assert await api.ask("POST", "/definitions/embed", {"ids": []}) == {"definitions": "", "ids": []}
    await api.service.library.create(runner("Broken", "gone"))
    refused = await api.ask("POST", "/definitions/embed", {"ids": ["broken"]}, status=409)
    assert "which is not in the library" in refused["error"]["message"]


async def test_importing_a_workflow_says_what_it_lacks(api: Api) -> None:
    document = {
        "1": {"class_type": "OrchestratorRemoteWorkflow", "inputs": {"workflow": "gone"}},
        "2": {"class_type": "SaveImage", "inputs": {"images": ["1", 2], "filename_prefix": "x"}},
    }
    answer = await upload(api, "/definitions/import?filename=meta.json", document, status=201)
    assert any("'gone', which is not in the library" in warning for warning in answer["warnings"])
