"""Any graph of sources, branches, drops and Merges: what a Merge yields, and that it never touches what is blocked.

A small model of ComfyUI's lists runs a random graph. Every value knows what it is, so the Merge's answer can be told
without guards: the values that reached its inputs, by their places among the items of their source.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from comfy_orchestrator_nodes.flow.guards import Place, report
from comfy_orchestrator_nodes.flow.merging import Arrival, all_failed, in_item_order
from comfy_orchestrator_nodes.flow.wiring import GUARDS, REPORT, read_ways, wire_guards

BLOCKED = None
Link = tuple[str, int]


@dataclass(frozen=True)
class Item:
    """A value: which source made it, and as its how manieth item. A single value has no source."""

    source: str | None
    index: int
    told: str = ""


@dataclass
class World:
    """A graph under construction with what each of its outputs holds: a list, or BLOCKED."""

    random: Any
    prompt: dict[str, Any] = field(default_factory=dict)
    lists: dict[Link, list[Any] | None] = field(default_factory=dict)
    links: list[Link] = field(default_factory=list)
    """Outputs that hold items."""
    drops: dict[str, list[tuple[str, int, str]]] = field(default_factory=dict)

    def add(self, class_type: str, inputs: Mapping[str, Any], outputs: Mapping[int, list[Any] | None]) -> str:
        node_id = str(len(self.prompt))
        self.prompt[node_id] = {"class_type": class_type, "inputs": dict(inputs)}
        for number, values in outputs.items():
            self.lists[node_id, number] = values
        return node_id

    def any_link(self) -> Link:
        link: Link = self.random.choice(self.links)
        return link

    def single(self) -> None:
        node_id = self.add("LoadImage", {}, {0: [Item(None, 0)]})
        self.links.append((node_id, 0))

    def fan_out(self, above: Link | None = None) -> None:
        reached = above is None or self.lists[above] is not BLOCKED
        count = self.random.randrange(5) if reached else 0
        node_id = str(len(self.prompt))
        items = [Item(node_id, index) for index in range(count)] or BLOCKED
        inputs = {"value": list(above)} if above is not None else {}
        outputs = {0: items, 2: [count] if reached else BLOCKED}
        self.links.append((self.add("OrchestratorFanOut", inputs, outputs), 0))

    def condition(self, above: Link) -> None:
        values = self.lists[above]
        result = BLOCKED if values is BLOCKED else [self.random.random() < 0.5 for _ in values]
        branches = [
            BLOCKED if values is BLOCKED else [v for v, r in zip(values, result or (), strict=True) if r is taken]
            for taken in (True, False)
        ]
        outputs = {0: result, 1: branches[0] or BLOCKED, 2: branches[1] or BLOCKED}
        node_id = self.add("OrchestratorCondition", {"value_1": list(above)}, outputs)
        self.links += [(node_id, 1), (node_id, 2)]

    def remote(self, above: Link) -> None:
        values = self.lists[above]
        node_id = str(len(self.prompt))
        kept = [v for v in values or () if self.random.random() < 0.7]
        gone = [index for index, v in enumerate(values or ()) if v not in kept]
        told = [report(len(values), [{"index": index, "cause": "x"} for index in gone])] if values else BLOCKED
        inputs = {"in_1": list(above), "on_failure": "drop"}
        self.add("OrchestratorRemoteWorkflow", inputs, {2: kept or BLOCKED, REPORT: told})
        self.links.append((node_id, 2))

    def plain(self, above: Link) -> None:
        node_id = self.add("Any", {"x": list(above)}, {0: self.lists[above]})
        self.links.append((node_id, 0))

    def beside_a_single_value(self, above: Link) -> None:
        """A node with two inputs, one of which brings a single value, perhaps out of a branch."""
        singles = [link for link in self.links if (self.lists[link] or [Item("", 0)])[0].source is None]
        if not singles:
            return
        single = self.random.choice(singles)
        blocked = self.lists[single] is BLOCKED
        inputs = {"x": list(above), "y": list(single)}
        if self.random.random() < 0.5:
            inputs = {"x": list(single), "y": list(above)}
        node_id = self.add("Pair", inputs, {0: BLOCKED if blocked else self.lists[above]})
        self.links.append((node_id, 0))

    def merge(self, inputs: Sequence[Link]) -> tuple[list[Any], list[Any]]:
        """Add a Merge; return what it yields and tells, by the guards."""
        node_id = str(len(self.prompt))
        self.prompt[node_id] = {
            "class_type": "OrchestratorMerge",
            "inputs": {f"in_{number}": list(link) for number, link in enumerate(inputs, 1)},
        }
        ways = read_ways(wire_guards(self.prompt)[node_id]["inputs"][GUARDS])
        arrivals = []
        for number, link in enumerate(inputs, 1):
            name = f"in_{number}"
            place = Place()
            for guard in ways[name].guards:
                said = self.lists[guard.link]
                assert said is not BLOCKED, f"{guard} was asked, but is blocked"
                place = place.pass_guard(guard, said, ways[name].roots)
                if not place.taken:
                    break
            values = self.lists[link]
            assert place.taken is (values is not BLOCKED), f"{link} was misjudged"
            if values is BLOCKED:
                arrivals.append(Arrival.nothing(name, place))
            else:
                arrivals.append(Arrival.of(name, ways[name].roots, place, values))
        merged, failed = in_item_order(arrivals), all_failed(arrivals)
        fresh = [replace(item, source=node_id, index=index) for index, item in enumerate(merged)]
        self.lists |= {(node_id, 0): fresh or BLOCKED, (node_id, 1): [len(merged)], (node_id, 2): [failed]}
        self.links.append((node_id, 0))
        return merged, failed

    def grow(self) -> None:
        step = self.random.choice(
            [
                "single",
                "fan",
                "fan of",
                "condition",
                "condition",
                "remote",
                "plain",
                "beside",
                "beside",
                "beside",
                "merge",
            ]
        )
        if step == "single":
            self.single()
        elif step == "fan":
            self.fan_out()
        elif step == "fan of":
            self.fan_out(self.any_link())
        elif step == "condition":
            self.condition(self.any_link())
        elif step == "remote":
            self.remote(self.any_link())
        elif step == "plain":
            self.plain(self.any_link())
        elif step == "beside":
            self.beside_a_single_value(self.any_link())
        else:
            self.merge([self.any_link() for _ in range(self.random.randrange(1, 4))])


@settings(max_examples=300, deadline=None)
@given(st.randoms(use_true_random=False), st.integers(0, 24))
def test_a_merge_yields_what_reached_it_in_item_order_and_touches_nothing_that_is_blocked(
    random: Any, steps: int
) -> None:
    world = World(random)
    world.single()
    world.fan_out()
    for _ in range(steps):
        world.grow()
    # Of everything that there is, so that branches which belong together meet.
    inputs = random.sample(world.links, min(len(world.links), 32))
    reached = [(number, item) for number, link in enumerate(inputs) for item in world.lists[link] or ()]
    merged, failed = world.merge(inputs)

    assert sorted(map(repr, merged)) == sorted(repr(item) for _, item in reached)
    for source in {item.source for _, item in reached if item.source is not None}:
        indexes = [item.index for item in merged if item.source == source]
        assert indexes == sorted(indexes), source
    assert len({(one["node"], one["index"]) for one in failed}) == len(failed)
