"""Condition: an expression sends each item to its ``true`` or its ``false`` branch."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

from ..conditions import Condition as Compiled
from ..conditions import compile_condition
from ..errors import OrchestratorError
from ..flow.routing import VALUES, inputs_by_name, routed
from ..flow.words import EXPRESSION_INPUTS, ROUTED
from .any_type import ANY
from .host import Host
from .io import CATEGORY
from .items import item_count
from .measure import measurable

_BRANCHES = tuple(f"{branch}_{number}" for number in range(1, ROUTED + 1) for branch in ("true", "false"))


def _branch_tooltip(branch: str) -> str:
    taken, _, number = branch.partition("_")
    holds = "holds" if taken == "true" else "does not hold"
    return f"value_{number}, of the items for which the expression {holds}. If there are none, nothing behind it runs."


def build(host: Host) -> type:
    """Return the node class for one master."""

    class Condition:
        """Routes values by an expression, item by item; the branch not taken does not run."""

        CATEGORY = CATEGORY
        DESCRIPTION = "Sends values to one of two branches by an expression. The branch not taken does not run at all."
        FUNCTION = "run"
        INPUT_IS_LIST = True
        RETURN_TYPES = ("BOOLEAN", *([ANY] * len(_BRANCHES)))
        RETURN_NAMES = ("result", *_BRANCHES)
        OUTPUT_IS_LIST = (True,) * (1 + len(_BRANCHES))
        OUTPUT_TOOLTIPS = (
            "For each item, whether the expression holds.",
            *(_branch_tooltip(branch) for branch in _BRANCHES),
        )

        @classmethod
        def INPUT_TYPES(cls) -> dict[str, Any]:  # noqa: N802 - ComfyUI's name
            """Declare the inputs."""
            routed = {
                name: (
                    ANY,
                    {
                        "tooltip": "A value to send on: to true_N where the expression holds, else to false_N. The "
                        f"expression may use it as {name}."
                    },
                )
                for name in VALUES
            }
            asked = {
                name: (ANY, {"tooltip": f"A value that the expression uses as {name}, or as 'names' calls it."})
                for name in EXPRESSION_INPUTS
            }
            tooltip = "Such as: a.width < 1024 and not a.is_blank. The help page tells the whole language."
            renaming = "Names for a, b, c, … in the expression, with commas between: photo, score"
            return {
                "required": {"expression": ("STRING", {"default": "a > 0", "multiline": True, "tooltip": tooltip})},
                "optional": {"names": ("STRING", {"default": "", "tooltip": renaming}), **routed, **asked},
            }

        @classmethod
        def VALIDATE_INPUTS(  # noqa: N802 - ComfyUI's name
            cls, expression: Any = None, names: Any = "", input_types: Any = None
        ) -> bool | str:
            """Refuse an expression that cannot be read. Arguments come as lists of one; a linked one is None."""
            text, renamed, connected = _one(expression), _one(names), _one(input_types) or {}
            if text is None or renamed is None:
                return True
            try:
                compile_condition(text, inputs_by_name(renamed, connected))
            except OrchestratorError as error:
                return str(error)
            return True

        async def run(
            self, expression: Sequence[str], names: Sequence[str] = ("",), **inputs: list[Any]
        ) -> tuple[list[Any], ...]:
            """Evaluate the expression for each item and deal the values out."""
            by_name = inputs_by_name(names[0], inputs)
            condition = compile_condition(expression[0], by_name)
            count = item_count(inputs)
            asked = {name: inputs[slot] for name, slot in by_name.items()}
            result = await asyncio.to_thread(evaluated, condition, asked, count)
            return (result, *(branch for name in VALUES for branch in self._routed(name, inputs.get(name), result)))

        def _routed(
            self, name: str, values: Sequence[Any] | None, result: Sequence[bool]
        ) -> tuple[list[Any], list[Any]]:
            if values is None:
                unconnected = host.blocker(
                    f"Nothing is connected to the Condition's {name}, so it has nothing to route."
                )
                return [unconnected], [unconnected]
            taken, other = routed(values, result)
            return taken or [host.blocker(None)], other or [host.blocker(None)]

    return Condition


def evaluated(condition: Compiled, lists: Mapping[str, Sequence[Any]], count: int) -> list[bool]:
    """Return whether the condition holds for each item. Blocks: run it in a thread.

    Raises:
        EvaluationFailed: it has no result for an item; the message says for which.
    """
    # One object for each value, whatever it is called, so that what is measured of it is measured once.
    measured = {id(value): measurable(value) for values in lists.values() for value in values}
    columns = {name: [measured[id(value)] for value in values] for name, values in lists.items()}
    return condition.holds_for_each(columns, count)


def _one(value: Any) -> Any:
    """With INPUT_IS_LIST everything comes as a list of one."""
    return value[0] if isinstance(value, (list, tuple)) and value else value
