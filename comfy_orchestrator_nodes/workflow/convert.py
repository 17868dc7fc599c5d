"""From a saved workflow to a prompt, exactly as ComfyUI's own front end converts it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from ..errors import ConversionFailed
from .frontend.emit import Choices, Emitter
from .frontend.load import Loader
from .frontend.raw import Malformed

MAX_NODES = 20_000
"""How many nodes a workflow's subgraphs may unfold to; the largest published ones have a few hundred."""


def _first(count: int) -> int:
    return 0


def to_prompt(
    workflow: Mapping[str, Any],
    object_info: Mapping[str, Any],
    *,
    choose: Callable[[int], int] = _first,
    now: datetime | None = None,
) -> dict[str, dict[str, Any]]:
    """Convert a workflow in UI format to a prompt in API format.

    The answer is what ``app.graphToPrompt()`` of front end 1.58.1 gives in a browser with its default settings, after
    ``app.loadGraphData(workflow)`` on a server with this ``object_info``. Two things depend on the moment there, and on
    the caller here: which option of ``{a|b}`` a text takes, and the time in ``%date:…%``. The title in ``_meta`` of a
    node that nobody titled is the server's name for the class; the front end has names of its own for some.

    Args:
        workflow: the parsed document; not mutated.
        object_info: the server's answer to ``GET /object_info``, whole or at least for the classes used; not mutated.
        choose: given how many options a ``{a|b}`` has, the index of the one to take; the first unless told otherwise.
        now: the time for ``%date:…%`` in file name prefixes; without it these patterns stay as they are.

    Returns:
        ``{node_id: {"class_type": str, "inputs": {…}, "_meta": {"title": str, …}}}``; ids of nodes in subgraphs are the
        ids of the instances and the node, joined by colons.

    Raises:
        ConversionFailed: the workflow cannot be converted exactly; ``reasons`` holds everything in the way at once.
    """
    try:
        return _convert(workflow, object_info, Choices(choose, now, MAX_NODES))
    except Malformed as error:
        raise ConversionFailed([str(error)]) from None
    except RecursionError:
        raise ConversionFailed(["its inputs or values are nested too deeply"]) from None


def _convert(
    workflow: Mapping[str, Any], object_info: Mapping[str, Any], choices: Choices
) -> dict[str, dict[str, Any]]:
    loader = Loader(object_info)
    graph = loader.load(workflow)
    if graph is None:
        raise ConversionFailed(list(loader.reasons))
    emitter = Emitter(graph, choices)
    prompt = emitter.emit()
    if emitter.reasons:
        raise ConversionFailed(list(emitter.reasons))
    return prompt
