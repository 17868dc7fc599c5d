"""Where the values of branches stand among the items, and when an input must not be touched."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from comfy_orchestrator_nodes.errors import InvalidRequest
from comfy_orchestrator_nodes.flow.guards import FALSE, KEPT, SHARE, SOME, TOLD, TRUE, Guard, Place, Way, report
from comfy_orchestrator_nodes.flow.merging import Arrival, all_failed, in_item_order

YES, NO = Guard(("c", 0), TRUE, items=("s",)), Guard(("c", 0), FALSE, items=("s",))


def test_a_branch_with_no_item_is_not_taken() -> None:
    assert not Place().pass_guard(YES, [False, False]).taken
    assert not Place().pass_guard(NO, [True]).taken
    assert not Place().pass_guard(YES, []).taken
    assert Place().pass_guard(NO, [True, False]).taken


def test_items_keep_their_places_through_nested_branches() -> None:
    place = Place().pass_guard(YES, [False, True, True, False, True]).pass_guard(NO, [True, False, False])
    assert place.of(["c", "e"], "in_1", ["s"])[1] == [(2, "c"), (4, "e")]


def test_one_decision_over_one_value_lets_everything_below_it_pass() -> None:
    place = Place().pass_guard(YES, [True])
    assert place.of([1, 2, 3], "in_1", ["s"])[1] == [(0, 1), (1, 2), (2, 3)]


def test_what_one_item_became_stands_where_it_stood() -> None:
    place = Place().pass_guard(YES, [False, True, False]).pass_guard(YES, [True, True])
    assert place.of(["a", "b"], "in_1", ["s"])[1] == [(1, "a"), (1, "b")]


def test_a_guard_that_only_exists_moves_nothing() -> None:
    above = Guard(("c", 0), TRUE)
    assert Place().pass_guard(above, [False, True, False]).of(["x", "y"], "in_1", ["s"])[1] == [(0, "x"), (1, "y")]


def test_values_that_do_not_fit_their_branch_are_refused() -> None:
    place = Place().pass_guard(YES, [True, True, False])
    with pytest.raises(InvalidRequest, match="in_4 brings 3 items, but 2 took its branch"):
        place.of([1, 2, 3], "in_4", ["s"])
    with pytest.raises(InvalidRequest, match="decides over 5 items, but 2 came"):
        place.pass_guard(YES, [True] * 5, ["s"])


def test_lists_of_other_lengths_beside_a_branch_are_refused_and_single_values_are_not() -> None:
    place = Place().pass_guard(YES, [True, True, False])
    with pytest.raises(InvalidRequest, match="in_1 brings 3 items, but 2 took its branch"):
        place.of([1, 2, 3], "in_1", ["s", "other"])
    one = Guard(("d", 0), TRUE, items=("single",))
    beside = place.pass_guard(one, [True])
    assert beside.of(["a", "b"], "in_1", ["single", "s"]) == ("s", [(0, "a"), (1, "b")])
    alone = Place().pass_guard(one, [True])
    assert alone.of(["a", "b"], "in_1", ["single", "s"]) == ("s", [(0, "a"), (1, "b")])
    assert alone.of(["a"], "in_1", ["single"]) == ("single", [(0, "a")])


def test_what_was_dropped_is_told_by_its_place_among_all_items() -> None:
    dropped = Guard(("r", 18), KEPT, items=("s",))
    place = Place().pass_guard(YES, [False, True, True, True])
    place = place.pass_guard(dropped, [report(3, [{"index": 1, "backend": "big", "cause": "out of memory"}])])
    assert place.of(["b", "d"], "in_1", ["s"])[1] == [(1, "b"), (3, "d")]
    assert place.failed == ({"index": 2, "backend": "big", "cause": "out of memory", "node": "r", "source": "s"},)


def test_failures_are_told_even_if_nothing_is_left() -> None:
    place = Place().pass_guard(Guard(("r", 18), KEPT, items=("s",)), [report(1, [{"index": 0, "cause": "x"}])])
    assert not place.taken
    assert [failure["index"] for failure in place.failed] == [0]


def test_what_a_merge_has_told_is_passed_on_and_stops_nothing() -> None:
    earlier = {"index": 3, "cause": "x", "node": "r", "source": "f"}
    place = Place().pass_guard(Guard(("n", 2), TOLD), [[earlier]])
    assert (place.taken, place.failed) == (True, (earlier,))
    assert Place().pass_guard(Guard(("n", 2), TOLD), [[]]).taken


def test_what_was_dropped_before_items_were_made_of_items_stands_among_those_of_its_own_source() -> None:
    before = Guard(("r", 18), KEPT, items=("first",))
    place = Place().pass_guard(Guard(("c", 0), TRUE, items=("first",)), [True, False, True], ["second"])
    place = place.pass_guard(before, [report(2, [{"index": 1, "cause": "x"}])], ["second"])
    place = place.pass_guard(
        Guard(("q", 18), KEPT, items=("second",)), [report(5, [{"index": 4, "cause": "y"}])], "second"
    )
    assert [(f["source"], f["index"]) for f in place.failed] == [("first", 2), ("second", 4)]
    assert place.of("abcd", "in_1", ["second"])[1] == [(0, "a"), (1, "b"), (2, "c"), (3, "d")]


def test_unfit_numbers_before_items_were_made_of_items_refuse_nothing_and_guess_nothing() -> None:
    place = Place().pass_guard(Guard(("c", 0), TRUE, items=("first",)), [True, False, True], ["second"])
    place = place.pass_guard(
        Guard(("r", 18), KEPT, items=("first",)), [report(7, [{"index": 6, "cause": "x"}])], ["second"]
    )
    assert [(f["source"], f["index"]) for f in place.failed] == [("r", 6)]


def test_a_share_of_a_deal_is_every_so_manieth_item() -> None:
    second = Guard(("f", 19), SHARE, items=("s",), share=1)
    place = Place().pass_guard(second, [{"count": 5, "ways": 2}])
    assert place.of(["b", "d"], "in_1", ["s"])[1] == [(1, "b"), (3, "d")]
    assert not Place().pass_guard(second, [{"count": 1, "ways": 2}]).taken
    assert Place().pass_guard(second, [{"count": 2, "ways": 0}]).of(["x", "y"], "in_1", ["s"])[1] == [
        (0, "x"),
        (1, "y"),
    ]


def test_a_count_of_nothing_stops() -> None:
    assert not Place().pass_guard(Guard(("f", 2), SOME), [0]).taken
    assert Place().pass_guard(Guard(("f", 2), SOME), [3]).taken


ITEMS_OF_NOBODY = {"roots": ["r"], "guards": [{"link": ["c", 0], "is": "true", "items": True, "share": 0}]}


@pytest.mark.parametrize(
    "damaged",
    [
        None,
        {},
        {"roots": ["r"], "guards": [{}]},
        {"roots": [], "guards": 5},
        {"roots": "r", "guards": []},
        ITEMS_OF_NOBODY,
    ],
)
def test_damaged_ways_are_refused(damaged: Any) -> None:
    with pytest.raises(InvalidRequest, match="damaged"):
        Way.from_json(damaged)


def test_ways_and_places_survive_being_written() -> None:
    way = Way(("r",), (YES, Guard(("f", 19), SHARE, share=3)))
    place = Place().pass_guard(YES, [True, False, True])
    assert Way.from_json(json.loads(json.dumps(way.to_json()))) == way
    assert Place.from_json(json.loads(json.dumps(place.to_json()))) == place


# --- any tree of conditions


def leaves(items: list[int], place: Place, decide: Any, depth: int) -> list[Arrival]:
    """Route items through nested conditions that ``decide``, and return what arrives from each leaf."""
    if depth == 0 or not items:
        return [Arrival.of(f"in_{decide(0)}", ["s"], place, items)]
    results = [bool(decide(2)) for _ in items]
    arrived: list[Arrival] = []
    for guard, wanted in ((YES, True), (NO, False)):
        passed = place.pass_guard(guard, results)
        branch = [item for item, result in zip(items, results, strict=True) if result is wanted]
        if passed.taken:
            arrived += leaves(branch, passed, decide, depth - 1)
        else:
            assert branch == []
    return arrived


@given(st.integers(1, 12), st.integers(0, 4), st.randoms(use_true_random=False))
def test_whatever_way_items_take_they_come_back_in_their_order(count: int, depth: int, random: Any) -> None:
    arrived = leaves(list(range(count)), Place(), lambda n: random.randrange(n) if n else 0, depth)
    random.shuffle(arrived)
    assert in_item_order(arrived) == list(range(count))


def test_inputs_of_different_origin_follow_one_another() -> None:
    arrivals = [
        Arrival("in_1", "x", ((1, "b"),)),
        Arrival("in_2", "y", ((0, "c"), (1, "d"))),
        Arrival("in_3", "x", ((0, "a"),)),
        Arrival("in_4", None, ((0, "e"),)),
        Arrival("in_5", None, ((0, "f"),)),
    ]
    assert in_item_order(arrivals) == ["a", "b", "c", "d", "e", "f"]


def test_a_failure_seen_through_two_outputs_is_told_once() -> None:
    failure = {"node": "r", "index": 2, "cause": "x", "source": "f"}
    other = {"node": "q", "index": 0, "cause": "y", "source": "f"}
    told = all_failed([Arrival("in_1", "f", (), (failure,)), Arrival("in_2", "f", (), (failure, other))])
    assert told == [other, failure]


def test_failures_are_told_source_after_source() -> None:
    first = [{"node": "r", "index": index, "source": "f"} for index in (1, 4)]
    second = [{"node": "q", "index": index, "source": "g"} for index in (0, 2)]
    told = all_failed([Arrival("in_1", "g", (), (*first, second[1])), Arrival("in_2", "g", (), (second[0],))])
    assert told == [*first, *second]
