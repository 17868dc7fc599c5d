"""The exchange file: what is written is read back, and whatever else comes is refused in words."""

from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from comfy_orchestrator_nodes.domain import Definition, Knobs, Output, Parameter
from comfy_orchestrator_nodes.errors import InvalidDocument
from comfy_orchestrator_nodes.workflow import bundle
from comfy_orchestrator_nodes.workflow.files import definition_name
from comfy_orchestrator_nodes.workflow.nested import (
    node_types,
    used_definitions,
    with_renamed,
    with_renamed_document,
)
from tests.unit.library.conftest import grey, runner

TEXT = st.text(st.characters(codec="utf-8"), max_size=20)
NAMES = TEXT.map(str.strip).filter(bool)
JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**300), 10**300)
    | st.floats(allow_nan=False, allow_infinity=False)
    | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=8,
)
PARAMETERS = st.builds(
    Parameter,
    name=NAMES,
    type=st.sampled_from(["INT", "STRING", "COMBO", "IMAGE"]),
    node_id=st.just("1"),
    input_name=NAMES,
    default=JSON,
    required=st.booleans(),
    minimum=st.none() | st.integers(-(2**64), 0),
    maximum=st.none() | st.floats(1, 1e300),
    choices=st.none() | st.lists(JSON, max_size=3).map(tuple),
    multiline=st.booleans(),
    tooltip=TEXT,
    role=TEXT,
)

KNOBS = st.builds(
    Knobs,
    on_failure=st.sampled_from([None, "fail", "drop", "ask"]),
    attempts=st.none() | st.integers(1, 100),
    time_limit_s=st.none() | st.floats(1, 30 * 86400),
    cache=st.none() | st.booleans(),
    prefer=st.none() | st.lists(NAMES, max_size=3).map(tuple),
)


@st.composite
def definitions(draw: st.DrawFn) -> Definition:
    parameters = draw(st.lists(PARAMETERS, max_size=3, unique_by=(lambda p: p.name, lambda p: p.input_name)))
    outputs = draw(st.lists(NAMES, min_size=1, max_size=3, unique=True))
    return Definition(
        id=draw(st.from_regex(r"[a-z0-9][a-z0-9_-]{0,20}", fullmatch=True)),
        version=1,
        name=draw(NAMES),
        prompt={"1": {"class_type": draw(NAMES), "inputs": draw(st.dictionaries(TEXT, TEXT, max_size=3))}},
        parameters=tuple(parameters),
        outputs=tuple(Output(name, "IMAGE", "1", index) for index, name in enumerate(outputs)),
        description=draw(TEXT),
        tags=tuple(draw(st.lists(NAMES, max_size=3))),
        workflow=draw(st.none() | st.dictionaries(TEXT, JSON, max_size=3)),
        knobs=draw(KNOBS),
    )


@settings(max_examples=40)
@given(definitions())
def test_whatever_was_written_is_read_back_as_it_was(definition: Definition) -> None:
    read = bundle.read(bundle.write([definition], {}, "a test"))
    assert read.definitions == (definition,)
    assert read.root == definition.id


def written(*definitions: Definition, **changes: Any) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(bundle.write(definitions, {}, "a test"))
    return {**document, **changes}


def altered(**changes: Any) -> dict[str, Any]:
    document = written(grey(id="grey"))
    document["definitions"][0].update(changes)
    return document


def test_unknown_fields_are_left_for_newer_versions_to_know() -> None:
    document = altered(colour="grey")
    document["comment"] = "mine"
    assert bundle.from_value(document).root == "grey"


def test_a_definition_that_leaves_all_to_the_settings_has_no_knobs_in_the_file() -> None:
    assert "knobs" not in written(grey(id="grey"))["definitions"][0]


@pytest.mark.parametrize(
    "knobs",
    [
        [],
        {"on_failure": "explode"},
        {"on_failure": []},
        {"attempts": 0},
        {"attempts": 2.5},
        {"attempts": True},
        {"attempts": 101},
        {"time_limit_s": 0.5},
        {"time_limit_s": "60"},
        {"time_limit_s": 1e300},
        {"cache": "no"},
        {"prefer": "desk"},
        {"prefer": [""]},
        {"prefer": [1]},
        {"prefer": ["x"] * 51},
    ],
)
def test_knobs_that_no_job_can_be_run_with_are_refused(knobs: Any) -> None:
    with pytest.raises(
        InvalidDocument,
        match=r"definition 1 of .* cannot be used: .*(knobs|on_failure|attempts|time_limit_s|cache|prefer)",
    ):
        bundle.from_value(altered(knobs=knobs))


def test_what_is_used_comes_before_what_uses_it() -> None:
    inner, middle, outer = (
        grey(id="inner"),
        runner("Middle", "inner", id="middle"),
        runner("Outer", "middle", id="outer"),
    )
    read = bundle.read(bundle.write([outer, middle, inner], {}, "a test"))
    assert ([d.id for d in read.definitions], read.root) == (["inner", "middle", "outer"], "outer")


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ({"format": "something else"}, "holds no exported workflows"),
        ([], "holds no exported workflows"),
        (written(grey(id="a"), format_version=2), "exported by a newer version.*Update this pack"),
        (written(grey(id="a"), format_version=True), "does not say which version"),
        (written(grey(id="a"), format_version="1"), "does not say which version"),
        (written(grey(id="a"), definitions=[]), "holds no definitions"),
        (written(grey(id="a"), definitions={"a": 1}), "holds no definitions"),
        (written(grey(id="a"), definitions=[1]), "definition 1 .* is not an object"),
        (written(*[grey(id=f"a{n}") for n in range(201)]), "holds 201 definitions"),
        (written(grey(id="a"), grey(id="a")), "two definitions of the same id"),
        (written(runner("A", "b", id="a"), runner("B", "a", id="b")), "run each other in a circle"),
        (written(runner("A", "a", id="a")), "run each other in a circle"),
        (altered(id="../../etc/passwd"), "its id .* is none"),
        (altered(id="Grey"), "its id 'Grey' is none"),
        (altered(id=7), "'id' is no text"),
        (altered(name=" "), "it has no name"),
        (altered(name="x" * 101), "'name' is no text of up to 100"),
        (altered(description=None), "'description' is no text"),
        (altered(tags="photo"), "'tags' is no list"),
        (altered(tags=[""]), "a tag is no text"),
        (altered(workflow=[]), "its workflow is not an object"),
        (altered(prompt=[]), "its prompt is not an object"),
        (altered(prompt={}), "API-format prompt"),
        (altered(prompt={"1": {"inputs": {}}}), "'class_type'"),
        (altered(prompt={"1": {"class_type": "A", "inputs": {"a": ["1", 0]}}}), "in a circle"),
        (altered(parameters=[{"name": "a"}]), "'type' is no text"),
        (altered(parameters=[{"name": "a", "type": "INT", "node_id": "9", "input_name": "b"}]), "node 9"),
        (altered(outputs=[{"name": "a", "type": "IMAGE", "node_id": "1", "index": -1}]), "'index' of an output"),
        (altered(outputs=[{"name": "a", "type": "MODEL", "node_id": "1", "index": 0}]), "cannot leave a backend"),
        (altered(outputs=[]), "nothing is exposed as an output"),
    ],
)
def test_what_is_no_sound_file_is_refused_in_words(document: Any, message: str) -> None:
    with pytest.raises(InvalidDocument, match=message):
        bundle.from_value(document, name="file.json")


@pytest.mark.parametrize(
    "data",
    [
        b"\xff\xfe",
        b"{",
        b'{"format": "comfyui-orchestrator/definitions", "format_version": NaN}',
        b"[" * 100_000,
        json.dumps(altered(name="\ud800")).encode(),
        b" " * (13 << 20),
    ],
    ids=["bytes", "cut off", "NaN", "deep", "half a character", "large"],
)
def test_what_is_no_json_of_ours_is_refused_quickly(data: bytes) -> None:
    with pytest.raises(InvalidDocument):
        bundle.read(data)


@settings(max_examples=50)
@given(JSON)
def test_no_json_at_all_makes_it_fail_otherwise(value: Any) -> None:
    document = altered()
    for key in ("prompt", "parameters", "outputs", "workflow", "id", "tags", "name"):
        hostile = json.loads(json.dumps(document))
        hostile["definitions"][0][key] = value
        with suppress(InvalidDocument):
            bundle.from_value(hostile)


def test_renaming_reaches_prompt_and_document_and_changes_nothing_else() -> None:
    definition = runner("Outer", "a", "b", "a")
    subgraph = {
        "id": "s",
        "nodes": [{"id": 1, "type": "OrchestratorRemoteWorkflow", "widgets_values": {"workflow": "a"}}],
    }
    workflow = {**(definition.workflow or {}), "definitions": {"subgraphs": [subgraph]}, "extra": {"a": "a"}}
    before = json.dumps([definition.prompt, workflow])

    prompt, document = with_renamed(definition.prompt, {"a": "x"}), with_renamed_document(workflow, {"a": "x"})

    assert used_definitions(prompt) == ("x", "b")
    assert [node["widgets_values"][0] for node in document["nodes"]] == ["x", "b", "x"]
    assert document["definitions"]["subgraphs"][0]["nodes"][0]["widgets_values"] == {"workflow": "x"}
    assert document["extra"] == {"a": "a"}
    assert json.dumps([definition.prompt, workflow]) == before


@settings(max_examples=50)
@given(JSON)
def test_a_document_of_any_shape_can_be_looked_through(value: Any) -> None:
    for document in (
        {"nodes": value},
        {"definitions": value},
        {"definitions": {"subgraphs": value}},
        {"nodes": [value]},
    ):
        node_types(document)
        assert with_renamed_document(document, {"a": "b"}).keys() == document.keys()


@pytest.mark.parametrize(
    ("filename", "name"),
    [
        ("portrait.png", "portrait"),
        ("C:\\Users\\me\\My flow.JSON", "My flow"),
        ("/home/me/flux.v2.json", "flux.v2"),
        ("outer.orchestrator.json", "outer"),
        (".json", "Workflow"),
        ("", "Workflow"),
        ("x" * 300 + ".json", "x" * 100),
    ],
)
def test_a_definition_is_called_as_its_file(filename: str, name: str) -> None:
    assert definition_name(filename) == name


def test_what_a_definition_is_called_does_not_change_what_it_is() -> None:
    assert replace(grey(), name="Other", tags=("x",)).content_hash == grey().content_hash
