"""Reading the graph that an API-format prompt is: links, ancestors, consumers, and the types that flow on links.

Nothing here recurses, so that a long or hostile chain of nodes cannot exhaust the stack.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from typing import TypeAlias

from ..domain import SCALAR_TYPES, STORED_TYPES, Json, Prompt
from ..errors import InvalidPrompt
from .nodeinfo import NodeInfo

Link: TypeAlias = tuple[str, int]
"""``(node_id, output_index)``; in a prompt it is the list ``[node_id, output_index]``."""

REMOTE_WORKFLOW = "OrchestratorRemoteWorkflow"
"""Our node that runs a definition; a prompt that holds one is a meta-graph."""

WORKFLOW_INPUT = "OrchestratorWorkflowInput"
WORKFLOW_OUTPUT = "OrchestratorWorkflowOutput"
MARKERS = frozenset({WORKFLOW_INPUT, WORKFLOW_OUTPUT})
"""Our nodes that name an input or output of a sub-workflow; their output 0 is whatever is in ``value``."""

_OPAQUE_TYPES = frozenset({"*", "COMFY_MATCHTYPE_V3"})


def as_link(value: Json) -> Link | None:
    """Return the link that an input's value is, or None for a constant.

    The rule is ComfyUI's own (``is_link`` in comfy_execution/graph_utils.py): a list of a string and a number.
    """
    if not isinstance(value, (list, tuple)) or len(value) != 2:
        return None
    node_id, index = value
    if not isinstance(node_id, str) or isinstance(index, bool):
        return None
    if isinstance(index, int) or (isinstance(index, float) and index.is_integer()):
        return node_id, int(index)
    return None


def class_type(node: Mapping[str, Json]) -> str:
    """Return a node's class."""
    return str(node["class_type"])


def inputs_of(node: Mapping[str, Json]) -> Mapping[str, Json]:
    """Return a node's inputs: constants and links by name."""
    inputs = node.get("inputs")
    return inputs if isinstance(inputs, Mapping) else {}


def links_of(node: Mapping[str, Json]) -> Iterator[tuple[str, Link]]:
    """Yield the name and link of each linked input of a node."""
    for name, value in inputs_of(node).items():
        link = as_link(value)
        if link is not None:
            yield name, link


def title_of(node: Mapping[str, Json]) -> str:
    """Return the title the user gave a node, or an empty text."""
    meta = node.get("_meta")
    title = meta.get("title") if isinstance(meta, Mapping) else None
    return title.strip() if isinstance(title, str) else ""


def is_kept(node: Mapping[str, Json]) -> bool:
    """Whether the node is marked to run as it is, although nothing wanted depends on it."""
    meta = node.get("_meta")
    return isinstance(meta, Mapping) and meta.get("orchestrator_keep") is True


def check_prompt(prompt: Json) -> Prompt:
    """Return ``prompt`` once it is known to be a sound API-format prompt.

    Raises:
        InvalidPrompt: it is not an object of nodes with a class each, a link leads nowhere, or links form a cycle.
    """
    if not isinstance(prompt, Mapping) or not prompt:
        raise InvalidPrompt("An API-format prompt is an object that maps node ids to nodes; this is none.")
    for node_id, node in prompt.items():
        _check_node(node_id, node)
    for node_id, node in prompt.items():
        for name, (source, index) in links_of(node):
            if source not in prompt or index < 0:
                raise InvalidPrompt(
                    f"Input {name!r} of node {node_id} is linked to output {index} of node {source}: there is none.",
                    node_id=node_id,
                    input=name,
                )
    cycle = find_cycle(prompt)
    if cycle:
        raise InvalidPrompt(f"Nodes {' -> '.join((*cycle, cycle[0]))} feed each other in a circle.", cycle=list(cycle))
    return prompt


def _check_node(node_id: Json, node: Json) -> None:
    if not isinstance(node_id, str):
        raise InvalidPrompt(f"Node id {node_id!r} is not a text.")
    if not isinstance(node, Mapping) or not isinstance(node.get("class_type"), str):
        raise InvalidPrompt(f"Node {node_id} has no 'class_type': this is not a prompt in API format.", node_id=node_id)
    if not isinstance(node.get("inputs", {}), Mapping):
        raise InvalidPrompt(f"The 'inputs' of node {node_id} are no object.", node_id=node_id)


def find_cycle(prompt: Prompt) -> tuple[str, ...]:
    """Return the nodes of one cycle in the order of data flow, or nothing."""
    done: set[str] = set()
    for start in prompt:
        if start in done:
            continue
        path: list[str] = []
        on_path: set[str] = set()
        stack: list[tuple[str, bool]] = [(start, False)]
        while stack:
            node_id, leaving = stack.pop()
            if leaving:
                on_path.discard(path.pop())
                done.add(node_id)
                continue
            if node_id in on_path:
                return tuple(reversed(path[path.index(node_id) :]))
            if node_id in done:
                continue
            path.append(node_id)
            on_path.add(node_id)
            stack.append((node_id, True))
            stack += ((source, False) for _, (source, _) in links_of(prompt[node_id]) if source in prompt)
    return ()


def ancestors(prompt: Prompt, roots: Iterable[str]) -> set[str]:
    """Return the roots and every node that something of them depends on."""
    found: set[str] = set()
    waiting = [root for root in roots if root in prompt]
    while waiting:
        node_id = waiting.pop()
        if node_id in found:
            continue
        found.add(node_id)
        waiting += (source for _, (source, _) in links_of(prompt[node_id]) if source in prompt)
    return found


def consumers(prompt: Prompt) -> dict[Link, list[tuple[str, str]]]:
    """Return for each link in use the ``(node_id, input_name)`` places that it feeds."""
    found: dict[Link, list[tuple[str, str]]] = {}
    for node_id, node in prompt.items():
        for name, link in links_of(node):
            found.setdefault(link, []).append((node_id, name))
    return found


def link_type(prompt: Prompt, link: Link, infos: Mapping[str, NodeInfo]) -> str:
    """Return the ComfyUI type that flows on a link, or ``"*"`` where nobody says.

    A node that declares its output as anything (a switch, a reroute, a marker) passes on what comes in: it is followed
    upstream as long as its untyped linked inputs agree on one type.
    """
    types: set[str] = set()
    seen: set[Link] = set()
    waiting = [link]
    while waiting:
        current = waiting.pop()
        if current in seen or current[0] not in prompt:
            continue
        seen.add(current)
        declared = _declared_type(prompt[current[0]], current[1], infos)
        if declared is not None:
            types.add(declared)
            continue
        waiting += _passed_on(prompt[current[0]], infos)
    return types.pop() if len(types) == 1 else "*"


def _declared_type(node: Mapping[str, Json], index: int, infos: Mapping[str, NodeInfo]) -> str | None:
    if class_type(node) in MARKERS:
        declared = inputs_of(node).get("type")
        return declared if isinstance(declared, str) and declared in STORED_TYPES | SCALAR_TYPES else None
    info = infos.get(class_type(node))
    if info is None or index >= len(info.output_types):
        return "*"
    declared = info.output_types[index]
    return None if declared in _OPAQUE_TYPES else declared


def _passed_on(node: Mapping[str, Json], infos: Mapping[str, NodeInfo]) -> Iterator[Link]:
    info = infos.get(class_type(node))
    for name, link in links_of(node):
        spec = info.resolve(name, inputs_of(node)) if info else None
        if spec is None or spec.type in _OPAQUE_TYPES:
            yield link


def id_maker(taken: Collection[str]) -> Callable[[str], str]:
    """Return a function that makes readable node ids which collide neither with ``taken`` nor with each other.

    The ids are the same each time for the same calls, so that equal jobs give equal prompts.
    """
    used = set(taken)

    def make(hint: str) -> str:
        number = 1
        while (candidate := f"orchestrator_{hint}_{number}") in used:
            number += 1
        used.add(candidate)
        return candidate

    return make
