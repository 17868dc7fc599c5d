from __future__ import annotations

from tools.devtools.console import table


def test_texts_are_aligned_left_and_numbers_right() -> None:
    assert table(["job", "seconds"], [["upscale", 1.23456], ["x", 240.4]]).splitlines() == [
        "job      seconds",
        "-------  -------",
        "upscale     1.23",
        "x            240",
    ]


def test_a_table_without_rows_is_its_head() -> None:
    assert table(["job", "s"], []).splitlines() == ["job  s", "---  -"]
