"""Set-up steps that are skipped when done and redone when interrupted.

A step leaves a stamp that holds the fingerprint of what it was made from. The stamp is written last, so a step that was
interrupted has none and runs again; a changed fingerprint runs it again too.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TextIO

from tools.devtools.failure import DevError


def fingerprint(*parts: str) -> str:
    """Return one short hash of the texts, in which the borders between them count."""
    digest = hashlib.sha256()
    for part in parts:
        data = part.encode()
        digest.update(f"{len(data)}:".encode())
        digest.update(data)
    return digest.hexdigest()[:24]


def write_atomically(path: Path, text: str) -> None:
    """Write a file so that a reader sees the old text or the new, never a part."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f"{path.name}.{os.getpid()}.part")
    partial.write_text(text, encoding="utf-8")
    partial.replace(path)


def remove_tree(path: Path) -> None:
    """Delete a folder, or a link to one, if it is there."""
    if path.is_symlink():
        path.unlink()
    elif path.exists():
        shutil.rmtree(path)


@dataclass
class Steps:
    """Runs steps in order, tells what it does, and keeps the output of commands in a log."""

    stamps: Path
    log: Path
    out: TextIO
    ran: list[str] = field(default_factory=list)
    environment: Mapping[str, str] | None = None
    """What commands see; this process's own if None."""

    def run(self, name: str, title: str, made_from: str, made: Path, action: Callable[[], None]) -> None:
        """Run ``action`` unless the stamp ``name`` says it was done from ``made_from`` and ``made`` still exists."""
        stamp = self.stamps / name
        if made.exists() and stamp.is_file() and stamp.read_text(encoding="utf-8") == made_from:
            return
        print(f"  {title} …", end="", file=self.out, flush=True)
        stamp.unlink(missing_ok=True)
        started = time.monotonic()
        try:
            action()
        except BaseException:
            print(" failed", file=self.out, flush=True)
            raise
        write_atomically(stamp, made_from)
        self.ran.append(name)
        print(f" {time.monotonic() - started:.0f} s", file=self.out, flush=True)

    def command(self, arguments: Sequence[str | Path], hint: str = "") -> None:
        """Run a command, its output appended to the log.

        Raises:
            DevError: it ended with an error; the message holds the end of its output.
        """
        words = [str(a) for a in arguments]
        self.log.parent.mkdir(parents=True, exist_ok=True)
        with self.log.open("a+b") as log:
            log.write(f"$ {' '.join(words)}\n".encode())
            log.flush()
            begin = log.tell()
            code = subprocess.call(
                words, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT, env=self.environment
            )
            log.seek(begin)
            output = log.read().decode(errors="replace")
        if code:
            tail = "\n".join(output.splitlines()[-15:])
            raise DevError(f"This failed:\n  {' '.join(words)}\n{tail}\nThe whole output: {self.log}\n{hint}".rstrip())
