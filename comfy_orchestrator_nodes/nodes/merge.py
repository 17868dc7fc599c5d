"""Merge: branches become one again, items become a batch, a list or a text, in item order.

It holds its inputs as links, not as values, and expands: one gate for each input, which asks the guards above that
input one after the other (``flow/guards.py``) and only then for the input itself. Nothing that is blocked is ever
touched, in any version of ComfyUI and with any of its caches; why not with lazy inputs is told in ADR 71.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping, Sequence
from typing import Any

from ..domain import Json
from ..errors import InvalidRequest
from ..flow.guards import Place, Way
from ..flow.merging import BATCH, MODES, Arrival, all_failed, in_item_order, merged
from ..flow.wiring import GUARDS, read_ways, ways_by_hand
from ..flow.words import JOINED, joined_input
from ..workflow.graph import as_link
from .any_type import ANY
from .batches import SIZES, join
from .host import Host
from .io import CATEGORY

GATE = "OrchestratorGate"
TAKE = "OrchestratorTake"
GATHER = "OrchestratorGather"

_INTERNAL = "Made by Merge nodes; not meant to be placed by hand."
_INPUTS = tuple(joined_input(number) for number in range(1, JOINED + 1))
_ARRIVING = "Items, or a branch. One that was not taken does not count; items of one source come back in their order."
_HELD_BACK = {"lazy": True, "rawLink": True}
"""The link comes instead of the value, and nothing above it is run for it."""


def build(host: Host) -> dict[str, type]:
    """Return the node classes for one master: Merge, and those it expands into."""

    class Merge:
        """Joins branches and collects items."""

        CATEGORY = CATEGORY
        DESCRIPTION = "Joins branches and collects items in their order. A branch that was not taken does not count."
        FUNCTION = "run"
        INPUT_IS_LIST = True
        RETURN_TYPES = (ANY, "INT", ANY)
        RETURN_NAMES = ("merged", "count", "failed")
        OUTPUT_IS_LIST = (True, True, True)
        OUTPUT_TOOLTIPS = (
            "What 'mode' makes of the items. Without any, nothing behind runs.",
            "How many items there are; there even if there are none.",
            "A list of the items that were dropped on the way: index, source, node, backend and cause of each.",
        )

        @classmethod
        def INPUT_TYPES(cls) -> dict[str, Any]:  # noqa: N802 - ComfyUI's name
            """Declare the inputs."""
            tooltip = "batch: one tensor; list: items as they are; first: the first one; text join: one text"
            sizes = "For batch, if sizes differ: refuse, fit to the first, or add black at the right and below."
            result = (
                "Only where no Condition is to be seen above: in_1, in_3, … count if it is true, the others if not."
            )
            return {
                "required": {
                    "mode": (list(MODES), {"default": BATCH, "tooltip": tooltip}),
                    "sizes": (list(SIZES), {"default": "error", "tooltip": sizes}),
                    "separator": ("STRING", {"default": "\\n", "tooltip": "For text join; \\n is a line break."}),
                },
                "optional": {
                    **{name: (ANY, {**_HELD_BACK, "tooltip": _ARRIVING}) for name in _INPUTS},
                    "result": ("BOOLEAN", {**_HELD_BACK, "forceInput": True, "tooltip": result}),
                },
                "hidden": {GUARDS: ("STRING", {})},
            }

        @classmethod
        def VALIDATE_INPUTS(cls, input_types: Any) -> bool | str:  # noqa: N802 - ComfyUI's name
            """Refuse a Merge of nothing."""
            connected = input_types[0] if isinstance(input_types, list) else input_types
            return True if any(name in connected for name in _INPUTS) else "Connect something to in_1."

        def run(
            self,
            mode: Sequence[str],
            sizes: Sequence[str],
            separator: Sequence[str],
            guards: Sequence[str] = (),
            result: Sequence[Any] = (),
            **inputs: Sequence[Any],
        ) -> dict[str, Any]:
            """Expand into gates and what gathers their values."""
            links = {name: _link(name, inputs[name]) for name in _INPUTS if name in inputs}
            by_result = as_link(result[0]) if result else None
            ways = read_ways(guards[0]) if guards and guards[0] else ways_by_hand(links, by_result)
            own = host.execution().node_id
            nodes: dict[str, Json] = {}
            gathered: dict[str, Json] = {"mode": mode[0], "sizes": sizes[0], "separator": separator[0]}
            for name, link in links.items():
                held = {"values": list(link), **({"result": list(by_result)} if by_result else {})}
                nodes[f"{own}.{name}"] = _step(name, held, ways.get(name, Way()), Place())
                gathered[name] = [f"{own}.{name}", 0]
            nodes[f"{own}.gather"] = {"class_type": GATHER, "inputs": gathered}
            return {"result": tuple([f"{own}.gather", output] for output in range(3)), "expand": nodes}

    class Gate:
        """Asks one guard, and expands into the next question or into the input itself."""

        CATEGORY = CATEGORY
        DESCRIPTION = _INTERNAL
        FUNCTION = "run"
        INPUT_IS_LIST = True
        RETURN_TYPES = (ANY,)

        @classmethod
        def INPUT_TYPES(cls) -> dict[str, Any]:  # noqa: N802 - ComfyUI's name
            """Declare the inputs. ``said`` is linked undeclared, which ComfyUI passes on for V1 classes.

            What is held back is linked here already, so that it is part of the key under which ComfyUI caches the gate.
            """
            held = {name: (ANY, dict(_HELD_BACK)) for name in ("values", "result")}
            return {"required": {"state": ("STRING", {"default": ""})}, "optional": held}

        def run(self, state: Sequence[str], said: Sequence[Any] = (), **held: Sequence[Json]) -> Any:
            """Go on if the guard holds."""
            name, way, place = _read(state[0])
            guard, *rest = way.guards
            passed = place.pass_guard(guard, said, way.roots)
            if not passed.taken:
                return (Arrival.nothing(name, passed),)
            inner = f"{host.execution().node_id}.{len(rest)}"
            links = {key: link[0] for key, link in held.items()}
            step = _step(name, links, Way(way.roots, tuple(rest)), passed)
            return {"result": ([inner, 0],), "expand": {inner: step}}

    class Gather:
        """Puts the arrivals together."""

        CATEGORY = CATEGORY
        DESCRIPTION = _INTERNAL
        FUNCTION = "run"
        INPUT_IS_LIST = True
        RETURN_TYPES = (ANY, ANY, ANY)

        @classmethod
        def INPUT_TYPES(cls) -> dict[str, Any]:  # noqa: N802 - ComfyUI's name
            """Declare the inputs. ``in_1``, … are linked undeclared."""
            text = ("STRING", {"default": ""})
            return {"required": {"mode": text, "sizes": text, "separator": text}}

        async def run(
            self, mode: Sequence[str], sizes: Sequence[str], separator: Sequence[str], **arrived: Sequence[Arrival]
        ) -> tuple[Any, list[int], list[Any]]:
            """Return what the Merge yields, each output's list as one value."""
            arrivals = [arrived[name][0] for name in _INPUTS if name in arrived]
            values = in_item_order(arrivals)
            failed = all_failed(arrivals)
            if failed:
                host.show_text(host.execution(), _told(failed, len(values)))
            found = await asyncio.to_thread(
                merged, values, mode[0], separator[0], lambda tensors: join(tensors, sizes[0])
            )
            return (found or host.blocker(None), [len(values)], [failed])

    return {"Merge": Merge, GATE: Gate, TAKE: Take, GATHER: Gather}


class Take:
    """Takes an input whose guards all hold."""

    CATEGORY = CATEGORY
    DESCRIPTION = _INTERNAL
    FUNCTION = "run"
    INPUT_IS_LIST = True
    RETURN_TYPES = (ANY,)

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:  # noqa: N802 - ComfyUI's name
        """Declare the inputs. ``values`` is linked undeclared."""
        return {"required": {"state": ("STRING", {"default": ""})}}

    def run(self, state: Sequence[str], values: Sequence[Any] = ()) -> tuple[Arrival]:
        """Return the values with their places."""
        name, way, place = _read(state[0])
        return (Arrival.of(name, way.roots, place, values),)


def _step(name: str, held: Mapping[str, Json], way: Way, place: Place) -> dict[str, Json]:
    """Return the node that does what comes next for an input: ask its next guard, or take it."""
    state = json.dumps({"name": name, "way": way.to_json(), "place": place.to_json()}, sort_keys=True)
    if way.guards:
        return {"class_type": GATE, "inputs": {**held, "state": state, "said": list(way.guards[0].link)}}
    return {"class_type": TAKE, "inputs": {"state": state, "values": held["values"]}}


def _read(state: str) -> tuple[str, Way, Place]:
    data = json.loads(state)
    return data["name"], Way.from_json(data["way"]), Place.from_json(data["place"])


def _link(name: str, values: Sequence[Any]) -> tuple[str, int]:
    link = as_link(values[0]) if values else None
    if link is None:
        raise InvalidRequest(f"{name} of a Merge needs a connection; a constant is none.")
    return link


def _told(failed: Sequence[Mapping[str, Json]], count: int) -> str:
    first = failed[0]
    return f"{len(failed)} of {len(failed) + count} dropped; item {first.get('index')}: {first.get('cause')}"
