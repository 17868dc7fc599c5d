"""Native ComfyUI values into stored ones and back. Blocks: run it in a thread."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from typing import Any

from ..backend import codecs
from ..domain import FILE_TYPES, FileRef, Json, Parameter, Value
from ..store.artifacts import ArtifactStore
from ..store.sink import ArtifactWriter

OWNER = "values on their way into jobs"
LEASE_S = 3600.0
"""How long an encoded value is kept for the job that is about to take it."""


def encode(native: Any, parameter: Parameter, artifacts: ArtifactStore) -> Json | Value:
    """Return what a job takes for a parameter: a stored value, or the constant itself.

    Raises:
        UnsupportedValue: the value is not what the parameter's type says.
        StoreFull: there is no room for it.
    """
    if parameter.type not in FILE_TYPES:
        return native
    sinks: list[ArtifactWriter] = []

    def open_sink(media_type: str) -> ArtifactWriter:
        sink = artifacts.writer(media_type, owner=OWNER, lease_s=LEASE_S)
        sinks.append(sink)
        return sink

    with ExitStack() as stack:
        stack.callback(_close_all, sinks)
        written = codecs.encode(native, parameter.type, open_sink)
        return Value(parameter.type, files=tuple(sink.publish() for sink in written))


def decode(value: Value, artifacts: ArtifactStore) -> Any:
    """Return the native value: tensors for what is stored in files, the constant for scalars.

    Raises:
        ValueLost: a file is gone or damaged.
        UnsupportedValue: the files do not make one value.
    """
    if value.type not in FILE_TYPES:
        return value.data
    return decode_files(value.files, value.type, artifacts)


def decode_files(refs: Sequence[FileRef], type_: str, artifacts: ArtifactStore) -> Any:
    """Return the native value that stored files make, in order."""
    with ExitStack() as stack:
        return codecs.decode([stack.enter_context(artifacts.open(ref)) for ref in refs], type_)


def _close_all(sinks: Sequence[ArtifactWriter]) -> None:
    for sink in sinks:
        sink.close()
