from __future__ import annotations

from collections import Counter

from tests.support.chaos import Report
from tools.devtools.chaos import summary


def test_the_summary_adds_up_all_seeds() -> None:
    first = Report(1, faults=Counter({"kill": 1}), ends=Counter({"succeeded": 3}), attempts=4, executions=4)
    second = Report(2, faults=Counter({"kill": 2}), ends=Counter({"succeeded": 2, "failed": 1}), attempts=3)
    second.problems.append("something")
    lines = [line.split() for line in summary([first, second]).splitlines()]
    assert ["jobs", "succeeded", "5"] in lines
    assert ["jobs", "failed", "1"] in lines
    assert ["attempts", "all", "7"] in lines
    assert ["faults", "kill", "3"] in lines
    assert ["problems", "1"] in lines
