from __future__ import annotations

import pytest

from tools.devtools.failure import DevError
from tools.devtools.paths import ROOT
from tools.devtools.project import read_requirements, requirement_lines, string_list, without

TOML = """
[project]
dev = ["not this one"]

[dependency-groups]
# A comment with "quotes" and ] in it.
other = ["x"]
dev = [
    "aiohttp>=3",  # a "comment" ]
    "extra[all]==1",
]

[tool]
dev = ["nor this"]
"""


def test_an_array_is_read_from_its_own_table_without_comments() -> None:
    assert string_list(TOML, "dependency-groups", "dev") == ["aiohttp>=3", "extra[all]==1"]


def test_an_array_on_one_line_is_read() -> None:
    assert string_list(TOML, "dependency-groups", "other") == ["x"]


def test_an_absent_array_is_refused_by_name() -> None:
    with pytest.raises(DevError, match=r"no array test in \[dependency-groups\]"):
        string_list(TOML, "dependency-groups", "test")


def test_requirements_txt_repeats_the_dependencies_of_pyproject() -> None:
    toml = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    assert read_requirements(ROOT / "requirements.txt") == string_list(toml, "project", "dependencies")


def test_comments_and_empty_lines_are_no_requirements() -> None:
    assert requirement_lines("torch\n\n#non essential:\nkornia>=0.7.1 # why\n") == ["torch", "kornia>=0.7.1"]


def test_projects_are_left_out_by_their_whole_name() -> None:
    assert without(["torch", "torchsde", "torchvision>=0.2", "Torch==2"], {"torch", "torchvision"}) == ["torchsde"]
