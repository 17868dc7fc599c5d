"""Writing workflows down as the front end saves them; the workflows themselves are in the ``ask_`` modules."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

Json = Any

CASES: dict[str, Callable[[], dict[str, Json]]] = {}


def case(function: Callable[[], Graph]) -> Callable[[], Graph]:
    CASES[function.__name__] = lambda: function().document()
    return function


class Graph:
    """A graph under construction: the root, or the inside of a subgraph."""

    def __init__(self, root: Graph | None = None) -> None:
        self.root = root or self
        self.nodes: list[dict[str, Json]] = []
        self.links: list[list[Json]] = []
        self.inputs: list[dict[str, Json]] = []
        self.outputs: list[dict[str, Json]] = []
        self.definitions: list[dict[str, Json]] = []
        self.extra: dict[str, Json] = {}

    def node(self, type_: str, values: Json = None, *, id_: Json = None, **fields: Json) -> dict[str, Json]:
        """Add a node; ``values`` are its ``widgets_values``."""
        node: dict[str, Json] = {
            "id": self._next_id() if id_ is None else id_,
            "type": type_,
            "pos": [0, 0],
            "size": [200, 100],
            "flags": {},
            "order": len(self.nodes),
            "mode": 0,
            "inputs": [],
            "outputs": [],
            "properties": {},
            **fields,
        }
        if values is not None:
            node["widgets_values"] = values
        self.nodes.append(node)
        return node

    def _next_id(self) -> int:
        return 1 + max((node["id"] for node in self.nodes if isinstance(node["id"], int)), default=0)

    def link(
        self, origin: Json, slot: int, target: dict[str, Json], name: str, type_: str = "*", *, widget: bool = False
    ) -> int:
        """Link an output to a named input, which is added to the target as saved."""
        id_ = 1 + max((link[0] for link in self.links), default=0)
        saved: dict[str, Json] = {"name": name, "type": type_, "link": id_}
        if widget:
            saved["widget"] = {"name": name}
        target["inputs"].append(saved)
        origin_id = origin["id"] if isinstance(origin, dict) else origin
        self.links.append([id_, origin_id, slot, target["id"], len(target["inputs"]) - 1, type_])
        if isinstance(origin, dict):
            outputs = origin["outputs"]
            while len(outputs) <= slot:
                outputs.append({"name": "out", "type": type_, "links": []})
            outputs[slot]["links"] = [*(outputs[slot]["links"] or []), id_]
        return id_

    # --- subgraphs ---

    def subgraph(self, name: str, number: int) -> Graph:
        """Start a definition; ``instance`` makes nodes of it."""
        inner = Graph(self.root)
        inner.extra = {"name": name, "id": f"00000000-0000-4000-8000-{number:012d}"}
        self.root.definitions.append({"graph": inner})
        return inner

    def take(self, name: str, type_: str, *targets: tuple[dict[str, Json], str, bool]) -> None:
        """Give a subgraph an input that feeds the named inputs of inner nodes."""
        slot = len(self.inputs)
        ids = [self.link(-10, slot, node, target, type_, widget=widget) for node, target, widget in targets]
        self.inputs.append(
            {"id": f"10000000-0000-4000-8000-{slot:012d}", "name": name, "type": type_, "linkIds": ids, "pos": [0, 0]}
        )

    def give(self, name: str, type_: str, origin: dict[str, Json], slot: int) -> None:
        """Give a subgraph an output fed by an inner node."""
        id_ = 1 + max((link[0] for link in self.links), default=0)
        self.links.append([id_, origin["id"], slot, -20, len(self.outputs), type_])
        self.outputs.append(
            {
                "id": f"20000000-0000-4000-8000-{len(self.outputs):012d}",
                "name": name,
                "type": type_,
                "linkIds": [id_],
                "pos": [0, 0],
            }
        )

    def instance(self, inner: Graph, values: Json = None, **fields: Json) -> dict[str, Json]:
        """Add an instance of a subgraph."""
        node = self.node(inner.extra["id"], values, **fields)
        node["outputs"] = [{"name": o["name"], "type": o["type"], "links": []} for o in inner.outputs]
        return node

    # --- documents ---

    def document(self) -> dict[str, Json]:
        definitions = [entry["graph"].definition() for entry in self.definitions]
        return {
            "version": 0.4,
            "last_node_id": max((node["id"] for node in self.nodes if isinstance(node["id"], int)), default=0),
            "last_link_id": max((link[0] for link in self.links), default=0),
            "nodes": self.nodes,
            "links": self.links,
            "groups": [],
            "config": {},
            "extra": {},
            **({"definitions": {"subgraphs": definitions}} if definitions else {}),
            **self.extra,
        }

    def definition(self) -> dict[str, Json]:
        keys = ("id", "origin_id", "origin_slot", "target_id", "target_slot", "type")
        return {
            "version": 1,
            "state": {"lastGroupId": 0, "lastNodeId": 0, "lastLinkId": 0, "lastRerouteId": 0},
            "revision": 0,
            "config": {},
            "inputNode": {"id": -10, "bounding": [0, 0, 120, 60]},
            "outputNode": {"id": -20, "bounding": [0, 0, 120, 60]},
            "inputs": self.inputs,
            "outputs": self.outputs,
            "widgets": [],
            "nodes": self.nodes,
            "groups": [],
            "links": [dict(zip(keys, link, strict=True)) for link in self.links],
            "extra": {},
            **self.extra,
        }


def image(graph: Graph, value: int = 1) -> dict[str, Json]:
    return graph.node("EmptyImage", [8, 8, value, 0])


def save(graph: Graph, origin: Json, slot: int = 0, prefix: str = "ComfyUI") -> dict[str, Json]:
    node = graph.node("SaveImage", [prefix])
    graph.link(origin, slot, node, "images", "IMAGE")
    return node
