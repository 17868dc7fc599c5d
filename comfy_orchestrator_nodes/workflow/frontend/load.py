"""Loading: from a saved workflow to the live graph, in the order of the front end's ``loadGraphData`` (1.58.1)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any

from ..ordering import innermost_first
from . import host, js, virtual
from .create import Factory
from .custom import choices_of
from .graph import BoundaryInput, BoundaryOutput, Graph
from .inputs import add_input
from .layout import capture_layout, replace_inputs
from .node import BYPASSED, MUTED, Node, Session, make_names_unique
from .raw import Malformed, NodeIds, RawGraph, id_text, make_ids_unique, read_definitions, read_graph
from .slots import announce_links, merge_slots, realign_group_children, realign_links, take_slots
from .specs import UnusableClass
from .values import migrate_values, read_values

_REPAIRED_SAMPLERS = ("KSampler", "KSamplerAdvanced")
_FRAME_LIMIT = 100_000


class Loader:
    """Builds the live graph of one document and collects every reason why it cannot be built."""

    def __init__(self, object_info: Mapping[str, Any]) -> None:
        self.session = Session(add_input)
        self.factory = Factory(object_info, self.session)
        self.reasons: dict[str, None] = {}
        self._ids = NodeIds()

    def load(self, document: Mapping[str, Any]) -> Graph | None:
        """Return the live root graph, or None with ``reasons`` filled.

        Raises:
            Malformed: the document is not shaped like a workflow.
        """
        root = read_graph(document, "the workflow")
        definitions = read_definitions(document)
        self._ids = NodeIds(_last_id(document))
        make_ids_unique(root, definitions, self._ids)
        ordered = self._in_order(definitions)
        self._check_types(root, definitions)
        if self.reasons:
            return None
        for definition in definitions:
            self.factory.subgraphs[definition.id] = _open_definition(definition)
        for definition in ordered:
            self._configure(self.factory.subgraphs[definition.id], definition)
        graph = Graph()
        self._configure(graph, root)
        self.reasons.update(self.factory.reasons)
        if self.reasons:
            return None
        self._finish(graph)
        return graph

    # --- before anything is made ---

    def _in_order(self, definitions: list[RawGraph]) -> list[RawGraph]:
        """Sort the definitions so that each comes after those it contains; a cycle is a reason to stop."""
        by_id = {definition.id: definition for definition in definitions}
        contains = {id_: [str(node.get("type")) for node in graph.nodes] for id_, graph in by_id.items()}
        ordered, circular = innermost_first(contains)
        if circular:
            names = ", ".join(repr(by_id[id_].name) for id_ in circular[:5])
            self.reasons[f"subgraphs contain themselves: {names}"] = None
        return [by_id[id_] for id_ in ordered]

    def _check_types(self, root: RawGraph, definitions: list[RawGraph]) -> None:
        """Note every node class that is missing where it matters: a muted or bypassed node may be of any class."""
        by_id = {definition.id: definition for definition in definitions}
        pending = [(root, node) for node in root.nodes if _executes(node)]
        entered: set[str] = set()
        while pending:
            graph, node = pending.pop()
            type_ = str(node.get("type") or "")
            definition = by_id.get(type_)
            if definition is not None:
                if type_ not in entered:
                    entered.add(type_)
                    pending.extend((definition, inner) for inner in definition.nodes)
            elif _executes(node) and not self.factory.knows(type_):
                where = f" (node {id_text(node['id'])}" + (
                    f" of subgraph {graph.name!r})" if graph is not root else ")"
                )
                self.reasons[self.factory.reason_for(type_) + where] = None

    # --- one graph ---

    def _configure(self, graph: Graph, raw: RawGraph) -> None:
        self._ids.observe(raw.last_node_id)
        infos = self._make_nodes(graph, raw)
        for link in raw.links:
            graph.add_link(link)
        saved_links = [
            (node, [(slot.get("name"), slot.get("link")) for slot in info["inputs"]]) for node, info in infos
        ]
        for node, info in infos:
            self._configure_node(node, info)
        for node, names in saved_links:
            realign_links(graph, node, names)
        for node, info in infos:
            if node.subgraph is not None:
                host.migrate_proxies(node, info)
        if graph.inputs or graph.outputs:
            for boundary, saved in zip(graph.inputs, raw.boundary_inputs, strict=False):
                boundary.link_ids = [id_ for id_ in saved["linkIds"] if id_ in graph.links]

    def _make_nodes(self, graph: Graph, raw: RawGraph) -> list[tuple[Node, dict[str, Any]]]:
        infos: list[tuple[Node, dict[str, Any]]] = []
        requested = Counter(id_text(info["id"]) for info in raw.nodes)
        moved: dict[str, str] = {}
        for info in raw.nodes:
            type_ = str(info.get("type") or "")
            node = self.factory.create(type_) or _stand_in(type_, self.session)
            node.id = id_text(info["id"])
            if node.id in graph.by_id:
                wanted, node.id = node.id, self._ids.mint()
                # Links follow a node whose id another had taken, but not one of several that asked for the same.
                if requested[wanted] == 1:
                    moved[wanted] = node.id
            else:
                self._ids.reserve(node.id)
            make_names_unique(node.widgets)
            node.graph = graph
            graph.nodes.append(node)
            graph.by_id[node.id] = node
            if node.subgraph is not None:
                host.open_instance(node)
            infos.append((node, info))
        for link in raw.links if moved else ():
            link.origin = moved.get(link.origin, link.origin)
            link.target = moved.get(link.target, link.target)
        return infos

    def _configure_node(self, node: Node, info: dict[str, Any]) -> None:
        try:
            self._put_back(node, info)
        except UnusableClass as error:
            self.reasons[f"node {node.id} ({node.type}): {error}"] = None

    def _put_back(self, node: Node, info: dict[str, Any]) -> None:
        node.mode = info.get("mode") or 0
        if js.truthy(info.get("title")):
            node.title = info["title"]
        node.properties.update(info["properties"])
        if node.kind == "class":
            merge_slots(node, info)
            info["widgets_values"] = migrate_values(node, info.get("widgets_values"))
        elif node.subgraph is not None:
            host.merge_slots(node, info)
        else:
            take_slots(node, info)
        announce_links(node, info["inputs"])
        if node.subgraph is not None:
            host.bind_slots(node)
        realign_group_children(node, info["inputs"])
        self._restore(node, info)

    def _restore(self, node: Node, info: dict[str, Any]) -> None:
        if node.kind == virtual.PRIMITIVE:
            node.restoration = virtual.primitive_restoration(info)
            return
        names = node.spec.fallback_value_names if node.spec is not None else None
        node.restoration = read_values(info, names)
        position = 0
        at = 0
        widgets = node.live_widgets()
        while at < len(widgets):
            widget = widgets[at]
            at += 1
            if not widget.keeps:
                continue
            restored = node.restoration.lookup(widget.name, position)
            position += 1
            if restored is not None:
                widget.set(node, restored[0])
        node.restoration = None
        if node.subgraph is not None:
            host.apply_values(node, info)

    # --- the whole ---

    def _finish(self, root: Graph) -> None:
        """Do what follows once every node stands: primitives, repairs of old values, and the next frames' work."""
        nodes = list(every_node(root))
        for node in nodes:
            _drop_dead_widget_slots(node)
        for node in nodes:
            if node.kind == virtual.PRIMITIVE:
                saved = node.outputs[0].type if node.outputs else None
                virtual.start_primitive(node, saved)
            elif node.kind == virtual.REROUTE:
                self.session.frames.append(partial(virtual.settle_reroute, node))
        self.session.configuring = False
        for node in nodes:
            _repair_values(node)
        for count, task in enumerate(self.session.frames):
            if count > _FRAME_LIMIT:
                raise Malformed("its dynamic inputs do not come to rest")
            task()


def every_node(graph: Graph) -> Iterator[Node]:
    """Yield all nodes, a subgraph's before its instance, each definition once."""
    seen: set[int] = set()
    hosts: list[Node] = []
    stack = [iter(graph.nodes)]
    while stack:
        node = next(stack[-1], None)
        if node is None:
            stack.pop()
            if hosts:
                yield hosts.pop()
        elif node.subgraph is not None and id(node.subgraph) not in seen:
            seen.add(id(node.subgraph))
            hosts.append(node)
            stack.append(iter(node.subgraph.nodes))
        else:
            yield node


def _executes(node: Mapping[str, Any]) -> bool:
    return node.get("mode") not in (MUTED, BYPASSED)


def _last_id(document: Mapping[str, Any]) -> Any:
    """Return the saved counter of node ids as it is; only the first schema has it at the top."""
    state = document.get("state")
    if document.get("version") != 0.4 and isinstance(state, dict) and js.is_number(state.get("lastNodeId")):
        return state["lastNodeId"]
    return document.get("last_node_id", 0)


def _open_definition(raw: RawGraph) -> Graph:
    graph = Graph(raw.name)
    graph.inputs = [
        BoundaryInput(str(slot.get("name", "")), slot.get("type"), list(slot["linkIds"]), slot.get("label"))
        for slot in raw.boundary_inputs
    ]
    graph.outputs = [
        BoundaryOutput(str(slot.get("name", "")), slot.get("type"), list(slot["linkIds"]))
        for slot in raw.boundary_outputs
    ]
    return graph


def _stand_in(type_: str, session: Session) -> Node:
    """Return what stands for a muted or bypassed node of an unknown class: its saved slots."""
    node = Node(type_, session)
    node.kind = "unknown"
    node.title = type_
    return node


def _drop_dead_widget_slots(node: Node) -> None:
    """Remove inputs that stood for a widget which the class has no more."""
    if node.kind != "class":
        return
    for slot in list(node.inputs):
        if slot.widget is not None and node.widget_named(slot.widget) is None:
            previous = capture_layout(node)
            replace_inputs(node, previous, [other for other in previous[0] if other is not slot], previous[1])


def _repair_values(node: Node) -> None:
    """Mend what old versions saved: a prefix of sampler names, and combos without a value."""
    for widget in list(node.live_widgets()):
        value = widget.get()
        repaired = node.type in _REPAIRED_SAMPLERS and widget.name == "sampler_name"
        if repaired and isinstance(value, str) and value.startswith("sample_"):
            widget.set(node, value[7:])
        if widget.type == "combo" and (value is None or value is js.UNDEFINED):
            choices = choices_of(node, widget)
            if choices:
                widget.set(node, choices[0])
