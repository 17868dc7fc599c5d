"""What a prompt leaves behind on a backend: files, other values, and the error of a node.

Shared by the socket's messages and by the history, which tell the same things in the same shapes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from ..domain import Json
from .fields import Malformed, clipped, node_id, obj

FILE_PLACES = frozenset({"input", "output", "temp"})
"""The folders of a ComfyUI that files are uploaded to and viewed from (``folder_paths.get_directory_by_type``)."""

_MESSAGE_LIMIT = 20_000
_TRACEBACK_LINES = 200
_TRACEBACK_LINE_LIMIT = 4_000
_OUT_OF_MEMORY_TYPES = ("OutOfMemoryError", "OOMError")
_OUT_OF_MEMORY_TEXTS = ("out of memory", "allocation on device", "not enough memory", "can't allocate memory")


@dataclass(frozen=True)
class RemoteFile:
    """A file on a backend, by the three values that ``/view`` and ``/upload/image`` name it with."""

    name: str
    subfolder: str
    type: str

    @property
    def annotated(self) -> str:
        """The one text that loader nodes take: ``"sub/x.png [temp]"`` (``folder_paths.annotated_filepath``)."""
        path = f"{self.subfolder}/{self.name}" if self.subfolder else self.name
        return f"{path} [{self.type}]"


@dataclass(frozen=True)
class NodeOutput:
    """What one output node showed: ``files`` by key (``images``, ``audio``, ``latents``, …), the rest as JSON.

    Entries of a list that are no files (the texts of PreviewAny under ``text``, ``animated`` flags) are in ``values``.
    """

    files: Mapping[str, tuple[RemoteFile, ...]] = field(default_factory=dict)
    values: Mapping[str, tuple[Json, ...]] = field(default_factory=dict)


@dataclass(frozen=True)
class NodeError:
    """The exception that ended a prompt, as its backend reports it."""

    node_id: str | None
    class_type: str | None
    exception_type: str
    message: str
    traceback: tuple[str, ...] = ()

    @property
    def out_of_memory(self) -> bool:
        """Whether the node ran out of memory, by the exception's type or the words that libraries use for it."""
        if self.exception_type.rsplit(".", 1)[-1] in (*_OUT_OF_MEMORY_TYPES, "MemoryError"):
            return True
        lowered = self.message[:2_000].lower()
        return any(words in lowered for words in _OUT_OF_MEMORY_TEXTS)


def parse_file(value: Json) -> RemoteFile | None:
    """Return the file that an entry of a node's output names, or None where it names none."""
    if not isinstance(value, dict):
        return None
    name, subfolder, place = value.get("filename"), value.get("subfolder", ""), value.get("type", "output")
    if not (isinstance(name, str) and name and isinstance(subfolder, str) and isinstance(place, str)):
        return None
    return RemoteFile(name, subfolder, place)


def parse_output(value: Json) -> NodeOutput:
    """Parse the ``ui`` output of one node.

    Raises:
        Malformed: it is not an object.
    """
    files: dict[str, tuple[RemoteFile, ...]] = {}
    values: dict[str, tuple[Json, ...]] = {}
    for key, listed in obj(value, "a node's output").items():
        entries = listed if isinstance(listed, list) else [listed]
        parsed = [(entry, parse_file(entry)) for entry in entries]
        found = tuple(file for _, file in parsed if file is not None)
        rest = tuple(entry for entry, file in parsed if file is None)
        if found:
            files[key] = found
        if rest or not found:
            values[key] = rest
    return NodeOutput(files, values)


def parse_outputs(value: Json) -> dict[str, NodeOutput]:
    """Parse the outputs of a prompt by node id. A node whose output is not an object (or null) is left out."""
    outputs: dict[str, NodeOutput] = {}
    for node, output in obj(value, "outputs").items():
        if isinstance(output, dict):
            outputs[node] = parse_output(output)
    return outputs


def parse_error(value: Json) -> NodeError:
    """Parse the data of ``execution_error`` (``PromptExecutor.handle_execution_error``).

    Raises:
        Malformed: it is not an object, or says nothing of the exception.
    """
    data = obj(value, "an execution error")
    if "exception_message" not in data and "exception_type" not in data:
        raise Malformed("an execution error names no exception")
    lines = data.get("traceback")
    shown = lines[-_TRACEBACK_LINES:] if isinstance(lines, list) else []
    return NodeError(
        node_id=node_id(data.get("node_id")),
        class_type=data.get("node_type") if isinstance(data.get("node_type"), str) else None,
        exception_type=clipped(data.get("exception_type"), 500),
        message=clipped(data.get("exception_message"), _MESSAGE_LIMIT).strip(),
        traceback=tuple(clipped(line, _TRACEBACK_LINE_LIMIT) for line in shown),
    )
