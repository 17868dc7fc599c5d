"""What expressions mean."""

from __future__ import annotations

from typing import Any

import pytest

from comfy_orchestrator_nodes.conditions import FIELDS, Fields, Plain, compile_condition
from comfy_orchestrator_nodes.errors import EvaluationFailed, InvalidExpression


class Picture(Fields):
    """An image that counts what it is asked for."""

    kind = "IMAGE"

    def __init__(self, **facts: Plain) -> None:
        self.facts = facts
        self.asked: list[str] = []

    def field(self, name: str) -> Plain:
        self.asked.append(name)
        return self.facts[name]


def value(text: str, **values: Any) -> Any:
    return compile_condition(text, values.keys()).value(values)


@pytest.mark.parametrize(
    ("text", "result"),
    [
        ("1 + 2 * 3", 7),
        ("(1 + 2) * 3", 9),
        ("7 // 2", 3),
        ("7 % 4", 3),
        ("7 / 2", 3.5),
        ("2 ** 10", 1024),
        ("-2 ** 2", -4),
        ("2 ** -1", 0.5),
        ("1 - 2 - 3", -4),
        ("1e3 + .5", 1000.5),
        ("1 < 2 < 3", True),
        ("1 < 3 < 3", False),
        ("1 == 1.0", True),
        ("'a' != 'b'", True),
        ("not 0", True),
        ("not not 3", True),
        ("not 1 == 2", True),
        ("0 or 'x'", "x"),
        ("1 and 0 or 5", 5),
        ("1 if 2 > 3 else 4 if 0 else 5", 5),
        ("2 in [1, 2]", True),
        ("'b' not in 'abc'", False),
        ("None is None", True),
        ("1 is not none", True),
        ("true and not false", True),
        ("[1, [2, 3]][1][0]", 2),
        ("'abc'[-1]", "c"),
        ("len('abc') + len([1])", 4),
        ("min(3, 1, 2)", 1),
        ("max([3, 1, 2])", 3),
        ("sum([1, 2.5, True])", 4.5),
        ("abs(-3)", 3),
        ("round(2.345, 2)", 2.35),
        ("round(7.6)", 8),
        ("any([0, 1])", True),
        ("all([0, 1])", False),
        ("sorted([3, 1, 2])", [1, 2, 3]),
        ("int('12') + float('0.5')", 12.5),
        ("str(3) + 'x'", "3x"),
        ("' Ab '.strip().lower()", "ab"),
        ("'a,b'.split(',')[1].upper()", "B"),
        ("'photo.png'.endswith('.png')", True),
        ("'aXbX'.replace('X', '-')", "a-b-"),
        ("'abcb'.count('b') + 'abc'.find('c')", 4),
        (r"matches('img_042.png', '^img_\d{3}\.png$')", True),
        ("matches('abc', '(?i)B')", True),
        ("matches('abc', '^b')", False),
        ("[1] + [2] == [1, 2]", True),
    ],
)
def test_an_expression_means_what_it_does_in_python(text: str, result: Any) -> None:
    found = value(text)
    assert found == pytest.approx(result) if isinstance(result, float) else found == result
    assert type(found) is type(result)


def test_inputs_are_used_by_their_names() -> None:
    assert value("score > 0.5 and 'cat' in labels", score=0.7, labels=["dog", "cat"]) is True


def test_fields_of_an_input_are_asked_only_when_they_matter() -> None:
    picture = Picture(width=512, sharpness=0.2)
    assert value("a.width < 1024 or a.sharpness > 0.1", a=picture) is True
    assert picture.asked == ["width"]


def test_info_is_used_by_its_facts() -> None:
    info = {"backend": "big PC", "elapsed_s": 3.5, "attempts": 2, "cached": False, "failed": False, "cause": ""}
    assert value("a.backend == 'big PC' and a.attempts > 1 and not a.failed and a.elapsed_s < 4", a=info) is True


def test_a_list_of_failures_can_be_counted() -> None:
    assert value("len(failed) > 1", failed=[{"index": 1, "cause": "x"}, {"index": 2, "cause": "y"}]) is True


def test_an_element_of_a_list_is_asked_for_its_facts() -> None:
    failed = [{"index": 1, "cause": "out of memory"}, {"index": 2, "cause": "y"}]
    assert value("'memory' in failed[0].cause and failed[-1].index == 2", failed=failed) is True
    with pytest.raises(EvaluationFailed, match="the element is a number here and has no field 'cause'"):
        value("a[0].cause", a=[1])


def test_every_documented_field_is_known_to_the_parser() -> None:
    for fields in FIELDS.values():
        for field in fields:
            compile_condition(f"a.{field}", {"a"})


def test_the_same_text_is_read_once() -> None:
    assert compile_condition("a > 1", ["a", "b"]) is compile_condition("a > 1", ("a", "b"))


@pytest.mark.parametrize(("values", "holds"), [({"a": 0}, False), ({"a": "x"}, True), ({"a": []}, False)])
def test_a_result_that_is_no_truth_value_counts_as_in_python(values: dict[str, Any], holds: bool) -> None:
    assert compile_condition("a", {"a"}).holds(values) is holds


def test_an_image_itself_is_neither_true_nor_false() -> None:
    with pytest.raises(EvaluationFailed, match="IMAGE is neither true nor false"):
        compile_condition("a", {"a"}).holds({"a": Picture()})


@pytest.mark.parametrize(
    ("text", "position", "told"),
    [
        ("", 0, "empty"),
        ("a >", 3, "expected a value before the end"),
        ("a b", 2, "expected an operator before 'b'"),
        ("a = 1", 2, "write '=='"),
        ("a && b", 2, "write 'and'"),
        ("!a", 0, "write 'not'"),
        ("scor > 1", 0, "did you mean 'score'?"),
        ("zzz", 0, "there is score, b, a"),
        ("a.wdith", 2, "did you mean 'width'?"),
        ("lenn(a)", 0, "did you mean 'len'?"),
        ("a.lowr()", 2, "did you mean 'lower'?"),
        ("len", 0, "write len(…)"),
        ("'abc", 0, "no closing quote"),
        ("(a", 2, "to close the bracket"),
        ("a if b", 6, "expected 'else'"),
        ("a is 1", 5, "compares with None only"),
        ("12px", 2, "a number ends here"),
        ("r'x'", 0, "no letter before its quotes"),
        ("len(a, b)", 3, "takes 1 values in brackets, not 2"),
        ("a(1)", 0, "no function 'a'"),
        ("(a)(1)", 3, "only functions and text methods"),
        ("'x'.width", 3, "only inputs and elements have fields"),
        ("a @ b", 2, "'@' means nothing"),
        ("--a", 1, "two signs"),
    ],
)
def test_a_mistake_is_told_with_its_place_and_what_was_meant(text: str, position: int, told: str) -> None:
    with pytest.raises(InvalidExpression) as refused:
        compile_condition(text, ("score", "b", "a"))
    assert told in str(refused.value)
    assert refused.value.details()["position"] == position


@pytest.mark.parametrize(
    ("text", "marked", "suggestion"),
    [("scor > 1", "scor", "score"), ("a.wdith > 1", "wdith", "width"), ("zzz", "zzz", None), ("a >", "", None)],
)
def test_a_mistake_tells_an_editor_what_to_mark_and_what_to_offer(
    text: str, marked: str, suggestion: str | None
) -> None:
    with pytest.raises(InvalidExpression) as refused:
        compile_condition(text, ("score", "b", "a"))
    details = refused.value.details()
    assert text[details["position"] :][: details["length"]] == marked
    assert details["suggestion"] == suggestion


@pytest.mark.parametrize(
    ("text", "values", "told"),
    [
        ("a / 0", {"a": 1}, "division by zero"),
        ("a + 1", {"a": "x"}, "needs a number, not a text"),
        ("a < 1", {"a": "x"}, "a number and a text"),
        ("a[3]", {"a": [1]}, "no element 3 among 1"),
        ("a.width", {"a": 3}, "a is a number here and has no field 'width'"),
        ("a.duration_s", {"a": Picture()}, "a is IMAGE here and has no 'duration_s'"),
        ("a == 1", {"a": Picture()}, "cannot be compared as a whole"),
        ("a in [1]", {"a": Picture()}, "cannot be compared as a whole"),
        ("min(a)", {"a": []}, "the list is empty"),
        ("int(a)", {"a": "x"}, "has no result"),
        ("(-8) ** 0.5", {}, "no power to a fraction"),
        ("a", {"a": object()}, "the input a cannot be used: a object is neither"),
    ],
)
def test_values_that_do_not_fit_are_told(text: str, values: dict[str, Any], told: str) -> None:
    with pytest.raises(EvaluationFailed) as refused:
        value(text, **values)
    assert told in str(refused.value)
