"""What is written into a prompt before it is validated: who uses which outputs of Remote Workflow nodes. Pure.

ComfyUI caches a node by its inputs alone. An output that nobody used is not fetched, and one that only goes into other
Remote Workflow nodes stays on the backend that made it. So when a link is added that changes this, the node must count
as another one: therefore the names of the used outputs, and of those that must be native values, go into its inputs.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ..domain import SCALAR_TYPES, Definition, Json, Output
from ..errors import InvalidRequest
from ..flow.wiring import REPORT
from ..flow.words import CONDITION, COUNT_OUT, FAN_OUT, MERGE, RESULT
from ..workflow.graph import REMOTE_WORKFLOW
from .slots import SLOTS, input_name, parse, resolve

SHOW = "OrchestratorShow"
"""The node class that shows results on the node that made them (show.py)."""

FIRST_OUTPUT = 2
"""Where ``out_1`` stands among the node's outputs, after ``index`` and ``info``."""

_SHOWN_TYPES = frozenset({"IMAGE", *SCALAR_TYPES})
_ENDS: Mapping[str, int] = {MERGE: 0, CONDITION: RESULT, FAN_OUT: COUNT_OUT}
"""The output that is shown of the other nodes: what was merged, what was decided, how many items there are."""

_SLOT_NAMES = frozenset(input_name(index) for index in range(SLOTS))


def annotate(prompt: Mapping[str, Any], definition: Callable[[str], Definition | None]) -> dict[str, Any]:
    """Return the prompt with ``wanted`` and ``native`` written into the parameters of each Remote Workflow node.

    A node whose parameters cannot be understood is left as it is: its validation says what is wrong.
    """
    uses = _Uses.of(prompt)
    return {
        node_id: _annotated(node, uses, node_id, definition)
        if isinstance(node, dict) and node.get("class_type") == REMOTE_WORKFLOW
        else node
        for node_id, node in prompt.items()
    }


def show_ends(
    prompt: Mapping[str, Any],
    definition: Callable[[str], Definition | None],
    is_output: Callable[[str], bool],
) -> dict[str, Any]:
    """Return the prompt so that it runs where ComfyUI would find nothing to do in it: nodes of this pack alone.

    Behind each of them that nothing uses a node is put that shows what it made, as far as that can be shown. A prompt
    with any output of its own stays as it is: what is connected to nothing in it is left out on purpose.

    Args:
        prompt: as it came, perhaps unsound.
        definition: looks a definition up by its id.
        is_output: whether ComfyUI runs nodes of a class for their own sake.
    """
    nodes = {node_id: node for node_id, node in prompt.items() if isinstance(node, dict)}
    if any(is_output(str(node.get("class_type"))) for node in nodes.values()):
        return dict(prompt)
    used = _Uses.of(prompt).used
    shown = dict(prompt)
    for node_id, node in nodes.items():
        slots = _shown_slots(node, definition)
        if slots and node_id not in used:
            values = {shown_name(place): [node_id, slot] for place, slot in enumerate(slots)}
            shown[f"{node_id}.show"] = {"class_type": SHOW, "inputs": {"node": node_id, **values}}
    return shown


def shown_name(place: int) -> str:
    """Return the name of an input of the node that shows results (from 0)."""
    return f"value_{place + 1}"


def _shown_slots(node: Mapping[str, Any], definition: Callable[[str], Definition | None]) -> list[int]:
    """Return which outputs are to be shown of a node that nothing uses; none of one that is not of this pack.

    Of a Remote Workflow its report is among them, which is always there: so it runs whatever its outputs are, and what
    cannot be shown is not brought here for it.
    """
    kind = str(node.get("class_type"))
    if kind != REMOTE_WORKFLOW:
        return [_ENDS[kind]] if kind in _ENDS else []
    outputs = enumerate(_outputs(node, definition))
    return [REPORT, *(slot + FIRST_OUTPUT for slot, output in outputs if output.type in _SHOWN_TYPES)]


def _outputs(node: Mapping[str, Any], definition: Callable[[str], Definition | None]) -> Sequence[Output]:
    """Return what a Remote Workflow node's outputs are; none if that cannot be told, which its validation explains."""
    inputs = node.get("inputs")
    workflow = inputs.get("workflow") if isinstance(inputs, dict) else None
    known = definition(workflow) if isinstance(workflow, str) else None
    text = inputs.get("parameters", "") if isinstance(inputs, dict) else ""
    if known is None or not isinstance(text, str):
        return ()
    try:
        return resolve(known, parse(text)).outputs
    except InvalidRequest:
        return ()


@dataclass(frozen=True)
class _Uses:
    """By node id, the indexes of the outputs that somebody uses, and of those that somebody looks into."""

    used: Mapping[str, set[int]]
    looked_into: Mapping[str, set[int]]

    @classmethod
    def of(cls, prompt: Mapping[str, Any]) -> _Uses:
        used: dict[str, set[int]] = {}
        looked_into: dict[str, set[int]] = {}
        for node in prompt.values():
            inputs = node.get("inputs") if isinstance(node, dict) else None
            for name, value in inputs.items() if isinstance(inputs, dict) else ():
                if isinstance(value, list) and len(value) == 2 and isinstance(value[1], int):
                    used.setdefault(str(value[0]), set()).add(value[1])
                    if node.get("class_type") != REMOTE_WORKFLOW or name not in _SLOT_NAMES:
                        looked_into.setdefault(str(value[0]), set()).add(value[1])
        return cls(used, looked_into)


def _annotated(
    node: dict[str, Any], uses: _Uses, node_id: str, definition: Callable[[str], Definition | None]
) -> dict[str, Any]:
    inputs = node.get("inputs")
    if not isinstance(inputs, dict):
        return node
    workflow, text = inputs.get("workflow"), inputs.get("parameters", "")
    known = definition(workflow) if isinstance(workflow, str) else None
    if known is None or not isinstance(text, str):
        return node
    try:
        parameters = parse(text)
        outputs = resolve(known, parameters).outputs
    except InvalidRequest:
        return node
    data: dict[str, Json] = json.loads(text) if text.strip() else {}
    for key, uses_of in (("wanted", uses.used), ("native", uses.looked_into)):
        indexes = uses_of.get(node_id, set())
        data[key] = [output.name for slot, output in enumerate(outputs) if slot + FIRST_OUTPUT in indexes]
    if not data["wanted"]:
        # Its report is used, or nothing at all: it is to run all the same, and a prompt without outputs is refused.
        data["wanted"] = [output.name for output in outputs]
    return {**node, "inputs": {**inputs, "parameters": json.dumps(data, sort_keys=True)}}
