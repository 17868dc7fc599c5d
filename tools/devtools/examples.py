"""Writes ``example_workflows``: the meta-graphs of ``example_graphs.py``, and the definitions that they run.

``python -m tools.devtools.examples URL`` asks the ComfyUI at that address, with the pack, for its node classes.
"""

from __future__ import annotations

import argparse
import json
import re
import urllib.request
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from comfy_orchestrator_nodes.domain import Definition
from comfy_orchestrator_nodes.workflow import bundle
from comfy_orchestrator_nodes.workflow.nested import used_definitions
from tools.devtools.example_graphs import DEFINITIONS, EXAMPLES, REMOTE, Box, Example
from tools.devtools.paths import ROOT

FOLDER = ROOT / "example_workflows"
MADE_BY = "comfyui-orchestrator examples"

Json = Any

SHOWN = 3
"""How many outputs a node shows at least, if it has so many."""

GAP_X, GAP_Y = 90, 70
"""Pixels between columns, and between the nodes of one."""


def document(example: Example, object_info: Mapping[str, Json]) -> dict[str, Json]:
    """Return an example as ComfyUI saves a workflow (version 0.4)."""
    boxes = [box for column in example.columns for box in column]
    ids = {box.key: number for number, box in enumerate(boxes, 2)}
    by_key = {box.key: box for box in boxes}
    runs = [str(box.widgets["workflow"]) for box in boxes if box.class_type == REMOTE]
    links: list[list[Json]] = []
    for box in boxes:
        for input_name, (source, output_name) in box.links.items():
            outputs = _outputs(object_info[by_key[source].class_type])
            index = [name for name, _ in outputs].index(output_name)
            slot = [name for name, *_ in _inputs(box, object_info[box.class_type])].index(input_name)
            links.append([len(links) + 1, ids[source], index, ids[box.key], slot, outputs[index][1]])
    nodes = [_note(example)]
    left = 0
    for column in example.columns:
        top = 0
        for box in column:
            nodes.append(_written(box, ids[box.key], (left, top), object_info[box.class_type], links))
            top += box.size[1] + GAP_Y
        left += max(box.size[0] for box in column) + GAP_X
    return {
        "last_node_id": len(nodes),
        "last_link_id": len(links),
        "nodes": nodes,
        "links": links,
        "groups": [],
        "config": {},
        "extra": {
            "ds": {"scale": 0.7, "offset": [480, 120]},
            "orchestrator": {"definitions": bundle.write(_used(runs), {}, MADE_BY, indent=None).decode()},
        },
        "version": 0.4,
    }


def _note(example: Example) -> dict[str, Json]:
    return {
        "id": 1,
        "type": "MarkdownNote",
        "title": "What this does",
        "pos": [-480, 0],
        "size": [400, 360],
        "flags": {},
        "order": 0,
        "mode": 0,
        "inputs": [],
        "outputs": [],
        "properties": {},
        # Paragraphs are one line each.
        "widgets_values": [re.sub(r"(?<!\n)\n(?!\n)", " ", example.note)],
        "color": "#432",
        "bgcolor": "#653",
    }


def _written(
    box: Box, node_id: int, place: tuple[int, int], info: Mapping[str, Json], links: Sequence[Sequence[Json]]
) -> dict[str, Json]:
    inputs = [
        {
            "name": name,
            "type": type_,
            "link": next((link[0] for link in links if link[3] == node_id and link[4] == slot), None),
            **({"widget": {"name": name}} if is_widget else {}),
        }
        for slot, (name, type_, is_widget) in enumerate(_inputs(box, info))
    ]
    outputs = [
        {"name": name, "type": type_, "links": [link[0] for link in links if link[1] == node_id and link[2] == index]}
        for index, (name, type_) in enumerate(_outputs(info))
    ]
    last = max((index for index, output in enumerate(outputs) if output["links"]), default=-1)
    extra = ["image"] if box.class_type == "LoadImage" else []
    return {
        "id": node_id,
        "type": box.class_type,
        "title": box.title,
        "pos": list(place),
        "size": list(box.size),
        "flags": {},
        "order": node_id - 1,
        "mode": 0,
        "inputs": inputs,
        # A prompt names outputs by their number, so those before a used one stay.
        "outputs": outputs[: max(last + 1, SHOWN)],
        "properties": {"Node name for S&R": box.class_type},
        "widgets_values": [box.widgets[name] for name in _widgets(info)] + extra,
    }


def _declared(info: Mapping[str, Json]) -> list[tuple[str, Json]]:
    groups = (info["input"].get(group, {}) for group in ("required", "optional"))
    return [entry for group in groups for entry in group.items()]


def _is_widget(spec: Sequence[Json]) -> bool:
    options = spec[1] if len(spec) > 1 and isinstance(spec[1], Mapping) else {}
    return not options.get("forceInput") and (
        isinstance(spec[0], list) or spec[0] in ("INT", "FLOAT", "STRING", "BOOLEAN", "COMBO")
    )


def _widgets(info: Mapping[str, Json]) -> list[str]:
    return [name for name, spec in _declared(info) if _is_widget(spec)]


def _inputs(box: Box, info: Mapping[str, Json]) -> list[tuple[str, str, bool]]:
    """Return name, type and whether it is a widget of each input slot that is linked; the canvas adds the free ones."""
    return [
        (name, spec[0] if isinstance(spec[0], str) else "COMBO", _is_widget(spec))
        for name, spec in _declared(info)
        if name in box.links
    ]


def _outputs(info: Mapping[str, Json]) -> list[tuple[str, str]]:
    return list(zip(info["output_name"], info["output"], strict=True))


def _used(ids: Iterable[str]) -> list[Definition]:
    """Return definitions, followed by those that they run."""
    known = {definition.id: definition for definition in DEFINITIONS}
    found: dict[str, Definition] = {}
    waiting = list(ids)
    for id_ in waiting:
        found.setdefault(id_, known[id_])
        waiting += [used for used in used_definitions(known[id_].prompt) if used not in found]
    return list(found.values())


def write(object_info: Mapping[str, Json]) -> None:
    """Write all files but the thumbnails."""
    for definition in DEFINITIONS:
        exported = bundle.write(_used([definition.id]), {}, MADE_BY)
        (FOLDER / "definitions" / f"{definition.id}{bundle.SUFFIX}").write_bytes(exported + b"\n")
    for example in EXAMPLES:
        text = json.dumps(document(example, object_info), indent=1, ensure_ascii=False)
        (FOLDER / f"{example.name}.json").write_text(text + "\n", encoding="utf-8")


def main() -> None:
    """Write the examples."""
    parser = argparse.ArgumentParser(description="Write the example workflows.")
    parser.add_argument("url", help="a ComfyUI with the pack, such as http://127.0.0.1:8188")
    arguments = parser.parse_args()
    with urllib.request.urlopen(f"{arguments.url}/object_info", timeout=60) as answer:
        write(json.load(answer))


if __name__ == "__main__":
    main()
