"""What is asked for, and what a job that ended without a result amounts to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from ..domain import Cause, Job, JobSpec, JobStatus, Json, Run, Value
from ..errors import JobCancelled, JobFailed


@dataclass(frozen=True)
class Request:
    """One sub-workflow to run. ``values`` may be JSON constants or stored values, by parameter name.

    Of ``max_attempts``, ``on_failure``, ``use_cache``, ``time_limit_s`` and ``prefer``, None leaves it to the
    definition, and where that says nothing to the settings.
    """

    definition_id: str
    values: Mapping[str, Json | Value] = field(default_factory=dict)
    definition_version: int | None = None
    """None: the latest."""
    outputs: tuple[str, ...] | None = None
    """None: all of the definition's."""
    run: Run | None = None
    """The run it belongs to; stored with the first job of it. None: a run of its own."""
    node_id: str | None = None
    item_index: int = 0
    selector: str = "auto"
    """See ``JobSpec.selector``; with ``prefer:`` before it, it is one for ``JobSpec.prefer``."""
    prefer: tuple[str, ...] | None = None
    excluded_backends: tuple[str, ...] = ()
    from_queue: bool = False
    """See ``JobSpec.from_queue``."""
    fidelity: str = "any"
    max_attempts: int | None = None
    on_failure: str | None = None
    priority: int = 0
    use_cache: bool | None = None
    time_limit_s: float | None = None
    owner: str | None = None
    """The user who asks, where ComfyUI knows several; else that of the run."""
    native: bool = False
    """Whether outputs are wanted as blobs where a backend makes some; otherwise as files that programs can open."""
    may_stay: tuple[str, ...] = ()
    """Outputs that may stay on the backend that makes them: ``obtain`` brings them when they are needed."""

    @classmethod
    def again(cls, spec: JobSpec) -> Request:
        """Return the request that asks for a job's work once more."""
        return cls(
            spec.definition_id,
            spec.values,
            definition_version=spec.definition_version,
            outputs=spec.outputs,
            selector=spec.selector,
            prefer=spec.prefer,
            excluded_backends=spec.excluded_backends,
            from_queue=spec.from_queue,
            fidelity=spec.fidelity,
            max_attempts=spec.max_attempts,
            on_failure="fail",
            use_cache=True,
            priority=spec.priority,
            time_limit_s=spec.time_limit_s,
            native=spec.native,
            may_stay=spec.may_stay,
        )


def raise_failure(job: Job) -> None:
    """Raise what a final job without a result amounts to; return for one that succeeded.

    Raises:
        JobCancelled: it was cancelled.
        JobFailed: it failed; the message is the last cause's.
    """
    if job.status is JobStatus.SUCCEEDED:
        return
    message = job.failure.message if job.failure is not None else f"Job {job.id} is {job.status.value}."
    if job.status is JobStatus.CANCELLED:
        raise JobCancelled(message, job=job.id)
    cause = job.failure.cause if job.failure is not None else Cause.INTERNAL
    raise JobFailed(message, job=job.id, cause=cause.value)
