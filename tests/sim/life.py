"""The machine under the virtual clock: feeds events to the real transition table and checks what must always hold."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping

from comfy_orchestrator_nodes.domain import AttemptStatus, Job, JobSpec, JobStatus, Value
from comfy_orchestrator_nodes.machine.events import Event, Instruction, Place, Settle
from comfy_orchestrator_nodes.machine.jobs import JobState, Step, advance
from comfy_orchestrator_nodes.machine.policy import exclusions

RESULT: Mapping[str, Value] = {"image": Value("INT", 1)}

_NEEDS_ATTEMPT = {JobStatus.DISPATCHED, JobStatus.RUNNING, JobStatus.LOST, JobStatus.CANCELLING}


class Broken(AssertionError):
    """An invariant of the machine does not hold; the message holds the job's story."""


class Lives:
    """The state of every job. ``feed`` is the only way to change one."""

    def __init__(self, definitions: Mapping[str, int], attempts: int, obey: Callable[[str, Instruction], None]) -> None:
        self.jobs: dict[str, JobState] = {}
        self.definition: dict[str, str] = {}
        """Job id to definition."""
        self.open = 0
        """How many jobs are not final."""
        self.settled: Counter[str] = Counter()
        """Job id to how often whoever waits for it was woken."""
        self._obey = obey
        for definition, count in definitions.items():
            spec = JobSpec(definition, 1, definition, {}, ("image",), max_attempts=attempts)
            key = spec.key()
            for i in range(count):
                job_id = f"{definition}/{i}"
                self.jobs[job_id] = JobState(Job(job_id, "run", key, spec, JobStatus.QUEUED, created_at=0.0))
                self.definition[job_id] = definition
                self.open += 1

    def feed(self, job_id: str, event: Event, now: float) -> Step:
        """Apply an event, check the outcome, and have the instructions carried out."""
        step = advance(self.jobs[job_id], event, now)
        self.jobs[job_id] = step.state
        check(step)
        if step.state.job.status.final and not step.before.final:
            self.open -= 1
        for instruction in step.instructions:
            if isinstance(instruction, Settle):
                self.settled[job_id] += 1
            self._obey(job_id, instruction)
        return step

    def check_end(self) -> None:
        """Check what must hold when all is over: every job is final, and was reported once."""
        for job_id, state in self.jobs.items():
            if not state.job.status.final or self.settled[job_id] != 1:
                raise Broken(f"{job_id} is {state.job.status.value}, settled {self.settled[job_id]} times")


def check(step: Step) -> None:
    """Raise if a state that the machine reached is one that must never be."""
    state, status = step.state, step.state.job.status
    for rule, holds in (
        ("only the last attempt is under way", all(a.status.final for a in state.attempts[:-1])),
        (
            "an attempt is under way exactly while a backend has the job",
            (status in _NEEDS_ATTEMPT) == bool(state.current),
        ),
        ("a final job says when it ended", status.final == (state.job.ended_at is not None)),
        (
            "a result comes from one attempt",
            sum(a.status is AttemptStatus.SUCCEEDED for a in state.attempts) == (status is JobStatus.SUCCEEDED),
        ),
        ("attempts are limited", sum(a.charged for a in state.attempts) <= state.job.spec.max_attempts),
        ("a job that failed says why", status is not JobStatus.FAILED or state.job.failure is not None),
        (
            "a job is put into the backlog exactly when it is queued anew",
            any(isinstance(i, Place) for i in step.instructions)
            == (status is JobStatus.QUEUED and step.before is not JobStatus.QUEUED),
        ),
        (
            "no attempt is made where the job is excluded",
            state.current is None or state.current.backend_id not in exclusions(state.attempts[:-1]),
        ),
    ):
        if not holds:
            raise Broken("\n".join([f"{rule}: {state.job.id} is {status.value}", *state.story]))
