"""Carriers are built from the node classes that a backend has, and only from these."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from comfy_orchestrator_nodes.backend.carriers import (
    PlainCarriers,
    carriers_for,
    loss,
    media_type_of,
    upload_name,
)
from comfy_orchestrator_nodes.backend.object_info import ObjectInfoCache
from comfy_orchestrator_nodes.backend.scalars import collect_scalar
from comfy_orchestrator_nodes.domain import Definition, FileRef, JobSpec, Output, Value
from comfy_orchestrator_nodes.errors import UnsupportedValue, ValueLost
from comfy_orchestrator_nodes.workflow.graph import id_maker
from comfy_orchestrator_nodes.workflow.nodeinfo import NodeInfo
from tests.support.node_classes import new_server, old_server


def classes_of(nodes: Mapping[str, Mapping[str, Any]]) -> list[str]:
    return sorted(str(node["class_type"]) for node in nodes.values())


def leave(infos: dict[str, NodeInfo], type_: str) -> list[str]:
    return classes_of(PlainCarriers(infos).leave("out", type_, ["1", 0], "attempt", id_maker(["1"])).nodes)


def without(infos: dict[str, NodeInfo], *class_types: str) -> dict[str, NodeInfo]:
    return {name: info for name, info in infos.items() if name not in class_types}


@pytest.mark.parametrize(
    ("type_", "classes"),
    [
        ("IMAGE", ["PreviewImage", "PrimitiveString"]),
        ("MASK", ["MaskToImage", "PreviewImage", "PrimitiveString"]),
        ("LATENT", ["SaveLatent"]),
        ("AUDIO", ["PreviewAudio", "PrimitiveString"]),
        ("VIDEO", ["SaveVideo"]),
        ("STRING", ["PreviewAny"]),
        ("BOOLEAN", ["PreviewAny"]),
    ],
)
def test_each_type_leaves_through_stock_nodes(type_: str, classes: list[str]) -> None:
    assert leave(old_server(), type_) == classes


def test_a_preview_of_the_new_schema_takes_no_name_so_the_saver_is_used() -> None:
    assert leave(new_server(), "AUDIO") == ["SaveAudioAdvanced"]
    assert leave(new_server(), "IMAGE") == ["PreviewImage", "PrimitiveString"]


def test_without_a_node_that_makes_texts_the_saver_is_used() -> None:
    assert leave(without(old_server(), "PrimitiveString"), "IMAGE") == ["PreviewImage", "PrimitiveStringMultiline"]
    bare = without(old_server(), "PrimitiveString", "PrimitiveStringMultiline")
    exit_ = PlainCarriers(bare).leave("out", "IMAGE", ["1", 0], "attempt", id_maker([]))
    assert classes_of(exit_.nodes) == ["SaveImage"]
    assert not exit_.collector.preview


@pytest.mark.parametrize("type_", ["IMAGE", "MASK", "LATENT", "AUDIO", "VIDEO"])
@pytest.mark.parametrize("infos", [old_server(), new_server()], ids=["0.3.75", "late 2026"])
def test_whatever_is_written_goes_to_a_folder_of_this_attempt(type_: str, infos: dict[str, NodeInfo]) -> None:
    exit_ = PlainCarriers(infos).leave("out", type_, ["1", 0], "attempt-7", id_maker(["1"]))
    texts = [value for node in exit_.nodes.values() for value in node["inputs"].values() if isinstance(value, str)]
    assert any(text.startswith("orchestrator/attempt-7/") for text in texts)
    assert exit_.collector.node_id in exit_.nodes


@pytest.mark.parametrize("infos", [old_server(), new_server()], ids=["0.3.75", "late 2026"])
@pytest.mark.parametrize("type_", ["IMAGE", "MASK", "LATENT", "AUDIO", "VIDEO"])
def test_every_required_input_of_an_added_node_is_given(type_: str, infos: dict[str, NodeInfo]) -> None:
    carriers = PlainCarriers(infos)
    nodes = {
        **carriers.enter(type_, ["a.png [temp]"], id_maker([])).nodes,
        **carriers.leave("out", type_, ["1", 0], "attempt", id_maker(["1"])).nodes,
    }
    for node in nodes.values():
        info = infos[str(node["class_type"])]
        given_names = set(node["inputs"])
        for spec in info.inputs:
            assert not spec.required or spec.name in given_names


def test_a_type_without_a_carrier_is_refused_in_words() -> None:
    carriers = PlainCarriers(old_server())
    with pytest.raises(UnsupportedValue, match="CONDITIONING cannot travel"):
        carriers.leave("out", "CONDITIONING", ["1", 0], "attempt", id_maker([]))
    with pytest.raises(UnsupportedValue, match="MODEL cannot travel"):
        carriers.enter("MODEL", ["x"], id_maker([]))
    with pytest.raises(UnsupportedValue, match="without files"):
        carriers.enter("IMAGE", [], id_maker([]))
    with pytest.raises(UnsupportedValue, match="LoadVideo"):
        PlainCarriers(without(old_server(), "LoadVideo")).enter("VIDEO", ["x"], id_maker([]))


async def test_only_the_classes_that_a_job_needs_are_read() -> None:
    asked: list[str] = []

    class Source:
        async def object_info(self, class_type: str) -> NodeInfo | None:
            asked.append(class_type)
            return old_server().get(class_type)

        async def all_object_info(self) -> Mapping[str, NodeInfo]:
            raise AssertionError("the whole document is heavy")

    outputs = (Output("a", "LATENT", "1", 0), Output("b", "IMAGE", "1", 0))
    definition = Definition("d", 1, "D", {"1": {"class_type": "X", "inputs": {}}}, (), outputs)
    spec = JobSpec("d", 1, "h", {"v": Value("VIDEO", files=(FileRef("a" * 64, 1, "video/mp4"),))}, ("a",))
    carriers = await carriers_for(ObjectInfoCache(Source()), definition, spec)
    assert sorted(asked) == ["LoadVideo", "SaveLatent"]
    assert classes_of(carriers.leave("a", "LATENT", ["1", 0], "attempt", id_maker([])).nodes) == ["SaveLatent"]


def test_files_are_uploaded_under_their_hash_with_the_suffix_that_loaders_look_for() -> None:
    name = upload_name(FileRef("ab" * 32, 5, "audio/x-flac; charset=binary"))
    assert name.filename == "ab" * 32 + ".flac"
    assert name.annotated == "orchestrator/" + "ab" * 32 + ".flac [temp]"
    assert upload_name(FileRef("c" * 64, 5, "application/x-comfyui-latent")).filename.endswith(".latent")
    assert upload_name(FileRef("c" * 64, 5, "weird/type")).filename.endswith(".bin")


@pytest.mark.parametrize(
    ("filename", "media_type"),
    [
        ("a_00001_.PNG", "image/png"),
        ("x.flac", "audio/flac"),
        ("photo.JPEG", "image/jpeg"),
        ("x.mp4", "video/mp4"),
        ("noext", "application/octet-stream"),
    ],
)
def test_a_collected_file_has_the_media_type_of_its_name(filename: str, media_type: str) -> None:
    assert media_type_of(filename) == media_type


def test_what_is_lost_is_said_for_every_type_that_travels() -> None:
    for type_ in ("IMAGE", "MASK", "LATENT", "AUDIO", "VIDEO"):
        assert loss(type_)
    for type_ in ("STRING", "INT", "FLOAT", "BOOLEAN"):
        assert loss(type_) is None
    with pytest.raises(UnsupportedValue):
        loss("MODEL")


# --- scalars: PreviewAny shows str(value), or the text itself --------------------------------------------------------


@settings(deadline=None)
@given(st.integers())
def test_an_int_comes_back_exactly(value: int) -> None:
    found = collect_scalar("INT", [str(value)])
    assert found == value
    assert type(found) is int


@settings(deadline=None)
@given(st.floats(allow_nan=False, allow_infinity=False))
def test_a_float_comes_back_exactly(value: float) -> None:
    found = collect_scalar("FLOAT", [str(value)])
    assert found == value
    assert type(found) is float


@settings(deadline=None)
@given(st.text())
def test_a_text_comes_back_exactly(value: str) -> None:
    assert collect_scalar("STRING", [value]) == value


@settings(deadline=None)
@given(st.booleans())
def test_a_boolean_comes_back_as_one(value: bool) -> None:
    assert collect_scalar("BOOLEAN", [str(value)]) is value


@pytest.mark.parametrize(
    ("type_", "text"),
    [
        ("INT", "3.5"),
        ("INT", "three"),
        ("INT", "１２"),
        ("INT", "1_000"),
        ("INT", ""),
        ("FLOAT", "nan"),
        ("FLOAT", "1e999"),
        ("BOOLEAN", "1"),
        ("MODEL", "x"),
    ],
)
def test_a_text_that_is_no_value_of_the_type_is_an_error(type_: str, text: str) -> None:
    with pytest.raises(ValueLost):
        collect_scalar(type_, [text])


def test_a_whole_float_counts_as_an_int_where_an_int_was_declared() -> None:
    assert collect_scalar("INT", ["3.0"]) == 3


def test_several_texts_are_a_list_and_none_is_an_error() -> None:
    assert collect_scalar("INT", ["1", "2"]) == [1, 2]
    with pytest.raises(ValueLost):
        collect_scalar("STRING", [])
