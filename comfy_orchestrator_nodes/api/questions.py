"""The jobs that wait for a person, with what happened to them and how long they wait."""

from __future__ import annotations

from pydantic import Field

from ..domain import Decision
from ..machine.jobs import JobState
from ..service import Service
from .job_schemas import AttemptView, JobSummary
from .schemas import View
from .table import Call, Route


class QuestionView(View):
    """A job whose attempts are used up, and which asks what to do."""

    job: JobSummary
    definition_name: str
    attempts: list[AttemptView] = Field(description="What was tried, in order; the last failure is why it asks.")
    remaining_s: float = Field(description="Until it fails unless somebody decides.")


class QuestionList(View):
    """All jobs that wait for a decision, oldest first, and what can be answered."""

    questions: list[QuestionView]
    choices: list[Decision]


async def list_questions(call: Call) -> QuestionList:
    """List the jobs that wait for a person."""
    service = call.service
    shown = [_shown(service, state, remaining_s) for state, remaining_s in service.orchestrator.questions()]
    return QuestionList(questions=shown, choices=list(Decision))


def _shown(service: Service, state: JobState, remaining_s: float) -> QuestionView:
    job = state.job
    return QuestionView(
        job=JobSummary.of(job),
        definition_name=service.publisher.current.name(job.spec.definition_id),
        attempts=[AttemptView.of(attempt, service.farm.name(attempt.backend_id)) for attempt in state.attempts],
        remaining_s=remaining_s,
    )


ROUTES = (Route("GET", "/questions", list_questions),)
