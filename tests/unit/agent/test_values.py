"""Values as blobs, with the handle that a history shows of them."""

from __future__ import annotations

import base64
import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from comfy_orchestrator_nodes.agent import wire
from comfy_orchestrator_nodes.agent.blobs import BlobStore
from comfy_orchestrator_nodes.agent.errors import BlobMissing, BlobsFull, UnsupportedValue
from comfy_orchestrator_nodes.agent.nodes import build
from comfy_orchestrator_nodes.agent.values import Values


@pytest.fixture
def store(tmp_path: Path) -> BlobStore:
    return BlobStore(tmp_path, limit_bytes=100 << 20)


@pytest.fixture
def values(store: BlobStore) -> Values:
    return Values(store, wire.NUMPY)


def test_a_value_is_stored_and_read_by_its_handle(values: Values, store: BlobStore) -> None:
    image = np.random.default_rng(0).random((4, 512, 512, 3), dtype=np.float32)
    handle = values.write({"samples": image}, "LATENT", "attempt")
    assert handle["size_bytes"] == store.size(handle["sha256"])
    assert handle["summary"] == "{samples: ndarray}"
    assert (values.read(handle["sha256"], "LATENT", "value")["samples"] == image).all()
    assert [path.name for path in store.root.iterdir()] == [handle["sha256"]]


def test_a_value_is_leased_for_its_attempt(values: Values, store: BlobStore) -> None:
    values.write(b"x" * 1000, "ANY", "attempt")
    assert store.usage().leased_bytes > 0
    store.release("attempt")
    assert store.usage().leased_bytes == 0


def test_a_small_value_is_told_whole(values: Values) -> None:
    handle = values.write(42, "INT", "attempt")
    assert wire.decode(io.BytesIO(base64.b64decode(handle["inline"]))) == 42
    assert "inline" not in values.write("x" * 5000, "STRING", "attempt")


def test_the_same_value_twice_is_one_blob(values: Values, store: BlobStore) -> None:
    first, second = (values.write(np.arange(10_000), "ANY", owner) for owner in ("a", "b"))
    assert first == second
    assert store.usage().count == 1


def test_the_items_of_a_list_are_told_in_its_order(values: Values, store: BlobStore) -> None:
    items = [np.full(400_000 - 50_000 * n, n, np.float32) for n in range(7)]
    handles = values.write_all(items, "IMAGE", "attempt")
    for item, handle in zip(items, handles, strict=True):
        assert (values.read(handle["sha256"], "IMAGE", "value") == item).all()
    assert store.usage().leased_bytes == sum(handle["size_bytes"] for handle in handles)


def test_an_item_that_cannot_travel_fails_the_list_and_leaves_no_half_file(values: Values, store: BlobStore) -> None:
    items = [np.zeros(1 << 20, np.uint8), object(), np.ones(1 << 20, np.uint8)]
    with pytest.raises(UnsupportedValue):
        values.write_all(items, "ANY", "attempt")
    assert not list(store.root.glob("*.part"))


def test_what_cannot_travel_or_does_not_fit_leaves_nothing(values: Values, store: BlobStore) -> None:
    with pytest.raises(UnsupportedValue):
        values.write(object(), "MODEL", "attempt")
    big = np.zeros(60 << 20, np.uint8)
    values.write(big, "ANY", "attempt")
    big[0] = 1
    with pytest.raises(BlobsFull):
        values.write(big, "ANY", "attempt")
    assert len(list(store.root.iterdir())) == 1


def test_a_value_that_went_away_is_missed_in_words(values: Values) -> None:
    with pytest.raises(BlobMissing, match="send it again"):
        values.read("0" * 64, "IMAGE", "value")


# --- the nodes -------------------------------------------------------------------------------------------------------


def test_the_nodes_say_what_is_missing_and_store_each_item(values: Values) -> None:
    classes: dict[str, Any] = build(values)
    entering, leaving = classes["OrchestratorValueIn"], classes["OrchestratorValueOut"]
    assert "64 lower-case hex digits" in entering.VALIDATE_INPUTS("nonsense")
    assert entering.VALIDATE_INPUTS("0" * 64).startswith("blob_missing:")
    told = leaving().store([1, "two", 1], ["JSON"], ["attempt"])["ui"]["orchestrator_value"]
    assert [entering().load(handle["sha256"], "JSON")[0] for handle in told] == [1, "two", 1]
    assert entering.VALIDATE_INPUTS(told[0]["sha256"]) is True
    assert leaving().store([], ["JSON"], ["attempt"]) == {"ui": {"orchestrator_value": []}}


def test_any_type_fits_a_value_that_leaves(values: Values) -> None:
    classes: dict[str, Any] = build(values)
    wildcard = classes["OrchestratorValueOut"].INPUT_TYPES()["required"]["value"][0]
    received = "IMAGE"
    # Exactly what ComfyUI asks; for a wildcard it is not the opposite of "==".
    assert (received != wildcard, wildcard != received) == (False, False)
