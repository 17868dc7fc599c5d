"""What went wrong in an exchange, as the cause that the job table decides on."""

from __future__ import annotations

from collections.abc import Mapping

from ..backend.results import NodeError
from ..domain import Cause, Failure
from ..errors import (
    BackendError,
    BackendRefused,
    BackendUnreachable,
    BindingFailed,
    ConversionFailed,
    InvalidPrompt,
    NotFound,
    OrchestratorError,
    PayloadTooLarge,
    PromptRejected,
    UnsupportedValue,
    ValueLost,
)

_CAUSES: Mapping[type[OrchestratorError], Cause] = {
    BackendUnreachable: Cause.UNREACHABLE,
    BackendRefused: Cause.REFUSED,
    PromptRejected: Cause.REJECTED,
    UnsupportedValue: Cause.REJECTED,
    BindingFailed: Cause.REJECTED,
    InvalidPrompt: Cause.REJECTED,
    ConversionFailed: Cause.REJECTED,
    PayloadTooLarge: Cause.TOO_LARGE,
    ValueLost: Cause.INTERNAL,
    NotFound: Cause.INTERNAL,
}


_BLOB_MISSING = "blob_missing"
"""How the agent's node refuses a value that its store no longer has (docs/agent-protocol.md)."""


def failure_of(error: OrchestratorError) -> Failure:
    """Return the failure that an error amounts to; one without a row of its own means that the backend vanished."""
    default = Cause.VANISHED if isinstance(error, BackendError) else Cause.INTERNAL
    cause = next((_CAUSES[kind] for kind in type(error).__mro__ if kind in _CAUSES), default)
    if isinstance(error, PromptRejected):
        return _rejection(error)
    return Failure(cause, str(error))


def failure_of_node(backend: str, error: NodeError, node_ids: Mapping[str, str]) -> Failure:
    """Return the failure of a prompt that a node's exception ended.

    Args:
        backend: the backend's name, for the message.
        error: as the backend reported it.
        node_ids: node ids of the prompt as sent, to those of the definition.
    """
    node = node_ids.get(error.node_id or "", error.node_id)
    where = f"{error.class_type or 'a node'} (node {node})" if node else "a node"
    kind = error.exception_type.rsplit(".", 1)[-1]
    text = f"{backend}: {where} failed with {kind}: {error.message}" if kind else f"{backend}: {where}: {error.message}"
    cause = Cause.OUT_OF_MEMORY if error.out_of_memory else Cause.EXECUTION_ERROR
    return Failure(cause, text, node_id=node, class_type=error.class_type, traceback=error.traceback)


def _rejection(error: PromptRejected) -> Failure:
    """Name the first node that was refused and why: that is what the user must mend."""
    if _BLOB_MISSING in str(error.node_errors):
        # Seen there a moment before, so its ComfyUI was started anew or short of room: nobody has to mend anything.
        return Failure(Cause.VANISHED, f"{error.backend} lost a value that was sent there before the job began.")
    for node_id, listed in error.node_errors.items():
        for one in listed:
            details = ": ".join(part for part in (one.get("message", ""), one.get("details", "")) if part)
            class_type = one.get("class_type") or None
            text = f"{error.backend} rejected {class_type or 'a node'} (node {node_id}): {details}"
            return Failure(Cause.REJECTED, text, node_id=node_id, class_type=class_type)
    return Failure(Cause.REJECTED, str(error))
