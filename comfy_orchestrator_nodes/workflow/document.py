"""Reading what users have: workflows of every age, prompts, and either inside of images, sounds and videos."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import PurePath
from typing import Any, BinaryIO

from ..errors import InvalidDocument
from . import safejson
from .containers import audio, exif, mp4, png, webm
from .containers.stream import Stream
from .ordering import innermost_first

MAX_NODES = 20_000
"""How many nodes a document may have, those in subgraphs counted once for each use."""

MAX_READ_BYTES = 2 * safejson.MAX_TEXT_BYTES
"""How much is read of a file that holds a document among other things."""

_Reader = Callable[[Stream, int], Iterator[tuple[str, bytes]]]

_READERS: dict[str, _Reader] = {
    "png": png.read,
    "webp": exif.read_webp,
    "jpeg": exif.read_jpeg,
    "flac": audio.read_flac,
    "ogg": audio.read_ogg,
    "mp3": audio.read_mp3,
    "mp4": mp4.read,
    "webm": webm.read,
}


@dataclass(frozen=True)
class Counts:
    """What a workflow consists of. ``unfolded_nodes`` counts the nodes of a subgraph once for each use of it."""

    nodes: int
    links: int
    subgraphs: int
    unfolded_nodes: int
    group_nodes: int


@dataclass(frozen=True)
class Document:
    """What was found in one file.

    ``workflow`` is in UI format and ``prompt`` in API format; at least one of them is there, and a file that ComfyUI
    made holds both, of the same moment.
    """

    container: str
    """``json``, or the kind of file that it was embedded in: ``png``, ``webp``, ``jpeg``, ``flac``, …"""
    workflow: Mapping[str, Any] | None
    prompt: Mapping[str, Mapping[str, Any]] | None
    schema: str | None
    """``0.4`` or ``1``, the version of the workflow's schema."""
    counts: Counts | None
    """What the workflow consists of."""

    @property
    def kind(self) -> str:
        """``workflow``, ``prompt``, or ``workflow and prompt``."""
        return " and ".join(
            name for name, part in (("workflow", self.workflow), ("prompt", self.prompt)) if part is not None
        )

    def describe(self) -> str:
        """Say in a sentence what was found."""
        parts = []
        if self.counts is not None:
            counts = self.counts
            groups = f", {counts.group_nodes} of them group nodes," if counts.group_nodes else ""
            text = f"a workflow (schema {self.schema}) of {_many(counts.nodes, 'node')}{groups}"
            text += f" and {_many(counts.links, 'link')}"
            if counts.subgraphs:
                text += f", with {_many(counts.subgraphs, 'subgraph')} {_many(counts.unfolded_nodes, 'node')} in all,"
            parts.append(text)
        if self.prompt is not None:
            parts.append(f"a prompt of {_many(len(self.prompt), 'node')}")
        where = "JSON" if self.container == "json" else f"a {self.container.upper()} file"
        return f"{where} with {' and '.join(parts)}".rstrip(",")


def _many(count: int, noun: str) -> str:
    return f"{count} {noun}{'' if count == 1 else 's'}"


def read(source: bytes | BinaryIO, *, name: str = "") -> Document:
    """Read a workflow or prompt from a file.

    Nothing is decoded: of an image, sound or video only the texts are read, within fixed bounds.

    Args:
        source: the file's bytes, or the file, seekable and opened for reading in binary mode; it is not closed.
        name: the file's name, for messages.

    Returns:
        What was found.

    Raises:
        InvalidDocument: it is damaged, hostile, too large, or holds neither a workflow nor a prompt.
    """
    file = io.BytesIO(source) if isinstance(source, (bytes, bytearray)) else source
    what = repr(PurePath(name).name) if name else "This file"
    file.seek(0)
    container = sniff(file.read(16))
    if container == "json":
        file.seek(0)
        data = file.read(safejson.MAX_TEXT_BYTES + 1)
        return _from_json(safejson.parse(data, what), what)
    texts = _embedded(file, container)
    parts = {key: safejson.parse(texts.pop(key), f"The {key} in {what}") for key in list(texts)}
    if not parts:
        raise InvalidDocument(
            f"{what} is a {container.upper()} file without a workflow: it was not made by ComfyUI, was made with "
            "metadata switched off, or another program removed it.",
            container=container,
        )
    return _document(container, parts.get("workflow"), parts.get("prompt"), what)


def from_value(value: Any, *, name: str = "") -> Document:
    """Examine a document that was parsed already, such as the body of a request.

    Raises:
        InvalidDocument: it is neither a workflow nor a prompt.
    """
    what = repr(PurePath(name).name) if name else "This document"
    return _from_json(value, what)


def sniff(head: bytes) -> str:
    """Return the kind of file that starts with these 16 bytes; ``json`` where it is none of the known ones."""
    if head.startswith(png.SIGNATURE):
        return "png"
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "webp"
    if head[:3] == b"\xff\xd8\xff":
        return "jpeg"
    if head[4:8] == b"ftyp":
        return "mp4"
    signatures = {b"fLaC": "flac", b"OggS": "ogg", webm.SIGNATURE: "webm", b"ID3": "mp3"}
    return next((kind for signature, kind in signatures.items() if head.startswith(signature)), "json")


def _embedded(file: BinaryIO, container: str) -> dict[str, bytes]:
    stream = Stream(file, container.upper(), MAX_READ_BYTES)
    found: dict[str, bytes] = {}
    for key, text in _READERS[container](stream, safejson.MAX_TEXT_BYTES):
        if key.lower() in ("workflow", "prompt"):
            found.setdefault(key.lower(), text)
    return found


def _from_json(value: Any, what: str) -> Document:
    if not isinstance(value, dict):
        raise InvalidDocument(f"{what} is JSON, but not an object: it is neither a workflow nor a prompt.")
    if _is_workflow(value):
        return _document("json", value, None, what)
    if _is_prompt(value):
        return _document("json", None, value, what)
    workflow, prompt = value.get("workflow"), value.get("prompt", value.get("output"))
    extra = value.get("extra_data")
    if workflow is None and isinstance(extra, dict) and isinstance(extra.get("extra_pnginfo"), dict):
        workflow = extra["extra_pnginfo"].get("workflow")
    if _is_workflow(workflow) or _is_prompt(prompt):
        return _document(
            "json", workflow if _is_workflow(workflow) else None, prompt if _is_prompt(prompt) else None, what
        )
    keys = ", ".join(repr(key) for key in list(value)[:5])
    raise InvalidDocument(
        f"{what} is JSON, but neither a workflow (an object with 'nodes') nor a prompt (an object of nodes with "
        f"'class_type' and 'inputs'): it has {keys or 'nothing in it'}."
    )


def _is_workflow(value: Any) -> bool:
    return isinstance(value, dict) and isinstance(value.get("nodes"), list)


def _is_prompt(value: Any) -> bool:
    return (
        isinstance(value, dict)
        and bool(value)
        and all(isinstance(node, dict) and isinstance(node.get("class_type"), str) for node in value.values())
    )


def _document(container: str, workflow: Any, prompt: Any, what: str) -> Document:
    if workflow is not None and not _is_workflow(workflow):
        raise InvalidDocument(f"The workflow in {what} has no list of nodes.", container=container)
    if prompt is not None and not _is_prompt(prompt):
        if workflow is None:
            raise InvalidDocument(f"The prompt in {what} is not an object of nodes.", container=container)
        prompt = None
    if prompt is not None:
        _check_prompt(prompt, what)
    return Document(
        container=container,
        workflow=workflow,
        prompt=prompt,
        schema=None if workflow is None else _schema(workflow),
        counts=None if workflow is None else count(workflow),
    )


def _schema(workflow: Mapping[str, Any]) -> str:
    version = workflow.get("version", 0.4)
    return "1" if version == 1 else str(version)


def _check_prompt(prompt: Mapping[str, Mapping[str, Any]], what: str) -> None:
    if len(prompt) > MAX_NODES:
        raise InvalidDocument(f"The prompt in {what} has {len(prompt)} nodes; the most that is read is {MAX_NODES}.")
    for node_id, node in prompt.items():
        if not isinstance(node.get("inputs", {}), dict):
            raise InvalidDocument(f"The inputs of node {node_id!r} of the prompt in {what} are not an object.")


# --- what a workflow consists of -------------------------------------------------------------------------------------


def count(workflow: Mapping[str, Any]) -> Counts:
    """Count what a workflow consists of, subgraphs unfolded.

    Raises:
        InvalidDocument: it is not shaped like one, a subgraph contains itself, or it unfolds to too many nodes.
    """
    definitions = _definitions(workflow)
    root_types = _types(workflow, "the workflow")
    sizes = _unfolded_sizes({id_: _types(graph, f"subgraph {id_!r}") for id_, graph in definitions.items()})
    unfolded = sum(1 + sizes.get(type_, 0) for type_ in root_types)
    if unfolded > MAX_NODES:
        raise InvalidDocument(
            f"The workflow has more than {MAX_NODES} nodes, its subgraphs unfolded; that is more than is read."
        )
    graphs = [workflow, *definitions.values()]
    return Counts(
        nodes=len(root_types),
        links=sum(len(_list(graph, "links")) for graph in graphs),
        subgraphs=len(definitions),
        unfolded_nodes=unfolded,
        group_nodes=sum(1 for type_ in root_types if type_.startswith(("workflow>", "workflow/"))),
    )


def _definitions(workflow: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    found: dict[str, Mapping[str, Any]] = {}
    pending = [workflow]
    while pending:
        definitions = pending.pop().get("definitions")
        for graph in _list(definitions, "subgraphs") if isinstance(definitions, dict) else ():
            if not isinstance(graph, dict):
                raise InvalidDocument("A subgraph definition of the workflow is not an object.")
            pending.append(graph)
            found.setdefault(str(graph.get("id")), graph)
            if len(found) > MAX_NODES:
                raise InvalidDocument(f"The workflow defines more than {MAX_NODES} subgraphs.")
    return found


def _list(container: Mapping[str, Any], key: str) -> list[Any]:
    value = container.get(key)
    if value is None:
        return []
    if not isinstance(value, list):
        raise InvalidDocument(f"{key!r} of the workflow is not a list.")
    return value


def _types(graph: Mapping[str, Any], what: str) -> list[str]:
    types = []
    for node in _list(graph, "nodes"):
        if not isinstance(node, dict):
            raise InvalidDocument(f"A node of {what} is not an object.")
        types.append(str(node.get("type", "")))
    return types


def _unfolded_sizes(types: Mapping[str, list[str]]) -> dict[str, int]:
    """Return how many nodes each definition unfolds to.

    Raises:
        InvalidDocument: a definition contains itself.
    """
    ordered, circular = innermost_first(types)
    if circular:
        raise InvalidDocument(f"The workflow's subgraphs contain themselves: {', '.join(sorted(circular)[:5])}.")
    sizes: dict[str, int] = {}
    for id_ in ordered:
        # Beyond the limit the exact number does not matter, and it may have as many digits as there are levels.
        sizes[id_] = min(sum(1 + sizes.get(type_, 0) for type_ in types[id_]), MAX_NODES + 1)
    return sizes
