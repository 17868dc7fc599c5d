"""What pyproject.toml and requirements.txt say, read without a TOML library (Python 3.10 has none)."""

from __future__ import annotations

import re
from pathlib import Path

from tools.devtools.failure import DevError


def requirement_lines(text: str) -> list[str]:
    """Return the requirements of a requirements.txt: no comments, no empty lines."""
    lines = (line.split(" #")[0].strip() for line in text.splitlines())
    return [line for line in lines if line and not line.startswith("#")]


def string_list(toml: str, table: str, key: str) -> list[str]:
    """Return an array of strings from a TOML text, as pyproject.toml writes one.

    Only what this repository's own file uses is understood: basic strings without escapes, comments, line breaks.

    Raises:
        DevError: there is no such array.
    """
    inside = False
    body: list[str] = []
    for line in toml.splitlines():
        if not body and re.match(r"\s*\[", line):
            inside = line.strip() == f"[{table}]"
            continue
        if not body and not (inside and re.match(rf"{re.escape(key)}\s*=\s*\[", line)):
            continue
        body.append(line.split("=", 1)[1] if not body else line)
        strings, closed = _scan_array("\n".join(body))
        if closed:
            return strings
    raise DevError(f"pyproject.toml has no array {key} in [{table}].")


def _scan_array(text: str) -> tuple[list[str], bool]:
    """Return the strings of an array that may not be complete yet, and whether its closing bracket was seen."""
    strings: list[str] = []
    for match in re.finditer(r'"(?P<string>[^"]*)"|(?P<comment>#[^\n]*)|(?P<end>\])', text):
        if match["end"]:
            return strings, True
        if match["string"] is not None:
            strings.append(match["string"])
    return strings, False


def without(requirements: list[str], names: set[str]) -> list[str]:
    """Return the requirements whose project name is not among ``names`` (lower case)."""
    return [r for r in requirements if re.split(r"[\s<>=!~;\[]", r, maxsplit=1)[0].lower() not in names]


def read_requirements(path: Path) -> list[str]:
    """Return the requirements in a file; an absent file has none."""
    return requirement_lines(path.read_text(encoding="utf-8")) if path.is_file() else []
