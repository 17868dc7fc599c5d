"""The language as a table, for editors that complete what the user types, and for the documentation's tests."""

from __future__ import annotations

from dataclasses import dataclass

from .functions import FUNCTIONS, METHODS
from .lexer import KEYWORDS
from .values import FIELDS, INFO


@dataclass(frozen=True)
class Entry:
    """One word of the language."""

    name: str
    usage: str
    """How it is written, such as ``round(x, digits)``."""
    help: str
    """One line, without a full stop."""


@dataclass(frozen=True)
class Reference:
    """Every word that an expression may hold, besides the names of the inputs."""

    functions: tuple[Entry, ...]
    methods: tuple[Entry, ...]
    """Of texts: what may follow a dot, with brackets."""
    fields: dict[str, tuple[Entry, ...]]
    """By ComfyUI type: what may follow a dot, without brackets."""
    keywords: tuple[str, ...]


def reference() -> Reference:
    """Return the words of the language, sorted by name."""
    return Reference(
        functions=tuple(Entry(name, one.usage, one.help) for name, one in sorted(FUNCTIONS.items())),
        methods=tuple(Entry(name, one.usage, one.help) for name, one in sorted(METHODS.items())),
        fields={
            kind: tuple(Entry(name, f"{_SAMPLES[kind]}.{name}", told) for name, told in sorted(fields.items()))
            for kind, fields in FIELDS.items()
        },
        keywords=tuple(sorted(KEYWORDS)),
    )


_SAMPLES = {"IMAGE": "image", "MASK": "mask", "LATENT": "latent", "AUDIO": "sound", INFO: "info"}
