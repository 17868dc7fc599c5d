"""What is typed becomes what the parameter takes, or a sentence about why not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from comfy_orchestrator_nodes.cli.failures import CommandFailed, Exit
from comfy_orchestrator_nodes.cli.values import assignments, chosen_files, constants, texts


def parameter(type_: str, choices: list[Any] | None = None) -> list[dict[str, Any]]:
    return [{"name": "p", "type": type_, "choices": choices}]


@pytest.mark.parametrize(
    ("type_", "choices", "typed", "value"),
    [
        ("STRING", None, " a = b ", " a = b "),
        ("STRING", None, "", ""),
        ("INT", None, "-7", -7),
        ("INT", None, "18446744073709551615", 2**64 - 1),
        ("FLOAT", None, "1e-3", 0.001),
        ("FLOAT", None, "3", 3.0),
        ("BOOLEAN", None, "Yes", True),
        ("BOOLEAN", None, "0", False),
        ("COMBO", ["euler", "dpm"], "dpm", "dpm"),
        ("COMBO", [1, 2], "2", 2),
        ("COMBO", [False, True], "true", True),
        ("COMBO", None, "anything", "anything"),
        ("COMBO", ["euler"], "new-on-a-backend.safetensors", "new-on-a-backend.safetensors"),
    ],
)
def test_a_value_gets_the_type_of_its_parameter(type_: str, choices: Any, typed: str, value: Any) -> None:
    (found,) = constants(parameter(type_, choices), assignments("--set", [f"p={typed}"])).values()
    assert (type(found), found) == (type(value), value)


@pytest.mark.parametrize(
    ("type_", "typed", "message"),
    [
        ("INT", "1.5", "takes a whole number, not '1.5'"),
        ("INT", "9" * 5000, "takes a whole number"),
        ("FLOAT", "nan", "takes a number, not 'nan'"),
        ("FLOAT", "1e999", "takes a number"),
        ("BOOLEAN", "maybe", "takes true or false, not 'maybe'"),
        ("IMAGE", "cat.png", "give it with --image p=FILE"),
    ],
)
def test_what_does_not_fit_is_said(type_: str, typed: str, message: str) -> None:
    with pytest.raises(CommandFailed, match=message) as refused:
        constants(parameter(type_), [("p", typed)])
    assert refused.value.exit == Exit.BAD_INPUT


def test_a_text_file_is_read_as_it_is_but_for_its_last_line_break(tmp_path: Path) -> None:
    for content in (b"two\nlines\n", b"\xef\xbb\xbftwo\nlines", b"two\r\nlines\r\n"):
        (tmp_path / "t.txt").write_bytes(content)
        read = texts(parameter("STRING"), [("p", str(tmp_path / "t.txt"))])["p"]
        assert read.replace("\r\n", "\n") == "two\nlines"


@pytest.mark.parametrize(
    ("content", "message"),
    [(b"\xff\xfe", "no text in UTF-8"), (b"x" * (1 << 20) + b"x", "too large"), (None, "cannot be read")],
)
def test_a_file_that_is_no_text_is_refused(tmp_path: Path, content: bytes | None, message: str) -> None:
    if content is not None:
        (tmp_path / "t.txt").write_bytes(content)
    with pytest.raises(CommandFailed, match=message):
        texts(parameter("STRING"), [("p", str(tmp_path / "t.txt"))])


def test_a_number_cannot_come_from_a_file(tmp_path: Path) -> None:
    (tmp_path / "t.txt").write_text("5")
    with pytest.raises(CommandFailed, match="takes no text"):
        texts(parameter("INT"), [("p", str(tmp_path / "t.txt"))])


def test_the_same_name_again_makes_a_batch_in_order(tmp_path: Path) -> None:
    paths = [tmp_path / "b.png", tmp_path / "a.png"]
    for path in paths:
        path.write_bytes(b"x")
    assert chosen_files(parameter("IMAGE"), [("p", str(path)) for path in paths]) == {"p": ("IMAGE", paths)}


def test_a_name_that_is_unknown_lists_what_there_is() -> None:
    with pytest.raises(CommandFailed, match=r"no parameter 'zzz'\. It has p\."):
        constants(parameter("INT"), [("zzz", "1")])
    with pytest.raises(CommandFailed, match=r"It has none\."):
        constants([], [("zzz", "1")])
