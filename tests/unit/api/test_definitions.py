from __future__ import annotations

import pytest

from tests.fakes.fake_comfy import FakeComfy
from tests.fakes.node_classes import NodeClass
from tests.unit.api.conftest import IMAGE, WIDTH, Api, definition, prompt


async def test_a_prompt_alone_becomes_a_definition_with_what_is_suggested(api: Api) -> None:
    stored = await api.ask("POST", "/definitions", {"name": "Blank page", "prompt": prompt()}, status=201)
    assert (stored["id"], stored["version"]) == ("blank-page", 1)
    assert [(o["name"], o["type"], o["node_id"], o["index"]) for o in stored["outputs"]] == [("image", "IMAGE", "1", 0)]
    found = await api.ask("POST", "/definitions/inspect", {"prompt": prompt()})
    assert [p["name"] for p in stored["parameters"]] == found["suggested_parameters"]
    assert stored["prompt"] == prompt()


async def test_what_is_exposed_can_be_chosen(api: Api) -> None:
    stored = await api.ask("POST", "/definitions", definition(id="mine", tags=["a", "b"]), status=201)
    assert stored["id"] == "mine"
    assert stored["tags"] == ["a", "b"]
    assert [p["name"] for p in stored["parameters"]] == ["width"]
    taken = await api.ask("POST", "/definitions", definition(id="mine"), status=409)
    assert "already" in taken["error"]["message"]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"parameters": [{**WIDTH, "node_id": "9"}]}, "node 9, which the prompt does not have"),
        ({"parameters": [WIDTH, WIDTH]}, "several parameters are 'width'"),
        ({"parameters": [{**WIDTH, "type": "MODEL"}]}, "cannot be given from outside"),
        ({"parameters": [{**WIDTH, "maximum": 0}]}, "minimum of 1 above its maximum of 0"),
        ({"outputs": []}, "choose at least one"),
        ({"outputs": [{**IMAGE, "node_id": "9"}]}, "node 9, which the prompt does not have"),
        ({"outputs": [{**IMAGE, "type": "VAE"}]}, "cannot leave a backend"),
        ({"outputs": [IMAGE, IMAGE]}, "several outputs are 'image'"),
        ({"prompt": {"1": {"class_type": "A", "inputs": {"x": ["1", 0]}}}}, "in a circle"),
        ({"prompt": {}}, "API-format prompt"),
        ({"prompt": {"1": 2}}, "class_type"),
    ],
)
async def test_a_definition_that_could_not_run_is_not_stored(api: Api, change: dict[str, object], said: str) -> None:
    refused = await api.ask("POST", "/definitions", {**definition(), **change}, status=422)
    assert said in refused["error"]["message"]
    assert (await api.ask("GET", "/definitions"))["definitions"] == []


async def test_each_save_is_a_new_version_and_old_ones_come_back(api: Api) -> None:
    first = await api.ask("POST", "/definitions", definition(tags=["kept"]), status=201)
    path = f"/definitions/{first['id']}"
    changed = {"prompt": prompt(width=128), "parameters": [WIDTH], "outputs": [IMAGE]}
    second = await api.ask("PUT", path, changed)
    assert (second["version"], second["name"], second["tags"]) == (2, first["name"], ["kept"])
    assert second["content_hash"] != first["content_hash"]

    old = await api.ask("GET", f"{path}?version=1")
    assert old["prompt"]["1"]["inputs"]["width"] == 64
    third = await api.ask("POST", f"{path}/roll-back", {"version": 1})
    assert (third["version"], third["content_hash"]) == (3, first["content_hash"])
    versions = await api.ask("GET", f"{path}/versions")
    assert [v["version"] for v in versions["definitions"]] == [3, 2, 1]
    await api.ask("GET", f"{path}?version=9", status=404)


async def test_the_document_is_answered_when_asked_for(api: Api) -> None:
    document = {"nodes": [], "links": [], "version": 0.4}
    stored = await api.ask("POST", "/definitions", definition(workflow=document), status=201)
    path = f"/definitions/{stored['id']}"
    assert (await api.ask("GET", path))["workflow"] is None
    assert (await api.ask("GET", f"{path}?workflow=true"))["workflow"] == document


async def test_the_library_is_searched_by_words_and_tags(api: Api) -> None:
    await api.ask("POST", "/definitions", definition("Portrait", tags=["people"]), status=201)
    await api.ask("POST", "/definitions", definition("Landscape", description="no portrait"), status=201)

    async def names(query: str) -> list[str]:
        return [d["name"] for d in (await api.ask("GET", f"/definitions{query}"))["definitions"]]

    assert await names("") == ["Landscape", "Portrait"]
    assert await names("?search=portrait") == ["Landscape", "Portrait"]
    assert await names("?tag=people") == ["Portrait"]


async def test_describing_keeps_id_and_version(api: Api) -> None:
    stored = await api.ask("POST", "/definitions", definition(), status=201)
    named = await api.ask("PATCH", f"/definitions/{stored['id']}", {"name": "Other", "tags": ["x"]})
    assert (named["id"], named["version"], named["name"], named["tags"]) == (stored["id"], 1, "Other", ["x"])


async def test_knobs_are_set_as_a_whole_and_shown(api: Api) -> None:
    stored = await api.ask("POST", "/definitions", definition(), status=201)
    unset = {"on_failure": None, "attempts": None, "time_limit_s": None, "cache": None, "prefer": None}
    assert stored["knobs"] == unset
    path = f"/definitions/{stored['id']}"
    changed = await api.ask("PATCH", path, {"knobs": {"attempts": 5, "prefer": ["tag:fast"]}})
    assert changed["knobs"] == {**unset, "attempts": 5, "prefer": ["tag:fast"]}
    assert (await api.ask("PATCH", path, {"name": "Other"}))["knobs"] == changed["knobs"]
    assert (await api.ask("PATCH", path, {"knobs": {"cache": False}}))["knobs"] == {**unset, "cache": False}
    await api.ask("PATCH", path, {"knobs": {"attempts": 0}}, status=400)
    job = await api.ask("POST", "/jobs", {"definition": stored["id"], "on_failure": "drop"}, status=201)
    assert job["knobs"] == {
        "on_failure": "drop",
        "attempts": 3,
        "time_limit_s": None,
        "cache": False,
        "prefer": [],
    }


async def test_a_copy_has_an_id_of_its_own_and_outlives_the_original(api: Api) -> None:
    stored = await api.ask("POST", "/definitions", definition(), status=201)
    copy = await api.ask("POST", f"/definitions/{stored['id']}/duplicate", {"name": "Copy"}, status=201)
    await api.ask("DELETE", f"/definitions/{stored['id']}")
    assert [d["id"] for d in (await api.ask("GET", "/definitions"))["definitions"]] == [copy["id"]]
    gone = await api.ask("GET", f"/definitions/{stored['id']}", status=404)
    assert gone["error"]["code"] == "not_found"


async def test_inspecting_stores_nothing_and_names_unknown_classes(api: Api) -> None:
    found = await api.ask(
        "POST",
        "/definitions/inspect",
        {"prompt": prompt() | {"3": {"class_type": "Strange", "inputs": {"image": ["1", 0]}}}},
    )
    assert found["unknown_classes"] == ["Strange"]
    assert found["suggested_outputs"] == ["image"]
    assert {"width", "height"} <= {p["name"] for p in found["parameters"]}
    assert (await api.ask("GET", "/definitions"))["definitions"] == []


async def test_classes_that_only_another_backend_has_are_known_too(api: Api) -> None:
    async with FakeComfy() as fake:
        del api.local.classes["EmptyImage"]
        await api.add_backend(fake)
        found = await api.ask("POST", "/definitions/inspect", {"prompt": prompt()})
    assert found["unknown_classes"] == []


async def test_preflight_says_for_each_backend_what_it_lacks(api: Api) -> None:
    async with FakeComfy() as able, FakeComfy() as poor, FakeComfy() as gone:
        del poor.classes["EmptyImage"]
        await api.add_backend(able, "able")
        await api.add_backend(poor, "poor")
        await api.add_backend(gone, "gone")
        await gone.stop()
        stored = await api.ask("POST", "/definitions", definition(), status=201)

        found = await api.ask("GET", f"/definitions/{stored['id']}/preflight")

    by_name = {b["backend"]: b for b in found["backends"]}
    assert by_name["able"]["able"] is True
    assert by_name["poor"]["able"] is False
    assert [(m["kind"], m["class_type"]) for m in by_name["poor"]["missing"]] == [("node_class", "EmptyImage")]
    assert by_name["gone"]["able"] is None
    assert by_name["gone"]["problem"]["code"] == "backend_unreachable"


async def test_choices_are_those_of_all_backends_and_say_whose(api: Api) -> None:
    async with FakeComfy() as other, FakeComfy() as gone:
        api.local.classes["Loader"] = _loader("base.safetensors", "xl\\big.safetensors")
        other.classes["Loader"] = _loader("xl/big.safetensors", "only-there.safetensors")
        peer = await api.add_backend(other, "other")
        await api.add_backend(gone, "gone")
        await gone.stop()
        stored = await api.ask("POST", "/definitions", _loading(), status=201)

        found = await api.ask("GET", f"/definitions/{stored['id']}/choices")

    assert found["choices"] == {
        "model": [
            {"value": "base.safetensors", "backends": ["local"]},
            {"value": "xl\\big.safetensors", "backends": ["local", peer["id"]]},
            {"value": "only-there.safetensors", "backends": [peer["id"]]},
        ]
    }


async def test_choices_that_nobody_can_be_asked_for_are_the_recorded_ones(api: Api) -> None:
    stored = await api.ask("POST", "/definitions", _loading(), status=201)
    found = await api.ask("GET", f"/definitions/{stored['id']}/choices")
    assert found["choices"] == {"model": [{"value": "recorded.safetensors", "backends": []}]}


def _loader(*names: str) -> NodeClass:
    info = {"input": {"required": {"name": [list(names), {}]}}, "output": ["IMAGE"], "output_name": ["IMAGE"]}
    return NodeClass(info, lambda _values, _files: [])


def _loading() -> dict[str, object]:
    loading = {"1": {"class_type": "Loader", "inputs": {"name": "recorded.safetensors"}}}
    model = {"name": "model", "type": "COMBO", "node_id": "1", "input_name": "name"}
    return definition(prompt=loading, parameters=[{**model, "choices": ["recorded.safetensors"]}])
