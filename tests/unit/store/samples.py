"""Models as the tests need them, each a small complete example with its parts open to change."""

from __future__ import annotations

from typing import Any

from comfy_orchestrator_nodes.domain import (
    Attempt,
    AttemptStatus,
    Backend,
    Cause,
    Credentials,
    Definition,
    Failure,
    FileRef,
    Job,
    JobSpec,
    JobStatus,
    Knobs,
    Output,
    Parameter,
    Run,
    RunStatus,
    TlsOptions,
    Value,
)
from comfy_orchestrator_nodes.store.jobs import JobChange

NOW = 1_700_000_000.0


class Clock:
    """A clock that only moves when told."""

    def __init__(self, now: float = NOW) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now

    def advance(self, seconds: float) -> None:
        self.now += seconds


def a_backend(**changes: Any) -> Backend:
    fields: dict[str, Any] = {
        "id": "attic",
        "name": "Attic",
        "base_url": "https://attic.lan:8188/comfy",
        "tags": ("fast", "24 GB"),
        "notes": "under the roof",
        "tls": TlsOptions(verify=False, ca_file="/etc/ca.pem"),
        "credentials": Credentials("token", "user", "secret", {"X-Key": "abc"}),
        "created_at": NOW,
        "draining": True,
    }
    return Backend(**{**fields, **changes})


def a_definition(**changes: Any) -> Definition:
    fields: dict[str, Any] = {
        "id": "blue",
        "version": 1,
        "name": "Blue",
        "prompt": {"1": {"class_type": "EmptyImage", "inputs": {"width": 64, "color": ["2", 0]}}},
        "parameters": (Parameter("width", "INT", "1", "width", default=64, minimum=1, choices=None),),
        "outputs": (Output("image", "IMAGE", "1", 0),),
        "description": "a blue image",
        "tags": ("test", "image"),
        "workflow": {"nodes": [{"id": 1}]},
        "created_at": NOW,
        "knobs": Knobs("drop", 5, 60.0, False, ("tag:fast",)),
    }
    return Definition(**{**fields, **changes})


def a_file(content: str = "a", size_bytes: int = 4) -> FileRef:
    return FileRef((content * 64)[:64], size_bytes, "image/png")


def a_spec(**changes: Any) -> JobSpec:
    fields: dict[str, Any] = {
        "definition_id": "blue",
        "definition_version": 1,
        "definition_hash": "f" * 64,
        "values": {"width": Value("INT", 64), "image": Value("IMAGE", files=(a_file(),))},
        "outputs": ("image",),
    }
    return JobSpec(**{**fields, **changes})


def a_run(**changes: Any) -> Run:
    fields: dict[str, Any] = {
        "id": "run",
        "status": RunStatus.RUNNING,
        "created_at": NOW,
        "title": "A run",
        "owner": "ann",
    }
    return Run(**{**fields, **changes})


def a_job(id_: str = "job", **changes: Any) -> Job:
    spec = changes.pop("spec", a_spec())
    fields: dict[str, Any] = {
        "id": id_,
        "run_id": "run",
        "key": spec.key(),
        "spec": spec,
        "status": JobStatus.QUEUED,
        "created_at": NOW,
        "node_id": "12",
        "owner": "ann",
        "queued_at": NOW - 1,
    }
    return Job(**{**fields, **changes})


def an_attempt(job_id: str = "job", number: int = 1, **changes: Any) -> Attempt:
    fields: dict[str, Any] = {
        "id": f"{job_id}/{number}",
        "job_id": job_id,
        "number": number,
        "backend_id": "attic",
        "prompt_id": f"prompt-of-{job_id}-{number}",
        "status": AttemptStatus.SUBMITTING,
        "created_at": NOW,
    }
    return Attempt(**{**fields, **changes})


def a_failure(**changes: Any) -> Failure:
    fields: dict[str, Any] = {
        "cause": Cause.EXECUTION_ERROR,
        "message": "No such thing",
        "node_id": "3",
        "class_type": "KSampler",
        "traceback": ("line 1", "line 2"),
    }
    return Failure(**{**fields, **changes})


def some_outputs() -> dict[str, Value]:
    return {"image": Value("IMAGE", files=(a_file("b"),))}


def dispatched(job_id: str = "job", **changes: Any) -> JobChange:
    """The change that gives a queued job its first attempt."""
    fields: dict[str, Any] = {
        "job_id": job_id,
        "expected": JobStatus.QUEUED,
        "status": JobStatus.DISPATCHED,
        "now": NOW + 1,
        "attempts": (an_attempt(job_id),),
        "events": (("placed", f"{job_id}/1", {"backend": "attic"}),),
    }
    return JobChange(**{**fields, **changes})


def succeeded(job_id: str = "job", **changes: Any) -> JobChange:
    """The change that ends a dispatched job well."""
    fields: dict[str, Any] = {
        "job_id": job_id,
        "expected": JobStatus.DISPATCHED,
        "status": JobStatus.SUCCEEDED,
        "now": NOW + 2,
        "attempts": (an_attempt(job_id, status=AttemptStatus.SUCCEEDED, ended_at=NOW + 2),),
        "events": (("succeeded", f"{job_id}/1", {}),),
        "outputs": some_outputs(),
    }
    return JobChange(**{**fields, **changes})


def failed(job_id: str = "job", **changes: Any) -> JobChange:
    """The change that ends a dispatched job badly."""
    fields: dict[str, Any] = {
        "job_id": job_id,
        "expected": JobStatus.DISPATCHED,
        "status": JobStatus.FAILED,
        "now": NOW + 2,
        "attempts": (an_attempt(job_id, status=AttemptStatus.FAILED, ended_at=NOW + 2, failure=a_failure()),),
        "events": (("faulted", f"{job_id}/1", {}),),
        "failure": a_failure(),
    }
    return JobChange(**{**fields, **changes})
