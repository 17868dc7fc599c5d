"""How jobs, attempts and their values look in requests and answers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal

from pydantic import Field, StrictBool, StrictInt, ValidationError

from ..domain import Attempt, AttemptStatus, Cause, Decision, Failure, Job, JobEvent, JobSpec, JobStatus, Json, Value
from ..orchestrator.jobs import Request
from ..store.attempts import Used
from .knob_schemas import Attempts, OnFailure, Prefer, Selector, TimeLimit
from .schemas import Body, Query, View, malformed
from .value_schemas import FileBody, FileView

REFERENCE = "$value"
"""A value that is an object with this one key refers to stored files; any other JSON is a constant."""

MAX_WAIT_S = 60.0
"""How long one request may wait for a job to end."""

MAX_FILES = 4096

Id = Annotated[str, Field(max_length=200)]
Priority = Annotated[StrictInt, Field(ge=-1000, le=1000, description="A level outweighs an hour of waiting.")]


class ValueBody(Body):
    """What a link carries: stored files in order, or a constant."""

    type: Annotated[str, Field(min_length=1, max_length=100)]
    data: Any = None
    files: Annotated[list[FileBody], Field(max_length=MAX_FILES)] = Field(default_factory=list)

    def to_domain(self) -> Value:
        """Return it as the domain has it."""
        return Value(self.type, self.data, tuple(file.to_domain() for file in self.files))


class JobBody(Body):
    """One sub-workflow to run, outside of the master's queue."""

    definition: Annotated[str, Field(min_length=1, max_length=200)]
    version: Annotated[StrictInt, Field(ge=1, le=2**31)] | None = Field(default=None, description="The latest if null.")
    values: dict[str, Any] = Field(
        default_factory=dict,
        description=(
            "Parameter name to a JSON constant, or to an uploaded value as "
            '{"$value": {"type": "IMAGE", "files": [{"sha256", "size_bytes", "media_type"}]}}.'
        ),
    )
    outputs: Annotated[list[str], Field(max_length=1000)] | None = Field(
        default=None, description="Which outputs are wanted; all if null."
    )
    backend: Selector = Field(
        default="auto",
        description="auto, a backend's id or name, or tag:NAME; with prefer: before it only a wish.",
    )
    prefer: Prefer | None = Field(default=None, description="null: as the definition says. So are the next four.")
    excluded_backends: Annotated[list[str], Field(max_length=1000)] = Field(default_factory=list)
    fidelity: Literal["any", "exact"] = "any"
    attempts: Attempts | None = None
    on_failure: OnFailure | None = None
    cache: StrictBool | None = Field(default=None, description="Whether an equal job's result or run may be shared.")
    time_limit_s: TimeLimit | None = None
    priority: Priority = 0
    client_id: Annotated[str, Field(min_length=1, max_length=200)] | None = Field(
        default=None, description="The socket (ComfyUI's clientId) that gets the previews."
    )

    def to_request(self, owner: str | None) -> Request:
        """Return it as the verb takes it, in the name of a user.

        Raises:
            MalformedRequest: a reference to stored files is malformed.
        """
        return Request(
            definition_id=self.definition,
            values={name: _value(name, value) for name, value in self.values.items()},
            definition_version=self.version,
            outputs=None if self.outputs is None else tuple(self.outputs),
            selector=self.backend,
            prefer=self.prefer,
            excluded_backends=tuple(self.excluded_backends),
            fidelity=self.fidelity,
            max_attempts=self.attempts,
            on_failure=self.on_failure,
            priority=self.priority,
            use_cache=self.cache,
            time_limit_s=self.time_limit_s,
            owner=owner,
        )


class RetryBody(Body):
    """Where the work is to be run again."""

    elsewhere: StrictBool = Field(default=False, description="On none of the backends that had it.")


class PriorityBody(Body):
    """How urgent a job is."""

    priority: Priority


class MoveBody(Body):
    """Which place a waiting job takes."""

    before: Id | None = Field(default=None, description="The waiting job it goes before; null: before all of them.")


class CancelBody(Body):
    """Which of the jobs under way are to be cancelled: those that fit all that is said; all if nothing is."""

    status: Annotated[list[JobStatus], Field(max_length=20)] = Field(default_factory=list)
    run: Id | None = None
    definition: Id | None = None
    backend: Id | None = Field(default=None, description="Id of the backend that has it now.")


class DecisionBody(Body):
    """What to do about a job that waits for a person."""

    decision: Decision


class PageQuery(Query):
    """Which part of a list."""

    limit: Annotated[int, Field(ge=1, le=500)] = 100
    cursor: Annotated[int, Field(ge=1, le=2**53)] | None = Field(
        default=None, description="The `next` of the page before."
    )


class JobsQuery(PageQuery):
    """Which jobs; what is left out does not restrict."""

    status: Annotated[list[JobStatus], Field(max_length=20)] = Field(default_factory=list)
    run: Id | None = None
    definition: Id | None = None
    backend: Id | None = Field(default=None, description="Id of a backend that had an attempt of it.")
    search: Annotated[str, Field(max_length=200)] = ""


class WaitQuery(Query):
    """How long to wait for the job to end, or to need a decision."""

    wait_s: Annotated[float, Field(ge=0, le=MAX_WAIT_S)] = 0.0


class EventsQuery(Query):
    """Which events."""

    after: Annotated[int, Field(ge=0, le=2**53)] = Field(default=0, description="Sequence of the last one known.")


class ValueView(View):
    """What a link carries: a constant in ``data``, or files in order."""

    type: str
    data: Any
    files: list[FileView]
    loss: str = Field(description="What may have been lost of it on its way here, in words; empty if it is exact.")

    @classmethod
    def of(cls, value: Value) -> ValueView:
        """Return a value as it is shown."""
        files = [FileView.of(ref, value.type) for ref in value.files]
        return cls(type=value.type, data=value.data, files=files, loss=value.loss)


class FailureView(View):
    """Why an attempt or a job ended without a result."""

    cause: Cause
    message: str
    node_id: str | None
    class_type: str | None
    traceback: list[str] = Field(description="Of the backend, not of this server.")
    dropped: bool

    @classmethod
    def of(cls, failure: Failure) -> FailureView:
        """Return a failure as it is shown."""
        return cls(**{**vars(failure), "traceback": list(failure.traceback)})


class AttemptView(View):
    """One dispatch to one backend."""

    id: str
    number: int
    backend_id: str
    backend: str = Field(description="Its name, or its id when it was removed.")
    prompt_id: str
    status: AttemptStatus
    charged: bool
    failure: FailureView | None
    created_at: float
    started_at: float | None
    ended_at: float | None
    uploaded_bytes: int
    downloaded_bytes: int
    peak_vram_bytes: int | None = Field(
        description="The most VRAM in use on the backend's fullest GPU meanwhile, others' included; null: unknown."
    )
    energy_j: float | None = Field(description="What the backend's GPUs drew meanwhile, in joules; null: unknown.")

    @classmethod
    def of(cls, attempt: Attempt, backend: str) -> AttemptView:
        """Return an attempt as it is shown."""
        failure = FailureView.of(attempt.failure) if attempt.failure is not None else None
        shown = {name: value for name, value in vars(attempt).items() if name != "job_id"}
        return cls(**{**shown, "backend": backend, "failure": failure})


class ProgressView(View):
    """How far the running attempt is."""

    job_id: str
    backend_id: str
    done_ratio: float = Field(description="0 to 1 over the whole sub-workflow.")
    node_id: str | None
    class_type: str | None
    loading_s: float | None = Field(description="Seconds in nodes that load models, before the one that runs now.")
    loading_since: float | None = Field(
        description="When the node that runs now began to load models; null: it does not."
    )
    fetching_since: float | None = Field(description="When its outputs began to be fetched; null: it still runs.")


class JobSummary(View):
    """A job without its values and attempts."""

    id: str
    run_id: str
    definition: str
    version: int
    status: JobStatus
    node_id: str | None
    item_index: int
    owner: str | None = Field(description="The user who asked for it, where ComfyUI knows several.")
    priority: int
    queued_at: float = Field(description="Waiting jobs are served in order of this less 3600 s a level of priority.")
    created_at: float
    ended_at: float | None
    failure: FailureView | None

    @classmethod
    def of(cls, job: Job) -> JobSummary:
        """Return a job as lists show it."""
        return cls(**summary_fields(job))


class JobKnobsView(View):
    """How it is run: what was asked for, else what its definition or the settings said then."""

    on_failure: str
    attempts: int
    time_limit_s: float | None
    cache: bool
    prefer: list[str]

    @classmethod
    def of(cls, spec: JobSpec) -> JobKnobsView:
        """Return them as they are shown."""
        return cls(
            on_failure=spec.on_failure,
            attempts=spec.max_attempts,
            time_limit_s=spec.time_limit_s,
            cache=spec.use_cache,
            prefer=list(spec.prefer),
        )


class ListedJob(JobSummary):
    """A job as lists show it."""

    backend_id: str | None = Field(description="The backend that has or had it last; null: none yet.")
    peak_vram_bytes: int | None = Field(description="The highest of its attempts; null: unknown.")
    energy_j: float | None = Field(description="Of all its attempts; null: unknown.")

    @classmethod
    def all_of(cls, jobs: Sequence[Job], used: Mapping[str, Used]) -> list[ListedJob]:
        """Return jobs as lists show them."""
        return [cls(**summary_fields(job), **vars(used.get(job.id, Used()))) for job in jobs]


class JobView(JobSummary):
    """A job with all that is known of it."""

    backend: str = Field(description="The asked backend: auto, an id or name, or tag:NAME.")
    knobs: JobKnobsView
    values: dict[str, ValueView]
    outputs: dict[str, ValueView] = Field(description="Empty until it succeeded.")
    attempts: list[AttemptView]
    progress: ProgressView | None = Field(description="null unless it runs.")


class SubmittedView(JobView):
    """A submitted job."""

    cached: bool = Field(description="Whether the result was there already.")


class JobList(View):
    """Some jobs, newest first."""

    jobs: list[ListedJob]
    next: int | None = Field(description="The cursor for those that follow; null after the last.")


class EventView(View):
    """One row of a job's story."""

    sequence: int
    at: float
    kind: str
    attempt_id: str | None
    details: dict[str, Any]

    @classmethod
    def of(cls, event: JobEvent) -> EventView:
        """Return an event as it is shown."""
        return cls(
            sequence=event.sequence,
            at=event.at,
            kind=event.kind,
            attempt_id=event.attempt_id,
            details=dict(event.details),
        )


class EventList(View):
    """A job's story, in order."""

    events: list[EventView]


def summary_fields(job: Job) -> dict[str, Any]:
    """Return the fields of ``JobSummary``."""
    return {
        "id": job.id,
        "run_id": job.run_id,
        "definition": job.spec.definition_id,
        "version": job.spec.definition_version,
        "status": job.status,
        "node_id": job.node_id,
        "item_index": job.item_index,
        "owner": job.owner,
        "priority": job.spec.priority,
        "queued_at": job.created_at if job.queued_at is None else job.queued_at,
        "created_at": job.created_at,
        "ended_at": job.ended_at,
        "failure": FailureView.of(job.failure) if job.failure is not None else None,
    }


def shown_values(values: Mapping[str, Value]) -> dict[str, ValueView]:
    """Return values by name as they are shown."""
    return {name: ValueView.of(value) for name, value in values.items()}


def _value(name: str, value: Json) -> Json | Value:
    if not isinstance(value, dict) or set(value) != {REFERENCE}:
        return value
    try:
        return ValueBody.model_validate(value[REFERENCE]).to_domain()
    except ValidationError as error:
        raise malformed(f"value {name!r}", error) from None
