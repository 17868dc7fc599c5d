"""Any file that can enter the library: a workflow of some kind, or definitions exported from a library."""

from __future__ import annotations

from pathlib import PureWindowsPath
from typing import Any, BinaryIO

from ..domain import Prompt
from . import bundle, document, safejson
from .bundle import Bundle
from .document import Document

_SUFFIXES = (
    bundle.SUFFIX,
    *(".json", ".png", ".webp", ".jpg", ".jpeg", ".flac", ".mp3", ".opus", ".ogg", ".mp4", ".webm"),
)
_NODE_KEYS = ("class_type", "inputs", "_meta")
_FALLBACK = "Workflow"
_MAX_NAME = 100


def read_file(source: BinaryIO, *, name: str = "") -> Document | Bundle:
    """Read a file, whatever kind it is of.

    Args:
        source: the file, seekable and opened for reading in binary mode; it is not closed.
        name: the file's name, for messages.

    Raises:
        InvalidDocument: it is damaged, hostile, too large, or holds nothing that could be used.
    """
    source.seek(0)
    if document.sniff(source.read(16)) != "json":
        return document.read(source, name=name)
    source.seek(0)
    what = repr(base_name(name)) if name else "This file"
    value = safejson.parse(source.read(safejson.MAX_TEXT_BYTES + 1), what)
    if bundle.is_bundle(value):
        return bundle.from_value(value, name=base_name(name))
    return document.from_value(value, name=name)


def plain_prompt(prompt: Prompt) -> dict[str, dict[str, Any]]:
    """Return a prompt without what a server wrote into its nodes while it ran (``is_changed``)."""
    return {node_id: {key: node[key] for key in _NODE_KEYS if key in node} for node_id, node in prompt.items()}


def base_name(name: str) -> str:
    """Return the last part of a path, whichever system it comes from."""
    return PureWindowsPath(name).name


def definition_name(filename: str) -> str:
    """Return what a definition made from a file is called unless the user says otherwise."""
    name = base_name(filename)
    suffix = next((s for s in _SUFFIXES if name.lower().endswith(s)), "")
    return name[: len(name) - len(suffix)].strip()[:_MAX_NAME].strip() or _FALLBACK
