"""The exception tree: every failure this package raises on purpose.

::

    OrchestratorError
    ├── InvalidRequest              a caller's value cannot be used
    │   ├── InvalidDocument         a workflow file cannot be read
    │   ├── ConversionFailed        a workflow cannot be converted exactly
    │   ├── InvalidPrompt           an API-format prompt is malformed
    │   ├── InvalidNodeInfo         an entry of /object_info is unreadable
    │   ├── BindingFailed           values do not fit a definition's parameters
    │   ├── InvalidUrl              a backend's base URL is unusable
    │   ├── InvalidExpression       a Condition's text cannot be read
    │   ├── EvaluationFailed        a Condition has no result for its values
    │   ├── UnsupportedValue        no carrier can move a value of this type
    │   ├── NoPicture               there is no picture of a value
    │   └── NoPlayback              a value is nothing that can be played
    ├── NotFound                    no such backend, definition, job, run or artifact
    ├── Unavailable                 this server does not orchestrate, or not yet
    ├── Conflict                    the change no longer fits what is stored
    │   ├── StaleWrite              a guarded write met another status
    │   └── IllegalTransition       the state machine has no such row
    ├── BackendError                one exchange with one backend failed
    │   ├── BackendUnreachable      no connection; nothing was sent
    │   ├── BackendTimedOut         the connection stood, the answer did not come
    │   ├── ConnectionLost          the exchange broke off half way
    │   ├── BackendRefused          401 or 403
    │   ├── PromptRejected          validation failed on the backend
    │   ├── PayloadTooLarge         over the backend's upload limit
    │   ├── BackendFault            any other HTTP error status
    │   └── ProtocolViolation       the answer is not what ComfyUI sends
    ├── JobError                    a job ended without a result
    │   ├── NoBackendQualifies      every backend was refused, with reasons
    │   ├── JobFailed               the attempts are used up
    │   └── JobCancelled            somebody cancelled it
    ├── ValueLost                   a stored value is gone or damaged
    └── StoreError                  the database or the artifact folder
        ├── StoreDamaged            the file is not a sound database
        ├── StoreNewer              written by a newer version of this pack
        ├── StoreInUse              another process holds the lock
        ├── StoreBusy               another program has locked the file for too long
        └── StoreFull               no space left

A class's docstring says when it is raised. ``str(error)`` is a sentence for the user: what is wrong and how to mend it.
``code`` is stable and goes over HTTP; ``details()`` is the machine-readable rest. The HTTP status of each class is
decided in one place, ``api/schemas.py``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar


class OrchestratorError(Exception):
    """Base of every error that this package raises on purpose."""

    code: ClassVar[str] = "error"

    def __init__(self, message: str, **details: Any) -> None:
        super().__init__(message)
        self.message = message
        self._details = details

    def __str__(self) -> str:
        return self.message

    def details(self) -> dict[str, Any]:
        """Return the JSON-ready facts behind the message; never a secret."""
        return dict(self._details)


# --- what a caller passed in -----------------------------------------------------------------------------------------


class InvalidRequest(OrchestratorError):
    """A value passed in by a caller cannot be used as it is."""

    code = "invalid_request"


class InvalidDocument(InvalidRequest):
    """A workflow file is damaged, hostile, too large, or holds no workflow."""

    code = "invalid_document"


class ConversionFailed(InvalidRequest):
    """A UI-format workflow cannot be converted exactly; ``reasons`` lists everything in the way."""

    code = "conversion_failed"

    def __init__(self, reasons: Sequence[str]) -> None:
        self.reasons = tuple(reasons)
        super().__init__(
            "This workflow cannot be converted exactly: " + "; ".join(self.reasons), reasons=list(self.reasons)
        )


class InvalidPrompt(InvalidRequest):
    """An API-format prompt is malformed: not an object of nodes, a dangling link, a cycle."""

    code = "invalid_prompt"


class InvalidNodeInfo(InvalidRequest):
    """What a server says about a node class (``/object_info``) is not a description of one."""

    code = "invalid_node_info"

    def __init__(self, class_type: str, reason: str) -> None:
        super().__init__(f"The description of the node class {class_type!r} cannot be used: {reason}.", node=class_type)
        self.class_type = class_type


class BindingFailed(InvalidRequest):
    """Values do not fit a definition's parameters; ``problems`` names each parameter and what is wrong with it."""

    code = "binding_failed"

    def __init__(self, problems: Mapping[str, str]) -> None:
        self.problems = dict(problems)
        super().__init__("; ".join(f"{name}: {text}" for name, text in self.problems.items()), problems=self.problems)


class InvalidUrl(InvalidRequest):
    """A backend's base URL is not an http(s) URL that can be used."""

    code = "invalid_url"


class InvalidExpression(InvalidRequest):
    """A Condition's expression cannot be read; ``details()`` holds the ``position`` (from 0) of what is wrong."""

    code = "invalid_expression"


class EvaluationFailed(InvalidRequest):
    """A Condition's expression has no result for the values it met, or needs too much; ``position`` tells where."""

    code = "evaluation_failed"


class UnsupportedValue(InvalidRequest):
    """No carrier that this backend offers can move a value of this type."""

    code = "unsupported_value"


class NoPicture(InvalidRequest):
    """No picture can be made of a value: it is neither image nor mask, is too large, or no image that can be read."""

    code = "no_picture"


class NoPlayback(InvalidRequest):
    """A value cannot be played: it is neither sound nor video, or of a form that browsers do not know."""

    code = "no_playback"


class NotFound(OrchestratorError):
    """There is no such backend, definition, job, run or artifact."""

    code = "not_found"

    def __init__(self, kind: str, id_: str, *, near: Sequence[str] = (), repair: str = "") -> None:
        hint = f" Did you mean {', '.join(repr(n) for n in near)}?" if near else ""
        hint += f" {repair}" if repair else ""
        super().__init__(f"There is no {kind} {id_!r}.{hint}", kind=kind, id=id_, near=list(near))
        self.kind = kind
        self.id = id_


class Unavailable(OrchestratorError):
    """This server does not orchestrate: it is still starting, is shutting down, or is an agent only."""

    code = "unavailable"


class Conflict(OrchestratorError):
    """The change does not fit the present state."""

    code = "conflict"


class StaleWrite(Conflict):
    """A guarded write found another status than the one it was decided on."""

    code = "stale_write"

    def __init__(self, kind: str, id_: str, expected: str, found: str | None) -> None:
        super().__init__(
            f"{kind} {id_} is {found or 'gone'}, not {expected}: the change was decided on an older state.",
            kind=kind,
            id=id_,
            expected=expected,
            found=found,
        )


class IllegalTransition(Conflict):
    """The transition table has no row for this state and event; ``story`` is what happened so far."""

    code = "illegal_transition"

    def __init__(self, subject: str, status: str, event: str, story: Sequence[str]) -> None:
        lines = "\n  ".join(story) or "(nothing)"
        super().__init__(
            f"{subject} is {status}; {event} is not allowed there. Its story:\n  {lines}",
            subject=subject,
            status=status,
            event=event,
            story=list(story),
        )


# --- one exchange with one backend -----------------------------------------------------------------------------------


class BackendError(OrchestratorError):
    """One exchange with one backend failed."""

    code = "backend_error"

    def __init__(self, backend: str, message: str, **details: Any) -> None:
        super().__init__(f"{backend}: {message}", backend=backend, **details)
        self.backend = backend


class BackendUnreachable(BackendError):
    """No connection could be made, so nothing was sent: refused, no route, unknown host, TLS failure."""

    code = "backend_unreachable"


class BackendTimedOut(BackendError):
    """A connection stood but the answer did not come in time: whether the request was taken is not known."""

    code = "backend_timed_out"


class ConnectionLost(BackendError):
    """A connection broke while a request or answer was under way: whether the request was taken is not known."""

    code = "connection_lost"


class BackendRefused(BackendError):
    """The backend, or a proxy before it, answered 401 or 403."""

    code = "backend_refused"


class PromptRejected(BackendError):
    """The backend's validation refused the prompt (HTTP 400); ``node_errors`` maps node id to its messages."""

    code = "prompt_rejected"

    def __init__(
        self, backend: str, message: str, *, kind: str, node_errors: Mapping[str, Sequence[Mapping[str, str]]]
    ) -> None:
        self.kind = kind
        self.node_errors = {node: [dict(e) for e in errors] for node, errors in node_errors.items()}
        super().__init__(backend, message, kind=kind, node_errors=self.node_errors)


class PayloadTooLarge(BackendError):
    """A request is larger than the backend accepts (HTTP 413, or its published ``max_upload_size``)."""

    code = "payload_too_large"


class BackendFault(BackendError):
    """The backend answered with an HTTP error status that has no class of its own."""

    code = "backend_fault"

    def __init__(self, backend: str, message: str, *, status: int) -> None:
        super().__init__(backend, message, status=status)
        self.status = status


class ProtocolViolation(BackendError):
    """The answer is not what a ComfyUI server sends: not JSON, the wrong shape, or another kind of server."""

    code = "protocol_violation"


# --- jobs ------------------------------------------------------------------------------------------------------------


class JobError(OrchestratorError):
    """A job ended without a result."""

    code = "job_error"


class NoBackendQualifies(JobError):
    """No backend can run the job; ``refusals`` maps each backend's name to the reason."""

    code = "no_backend_qualifies"

    def __init__(self, refusals: Mapping[str, str]) -> None:
        self.refusals = dict(refusals)
        listed = "; ".join(f"{name}: {reason}" for name, reason in self.refusals.items())
        super().__init__(
            f"No backend can run this job. {listed or 'No backend is registered: add one first.'}",
            refusals=self.refusals,
        )


class JobFailed(JobError):
    """The job's attempts are used up or its failure would repeat everywhere; the message names the last cause."""

    code = "job_failed"


class JobCancelled(JobError):
    """The job was cancelled by a user, by an interrupt of the master's prompt, or with its run."""

    code = "job_cancelled"


class ValueLost(OrchestratorError):
    """A stored value is missing, truncated or does not match its hash."""

    code = "value_lost"


# --- the store -------------------------------------------------------------------------------------------------------


class StoreError(OrchestratorError):
    """The database or the artifact folder could not be read or written."""

    code = "store_error"


class StoreDamaged(StoreError):
    """The database file is not a sound SQLite database of this pack; it is left where it is."""

    code = "store_damaged"


class StoreNewer(StoreError):
    """The database was written by a newer version of this pack."""

    code = "store_newer"


class StoreInUse(StoreError):
    """Another process holds the database's lock: this ComfyUI is an agent only."""

    code = "store_in_use"


class StoreBusy(StoreError):
    """A program that is not a ComfyUI of ours has locked the database file for longer than a write waits."""

    code = "store_busy"


class StoreFull(StoreError):
    """No space is left on the device or under the size limit; nothing that was stored is lost."""

    code = "store_full"
