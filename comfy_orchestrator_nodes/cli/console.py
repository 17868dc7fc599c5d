"""What the user sees: results on standard output, everything about the way there on standard error."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from typing import Any, TextIO

_BAR_CELLS = 24


class Console:
    """Two streams and how to write on them. With ``as_json`` standard output gets exactly one JSON document."""

    def __init__(self, out: TextIO, err: TextIO, *, as_json: bool = False) -> None:
        self._out = out
        self._err = err
        self.as_json = as_json
        self._live = err.isatty()
        self._watched = out.isatty()
        self._drawn = 0
        """How many characters the progress line has at this moment."""
        self._told = ""

    def text(self, text: str) -> None:
        """Print a line of the result; nothing with ``as_json``."""
        if not self.as_json:
            self._out.write(f"{_harmless(text) if self._watched else text}\n")
            self._out.flush()

    def document(self, value: Any) -> None:
        """Print the one JSON document; nothing without ``as_json``."""
        if self.as_json:
            self.json(value)

    def json(self, value: Any) -> None:
        """Print a JSON document in any case."""
        self._out.write(json.dumps(value, indent=2) + "\n")
        self._out.flush()

    def table(self, header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
        """Print rows in columns; nothing with ``as_json``."""
        lines = [tuple(header), *(tuple(_one_line(cell) for cell in row) for row in rows)]
        widths = [max(len(line[column]) for line in lines) for column in range(len(header))]
        for line in lines:
            self.text("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())

    def note(self, text: str) -> None:
        """Say something about the way there, on a line of its own."""
        self.clear()
        self._err.write(f"{_harmless(text)}\n")
        self._err.flush()

    def progress(self, done_ratio: float | None, text: str) -> None:
        """Show how far it is: a bar on a terminal, elsewhere a line whenever the text is another one."""
        if not self._live:
            if text != self._told:
                self._told = text
                self.note(text)
            return
        line = f"{_bar(done_ratio)} {_one_line(text)}"
        line = line[: max(20, shutil.get_terminal_size().columns - 1)]
        self._err.write("\r" + line.ljust(self._drawn))
        self._err.flush()
        self._drawn = len(line)

    def clear(self) -> None:
        """Take the progress line away."""
        if self._drawn:
            self._err.write("\r" + " " * self._drawn + "\r")
            self._err.flush()
            self._drawn = 0


def _bar(done_ratio: float | None) -> str:
    if done_ratio is None:
        return f"[{' ' * _BAR_CELLS}]     "
    ratio = min(1.0, max(0.0, done_ratio))
    done = round(ratio * _BAR_CELLS)
    return f"[{'#' * done}{'-' * (_BAR_CELLS - done)}] {ratio:4.0%}"


def _harmless(text: str) -> str:
    """Return a text without what would command a terminal: messages and results come from other machines."""
    return "".join(character if character.isprintable() or character in "\n\t" else "?" for character in text)


def _one_line(text: str) -> str:
    """Return a cell without line breaks and control characters: names and messages come from other machines."""
    return "".join(character if character.isprintable() else " " for character in text)
