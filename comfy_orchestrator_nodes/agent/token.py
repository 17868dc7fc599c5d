"""This peer's token: made once, kept in a file that only the owner reads, printed once on a terminal."""

from __future__ import annotations

import hmac
import os
import secrets
import sys
from contextlib import suppress
from pathlib import Path
from typing import TextIO

from .errors import SetupFailed

FILE_NAME = "token"
_LONGEST = 1000


class Token:
    """The token file. Nothing is kept in memory: who deletes the file has revoked the token."""

    def __init__(self, folder: Path) -> None:
        """Take the folder for the file; ``ensure`` makes both."""
        self.path = folder / FILE_NAME

    def ensure(self) -> str | None:
        """Make a token if there is none; return it if it is new.

        Raises:
            SetupFailed: the file cannot be written.
        """
        return None if self.read() is not None else self.rotate()

    def read(self) -> str | None:
        """Return the token, or None if there is none (any more)."""
        try:
            with self.path.open(encoding="ascii") as file:
                return file.read(_LONGEST).strip() or None
        except (OSError, ValueError):
            return None

    def rotate(self) -> str:
        """Make a new token, which ends the old one, and return it.

        Raises:
            SetupFailed: the file cannot be written.
        """
        token = secrets.token_urlsafe(32)
        fresh = self.path.with_name(f"{FILE_NAME}.{secrets.token_hex(4)}")
        try:
            self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            # Never readable by others, not even between making and chmod. Windows has no modes; a user's folder there
            # is closed to other users as it is.
            descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(descriptor, "w", encoding="ascii") as file:
                file.write(token + "\n")
            fresh.replace(self.path)
        except OSError as error:
            with suppress(OSError):
                fresh.unlink()
            raise SetupFailed(
                f"The agent's token cannot be kept in {self.path}: {error.strerror}. Until it can, this peer answers "
                "only to its own machine.",
                path=str(self.path),
            ) from error
        return token

    def revoke(self) -> None:
        """End the token. There is none until ``rotate``, or the next start.

        Raises:
            SetupFailed: the file cannot be deleted.
        """
        try:
            self.path.unlink(missing_ok=True)
        except OSError as error:
            raise SetupFailed(f"{self.path} cannot be deleted: {error.strerror}. Delete it by hand.") from error

    def matches(self, given: str) -> bool:
        """Whether a text is the token; takes as long whichever characters differ."""
        token = self.read()
        # Compared in any case, so that the time does not tell whether there is one.
        same = hmac.compare_digest((token or "-").encode(), given.encode("utf-8", "replace"))
        return same and token is not None


def announce(token: Token, fresh: str, console: TextIO | None = sys.__stdout__) -> str:
    """Show a new token on the terminal that ComfyUI was started in; return what may be logged about it.

    Not through ``sys.stdout`` or logging: ComfyUI keeps both and serves them to everybody (``/internal/logs``). A
    console that is no terminal is a log, too.
    """
    if console is None or not console.isatty():
        return f"This peer's token for masters on other machines was made: it is in {token.path}"
    console.write(f"\n  This peer's token, which a master on another machine is given once:\n\n      {fresh}\n\n")
    console.flush()
    return f"This peer's token for masters on other machines was made and shown on the terminal; it is in {token.path}"
