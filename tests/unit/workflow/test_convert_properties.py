"""Laws of the conversion that hold for every workflow, each told by a simpler rule than the converter's."""

from __future__ import annotations

from typing import Any

from hypothesis import assume, given, settings
from hypothesis import strategies as st

from comfy_orchestrator_nodes.workflow.convert import to_prompt
from tests.golden.compose import Graph

MODES = st.sampled_from([0, 2, 4])

OBJECT_INFO: dict[str, Any] = {
    "Source": {"input": {"required": {"value": ["INT", {}]}}, "output": ["IMAGE"]},
    "Through": {"input": {"required": {"image": ["IMAGE"], "amount": ["FLOAT", {}]}}, "output": ["IMAGE"]},
    "Sink": {"input": {"required": {"image": ["IMAGE"]}}, "output": []},
}


def chain(graph: Graph, kinds: list[tuple[str, int]]) -> dict[str, Any]:
    """Add a source and then a node of each kind and mode, each fed by the one before; return the last."""
    previous = graph.node("Source", [1])
    for type_, mode in kinds:
        following = graph.node(type_, [0.5] if type_ == "Through" else None, mode=mode)
        graph.link(previous, 0, following, "" if type_ == "Reroute" else "image", "IMAGE")
        previous = following
    return previous


@given(st.lists(st.tuples(st.sampled_from(["Through", "Reroute"]), MODES), max_size=12))
def test_a_consumer_gets_the_nearest_node_upstream_that_runs(kinds: list[tuple[str, int]]) -> None:
    graph = Graph()
    last = chain(graph, kinds)
    sink = graph.node("Sink")
    graph.link(last, 0, sink, "image", "IMAGE")

    expected: list[Any] | None = ["1", 0]
    for position, (type_, mode) in enumerate(kinds):
        if mode == 2:
            expected = None
        elif type_ == "Through" and mode == 0:
            expected = [str(position + 2), 0]

    prompt = to_prompt(graph.document(), OBJECT_INFO)

    assert prompt[str(sink["id"])]["inputs"].get("image") == expected


@given(st.lists(st.tuples(st.sampled_from(["Through", "Reroute"]), MODES), max_size=12))
def test_only_nodes_that_run_are_in_the_prompt_and_all_of_them(kinds: list[tuple[str, int]]) -> None:
    graph = Graph()
    chain(graph, kinds)

    prompt = to_prompt(graph.document(), OBJECT_INFO)

    running = {str(node["id"]) for node in graph.nodes if node["mode"] == 0 and node["type"] in ("Source", "Through")}
    assert prompt.keys() == running


@given(
    depth=st.integers(1, 6),
    values=st.lists(st.one_of(st.none(), st.integers(0, 10**6)), min_size=6, max_size=6),
    linked=st.booleans(),
)
def test_the_outermost_instance_decides_a_promoted_value(depth: int, values: list[int | None], linked: bool) -> None:
    graph = Graph()
    inner = graph.subgraph("Level 0", 0)
    node = inner.node("Source", [7], id_=100)
    inner.take("value", "INT", (node, "value", True))
    inner.give("IMAGE", "IMAGE", node, 0)
    path = ["100"]
    for level in range(1, depth):
        outer = graph.subgraph(f"Level {level}", level)
        saved = values[level]
        instance = outer.instance(inner, None if saved is None else [saved], id_=100 + level)
        path.append(str(instance["id"]))
        outer.take("value", "INT", (instance, "value", True))
        outer.give("IMAGE", "IMAGE", instance, 0)
        inner = outer
    top = graph.instance(inner, None if values[0] is None else [values[0]])
    path.append(str(top["id"]))
    if linked:
        graph.link(graph.node("Source", [1]), 0, top, "value", "INT", widget=True)

    # What was never set outside is what the next level in holds; at the innermost, the widget's own value.
    held: list[int | None] = [values[0], *reversed(values[1:depth]), 7]
    expected: Any = [str(top["id"] + 1), 0]
    if not linked:
        expected = next(value for value in held if value is not None)

    prompt = to_prompt(graph.document(), OBJECT_INFO)

    assert prompt[":".join(reversed(path))]["inputs"]["value"] == expected


KINDS: dict[str, tuple[list[Any], Any]] = {
    "INT": (["INT", {"default": 3}], 5),
    "FLOAT": (["FLOAT", {"default": 0.5}], 1.5),
    "STRING": (["STRING", {"multiline": True}], "text"),
    "BOOLEAN": (["BOOLEAN", {}], True),
    "OLD COMBO": ([["a", "b"], {}], "b"),
    "COMBO": (["COMBO", {"options": ["a", "b"]}], "a"),
    "SOCKET": (["MODEL", {}], None),
    "FORCED": (["INT", {"forceInput": True}], None),
    "CONTROLLED": (["INT", {"control_after_generate": True}], 9),
    "CONTROLLED COMBO": (["COMBO", {"options": ["a", "b"], "control_after_generate": True}], "b"),
}
EXTRA_PLACES = {"CONTROLLED": ["fixed"], "CONTROLLED COMBO": ["fixed", ""]}


@st.composite
def class_with_values(draw: st.DrawFn) -> tuple[dict[str, Any], list[Any], dict[str, Any]]:
    kinds = draw(st.lists(st.sampled_from(sorted(KINDS)), min_size=1, max_size=8))
    # With as many of the one as of the other, the front end takes the list for one saved before 1.16.
    assume(kinds.count("FORCED") != kinds.count("CONTROLLED COMBO") or "FORCED" not in kinds)
    sections = draw(st.lists(st.booleans(), min_size=len(kinds), max_size=len(kinds)))
    fields = [
        (f"in_{index}", kind, optional) for index, (kind, optional) in enumerate(zip(kinds, sections, strict=True))
    ]
    required = draw(st.permutations([field for field in fields if not field[2]]))
    optional = draw(st.permutations([field for field in fields if field[2]]))
    entry = {
        "input": {
            "required": {name: KINDS[kind][0] for name, kind, is_optional in fields if not is_optional},
            "optional": {name: KINDS[kind][0] for name, kind, is_optional in fields if is_optional},
        },
        "input_order": {"required": [name for name, _, _ in required], "optional": [name for name, _, _ in optional]},
        "output": [],
    }
    values: list[Any] = []
    expected: dict[str, Any] = {}
    for name, kind, _ in [*required, *optional]:
        if kind in ("SOCKET", "FORCED"):
            continue
        expected[name] = KINDS[kind][1]
        values += [KINDS[kind][1], *EXTRA_PLACES.get(kind, [])]
    return entry, values, expected


@given(class_with_values())
def test_values_follow_the_order_of_the_inputs(drawn: tuple[dict[str, Any], list[Any], dict[str, Any]]) -> None:
    entry, values, expected = drawn
    graph = Graph()
    graph.node("Class", values)

    assert to_prompt(graph.document(), {"Class": entry})["1"]["inputs"] == expected


@st.composite
def wired(draw: st.DrawFn) -> Graph:
    """A graph of sources, bypassed or running nodes and reroutes, without circles."""
    graph = Graph()
    graph.node("Source", [1])
    for _ in range(draw(st.integers(1, 8))):
        origin = draw(st.sampled_from(graph.nodes))
        type_ = draw(st.sampled_from(["Through", "Reroute", "Source"]))
        node = graph.node(type_, {"Through": [0.5], "Source": [2]}.get(type_), mode=draw(MODES))
        if type_ != "Source":
            graph.link(origin, 0, node, "" if type_ == "Reroute" else "image", "IMAGE")
    return graph


@given(wired(), st.randoms(use_true_random=False))
def test_neither_the_order_of_nodes_nor_of_links_matters(graph: Graph, random: Any) -> None:
    before = to_prompt(graph.document(), OBJECT_INFO)

    random.shuffle(graph.nodes)
    random.shuffle(graph.links)

    assert to_prompt(graph.document(), OBJECT_INFO) == before


@given(wired(), st.integers(1, 1000))
def test_renumbered_nodes_give_the_renumbered_prompt(graph: Graph, shift: int) -> None:
    before = to_prompt(graph.document(), OBJECT_INFO)

    for node in graph.nodes:
        node["id"] += shift
    for link in graph.links:
        link[1] += shift
        link[3] += shift
    after = to_prompt(graph.document(), OBJECT_INFO)

    def renumbered(value: Any) -> Any:
        return [str(int(value[0]) + shift), value[1]] if isinstance(value, list) else value

    assert after == {
        str(int(key) + shift): {**node, "inputs": {name: renumbered(value) for name, value in node["inputs"].items()}}
        for key, node in before.items()
    }


@settings(max_examples=50)
@given(st.integers(0, 30), st.lists(st.integers(0, 29), unique=True, max_size=12))
def test_a_growing_list_keeps_its_links_in_order_and_closes_no_gap_while_loading(spare: int, places: list[int]) -> None:
    template = {"input": {"required": {"image": ["IMAGE"]}}, "prefix": "image", "min": 1, "max": 50}
    entry = {"input": {"required": {"images": ["COMFY_AUTOGROW_V3", {"template": template}]}}, "output": []}
    graph = Graph()
    sources = [graph.node("Source", [1]) for _ in places]
    grown = graph.node("Grown")
    for source, place in zip(sources, sorted(places), strict=True):
        graph.link(source, 0, grown, f"images.image{place}", "IMAGE")

    inputs = to_prompt(graph.document(), {**OBJECT_INFO, "Grown": entry})[str(grown["id"])]["inputs"]

    linked = sorted(((int(name[12:]), value[0]) for name, value in inputs.items()))
    assert [origin for _, origin in linked] == [str(source["id"]) for source in sources]
