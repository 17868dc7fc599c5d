"""How the fake backend executes a prompt, step by step, and what a test may make of it instead.

A behaviour is a coroutine function over a ``Run``: it may do what ComfyUI would (``run_nodes``), stop at events that
the test holds, raise like a node, or vanish. Nothing takes time unless a test waits for it.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from tests.fakes.node_classes import NodeRaised, Shown
from tests.fakes.validation import is_link

if TYPE_CHECKING:
    from tests.fakes.fake_comfy import FakeComfy

Json = Any
Behaviour = Callable[["Run"], Awaitable[None]]


class InterruptedByUser(Exception):
    """The prompt was interrupted."""


class Vanish(Exception):
    """The prompt leaves no trace: no message, no history."""


class Run:
    """One prompt while it runs."""

    def __init__(
        self,
        fake: FakeComfy,
        prompt_id: str,
        prompt: Mapping[str, Json],
        extra: Mapping[str, Json],
        wanted: Sequence[str],
    ) -> None:
        self.fake = fake
        self.wanted = wanted
        """The output nodes that passed validation."""
        self.prompt_id = prompt_id
        self.prompt = prompt
        self.client_id: str | None = extra.get("client_id")
        self.interrupted = asyncio.Event()
        self.outputs: dict[str, Json] = {}
        self.messages: list[list[Json]] = []
        self.node: str | None = None
        self.executed: list[str] = []
        self._progress: dict[str, Json] = {}

    def tell(self, kind: str, data: Mapping[str, Json]) -> None:
        """Send a message to the socket that submitted the prompt."""
        self.fake.send(kind, {**data, "prompt_id": self.prompt_id}, self.client_id)

    def note(self, kind: str, data: Mapping[str, Json]) -> None:
        """Send a message that the history keeps, too."""
        stamped = {**data, "prompt_id": self.prompt_id, "timestamp": int(time.time() * 1000)}
        self.messages.append([kind, stamped])
        self.fake.send(kind, stamped, self.client_id)

    def start_node(self, node: str) -> None:
        """Begin a node; this is where ComfyUI heeds an interrupt."""
        self.node = node
        if self.interrupted.is_set():
            raise InterruptedByUser
        self._state(node, 0.0, 1.0, "running")
        self.tell("executing", {"node": node, "display_node": node})

    def progress(self, value: float, maximum: float) -> None:
        """Report a step of the node that runs."""
        assert self.node is not None
        if self.interrupted.is_set():
            raise InterruptedByUser
        self._state(self.node, value, maximum, "running")
        self.tell("progress", {"value": value, "max": maximum, "node": self.node})

    def finish_node(self) -> None:
        """End the node that runs."""
        assert self.node is not None
        self.executed.append(self.node)
        self._state(self.node, 1.0, 1.0, "finished")

    def show(self, node: str, output: Mapping[str, Json]) -> None:
        """Show a node's output."""
        self.outputs[node] = output
        self.tell("executed", {"node": node, "display_node": node, "output": output})

    def show_files(self, node: str, key: str, prefix: str, place: str, contents: Sequence[bytes]) -> None:
        """Store files and show them."""
        self.show(node, {key: [self.fake.store_result(prefix, place, content) for content in contents]})

    async def gate(self, event: asyncio.Event) -> None:
        """Wait until the test sets the event, or the prompt is interrupted."""
        waits = [asyncio.ensure_future(event.wait()), asyncio.ensure_future(self.interrupted.wait())]
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()
        if self.interrupted.is_set():
            raise InterruptedByUser

    def _state(self, node: str, value: float, maximum: float, state: str) -> None:
        self._progress[node] = {
            "value": value,
            "max": maximum,
            "state": state,
            "node_id": node,
            "prompt_id": self.prompt_id,
            "display_node_id": node,
            "parent_node_id": None,
            "real_node_id": node,
        }
        self.tell("progress_state", {"nodes": dict(self._progress)})


async def run_nodes(run: Run) -> None:
    """Execute the prompt as ComfyUI does: in order of the links, with what the previous prompt left in the cache."""
    cache = run.fake.cache
    signatures = {node: signature(run.prompt, node) for node in run.prompt}
    kept: dict[str, tuple[Sequence[Any], Json]] = {}
    for node in _in_order(run.prompt, run.wanted):
        known = cache.get(signatures[node])
        kept[node] = known if known is not None else _run_node(run, node, kept)
        if known is not None and known[1] is not None:
            run.show(node, known[1])
    run.fake.cache = {signatures[node]: result for node, result in kept.items()}


def _run_node(run: Run, node: str, kept: Mapping[str, tuple[Sequence[Any], Json]]) -> tuple[Sequence[Any], Json]:
    run.start_node(node)
    values = {
        name: kept[value[0]][0][value[1]] if is_link(value) else value
        for name, value in run.prompt[node]["inputs"].items()
    }
    result = run.fake.classes[run.prompt[node]["class_type"]].run(values, run.fake.annotated_files())
    if not isinstance(result, Shown):
        run.finish_node()
        return result, None
    for key, (prefix, place, contents) in result.files.items():
        run.show_files(node, key, prefix, place, contents)
    if result.values:
        run.show(node, dict(result.values))
    run.finish_node()
    return (), run.outputs[node]


def until(event: asyncio.Event, *, steps: int = 0, then: Behaviour = run_nodes) -> Behaviour:
    """Start the first node, report ``steps`` steps of it, wait for the event, then go on."""

    async def behaviour(run: Run) -> None:
        run.start_node(next(iter(run.prompt)))
        for step in range(steps):
            run.progress(step + 1, steps)
        await run.gate(event)
        await then(run)

    return behaviour


def stepping(gates: Sequence[asyncio.Event], *, then: Behaviour = run_nodes) -> Behaviour:
    """Report one step for each event as the test sets it, then go on."""

    async def behaviour(run: Run) -> None:
        run.start_node(next(iter(run.prompt)))
        for step, gate in enumerate(gates):
            await run.gate(gate)
            run.progress(step + 1, len(gates))
        await then(run)

    return behaviour


def raising(exception_type: str, message: str) -> Behaviour:
    """Fail in the first node."""

    async def behaviour(run: Run) -> None:
        run.start_node(next(iter(run.prompt)))
        raise NodeRaised(exception_type, message)

    return behaviour


def out_of_memory() -> Behaviour:
    """Fail in the first node as a full GPU does."""
    return raising(
        "torch.OutOfMemoryError",
        "Allocation on device 0 would exceed allowed memory.\n"
        "This error means you ran out of memory on your GPU.\n\nTIPS: If the workflow worked before you might have "
        "accidentally set the batch_size to a large number.",
    )


def showing(outputs: Mapping[str, Mapping[str, Json]]) -> Behaviour:
    """End well with these outputs by node id, whatever the prompt says."""

    async def behaviour(run: Run) -> None:
        for node, output in outputs.items():
            run.start_node(node)
            run.show(node, output)
            run.finish_node()

    return behaviour


async def vanishing(run: Run) -> None:
    """Start and leave no trace, as if somebody had cleared the history."""
    run.start_node(next(iter(run.prompt)))
    raise Vanish


def signature(prompt: Mapping[str, Json], node: str) -> str:
    """What decides a node's outputs: its class, its constants and what its links stand for."""
    described = prompt[node]
    inputs = {
        name: [signature(prompt, value[0]), value[1]] if is_link(value) else value
        for name, value in described["inputs"].items()
    }
    return json.dumps([described["class_type"], inputs], sort_keys=True)


def _in_order(prompt: Mapping[str, Json], wanted: Sequence[str]) -> list[str]:
    """The wanted nodes and those that they depend on, which come first."""
    ordered: list[str] = []

    def visit(node: str) -> None:
        if node in ordered:
            return
        for value in prompt[node]["inputs"].values():
            if is_link(value):
                visit(value[0])
        ordered.append(node)

    for node in wanted:
        visit(node)
    return ordered
