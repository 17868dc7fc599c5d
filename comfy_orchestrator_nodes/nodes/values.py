"""Native ComfyUI values into stored ones and back. Blocks: run it in a thread."""

from __future__ import annotations

from contextlib import ExitStack
from typing import Any

from ..backend import codecs
from ..backend.codecs import blobs
from ..domain import STORED_TYPES, Json, Parameter, Value
from ..store.artifacts import ArtifactStore
from ..store.sink import ArtifactWriter

LEASE_S = 3600.0
"""How long an encoded value is kept at most for the job that is about to take it."""


def encode(native: Any, parameter: Parameter, artifacts: ArtifactStore, owner: str) -> Json | Value:
    """Return what a job takes for a parameter: a value stored and leased for ``owner``, or the constant itself.

    It is stored as it is, bit for bit (a video as its file); whoever cannot take it so is given another form of it.

    Raises:
        UnsupportedValue: the value is not what the parameter's type says.
        StoreFull: there is no room for it.
    """
    if parameter.type not in STORED_TYPES:
        return native
    with ExitStack() as stack:

        def open_sink(media_type: str) -> ArtifactWriter:
            return stack.enter_context(artifacts.writer(media_type, owner=owner, lease_s=LEASE_S))

        return Value(parameter.type, files=(blobs.encode_blob(native, parameter.type, open_sink).publish(),))


def decode(value: Value, artifacts: ArtifactStore) -> Any:
    """Return the native value: tensors for what is stored in files, the constant for scalars.

    Raises:
        ValueLost: a file is gone or damaged.
        UnsupportedValue: the files do not make one value.
    """
    if value.type not in STORED_TYPES:
        return value.data
    with ExitStack() as stack:
        files = [stack.enter_context(artifacts.open(ref)) for ref in value.files]
        return blobs.decode_blobs(files, value.type) if value.is_blob else codecs.decode(files, value.type)
