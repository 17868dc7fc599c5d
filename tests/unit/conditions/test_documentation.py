"""The documentation of the language says what is so."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from comfy_orchestrator_nodes.conditions import FIELDS, compile_condition
from comfy_orchestrator_nodes.conditions.functions import FUNCTIONS, METHODS
from comfy_orchestrator_nodes.errors import InvalidExpression

PAGE = (Path(__file__).parents[3] / "docs" / "conditions.md").read_text(encoding="utf-8")
RANKINGS, EXAMPLES, MISTAKE = (block.strip() for block in re.findall(r"```\n(.*?)```", PAGE, re.DOTALL))
NAMES = {"a", "brightness_wanted", "info", "labels", "failed", "seed"}


@pytest.mark.parametrize("example", [*RANKINGS.splitlines(), *EXAMPLES.splitlines()])
def test_every_example_can_be_read(example: str) -> None:
    compile_condition(example, NAMES)


def test_the_mistake_is_told_as_it_says() -> None:
    with pytest.raises(InvalidExpression) as refused:
        compile_condition("a.wdith > 5", {"a"})
    assert str(refused.value) == MISTAKE


def test_every_function_method_and_field_is_listed() -> None:
    (functions,) = re.findall(r"\| functions \| `([\w ]+)`", PAGE)
    (methods,) = re.findall(r"\| methods of texts \| `([\w ]+)`", PAGE)
    assert (set(functions.split()), set(methods.split())) == (set(FUNCTIONS), set(METHODS))
    told = set(re.findall(r"\w+", PAGE.partition("## What can be asked")[2].partition("## Examples")[0]))
    assert {field for fields in FIELDS.values() for field in fields} <= told
