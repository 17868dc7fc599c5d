"""Values that prompts in the queue are going to take."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from comfy_orchestrator_nodes.agent import wire
from comfy_orchestrator_nodes.agent.blobs import BlobStore
from comfy_orchestrator_nodes.agent.errors import BlobLeased, BlobsFull
from comfy_orchestrator_nodes.agent.nodes import VALUE_IN, build
from comfy_orchestrator_nodes.agent.queued import values_of
from comfy_orchestrator_nodes.agent.values import QUEUEING_S, Values


def entry(*hashes: str) -> tuple[Any, ...]:
    """Return an entry of ComfyUI's queue."""
    nodes = {str(n): {"class_type": VALUE_IN, "inputs": {"sha256": sha256}} for n, sha256 in enumerate(hashes)}
    return (0, "a prompt", {**nodes, "other": {"class_type": "SaveImage", "inputs": {"sha256": "no"}}}, {}, [])


class Server:
    """A ComfyUI's queue, and the blobs beside it."""

    def __init__(self, folder: Path) -> None:
        self.now = 0.0
        self.queue: list[Any] = []
        self.store = BlobStore(
            folder,
            limit_bytes=3_000_000,
            clock=lambda: self.now,
            wanted=lambda: values_of(self.queue, VALUE_IN),
        )
        self.validate = build(Values(self.store, wire.NUMPY))[VALUE_IN].VALIDATE_INPUTS  # type: ignore[attr-defined]

    def keep(self, content: bytes) -> str:
        writer = self.store.writer()
        writer.append(memoryview(content))
        return self.store.publish(writer)


@pytest.fixture
def server(tmp_path: Path) -> Server:
    return Server(tmp_path)


def test_a_value_stays_as_long_as_its_prompt_waits_or_runs_and_no_longer(server: Server) -> None:
    value = server.keep(b"x" * 2_000_000)
    assert server.validate(value) is True
    server.queue.append(entry(value))
    server.now += 10 * 3600
    with pytest.raises(BlobsFull):
        server.store.reserve(2_000_000)
    with pytest.raises(BlobLeased):
        server.store.delete(value)
    assert server.store.usage().leased_bytes == 2_000_000
    server.queue.clear()
    assert server.store.usage().leased_bytes == 0
    server.store.reserve(2_000_000).end()


def test_a_value_stays_until_its_prompt_is_in_the_queue(server: Server) -> None:
    value = server.keep(b"x" * 2_000_000)
    assert server.validate(value) is True
    server.now += QUEUEING_S - 1
    with pytest.raises(BlobsFull):
        server.store.reserve(2_000_000)
    server.now += 2
    server.store.reserve(2_000_000).end()


def test_many_prompts_one_after_another_never_fill_the_store(server: Server) -> None:
    for number in range(100):
        value = server.keep(bytes([number]) * 1_000_000)
        server.store.lease(value, f"inputs of {number}", 3600)
        assert server.validate(value) is True
        server.queue = [entry(value)]
        with server.store.open(value) as file:
            assert file.read(1) == bytes([number])
        server.queue.clear()
        server.store.release(f"inputs of {number}")
        server.now += QUEUEING_S
        server.store.reserve(1_000_000).end()
    assert server.store.usage().count <= 3


@pytest.mark.parametrize(
    "odd", [None, (), (1, "x"), (1, "x", None), (1, "x", [1]), (1, "x", {"1": None, "2": {"class_type": VALUE_IN}})]
)
def test_an_entry_of_another_kind_names_nothing(odd: Any) -> None:
    assert values_of([odd, entry("a", "b")], VALUE_IN) == {"a", "b"}


def test_inputs_that_are_links_name_nothing() -> None:
    linked = {"1": {"class_type": VALUE_IN, "inputs": {"sha256": ["2", 0]}}}
    assert values_of([(0, "x", linked)], VALUE_IN) == frozenset()
