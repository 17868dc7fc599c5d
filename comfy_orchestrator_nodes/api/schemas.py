"""What all routes share: how bodies are checked, how errors look, and which error has which HTTP status."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from .. import errors
from ..errors import OrchestratorError
from . import refusals
from .refusals import MalformedRequest

PREFIX = "/orchestrator"
"""Under which all routes lie. ComfyUI serves each of them under ``/api`` too."""

STATUSES: dict[type[OrchestratorError], int] = {
    refusals.MalformedRequest: 400,
    refusals.HeaderMissing: 403,
    refusals.MethodNotAllowed: 405,
    refusals.BodyTooLarge: 413,
    refusals.MediaTypeRefused: 415,
    refusals.RangeNotSatisfiable: 416,
    errors.NoPicture: 415,
    errors.NoPlayback: 415,
    errors.InvalidRequest: 422,
    errors.NotFound: 404,
    errors.Unavailable: 503,
    errors.Conflict: 409,
    errors.BackendTimedOut: 504,
    errors.BackendError: 502,
    errors.JobError: 409,
    errors.ValueLost: 410,
    errors.StoreFull: 507,
    errors.StoreBusy: 503,
    errors.StoreInUse: 503,
    errors.StoreError: 500,
    errors.OrchestratorError: 500,
}
"""The HTTP status of each class of error; a class that is not listed has that of its nearest base."""


def status_of(error: type[OrchestratorError]) -> int:
    """Return the HTTP status that tells of an error of this class."""
    return next(STATUSES[base] for base in error.__mro__ if base in STATUSES)


def _stripped(text: str) -> str:
    if not (stripped := text.strip()):
        raise errors.InvalidRequest("A name or tag needs at least one visible character.")
    return stripped


Visible = AfterValidator(_stripped)
"""A text that counts without the spaces around it, of which something must be left."""


class Body(BaseModel):
    """Base of what requests carry. Fields that nobody knows are mistakes and refused."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)


class Query(BaseModel):
    """Base of what stands behind the question mark of an address."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)


class View(BaseModel):
    """Base of answers. Clients must bear fields that they do not know: newer versions add some."""


class Problem(View):
    """What is wrong and how to mend it."""

    code: str = Field(description="Stable name of the kind of error.")
    message: str = Field(description="A sentence for the user.")
    details: dict[str, Any] = Field(default_factory=dict, description="The facts behind the message.")

    @classmethod
    def of(cls, error: OrchestratorError) -> Problem:
        """Return an error as it is shown."""
        return cls(code=error.code, message=str(error), details=error.details())


class ErrorEnvelope(View):
    """The one form of every error answer."""

    error: Problem


class NoBody(Body):
    """An empty object: the route takes nothing."""


class Done(View):
    """Nothing but the news that it was done."""

    done: bool = True


def malformed(what: str, error: ValidationError) -> MalformedRequest:
    """Return pydantic's findings as one error that names each field and its problem in words."""
    problems = [(_field(found["loc"]), _in_words(found["msg"])) for found in error.errors(include_url=False)]
    listed = "; ".join(f"{field}: {problem}" for field, problem in problems[:10])
    more = f"; and {len(problems) - 10} more" if len(problems) > 10 else ""
    return MalformedRequest(f"The {what} cannot be used: {listed}{more}.", problems)


def _field(location: Sequence[int | str]) -> str:
    return ".".join(str(part) for part in location) or "(all of it)"


def _in_words(message: str) -> str:
    text = message.removeprefix("Value error, ")
    if text == "Extra inputs are not permitted":
        return "there is no such field"
    return text[:1].lower() + text[1:]
