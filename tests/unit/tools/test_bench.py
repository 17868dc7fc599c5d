from __future__ import annotations

import json
from pathlib import Path

import pytest

from tools.devtools.bench import Result, as_json, as_text, choose, describe_machine, discover, load, run_all
from tools.devtools.environments import ComfyUI
from tools.devtools.failure import DevError
from tools.devtools.instances import Farm


@pytest.fixture
def empty_farm(tmp_path: Path) -> Farm:
    return Farm(ComfyUI(tmp_path, tmp_path, provided=False), tmp_path / "farm", keep=True)


async def good(_farm: Farm) -> Result:
    return Result({"floor_ms": 1.5, "dispatch_ms": 3.0}, {"dispatch/floor": 2.0})


async def bad(_farm: Farm) -> Result:
    raise ValueError("the peer was gone")


def test_every_module_of_the_folder_is_a_benchmark_unless_private(tmp_path: Path) -> None:
    for name in ("dispatch.py", "a.py", "__init__.py", "_shared.py", "notes.md"):
        (tmp_path / name).touch()
    assert discover(tmp_path) == ["a", "dispatch"]


def test_all_benchmarks_run_unless_some_are_named() -> None:
    assert choose([], ["a", "b"]) == ["a", "b"]
    assert choose(["b"], ["a", "b"]) == ["b"]


def test_an_unknown_benchmark_is_refused_with_those_there_are() -> None:
    with pytest.raises(DevError, match=r"No benchmark c\. There are: a, b"):
        choose(["c"], ["a", "b"])


def test_a_folder_without_benchmarks_says_how_to_write_one() -> None:
    with pytest.raises(DevError, match="no benchmarks yet"):
        choose([], [])


def test_a_module_without_run_is_no_benchmark() -> None:
    with pytest.raises(DevError, match="has no `async def run"):
        load("console", package="tools.devtools")


def test_a_failing_benchmark_costs_the_others_nothing(empty_farm: Farm, capsys: pytest.CaptureFixture[str]) -> None:
    results, failed = run_all({"bad": bad, "good": good}, empty_farm)
    assert failed == ["bad"]
    assert results["good"].ratios == {"dispatch/floor": 2.0}
    assert "the peer was gone" in capsys.readouterr().err


def test_the_file_tells_name_figures_ratios_and_machine() -> None:
    results = {"good": Result({"dispatch_ms": 3.0}, {"dispatch/floor": 2.0})}
    (told,) = json.loads(as_json(results, describe_machine()))
    assert set(told) == {"name", "figures", "ratios", "machine"}
    assert told["figures"] == {"dispatch_ms": 3.0}
    assert told["machine"]["cpus"] >= 1


def test_the_table_shows_figures_and_ratios() -> None:
    shown = as_text("dispatch", Result({"dispatch_ms": 3.25}, {"dispatch/floor": 2.0}))
    assert [line.split() for line in shown.splitlines()[2:]] == [
        ["dispatch_ms", "3.25"],
        ["ratio:", "dispatch/floor", "2"],
    ]
