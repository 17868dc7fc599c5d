"""The commands that work on files here: convert and inspect. They ask a server only for its node classes."""

from __future__ import annotations

import argparse
import io
import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, BinaryIO

from ..errors import InvalidNodeInfo
from ..workflow.bundle import Bundle
from ..workflow.convert import to_prompt
from ..workflow.document import Document
from ..workflow.files import plain_prompt, read_file
from ..workflow.inspect import Inspection, inspect
from ..workflow.nodeinfo import NodeInfo, parse_object_info
from ..workflow.requirements import Requirements, requirements
from .console import Console
from .failures import CommandFailed, Exit, bad_input
from .master import Master

Json = Any

STDIN = "-"


async def convert(arguments: argparse.Namespace, console: Console) -> Exit:
    """Convert a file to a prompt in API format."""
    opened = _read(arguments.file)
    if isinstance(opened, Bundle):
        raise bad_input("This file holds definitions exported from a library; they are in API format already.")
    if opened.prompt is not None:
        console.note("The file holds the prompt that ComfyUI itself made; nothing had to be converted.")
        prompt = plain_prompt(opened.prompt)
    else:
        prompt = to_prompt(opened.workflow or {}, await _object_info(arguments))
    if arguments.out is None:
        console.json(prompt)
        return Exit.OK
    write_file(Path(arguments.out), json.dumps(prompt, indent=2).encode())
    console.text(f"{len(prompt)} nodes written to {arguments.out}")
    console.document({"nodes": len(prompt), "path": arguments.out})
    return Exit.OK


async def inspect_file(arguments: argparse.Namespace, console: Console) -> Exit:
    """Say what a file holds."""
    opened = _read(arguments.file)
    if isinstance(opened, Bundle):
        _show_bundle(opened, console)
        return Exit.OK
    object_info = await _object_info(arguments)
    prompt = opened.prompt if opened.prompt is not None else to_prompt(opened.workflow or {}, object_info)
    infos = _infos(object_info)
    _show(opened, inspect(prompt, infos), requirements(prompt, infos), console)
    return Exit.OK


def write_file(path: Path, data: bytes) -> None:
    """Write a file that the user named.

    Raises:
        CommandFailed: it cannot be written.
    """
    try:
        path.write_bytes(data)
    except OSError as error:
        raise bad_input(f"{str(path)!r} cannot be written: {error.strerror}.") from None


def open_file(name: str) -> BinaryIO:
    """Open a file that the user named, or standard input as a file.

    Raises:
        CommandFailed: it cannot be opened.
    """
    if name == STDIN:
        return io.BytesIO(sys.stdin.buffer.read())
    try:
        return Path(name).open("rb")
    except OSError as error:
        raise bad_input(f"{name!r} cannot be read: {error.strerror}.") from None


def _read(name: str) -> Document | Bundle:
    with open_file(name) as file:
        return read_file(file, name="" if name == STDIN else name)


async def _object_info(arguments: argparse.Namespace) -> Mapping[str, Json]:
    """Return the node classes of the server or file that the user named, else of the master."""
    source = arguments.object_info
    if source is not None and "://" not in source:
        return _saved_object_info(source)
    url = arguments.master if source is None else source.removesuffix("/").removesuffix("/object_info")
    async with Master(url) as server:
        return await server.object_info()


def _saved_object_info(name: str) -> Mapping[str, Json]:
    try:
        value = json.loads(Path(name).read_bytes())
    except OSError as error:
        raise bad_input(f"{name!r} cannot be read: {error.strerror}.") from None
    except (ValueError, RecursionError):
        raise bad_input(f"{name!r} is not JSON. Save what a ComfyUI answers at /object_info.") from None
    if not isinstance(value, dict):
        raise bad_input(f"{name!r} is no answer of /object_info: that is an object of node classes.")
    return value


def _infos(object_info: Mapping[str, Json]) -> dict[str, NodeInfo]:
    try:
        return parse_object_info(object_info)[0]
    except InvalidNodeInfo as error:
        raise CommandFailed(str(error), Exit.BAD_INPUT) from None


# --- showing ---------------------------------------------------------------------------------------------------------


def _show(found: Document, offered: Inspection, needs: Requirements, console: Console) -> None:
    console.document(
        {
            "found": found.describe(),
            "parameters": [
                {**vars(p), "suggested": p.name in offered.suggested_parameters} for p in offered.parameters
            ],
            "outputs": [{**vars(o), "suggested": o.name in offered.suggested_outputs} for o in offered.outputs],
            "node_classes": list(needs.node_classes),
            "unknown_classes": list(offered.unknown_classes),
            "models": [vars(need) for need in needs.models],
            "definitions": list(needs.definitions),
            "remarks": list(offered.remarks),
        }
    )
    console.text(f"Found: {found.describe()}.")
    console.text("\nInputs (* would be exposed):")
    console.table(
        ("", "name", "type", "default", "where"),
        [
            (
                "*" if p.name in offered.suggested_parameters else "",
                p.name,
                p.type,
                _short(p.default),
                f"{p.node_id}.{p.input_name}",
            )
            for p in offered.parameters
        ],
    )
    console.text("\nOutputs (* would be exposed):")
    console.table(
        ("", "name", "type", "where"),
        [
            ("*" if o.name in offered.suggested_outputs else "", o.name, o.type, f"{o.node_id}.{o.index}")
            for o in offered.outputs
        ],
    )
    _show_needs(needs, console)
    for text in offered.remarks:
        console.text(f"Note: {text}")
    if offered.unknown_classes:
        console.text(f"Not known there: {', '.join(offered.unknown_classes)}")


def _show_needs(needs: Requirements, console: Console) -> None:
    console.text(f"\nNode classes: {', '.join(needs.node_classes)}")
    if needs.models:
        console.text(f"Models: {', '.join(sorted({need.value for need in needs.models}))}")
    if needs.definitions:
        console.text(f"Runs the definitions: {', '.join(needs.definitions)}")


def _show_bundle(found: Bundle, console: Console) -> None:
    console.document(
        {
            "found": f"{len(found.definitions)} exported definitions",
            "definitions": [{"id": d.id, "name": d.name, "content_hash": d.content_hash} for d in found.definitions],
        }
    )
    console.text(f"Found: {len(found.definitions)} exported definitions; 'import' takes them into a library.\n")
    console.table(
        ("id", "name", "inputs", "outputs"),
        [
            (d.id, d.name, ", ".join(p.name for p in d.parameters), ", ".join(o.name for o in d.outputs))
            for d in found.definitions
        ],
    )


def _short(value: Json) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 40 else f"{text[:39]}…"
