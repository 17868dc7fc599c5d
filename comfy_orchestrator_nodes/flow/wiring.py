"""Finds the ways to every Merge of a prompt, and writes them into it before it is validated."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from ..domain import Json
from ..errors import InvalidRequest
from ..workflow.graph import REMOTE_WORKFLOW, Link, as_link
from .guards import FALSE, KEPT, SHARE, SOME, TOLD, TRUE, Guard, Way, is_link, source_of_link
from .words import (
    CONDITION,
    COUNT_OUT,
    EXPRESSION_INPUTS,
    FAN_OUT,
    FIRST_WAY,
    JOINED,
    LAYOUT,
    MERGE,
    MERGED_COUNT,
    MERGED_FAILED,
    RESULT,
    ROUTED,
    joined_input,
    routed_value,
)

REPORT = 18
"""Where a Remote Workflow's ``report`` stands: after ``index``, ``info`` and its 16 outputs. Never blocked."""
GUARDS = "guards"
"""The hidden input of a Merge that holds its ways as JSON."""

_KEEPS = "fail"
"""The only ``on_failure`` that never drops an item: left to the workflow or the settings, it may."""


@dataclass(frozen=True)
class _Flow:
    """What is known of the values on a link: all guards above it, and the items they are."""

    above: frozenset[Guard] = frozenset()
    roots: tuple[str, ...] = ()
    """The sources of which the items may be, the likeliest first."""
    steps: tuple[Guard, ...] = ()
    """The guards that select items, of this source and of those before it."""

    def behind(self, guard: Guard) -> _Flow:
        return replace(self, above=self.above | {guard})

    def selected(self, guard: Guard, root: str) -> _Flow:
        """Return what passes a guard that selects items."""
        sources = self.roots or (root,)
        return _Flow(self.above | {guard}, sources, (*self.steps, replace(guard, items=sources)))

    def anew(self, root: str) -> _Flow:
        """Return the items that a node makes, which have no relation to those that came in."""
        return replace(self, roots=(root,))

    def likelihood(self, root: str) -> tuple[bool, int]:
        """Return how likely the items are those of a source: one that makes lists, and that was selected from."""
        return not is_link(root), sum(root in step.items for step in self.steps)


def wire_guards(prompt: Mapping[str, Any], reshapes: Callable[[str], bool] = lambda _: False) -> dict[str, Any]:
    """Return the prompt with the ways written into each Merge.

    Args:
        prompt: as it came, perhaps unsound: nodes that cannot be understood are left to ComfyUI's validation.
        reshapes: whether a node class takes or makes whole lists, so that its items are not those that came in.
    """
    if not any(_class(node) == MERGE for node in prompt.values()):
        return dict(prompt)
    order = _order(prompt)
    ranks = {node_id: rank for rank, node_id in enumerate(order)}
    flows: dict[str, _Flow] = {}
    for node_id in order:
        flows[node_id] = _inside(node_id, prompt, flows, reshapes)
    wired = dict(prompt)
    for node_id in order:
        if _class(prompt[node_id]) == MERGE:
            ways = _ways(prompt, node_id, flows, ranks)
            text = json.dumps({name: way.to_json() for name, way in ways.items()}, sort_keys=True)
            wired[node_id] = {**prompt[node_id], "inputs": {**prompt[node_id]["inputs"], GUARDS: text}}
    return wired


def ways_by_hand(links: Iterable[str], result: Link | None) -> dict[str, Way]:
    """Return the ways where no prompt handler ran: by ``result`` alone, true for odd inputs, false for even ones."""
    return {name: _by_result(Way(), name, result) for name in links}


def read_ways(text: str) -> dict[str, Way]:
    """Read what ``wire_guards`` wrote.

    Raises:
        InvalidRequest: it is damaged.
    """
    try:
        data = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise InvalidRequest(f"The guards of a Merge are no JSON ({error}); queue the workflow again.") from None
    if not isinstance(data, dict):
        raise InvalidRequest("The guards of a Merge are no JSON object; queue the workflow again.")
    return {name: Way.from_json(way) for name, way in data.items()}


def _ways(
    prompt: Mapping[str, Any], node_id: str, flows: Mapping[str, _Flow], ranks: Mapping[str, int]
) -> dict[str, Way]:
    inputs = _inputs(prompt[node_id])
    names = [joined_input(number) for number in range(1, JOINED + 1)]
    arriving = {name: _on(link, prompt, flows) for name in names if (link := as_link(inputs.get(name))) is not None}
    ways = {name: _way(flow, ranks) for name, flow in arriving.items()}
    result = as_link(inputs.get("result"))
    if result is None or any(guard.link == result for way in ways.values() for guard in way.guards):
        return ways
    before = _on(result, prompt, flows).above
    joined = {name: _way(replace(flow, above=flow.above | before), ranks) for name, flow in arriving.items()}
    return {name: _by_result(way, name, result) for name, way in joined.items()}


def _by_result(way: Way, name: str, result: Link | None) -> Way:
    if result is None:
        return way
    odd = int(name.rpartition("_")[2]) % 2 == 1
    roots = way.roots or (source_of_link(result),)
    return Way(roots, (*way.guards, Guard(result, TRUE if odd else FALSE, items=roots)))


def _way(flow: _Flow, ranks: Mapping[str, int]) -> Way:
    selecting = {replace(guard, items=()): guard for guard in flow.steps}
    # What stops nothing comes first, so that it is heard even if the same node stops everything.
    guards = sorted(flow.above, key=lambda g: (ranks[g.link[0]], g.kind != TOLD, g.link[1], g.kind, g.share))
    return Way(flow.roots, tuple(selecting.get(guard, guard) for guard in guards))


# --- what flows where


def _inside(
    node_id: str, prompt: Mapping[str, Any], flows: Mapping[str, _Flow], reshapes: Callable[[str], bool]
) -> _Flow:
    """Return what flows into a node; a Merge stops everything above it."""
    node = prompt[node_id]
    kind = _class(node)
    if kind == MERGE:
        return _Flow()
    links = [link for value in _inputs(node).values() if (link := as_link(value)) is not None and link[0] in flows]
    arriving = [_on(link, prompt, flows) for link in links]
    above = frozenset(guard for flow in arriving for guard in flow.above)
    together = _Flow(above, steps=_joined(arriving))
    roots = dict.fromkeys(root for flow in arriving for root in flow.roots)
    makes_items = kind not in (CONDITION, REMOTE_WORKFLOW, FAN_OUT) and reshapes(kind)
    ordered = tuple(sorted(roots, key=together.likelihood, reverse=True))
    return replace(together, roots=(node_id,) if makes_items else ordered)


def _joined(arriving: Sequence[_Flow]) -> tuple[Guard, ...]:
    """Return the selections of all that meets in a node; of two rows of selections from one source the longer."""
    steps: tuple[Guard, ...] = ()
    for flow in sorted(arriving, key=lambda flow: len(flow.steps), reverse=True):
        known = {step.items[0] for step in steps}
        steps += tuple(step for step in flow.steps if step.items[0] not in known)
    return steps


def _on(link: Link, prompt: Mapping[str, Any], flows: Mapping[str, _Flow]) -> _Flow:
    """Return what flows on a link."""
    node_id, output = link
    inside = flows.get(node_id)
    if inside is None:
        return _Flow()
    node = prompt[node_id]
    passing = _PASSING.get(_class(node))
    return inside if passing is None else passing(inside, node_id, output, _inputs(node))


def _from_condition(inside: _Flow, node_id: str, output: int, inputs: Mapping[str, Json]) -> _Flow:
    root = _source(node_id, inputs)
    if output == RESULT:
        return replace(inside, roots=inside.roots or (root,))
    # true_1, false_1, true_2, false_2, … follow the result.
    return inside.selected(Guard((node_id, RESULT), TRUE if output % 2 == 1 else FALSE), root)


def _from_fan_out(inside: _Flow, node_id: str, output: int, _: Mapping[str, Json]) -> _Flow:
    if output in (COUNT_OUT, LAYOUT):
        return _Flow(inside.above)
    items = inside.anew(node_id).behind(Guard((node_id, COUNT_OUT), SOME))
    if output < FIRST_WAY:
        return items
    return items.selected(Guard((node_id, LAYOUT), SHARE, share=output - FIRST_WAY), node_id)


def _from_merge(_: _Flow, node_id: str, output: int, __: Mapping[str, Json]) -> _Flow:
    if output != 0:
        return _Flow()
    return (
        _Flow(roots=(node_id,))
        .behind(Guard((node_id, MERGED_FAILED), TOLD))
        .behind(Guard((node_id, MERGED_COUNT), SOME))
    )


def _from_remote(inside: _Flow, node_id: str, output: int, inputs: Mapping[str, Json]) -> _Flow:
    if output == REPORT or inputs.get("on_failure") == _KEEPS:
        return inside
    return inside.selected(Guard((node_id, REPORT), KEPT), node_id)


_PASSING: Mapping[str, Callable[[_Flow, str, int, Mapping[str, Json]], _Flow]] = {
    CONDITION: _from_condition,
    FAN_OUT: _from_fan_out,
    MERGE: _from_merge,
    REMOTE_WORKFLOW: _from_remote,
}


def _source(node_id: str, inputs: Mapping[str, Json]) -> str:
    """Return a name for the items of a Condition whose origin nobody knows: the link that brings them.

    Two Conditions over the same values thereby have the same items.
    """
    names = [*(routed_value(number) for number in range(1, ROUTED + 1)), *EXPRESSION_INPUTS]
    link = next((link for name in names if (link := as_link(inputs.get(name))) is not None), (node_id, 0))
    return source_of_link(link)


# --- reading prompts that may be unsound


def _order(prompt: Mapping[str, Any]) -> list[str]:
    """Return the nodes so that each follows what it depends on; nodes of a cycle are left out."""
    above = {
        node_id: {link[0] for value in _inputs(node).values() if (link := as_link(value)) and link[0] in prompt}
        for node_id, node in prompt.items()
    }
    below: dict[str, list[str]] = {node_id: [] for node_id in prompt}
    for node_id, sources in above.items():
        for source in sources:
            below[source].append(node_id)
    missing = {node_id: len(sources) for node_id, sources in above.items()}
    order = [node_id for node_id, count in missing.items() if count == 0]
    for node_id in order:
        for consumer in below[node_id]:
            missing[consumer] -= 1
            if missing[consumer] == 0:
                order.append(consumer)
    return order


def _class(node: Any) -> str:
    return str(node.get("class_type", "")) if isinstance(node, Mapping) else ""


def _inputs(node: Any) -> Mapping[str, Any]:
    inputs = node.get("inputs") if isinstance(node, Mapping) else None
    return inputs if isinstance(inputs, Mapping) else {}
